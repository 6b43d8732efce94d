// A worker that trains on one thread and on two, and tells the losses of both.

import { wasm } from "@counterflow/kernels-wasm"
import { mlp, Training } from "./training.ts"

export interface Answer {
  readonly threads: number
  readonly one: readonly number[]
  readonly many: readonly number[]
}

addEventListener("message", () => {
  void train().then((answer) => postMessage(answer))
})

async function train(): Promise<Answer> {
  const network = mlp()
  const backend = wasm({ threads: 2 })
  const [one, many] = [new Training(wasm(), network), new Training(backend, network)]
  const losses: [number[], number[]] = [[], []]
  for (let i = 0; i < 20; i++) {
    losses[0].push(one.step(64))
    losses[1].push(many.step(64))
    // Some browsers start a worker of a worker only while that one rests.
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  for (const { executor } of [one, many]) executor.close()
  return { threads: backend.threads, one: losses[0], many: losses[1] }
}
