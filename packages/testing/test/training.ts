// Two networks that are large enough for several threads, and their training from fixed data.

import type { Backend } from "@counterflow/executor"
import { Executor, type Tensor } from "@counterflow/executor"
import { Program, programGuard, type Variable } from "@counterflow/ir"
import { conv2d, data, fc, pool2d } from "@counterflow/layers"
import { legalize, mean, softmaxWithCrossEntropy } from "@counterflow/ops"
import { Adam, Momentum, type Optimizer } from "@counterflow/optim"

export interface Network {
  readonly main: Program
  readonly startup: Program
  readonly loss: Variable
  readonly image: readonly number[]
}

function network(image: readonly number[], optimizer: Optimizer, body: (x: Variable) => Variable): Network {
  const [main, startup] = [new Program(), new Program()]
  main.randomSeed = startup.randomSeed = 5
  const loss = programGuard(main, startup, () => {
    const logits = body(data({ name: "x", shape: [...image] }))
    const label = data({ name: "label", shape: [1], dtype: "int64" })
    const loss = mean(softmaxWithCrossEntropy(logits, label))
    optimizer.minimize(loss)
    return loss
  })
  return { main, startup, loss, image }
}

export function mlp(): Network {
  return network([784], new Adam({ learningRate: 1e-3 }), (x) => {
    const wide = [256, 128].reduce((h, size) => fc(h, { size, act: "relu" }), x)
    return fc(wide, { size: 10 })
  })
}

export function lenet(): Network {
  return network([1, 28, 28], new Momentum({ learningRate: 0.01, momentum: 0.9 }), (x) => {
    const pooled = [6, 16].reduce((h, numFilters) => {
      const convolved = conv2d(h, { numFilters, filterSize: 5, act: "relu" })
      return pool2d(convolved, { poolSize: 2, poolStride: 2 })
    }, x)
    const wide = [120, 84].reduce((h, size) => fc(h, { size, act: "relu" }), pooled)
    return fc(wide, { size: 10 })
  })
}

export function feedOf({ image }: Network, batch: number, round: number) {
  const elements = batch * image.reduce((product, size) => product * size, 1)
  const x = Float32Array.from({ length: elements }, (_, i) => ((i * 37 + round * 11) % 251) / 251 - 0.5)
  const label = Int32Array.from({ length: batch }, (_, i) => (i * 7 + round) % 10)
  return {
    x: { data: x, shape: [batch, ...image], dtype: "float32" as const },
    label: { data: label, shape: [batch, 1], dtype: "int64" as const },
  }
}

/** A network in training, one batch after another. */
export class Training {
  readonly executor: Executor
  readonly #network: Network
  #round = 0

  constructor(backend: Backend, network: Network) {
    this.executor = new Executor(backend, { legalize })
    this.#network = network
    this.executor.runSync(network.startup)
  }

  /** The loss. */
  step(batch: number): number {
    const { main, loss } = this.#network
    const feed = feedOf(this.#network, batch, this.#round++)
    return this.executor.runSync(main, { feed, fetch: [loss] })[0].item()
  }

  async run(batch: number): Promise<number> {
    const { main, loss } = this.#network
    const feed = feedOf(this.#network, batch, this.#round++)
    const [value] = await this.executor.run(main, { feed, fetch: [loss] })
    return value.item()
  }

  /** All state, by name. */
  state(): Map<string, Tensor> {
    const { scope } = this.executor
    return new Map(scope.names().map((name) => [name, scope.get(name)]))
  }
}
