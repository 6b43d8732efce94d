// Movement and selection in whole programs: gradients under symbolic sizes that are bound to several values, outputs that nothing
// uses, updates that meet, and indices that are refused with the user's line.

import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { type DType, isCounterflowError, Program, type Shape, symbol, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import {
  concat,
  cumsum,
  expand,
  gather,
  gatherNd,
  legalize,
  mul,
  oneHot,
  pad,
  range,
  reduceProd,
  reshape,
  reverse,
  slice,
  split,
  stack,
  stridedSlice,
  transpose,
  unstack,
} from "@counterflow/ops"
import { gradCheck } from "@counterflow/testing"
import { describe, expect, test } from "vitest"

function data(program: Program, name: string, shape: Shape, dtype: DType = "float64"): Variable {
  return program.globalBlock().createVar({ name, shape, dtype, isData: true, stopGradient: dtype !== "float64" })
}

/** Values without ties or regularity. */
function wavy(length: number): number[] {
  return Array.from({ length }, (_, i) => 0.5 + Math.sin(3 * i + 1))
}

describe("symbolic sizes", () => {
  const n = symbol("n")

  const cases: Record<string, (x: Variable) => Variable> = {
    "all but the first times all but the last": (x) =>
      mul(slice(x, { axes: [0], starts: [1], ends: [Infinity] }), slice(x, { axes: [0], starts: [0], ends: [-1] })),
    "every other one, backwards": (x) =>
      stridedSlice(x, { axes: [0, 1], starts: [Infinity, 0], ends: [-Infinity, Infinity], strides: [-2, 2] }),
    "the first three at most": (x) => slice(x, { axes: [0], starts: [0], ends: [3] }),
    "the last one": (x) => slice(x, { axes: [0], starts: [-1], ends: [Infinity] }),
    "halves multiplied": (x) => {
      const [a, b] = split(x, { numOrSections: 2, axis: 0 })
      return a === undefined || b === undefined ? x : mul(a, b)
    },
    "joined, padded, reversed": (x) =>
      reverse(pad(concat([x, x], { axis: 0 }), { paddings: [1, 0, 0, 2] }), { axis: [0, 1] }),
    "flattened and back": (x) => transpose(reshape(mul(reshape(x, { shape: [-1] }), 2), { shape: [n, 3] })),
    "running sums and tiles": (x) => expand(cumsum(x, { axis: 0, exclusive: true }), { expandTimes: [2, 1] }),
    "the product along the axis": (x) => reduceProd(x, { axis: 0 }),
    "gathered by a range": (x) => gather(x, range({ end: n, step: 2, program: x.program })),
    "unstacked and stacked": (x) => stack(unstack(x, { axis: 1 }), { axis: 0 }),
  }

  test.each(Object.entries(cases))("%s", async (_name, build) => {
    const program = new Program()
    const x = data(program, "x", [n, 3])
    const z = build(x)
    for (const size of [2, 4, 6]) {
      const feed = { x: { data: wavy(3 * size), shape: [size, 3] } }
      const report = await gradCheck(program, { targets: [z], wrt: [x], feed, order: 2 })
      expect(report.ok, `n = ${size}\n${report.toString()}`).toBe(true)
    }
  })
})

/** The gradient of z with respect to x, for float64 values of x. */
function gradientAt(z: readonly Variable[], x: Variable, feed: Record<string, number[]>): number[] {
  const [dx] = gradients(z, [x])
  if (dx === null || dx === undefined) throw new Error("there is no gradient")
  const [result] = new Executor(cpu(), { legalize }).runSync(x.program, { feed, fetch: [dx] })
  return [...(result?.data ?? [])].map(Number)
}

test("what nothing uses of a split or unstack gets zeros", () => {
  const program = new Program()
  const x = data(program, "x", [5])
  const [, middle] = split(x, { numOrSections: [2, 1, 2] })
  expect(middle === undefined ? [] : gradientAt([middle], x, { x: wavy(5) })).toEqual([0, 0, 1, 0, 0])
  const y = data(new Program(), "y", [2, 2])
  const [, second] = unstack(y)
  expect(second === undefined ? [] : gradientAt([second], y, { y: wavy(4) })).toEqual([0, 0, 1, 1])
})

test("what is looked up several times gets the sum", () => {
  const program = new Program()
  const [x, index] = [data(program, "x", [3, 2]), data(program, "index", [4], "int32")]
  expect(gradientAt([gather(x, index)], x, { x: wavy(6), index: [2, 0, 2, 2] })).toEqual([1, 1, 0, 0, 3, 3])
})

describe("indices outside", () => {
  function refusal(build: (x: Variable, index: Variable) => Variable, place: number): string {
    const program = new Program()
    const z = build(data(program, "x", [3, 2]), data(program, "index", [2, 1], "int64"))
    try {
      new Executor(cpu(), { legalize }).runSync(program, { feed: { x: wavy(6), index: [0, place] }, fetch: [z] })
    } catch (error) {
      if (isCounterflowError(error))
        return error.message.replace(/\S*test\.ts:\d+:\d+/g, "(here)").split("\n    ")[0] ?? ""
      throw error
    }
    return "nothing was refused"
  }

  test("name the user's operator, the axis and its size", () => {
    expect(refusal((x, index) => gather(x, index), 2)).toBe("nothing was refused")
    expect(refusal((x, index) => gather(x, index), 3)).toMatchInlineSnapshot(
      `"CF_INDEX_RANGE  gather: index 3 lies outside axis 0 of size 3"`,
    )
    expect(refusal((x, index) => gather(x, index, { axis: 1 }), 2)).toMatchInlineSnapshot(
      `"CF_INDEX_RANGE  gather: index 2 lies outside axis 1 of size 2"`,
    )
    expect(refusal((x, index) => gatherNd(x, index), -1)).toMatchInlineSnapshot(
      `"CF_INDEX_RANGE  gatherNd: index -1 lies outside axis 0 of size 3"`,
    )
    expect(refusal((_x, index) => oneHot(index, { depth: 4 }), 4)).toMatchInlineSnapshot(
      `"CF_INDEX_RANGE  oneHot: index 4 lies outside axis 1 of size 4"`,
    )
    expect(refusal((_x, index) => oneHot(index, { depth: 4, allowOutOfRange: true }), 4)).toBe("nothing was refused")
  })
})
