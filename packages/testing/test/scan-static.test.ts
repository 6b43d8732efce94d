// Fluid's form of a scan.

import { appendBackward } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { symbol, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { fc } from "@counterflow/layers"
import { add, legalize, mul, reduceSum, square, staticRNN, type StaticRnnStep } from "@counterflow/ops"
import { gradCheck } from "@counterflow/testing"
import { describe, expect, test } from "vitest"
import { build, input, refusalOf } from "./building.ts"
import { wave } from "./scan-recurrent.ts"

describe("staticRNN", () => {
  const step = (rnn: StaticRnnStep, words: Variable, h0?: Variable) => {
    const word = rnn.stepInput(words)
    const before = rnn.memory(h0 === undefined ? { shape: [-1, 4], batchRef: word } : { init: h0 })
    const next = fc(add(fc(word, { size: 4 }), before), { size: 4, act: "tanh" })
    rnn.updateMemory(before, next)
    rnn.stepOutput(next)
    rnn.stepOutput(mul(before, next))
  }

  test("is a scan whose parts come one by one", async () => {
    const { main, startup, loss, ys } = build((program) => {
      const words = input(program, "words", [symbol("steps"), symbol("batch"), 3])
      const ys = staticRNN((rnn) => step(rnn, words))
      const loss = add(reduceSum(square(ys[0]!)), reduceSum(ys[1]!))
      appendBackward(loss)
      return { ys, loss }
    })
    verify(main)
    expect(ys.map(({ type }) => type)).toEqual(["float32[steps, batch, 4]", "float32[steps, batch, 4]"])
    expect(main.allParameters().map(({ name }) => name)).toEqual(["fc_0.w_0", "fc_0.b_0", "fc_1.w_0", "fc_1.b_0"])
    expect(main.globalBlock().ops.filter(({ type }) => type === "scan").length).toBe(2)
    const executor = new Executor(cpu(), { legalize })
    executor.runSync(startup, {})
    const feed = { words: { data: wave(12), shape: [2, 2, 3], dtype: "float32" as const } }
    const wrt = ["words", "fc_0.w_0", "fc_1.w_0", "fc_1.b_0"]
    const report = await gradCheck(main, { loss, wrt, feed, scope: executor.scope })
    expect(report.toString()).toContain(": ok")
    executor.close()
  })

  test("refuses what is missing", () => {
    const refused = (body: (rnn: StaticRnnStep, x: Variable) => void) =>
      refusalOf(() =>
        build((program) => {
          const x = input(program, "x", [3, 2])
          return { made: staticRNN((rnn) => body(rnn, x)) }
        }),
      )
    expect(refused(() => {})).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  staticRNN: a step needs an input, which says how many steps there are
        this staticRNN was built at LINE"
    `)
    expect(refused((rnn, x) => rnn.memory({ init: rnn.stepInput(x) }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  staticRNN: the memory scan.carry_0 is never updated
        this staticRNN was built at LINE
        fix: updateMemory(memory, next)"
    `)
    expect(
      refused((rnn, x) => {
        rnn.stepInput(x)
        rnn.memory({ init: x })
      }),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  staticRNN: the memory scan.carry_0 is never updated
        this staticRNN was built at LINE
        fix: updateMemory(memory, next)"
    `)
    expect(refused((rnn) => rnn.memory({ shape: [-1, 2] }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  memory: a memory needs init, or a shape, and batchRef, an input of the step, where it has −1
        this memory was built at LINE"
    `)
    expect(refused((rnn, x) => rnn.updateMemory(rnn.stepInput(x), x))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  updateMemory: the first argument is no memory of this step
        this updateMemory was built at LINE"
    `)
  })
})
