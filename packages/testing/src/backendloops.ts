// A program that a backend must run: training through a loop whose number of runs is fed. What its runs save for the gradient has no
// size before the step, so memory grows in the middle of one, with feeds, state and results in it.

import { gradients } from "@counterflow/autodiff"
import { type Backend, Executor } from "@counterflow/executor"
import { Program, programGuard, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { data } from "@counterflow/layers"
import { add, fillConstant, legalize, less, matmul, scale, sin, square, sub, whileLoop, write } from "@counterflow/ops"
import { checkClose } from "./case.ts"

const [rows, features] = [4, 96]

function program(): { main: Program; fetch: Variable[] } {
  const main = new Program()
  return programGuard(main, new Program(), () => {
    const x = data({ name: "x", shape: [rows, features], appendBatchSize: false })
    const runs = data({ name: "runs", shape: [], dtype: "int32", appendBatchSize: false })
    const shape = [features, features]
    const w = main
      .globalBlock()
      .createVar({ name: "w", shape, dtype: "float32", persistable: true, initialValue: 0.01 })
    const zero = fillConstant({ shape: [], value: 0, dtype: "int32" })
    const [, last] = whileLoop(
      (i) => less(i, runs),
      (i, h) => [add(i, 1), add(h, scale(sin(matmul(h, w)), { scale: 0.05 }))],
      [zero, x],
    )
    const [dw] = gradients(square(last), w)
    write(w, sub(w, scale(dw ?? w, { scale: 1e-5 })))
    return { main, fetch: [last, dw ?? w] }
  })
}

/** Steps of more and of fewer runs, none among them. */
export async function loopsGrow(makeBackend: () => Backend): Promise<void> {
  const { main, fetch } = program()
  const x = Float32Array.from({ length: rows * features }, (_, i) => Math.sin(i))
  const run = async (backend: Backend) => {
    const executor = new Executor(backend, { legalize })
    const found = []
    for (const runs of [3, 100, 0, 7, 100]) found.push(...(await executor.run(main, { feed: { x, runs }, fetch })))
    found.push(executor.scope.get("w"))
    executor.close()
    return found
  }
  const [expected, got] = [await run(cpu()), await run(makeBackend())]
  expected.forEach((value, at) =>
    checkClose(got[at] ?? value, value, 1e-4, `value ${at} of a loop that is trained through`),
  )
}
