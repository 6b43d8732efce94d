// Gradients that are asked for inside of bodies and branches, and two orders of derivatives of what comes of them: those of the
// unrolled program, in float64, on both backends.

import { gradients } from "@counterflow/autodiff"
import { verify, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import {
  add,
  assign,
  cast,
  cond,
  div,
  exp,
  fillConstant,
  greater,
  less,
  mul,
  reduceSum,
  reshape,
  scale,
  scan,
  sin,
  slice,
  square,
  sub,
  tanh,
  whileLoop,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { build, input } from "./building.ts"
import { runOn } from "./control-run.ts"

const feed = { a: [0.3, -0.2], b: [0.4, 0.7], xs: [0.1, 0.2, -0.3, 0.4] }

const number = (value: number) => fillConstant({ shape: [], value, dtype: "int32" })
const norm = (x: Variable) => reduceSum(square(x))
const slope = (target: Variable, x: Variable): Variable => gradients(target, x)[0]!

/** One step after the other: a scan, or as many copies of the step. */
type Repeat = (times: number, init: Variable, step: (w: Variable, t: Variable) => Variable) => Variable

const looped: Repeat = (times, init, step) => scan((w, _xs, t) => [step(w, t)], { init, length: times })[0]
const unrolled: Repeat = (times, init, step) =>
  Array.from({ length: times }, (_, t) => t).reduce((w, t) => step(w, number(t)), init)

interface Given {
  readonly a: Variable
  readonly b: Variable
  readonly xs: Variable
  readonly repeat: Repeat
}

const nests: Record<string, (given: Given) => Variable> = {
  "a scan in a scan, each step with the gradient of what both carry": ({ a, b, repeat }) =>
    repeat(2, a, (w) => repeat(2, assign(w), (v) => sub(v, mul(b, slope(reduceSum(sin(mul(v, w))), v))))),

  "Newton's method, with second derivatives in the body": ({ a, b, repeat }) =>
    repeat(2, a, (w) => {
      const first = slope(reduceSum(add(exp(scale(w, { scale: 0.3 })), mul(b, square(square(w))))), w)
      return sub(w, div(first, add(slope(first, w), 3)))
    }),

  "the gradient in what the body captures: of this run only": ({ a, b, repeat }) =>
    repeat(3, a, (w) => {
      const own = repeat === looped ? b : assign(b)
      return add(w, scale(slope(reduceSum(tanh(mul(w, own))), own), { scale: 0.5 }))
    }),

  "a gradient in each branch of a cond": ({ a, b, repeat }) =>
    repeat(3, a, (w) =>
      cond(
        greater(reduceSum(w), 0.2),
        () => sub(w, mul(b, slope(norm(sin(w)), w))),
        () => add(w, slope(reduceSum(exp(mul(w, b))), w)),
      ),
    ),

  "the gradient of a cond": ({ a, b, repeat }) =>
    repeat(3, a, (w) => {
      const loss = cond(
        greater(reduceSum(w), 0.4),
        () => norm(mul(w, b)),
        () => reduceSum(sin(mul(w, b))),
      )
      return sub(w, scale(slope(loss, w), { scale: 0.3 }))
    }),

  "the gradient of a scan": ({ a, b, xs, repeat }) =>
    repeat(3, a, (w) => {
      const cell = (c: Variable, x: Variable) => tanh(add(mul(c, w), x))
      const place = (t: number) => reshape(slice(xs, { axes: [0], starts: [t], ends: [t + 1] }), { shape: [2] })
      const last =
        repeat === looped
          ? scan((c, x) => [cell(c, x)], { init: b, xs })[0]
          : [0, 1].reduce((c, t) => cell(c, place(t)), b)
      return sub(w, scale(slope(norm(last), w), { scale: 0.3 }))
    }),

  "a gradient in a whileLoop": ({ a, b, repeat }) => {
    const step = (w: Variable) => sub(w, mul(b, slope(norm(sin(w)), w)))
    if (repeat === unrolled) return repeat(3, a, step)
    const [, last] = whileLoop(
      (i) => less(i, 3),
      (i, w) => [add(i, 1), step(w)],
      [number(0), a],
      { maxTrips: 5 },
    )
    return last
  },

  "a gradient that reads the index": ({ a, b, repeat }) =>
    repeat(3, a, (w, t) => {
      const rate = scale(cast(t, { dtype: "float64" }), { scale: 0.2, bias: 0.1 })
      return sub(w, mul(b, slope(reduceSum(sin(mul(w, rate))), w)))
    }),
}

describe.each(Object.entries(nests))("%s", (_name, nest) => {
  const derivatives = (repeat: Repeat) => {
    const { main, fetch } = build((program) => {
      const given = (name: string, shape: number[]) => input(program, name, shape, "float64")
      const [a, b, xs] = [given("a", [2]), given("b", [2]), given("xs", [2, 2])]
      const last = nest({ a, b, xs, repeat })
      const fetch = [last]
      for (let target = norm(sin(last)), order = 1; order <= 2; order++) {
        const [da, db] = [slope(target, a), slope(target, b)]
        fetch.push(da, db)
        target = add(norm(da), reduceSum(sin(db)))
      }
      return { fetch }
    })
    verify(main)
    return { main, fetch }
  }

  test("has the derivatives of the unrolled program, orders 1 and 2", () => {
    const [loop, plain] = [derivatives(looped), derivatives(unrolled)]
    expect(loop.fetch).toHaveLength(5)
    const wanted = runOn(cpu(), plain.main, feed, plain.fetch)
    for (const backend of [cpu(), wasm()]) {
      runOn(backend, loop.main, feed, loop.fetch).forEach((values, i) => {
        const size = Math.max(...wanted[i]!.map(Math.abs))
        expect(size, `value ${i}`).toBeGreaterThan(1e-6)
        values.forEach((value, j) => expect(value / size, `value ${i}`).toBeCloseTo(wanted[i]![j]! / size, 12))
      })
    }
  })
})
