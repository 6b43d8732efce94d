// What a loop saves for its gradient, and what it costs.

import { appendBackward } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { parseProgram, Program, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { fillConstant, legalize, mul, reduceSum, registry, resolve, scale, scan } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { build, input } from "./building.ts"
import { run } from "./control-run.ts"
import { feed, programLoss, recurrent } from "./scan-recurrent.ts"

describe("what a gradient has the loop save", () => {
  test("is not there before, goes with a failing call, and is not in a test clone", () => {
    const made = recurrent(true)
    const loss = programLoss(made.last)
    const [before, clone] = [String(made.main), String(made.main.clone({ forTest: true }))]
    const refuse = () => {
      throw new Error("no")
    }
    expect(() => appendBackward(loss, { callbacks: [refuse] })).toThrow(/^no$/)
    expect(String(made.main)).toBe(before)
    appendBackward(loss)
    const op = made.last.producer!
    expect(op.outputs["saved"]?.map(({ name }) => name)).toEqual(["tanh_0.tmp_0@STACK", "scan.carry_0@STACK"])
    expect(String(made.main.clone({ forTest: true }))).toBe(clone)
    expect(made.main.prune(loss).globalBlock().ops[0]?.outputs["saved"]).toEqual([])
    const all = made.main.clone()
    verify(all)
    expect(String(all)).toBe(String(made.main))
  })

  test("takes no memory where the gradients are not fetched", async () => {
    const peak = async (isDifferentiated: boolean) => {
      const made = recurrent(true, 64)
      const loss = programLoss(made.last)
      if (isDifferentiated) appendBackward(loss)
      const executor = new Executor(cpu(), { legalize })
      const step = await executor.compile(made.main, { feed: { x: [64, 2, 3], h0: [2, 4] }, fetch: [loss] })
      const { memory } = step
      executor.close()
      return memory
    }
    expect(await peak(true)).toEqual(await peak(false))
  })

  test("constants, views and repetitions are made again instead", () => {
    const { main, op } = build((program) => {
      const [x, h] = [input(program, "x", [4, 2]), input(program, "h", [2])]
      const [last] = scan((c, xt) => [mul(mul(c, scale(xt, { scale: 2 })), fillConstant({ shape: [2], value: 3 }))], {
        init: h,
        xs: x,
      })
      appendBackward(reduceSum(last), { parameterList: ["x", "h"] })
      return { op: last.producer! }
    })
    verify(main)
    expect(op.outputs["saved"]?.map(({ name }) => name)).toEqual(["scale_0.tmp_0@STACK", "scan.carry_0@STACK"])
  })

  test("survives text and JSON", () => {
    const made = recurrent(true)
    const loss = programLoss(made.last)
    appendBackward(loss)
    const names = [loss.name, "w@GRAD", "u@GRAD"]
    const expected = run(made.main, feed, names)
    for (const read of [parseProgram(String(made.main)), Program.fromJSON(JSON.parse(JSON.stringify(made.main)))]) {
      const copy = resolve(read, registry)
      verify(copy)
      expect(String(copy)).toBe(String(made.main))
      expect(run(copy, feed, names)).toEqual(expected)
    }
  })
})

test("what a loop costs is known before it runs", async () => {
  const { main, last } = recurrent(true, 7)
  const executor = new Executor(cpu(), { legalize })
  const { flops } = await executor.compile(main, { feed: { x: [7, 2, 3], h0: [2, 4] }, fetch: [last] })
  // Per run: two products of [2, 3] · [3, 4] and [2, 4] · [4, 4], a sum, and tanh; the stacked product is not fetched.
  expect(flops).toBe(7 * (2 * 24 + 2 * 32 + 8 + 8))
  executor.close()
})
