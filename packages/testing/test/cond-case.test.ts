// `case` and `switchCase`: conds inside conds.

import { type Variable, verify } from "@counterflow/ir"
import { case as caseOf, exp, less, mean, mul, reduceSum, scale, square, sub, switchCase, tanh } from "@counterflow/ops"
import { gradCheck } from "@counterflow/testing"
import { describe, expect, test } from "vitest"
import { build, input, parameter, refusalOf } from "./building.ts"
import { run } from "./control-run.ts"

describe("case and switchCase", () => {
  test("the first true predicate counts, and the default if there is none", () => {
    const { main, y, last } = build((program) => {
      const x = input(program, "x", [1])
      const pairs = [
        [less(x, -1), () => scale(x, { scale: 10 })],
        [less(x, 1), () => square(x)],
      ] as const
      return { y: caseOf(pairs, () => exp(x)), last: caseOf(pairs) }
    })
    verify(main)
    expect(run(main, { x: [-2] }, [y, last])).toEqual([[-20], [-20]])
    expect(run(main, { x: [0.5] }, [y, last])).toEqual([[0.25], [0.25]])
    expect(run(main, { x: [2] }, [y, last])).toEqual([[Math.fround(Math.exp(2))], [4]])
  })

  test("switchCase takes places or keys, and the largest key for what fits none", () => {
    const { main, y, z } = build((program) => {
      const [i, x] = [input(program, "i", [], "int32"), input(program, "x", [1])]
      const y = switchCase(i, [() => x, () => square(x), () => scale(x, { scale: 100 })])
      const z = switchCase(
        i,
        [
          [7, () => scale(x, { scale: 7 })],
          [-3, () => scale(x, { scale: -3 })],
        ],
        () => sub(x, x),
      )
      return { y, z }
    })
    verify(main)
    expect([0, 1, 2, 5, 7, -3].map((i) => run(main, { i, x: [3] }, [y, z]).flat())).toEqual([
      [3, 0],
      [9, 0],
      [300, 0],
      [300, 0],
      [300, 21],
      [300, -9],
    ])
  })

  test("gradients agree with differences in every case, orders 1 and 2", async () => {
    const { main, y } = build((program) => {
      const [i, x] = [input(program, "i", [], "int32"), input(program, "x", [3])]
      const w = parameter(program, "w", [3])
      return { y: switchCase(i, [() => mul(tanh(x), w), () => mul(exp(w), square(x))], () => mul(x, x)) }
    })
    for (const i of [0, 1, 2]) {
      const report = await gradCheck(main, { targets: [y], wrt: ["x", "w"], feed: { i, x: [0.5, -1, 2] }, order: 2 })
      expect(report.toString()).toContain(": ok")
    }
  })

  test("lines of the user's in errors, through all the conds inside conds", () => {
    const refusal = refusalOf(() =>
      build((program) => {
        const x = input(program, "x", [2])
        const pred = less(reduceSum(x), 0)
        return {
          y: caseOf([
            [pred, () => x],
            [pred, () => x],
            [pred, () => mean(x)],
          ]),
        }
      }),
    )
    expect(refusal).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  cond: result 0 is float32[2] in the true branch and float32[] in the false branch
          true branch[0] = x float32[2]   built at LINE
          false branch[0] = mean_0.tmp_0 float32[]   built at LINE
        this cond was built at LINE
        fix: make the shapes of both branches equal"
    `)
  })

  test("keys must differ, and the index must be an integer", () => {
    const of = (body: (i: Variable) => unknown) =>
      refusalOf(() => build((program) => ({ y: body(input(program, "i", [], "int32")) })))
    expect(
      of((i) =>
        switchCase(i, [
          [1, () => i],
          [1, () => i],
        ]),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  switchCase: the key 1 stands twice
        called at LINE"
    `)
    expect(of((i) => switchCase(less(i, 0), [() => i]))).toMatchInlineSnapshot(`
      "CounterflowError: CF_DTYPE_MISMATCH  switchCase: index must be an integer, got bool
        called at LINE"
    `)
    expect(of((i) => switchCase(i, []))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  switchCase: switchCase takes a list of functions, or of pairs [key, fn], at least one
        called at LINE"
    `)
  })
})
