// A loop from outside: an op whose block has parameters, with one kernel in JavaScript for both backends. The carry has a dtype
// that the backends store differently.

import { Executor } from "@counterflow/executor"
import { type DType, type Variable, verify } from "@counterflow/ir"
import { type CallOf, cpu } from "@counterflow/kernels-cpu"
import { hostKernel, wasm } from "@counterflow/kernels-wasm"
import { add, emit, legalize, mul, noGrad, primitive } from "@counterflow/ops"
import { expect, test } from "vitest"
import { build, input } from "./building.ts"

const iterateOp = primitive({
  name: "test.iterate",
  inputs: { init: "index", captures: "indices" },
  outputs: ["z"],
  attrs: { times: "int" },
  infer: ({ init }) => ({ z: init }),
  grad: noGrad("it shows that blocks have parameters"),
  facts: { kind: "control", flops: () => 0, repeats: ({ times }) => times as number },
})

type Call = CallOf<typeof iterateOp.inputs, typeof iterateOp.outputs, typeof iterateOp.attrs>

const kernel = ({ inputs: { init }, outputs: { z }, attrs: { times }, blocks: { body } }: Call) => {
  return () => {
    z.data.set(init.data)
    for (let i = 0; i < times; i++) {
      body?.params[0]?.data.set(z.data)
      body?.run()
      z.data.set(body?.results[0]?.data ?? [])
    }
  }
}

function iterate(init: Variable, times: number, step: (x: Variable) => Variable): Variable {
  const { program, shape, dtype } = init
  const body = program.createBlock()
  const param = body.addParam({ shape, dtype, name: program.uniqueName("iterate.x") })
  program.within({ block: body }, () => body.setResults([step(param)]))
  const captures = [...new Set(body.ops.flatMap((op) => op.inputList()).filter(({ block }) => block !== body))]
  return emit(iterateOp, { init, captures }, { times }, iterate, { blocks: { body } }).z
}

for (const dtype of ["float32", "int32", "int64", "uint8"] as const satisfies readonly DType[]) {
  test(`a loop from outside carries ${dtype}`, () => {
    const { main, z } = build((program) => {
      const [x, y] = [input(program, "x", [3], dtype), input(program, "y", [3], dtype)]
      return {
        z: iterate(x, 3, (carry) =>
          add(
            mul(carry, y),
            iterate(x, 1, (inner) => add(inner, carry)),
          ),
        ),
      }
    })
    verify(main)
    const expected = [1, 2, 3].map((x, i) => {
      let carry = x
      for (let run = 0; run < 3; run++) carry = carry * [0, 1, 2][i]! + (x + carry)
      return carry
    })
    const kernels = { "test.iterate": kernel }
    const host = { "test.iterate": hostKernel<typeof iterateOp>(kernel) }
    for (const backend of [cpu({ kernels }), wasm({ kernels: host })]) {
      const executor = new Executor(backend, { legalize })
      const [found] = executor.runSync(main, { feed: { x: [1, 2, 3], y: [0, 1, 2] }, fetch: [z] })
      expect(Array.from(found.data, Number)).toEqual(expected)
      executor.close()
    }
  })
}
