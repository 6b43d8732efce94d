// Reshaping, joining, cutting and permuting as users write them: what options resolve to, symbolic sizes, what is refused.

import { describe, expect, test } from "vitest"
import {
  type DType,
  formatDim,
  formatShape,
  isCounterflowError,
  Program,
  type Shape,
  symbol,
  type Variable,
  verify,
} from "@counterflow/ir"
import {
  concat,
  expand,
  eye,
  fillConstant,
  flatten,
  gather,
  gatherNd,
  oneHot,
  range,
  reshape,
  scatterAdd,
  split,
  squeeze,
  stack,
  transpose,
  unsqueeze,
  unstack,
} from "@counterflow/ops"

const [batch, n] = [symbol("batch"), symbol("n")]

function data(shape: Shape, dtype: DType = "float32", program = new Program()): Variable {
  return program.globalBlock().createVar({ shape, dtype, isData: true })
}

function shapesOf(...variables: readonly Variable[]): string {
  for (const variable of variables) verify(variable.program)
  return variables.map(({ shape }) => formatShape(shape)).join(" ")
}

/** The equalities that are left to be checked when sizes are bound. */
function equalities(variable: Variable | undefined): string[] {
  return (variable?.producer?.equalities ?? []).map(({ left, right }) => `${formatDim(left)} = ${formatDim(right)}`)
}

/** The error's text without the places in this file, which are its caller's. */
function refusal(body: () => unknown): string {
  try {
    body()
  } catch (error) {
    if (isCounterflowError(error)) return error.message.replace(/\S*test\.ts:\d+:\d+/g, "(here)")
    throw error
  }
  throw new Error("nothing was refused")
}

describe("reshape", () => {
  test.each([
    [[batch, 3, 4], [0, 12], "[batch, 12]"],
    [[batch, 3, 4], [-1, 12], "[batch, 12]"],
    [[batch, 12], [-1, 3, 4], "[batch, 3, 4]"],
    [[batch, 12], [0, 3, -1], "[batch, 3, 4]"],
    [[batch, 3, 4], [batch, -1], "[batch, 12]"],
    [[batch, n, 4], [-1, 2], "[2*batch*n, 2]"],
    [[2, 3], [-1], "[6]"],
    [[], [1, -1], "[1, 1]"],
    [[0, 3], [-1, 3], "[0, 3]"],
  ] as const)("%s as %s", (from, shape, result) => {
    const z = reshape(data(from), { shape })
    expect(shapesOf(z)).toBe(result)
    expect(equalities(z)).toEqual([])
  })

  test("a size that is not seen to fit is checked when it is bound", () => {
    expect(equalities(reshape(data([batch, n]), { shape: [n, 8] }))).toEqual(["batch*n = 8*n"])
  })

  test("x itself, if it has the shape already", () => {
    const x = data([batch, 3])
    expect(reshape(x, { shape: [0, -1] })).toBe(x)
  })
})

describe("joining and cutting", () => {
  test("sizes along the axis add up, the others agree", () => {
    const x = data([batch, 3])
    const z = concat([x, data([n, 3], "float32", x.program), x], { axis: 0 })
    expect(shapesOf(z)).toBe("[2*batch + n, 3]")
    expect(shapesOf(...split(z, { numOrSections: [batch, -1, batch], axis: 0 }))).toBe("[batch, 3] [n, 3] [batch, 3]")
  })

  test("an axis of unknown size is cut into equal parts if it turns out to be divisible", () => {
    const parts = split(data([batch, 3]), { numOrSections: 2, axis: 0 })
    expect(shapesOf(...parts)).toBe("[floorDiv(batch, 2), 3] [floorDiv(batch, 2), 3]")
    expect(equalities(parts[0])).toEqual(["2*floorDiv(batch, 2) = batch"])
    const exact = split(reshape(data([batch, 2]), { shape: [-1] }), { numOrSections: 2 })
    expect(shapesOf(...exact)).toBe("[batch] [batch]")
    expect(equalities(exact[0])).toEqual([])
  })

  test("stack and unstack", () => {
    const x = data([batch, 3])
    expect(shapesOf(stack([x, x], { axis: -1 }))).toBe("[batch, 3, 2]")
    expect(shapesOf(...unstack(x, { axis: 1 }))).toBe("[batch] [batch] [batch]")
  })
})

describe("axes", () => {
  test("squeeze drops what is named, or all that is known to have size 1", () => {
    expect(shapesOf(squeeze(data([1, batch, 1])))).toBe("[batch]")
    expect(shapesOf(squeeze(data([1, batch, 1]), { axes: [-1] }))).toBe("[1, batch]")
    const z = squeeze(data([batch, 3]), { axes: 0 })
    expect(shapesOf(z)).toBe("[3]")
    expect(equalities(z)).toEqual(["batch = 1"])
  })

  test("unsqueeze counts in the result", () => {
    expect(shapesOf(unsqueeze(data([batch, 3]), { axes: [0, -1] }))).toBe("[1, batch, 3, 1]")
    expect(shapesOf(unsqueeze(data([]), { axes: 0 }))).toBe("[1]")
  })

  test("flatten, transpose, expand", () => {
    expect(shapesOf(flatten(data([batch, 3, n])))).toBe("[batch, 3*n]")
    expect(shapesOf(flatten(data([batch, 3, n]), { axis: 2 }))).toBe("[3*batch, n]")
    expect(shapesOf(transpose(data([batch, 3, n])))).toBe("[n, 3, batch]")
    expect(shapesOf(transpose(data([batch, 3, n]), { perm: [0, -1, 1] }))).toBe("[batch, n, 3]")
    expect(shapesOf(expand(data([batch, 3]), { expandTimes: [2, n] }))).toBe("[2*batch, 3*n]")
  })
})

describe("making and choosing", () => {
  test("ranges", () => {
    const program = new Program()
    expect(shapesOf(range({ end: 7, start: 1, step: 2, program }))).toBe("[3]")
    expect(shapesOf(range({ end: 0, start: 1, step: -0.25, dtype: "float32", program }))).toBe("[4]")
    expect(shapesOf(range({ end: -3, program }))).toBe("[0]")
    expect(shapesOf(range({ end: batch, program }))).toBe("[batch]")
    expect(shapesOf(range({ end: batch, start: 1, step: 2, program }))).toBe("[floorDiv(max(batch - 1, 0) + 1, 2)]")
    expect(shapesOf(eye({ numRows: batch, program }), eye({ numRows: 2, numColumns: 3, program }))).toBe(
      "[batch, batch] [2, 3]",
    )
  })

  test("gathers", () => {
    const program = new Program()
    const [x, ids] = [data([n, 3, 4], "float32", program), data([batch, 1], "int64", program)]
    expect(shapesOf(gather(x, ids))).toBe("[batch, 1, 3, 4]")
    expect(shapesOf(gather(x, ids, { axis: -1 }))).toBe("[n, 3, batch, 1]")
    expect(shapesOf(gatherNd(x, ids))).toBe("[batch, 3, 4]")
    expect(shapesOf(scatterAdd(gather(x, ids), ids, { shape: x.shape }))).toBe("[n, 3, 4]")
    expect(shapesOf(oneHot(ids, { depth: 5 }))).toBe("[batch, 1, 5]")
  })
})

test("refusals", () => {
  const program = new Program()
  const make = (shape: Shape, dtype: DType = "float32") =>
    program.globalBlock().createVar({ shape, dtype, isData: true })
  const texts = [
    () => reshape(make([2, 3]), { shape: [-1, -1] }),
    () => reshape(make([2, 3]), { shape: [2, 1.5] }),
    () => reshape(make([2, 3]), { shape: [2, 3, 0] }),
    () => reshape(make([3, 0]), { shape: [-1, 0] }),
    () => reshape(make([2, 3]), { shape: [-1, 4] }),
    () => split(make([2, 5]), { numOrSections: 2 }),
    () => split(make([2, 5]), { numOrSections: [-1, -1] }),
    () => split(make([2, 5]), { numOrSections: [4, 2] }),
    () => split(make([2, 5]), { numOrSections: [6, -1] }),
    () => concat([make([2, 3]), make([2, 3], "float64")]),
    () => concat([]),
    () => squeeze(make([2, 3]), { axes: 1 }),
    () => flatten(make([2, 3]), { axis: 3 }),
    () => expand(make([2, 3]), { expandTimes: [1, -1] }),
    () => range({ end: batch, step: 0.5, dtype: "float32", program }),
    () => range({ end: 300, dtype: "uint8", program }),
    () => fillConstant({ shape: [2], value: 256, dtype: "uint8", program }),
    () => fillConstant({ shape: [-1], value: 0, program }),
    () => gather(make([2, 3]), make([2], "bool")),
  ].map(refusal)
  expect(texts.join("\n\n").replace(/_\d+/g, "")).toMatchInlineSnapshot(`
    "CF_BAD_ATTRIBUTE  reshape: shape [-1, -1] may hold sizes, 0 to copy one and at most one −1
      called at (here)

    CF_BAD_ATTRIBUTE  reshape: shape [2, 1.5] may hold sizes, 0 to copy one and at most one −1
      called at (here)

    CF_BAD_ATTRIBUTE  reshape: the 0 at axis 2 copies an axis that x of [2, 3] has not
      called at (here)

    CF_BAD_ATTRIBUTE  reshape: the −1 in [-1, 0] could be any size: the others make 0 elements
      called at (here)

    CF_SHAPE_MISMATCH  reshape: x of shape [2, 3] has another number of elements than [1, 4]
        x = tmp   float32[2, 3]   built at (here)
      this reshape was built at (here)

    CF_SHAPE_MISMATCH  split: an axis of size 5 cannot be cut into 2 equal parts
      called at (here)
      fix: give the sizes of the sections: numOrSections: [2, 3, -1]

    CF_BAD_ATTRIBUTE  split: numOrSections [-1, -1] may hold sizes and at most one −1
      called at (here)

    CF_SHAPE_MISMATCH  split: sections [4, 2] do not add up to 5, the size of axis 1
        x = tmp   float32[2, 5]   built at (here)
      this split was built at (here)

    CF_SHAPE_MISMATCH  split: sections [6, -1] do not add up to 5, the size of axis 1
        x = tmp   float32[2, 5]   built at (here)
      this split was built at (here)

    CF_DTYPE_MISMATCH  concat: xs[0] and xs[1] must have one dtype, got float32 and float64
        xs[0] = tmp    float32[2, 3]   built at (here)
        xs[1] = tmp   float64[2, 3]   built at (here)
      this concat was built at (here)

    CF_BAD_SLOT  concat: xs is empty: there is nothing to join
      this concat was built at (here)

    CF_SHAPE_MISMATCH  squeeze: axis 1 of [2, 3] cannot be dropped: its size is not 1
        x = tmp   float32[2, 3]   built at (here)
      this squeeze was built at (here)

    CF_BAD_ATTRIBUTE  flatten: axis 3 does not lie between 0 and the rank 2
      called at (here)

    CF_BAD_ATTRIBUTE  expand: expandTimes must hold counts of at least 0, got -1
      called at (here)

    CF_BAD_ATTRIBUTE  range: a range up to batch needs an integer start and step, got 0 and 0.5
      called at (here)

    CF_BAD_ATTRIBUTE  range: the last value 299 is no uint8
      this range was built at (here)

    CF_BAD_ATTRIBUTE  fillConstant: value 256 is no uint8
      called at (here)

    CF_BAD_ATTRIBUTE  fillConstant: shape must hold sizes of at least 0, got -1
      called at (here)

    CF_DTYPE_MISMATCH  gather: index must be int32 or int64, got bool
        x = tmp       float32[2, 3]   built at (here)
        index = tmp   bool[2]         built at (here)
      this gather was built at (here)"
  `)
})
