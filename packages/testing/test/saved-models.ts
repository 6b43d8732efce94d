// Networks for the tests of saved steps: those of the tests of the compiler, and a loop.

import type { Executor } from "@counterflow/executor"
import { data } from "@counterflow/layers"
import { add, arrayValue, matmul, mean, scan, square, tanh } from "@counterflow/ops"
import { SGD } from "@counterflow/optim"
import { build, parameter } from "./building.ts"
import { type Network, networks, waves } from "./passes-programs.ts"

/** A loop whose first state is a constant, which lies in the module as bytes. */
function recurrent(): Network {
  const { main, startup, loss } = build((program) => {
    const x = data({ name: "x", shape: [3, 2], appendBatchSize: false })
    const u = parameter(program, "u", [2, 2], { initialValue: 0.25 })
    const init = arrayValue({ values: [0.5, -1], shape: [1, 2], dtype: "float32", program })
    const [, ys] = scan(
      (h, row) => {
        const next = tanh(add(matmul(h, u), row))
        return [next, next]
      },
      { init, xs: x },
    )
    const loss = mean(square(ys))
    new SGD({ learningRate: 0.5 }).minimize(loss)
    return { loss }
  })
  return { main, startup, fetches: [loss], feed: { x: waves([3, 2]) } }
}

export const models: Readonly<Record<string, () => Network>> = { ...networks, recurrent }

export function compiled({ main, startup, fetches, feed }: Network, executor: Executor) {
  const shapes = Object.fromEntries(Object.entries(feed).map(([name, { shape }]) => [name, shape] as const))
  return { begin: executor.compileSync(startup), train: executor.compileSync(main, { feed: shapes, fetch: fetches }) }
}
