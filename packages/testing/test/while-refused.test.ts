// Loops with a condition that are refused while they are built.

import { type Variable } from "@counterflow/ir"
import { less, reduceSum, whileLoop } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { build, input, refusalOf } from "./building.ts"

describe("refusals", () => {
  const refused = (body: (x: Variable) => unknown) =>
    refusalOf(() => build((program) => ({ made: body(input(program, "x", [2])) })))

  test("conditions that are not one truth value", () => {
    expect(
      refused((x) =>
        whileLoop(
          (c) => less(c, 1),
          (c) => [c],
          [x],
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  whileLoop: what cond answers must have one element, got shape [2]
          condition[0] = less_0.tmp_0 bool[2]   built at LINE
        this whileLoop was built at LINE
        fix: reduce it: reduceAll(pred) or reduceAny(pred)"
    `)
    expect(
      refused((x) =>
        whileLoop(
          (c) => reduceSum(c),
          (c) => [c],
          [x],
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_DTYPE_MISMATCH  whileLoop: what cond answers must be bool, got float32
          condition[0] = reduce_sum_0.tmp_0 float32[]   built at LINE
        this whileLoop was built at LINE
        fix: compare it with something: less(x, y)"
    `)
  })

  test("bodies that change what is carried", () => {
    expect(
      refused((x) =>
        whileLoop(
          (c) => less(reduceSum(c), 1),
          (c) => [reduceSum(c)],
          [x],
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  whileLoop: carry 0 is float32[2], but the body answers float32[] for the next run
          carry[0] = while.carry_1 float32[2]   built at LINE
          next carry[0] = reduce_sum_1.tmp_0 float32[]   built at LINE
        this whileLoop was built at LINE
        fix: what is carried must keep its shape and dtype: cast or reshape it, or stack it instead"
    `)
    expect(
      refused((x) =>
        whileLoop(
          (c) => less(reduceSum(c), 1),
          // @ts-expect-error one variable is missing
          (c) => [c],
          [x, x],
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  whileLoop: the carry has 2 variables, but the body answers 1 for the next run
          carry[0] = while.carry_2 float32[2]   built at LINE
          carry[1] = while.carry_3 float32[2]   built at LINE
          next carry[0] = while.carry_2 float32[2]   built at LINE
        this whileLoop was built at LINE"
    `)
  })

  test("no variables, and no functions", () => {
    expect(
      refused((x) =>
        whileLoop(
          () => less(reduceSum(x), 1),
          () => [],
          [],
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  whileLoop: loopVars must be a list of at least one Variable, got an array of 0
        this whileLoop was built at LINE"
    `)
    // @ts-expect-error the body is missing
    expect(refused((x) => whileLoop((c) => less(reduceSum(c), 1), [x]))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  whileLoop: body must be a function, got an array of 1
        this whileLoop was built at LINE"
    `)
  })
})
