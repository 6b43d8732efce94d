// Loops that are refused while they are built.

import { type Variable } from "@counterflow/ir"
import { add, greater, reduceSum, scan, tanh, write } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { build, input, parameter, refusalOf } from "./building.ts"

describe("refusals", () => {
  const refused = (body: (x: Variable, h: Variable) => unknown) =>
    refusalOf(() => build((program) => ({ made: body(input(program, "x", [3, 2]), input(program, "h", [2])) })))

  test("a body that changes what is carried", () => {
    expect(refused((x, h) => scan((_c, xt) => [reduceSum(xt)], { init: h, xs: x }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  scan: carry 0 is float32[2], but the body answers float32[] for the next run
          carry[0] = scan.carry_0 float32[2]   built at LINE
          next carry[0] = reduce_sum_0.tmp_0 float32[]   built at LINE
        this scan was built at LINE
        fix: what is carried must keep its shape and dtype: cast or reshape it, or stack it instead"
    `)
    expect(refused((x, h) => scan((c) => [greater(c, 0)], { init: h, xs: x }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_DTYPE_MISMATCH  scan: carry 0 is float32[2], but the body answers bool[2] for the next run
          carry[0] = scan.carry_0 float32[2]   built at LINE
          next carry[0] = greater_0.tmp_0 bool[2]   built at LINE
        this scan was built at LINE
        fix: what is carried must keep its shape and dtype: cast or reshape it, or stack it instead"
    `)
    expect(
      // @ts-expect-error the next carry has one variable more
      refused((x, h) => scan(([c]) => [[c, c]], { init: [h], xs: x })),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  scan: the carry has 1 variables, but the body answers 2 for the next run
          carry[0] = scan.carry_0 float32[2]   built at LINE
          next carry[0] = scan.carry_0 float32[2]   built at LINE
          next carry[1] = scan.carry_0 float32[2]   built at LINE
        this scan was built at LINE"
    `)
  })

  test("lengths that differ, or that nothing says", () => {
    expect(refused((x, h) => scan((c) => [c], { init: h, xs: x, length: 4 }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  scan: xs[0] has 3 places for 4 runs
          init[0] = h   float32[2]      built at LINE
          xs[0] = x     float32[3, 2]   built at LINE
        this scan was built at LINE"
    `)
    expect(refused((_x, h) => scan((c) => [c], { init: h }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  scan: the number of runs is unknown
        this scan was built at LINE
        fix: give xs, or a length"
    `)
    expect(refused((_x, h) => scan((c) => [c], { init: h, xs: reduceSum(h) }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  scan: xs[0] must have a leading axis to scan, got a scalar
        this scan was built at LINE"
    `)
  })

  test("a body that answers no pair", () => {
    // @ts-expect-error it answers the carry alone
    expect(refused((x, h) => scan((c) => c, { init: h, xs: x }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  scan: the body must answer a pair: the next carry, and what is to be stacked
        this scan was built at LINE"
    `)
  })

  test("state written in a body", () => {
    expect(
      refusalOf(() =>
        build((program) => {
          const x = input(program, "x", [3, 2])
          const w = parameter(program, "w")
          return { made: scan((c, xt) => [write(w, add(c, xt))], { init: w, xs: x }) }
        }),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  scan: the body writes the state w, but a loop hands on only what it carries
          write built at LINE
        this scan was built at LINE
        fix: carry w, let the body answer its next value, and write the last one after the loop"
    `)
  })

  test("a variable of the body, read outside of it", () => {
    expect(
      refused((x, h) => {
        let inner = h
        scan((c, xt) => [(inner = add(c, xt))], { init: h, xs: x })
        return tanh(inner)
      }),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  tanh: add_0.tmp_0 belongs to a sub-block, and this operator stands outside of it
          x = add_0.tmp_0   float32[2]   built at LINE
        this tanh was built at LINE
        fix: let the function of the branch or loop answer it, and use what the branch or loop answers"
    `)
  })
})
