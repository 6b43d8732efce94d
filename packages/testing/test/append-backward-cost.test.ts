// appendBackward is all or nothing, and takes time in proportion to the path.

import { appendBackward } from "@counterflow/autodiff"
import { type Variable, verify } from "@counterflow/ir"
import { composite, emit, mean, scale, square, sub, tanh } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { backwardOps, build, namesOf, parameter } from "./building.ts"

describe("all or nothing, in linear time", () => {
  test("a rule that throws leaves the program as it was, to the last counter", () => {
    const brokenOp = composite({
      name: "test.broken",
      inputs: { x: "tensor" },
      outputs: ["z"],
      infer: ({ x }) => ({ z: x }),
      grad: (_inputs, _outputs, { z: dz }) => {
        square(dz)
        throw new RangeError("the rule gave up")
      },
      decompose: ({ x }) => ({ z: square(x) }),
    })
    const broken = (x: Variable): Variable => emit(brokenOp, { x }, {}, broken).z
    const { main, loss } = build((program) => ({ loss: mean(tanh(broken(parameter(program, "w")))) }))
    const before = [main.toString(), JSON.stringify(main), main.blocks.length, main.streams]
    expect(() => appendBackward(loss)).toThrow(new RangeError("the rule gave up"))
    expect([main.toString(), JSON.stringify(main), main.blocks.length, main.streams]).toEqual(before)
    expect(main.globalBlock().staged).toBe(null)
    expect(main.role).toBe("forward")
    expect(loss.producer?.isLoss).toBe(false)
    verify(main)
  })

  test("a chain of 10,000 operators", () => {
    const { main, loss } = build((program) => {
      let x: Variable = parameter(program, "w")
      for (let i = 0; i < 10_000; i++) x = i % 2 === 0 ? scale(x, { scale: 0.5 }) : tanh(x)
      return { loss: mean(x) }
    })
    const start = performance.now()
    const pairs = appendBackward(loss)
    expect(performance.now() - start).toBeLessThan(5000)
    expect(namesOf(pairs)).toEqual([["w", "w@GRAD"]])
    expect(backwardOps(main).length).toBeGreaterThan(10_000)
  })

  test("the cost grows with the path, not with its square, and not with what is beside it", () => {
    const time = (length: number, beside: number) => {
      const { loss } = build((program) => {
        const w = parameter(program, "w")
        for (let i = 0; i < beside; i++) sub(w, 1)
        let x: Variable = w
        for (let i = 0; i < length; i++) x = scale(x, { scale: 0.5 })
        return { loss: mean(x) }
      })
      const start = performance.now()
      appendBackward(loss)
      return performance.now() - start
    }
    time(500, 0)
    const short = Math.min(time(1000, 0), time(1000, 0))
    expect(time(8000, 0)).toBeLessThan(40 * Math.max(short, 2))
    expect(time(100, 8000)).toBeLessThan(10 * Math.max(short, 2))
  })
})
