// Spellings of convolutions: what padding and sizes resolve to, symbolic sizes, and the refusals' texts. That values and
// gradients are right is checked by samples and, for kernels, against definitions.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import {
  bindDim,
  type Dim,
  isCounterflowError,
  mulDims,
  Program,
  type Shape,
  symbol,
  type Variable,
  verify,
} from "@counterflow/ir"
import { conv2d, conv2dFilterGrad, conv2dInputGrad, conv2dTranspose } from "@counterflow/ops"

function data(shape: Shape, name: string, program = new Program()): Variable {
  return program.globalBlock().createVar({ name, shape, dtype: "float32", isData: true })
}

function pair(x: Shape, w: Shape): [Variable, Variable] {
  const program = new Program()
  return [data(x, "x", program), data(w, "w", program)]
}

function paddingOf(z: Variable): unknown {
  return z.producer?.attrs["padding"]
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

describe("padding", () => {
  test.each([
    [undefined, [0, 0, 0, 0]],
    [2, [2, 2, 2, 2]],
    [
      [1, 2],
      [1, 1, 2, 2],
    ],
    [
      [0, 1, 2, 3],
      [0, 1, 2, 3],
    ],
    ["valid", [0, 0, 0, 0]],
    ["same", [1, 1, 1, 2]],
    ["SAME", [1, 1, 1, 2]],
  ] as const)("%j resolves to %j", (padding, resolved) => {
    const [x, w] = pair([1, 1, 6, 6], [1, 1, 3, 4])
    expect(paddingOf(conv2d(x, w, padding === undefined ? {} : { padding }))).toEqual(resolved)
  })

  const axis = fc.record({
    size: fc.integer({ min: 1, max: 12 }),
    filter: fc.integer({ min: 1, max: 4 }),
    stride: fc.integer({ min: 1, max: 4 }),
    dilation: fc.integer({ min: 1, max: 3 }),
  })

  test("same gives ⌈size/stride⌉ places with the least padding, the smaller half first, also for unknown sizes", () => {
    fc.assert(
      fc.property(axis, ({ size, filter, stride, dilation }) => {
        const [x, w] = pair([1, 1, size, symbol("w")], [1, 1, filter, filter])
        const z = conv2d(x, w, { padding: "same", stride, dilation })
        const bound = (dim: Dim | undefined) => bindDim(dim ?? NaN, new Map([["w", size]]))
        expect(z.shape.slice(2).map(bound)).toEqual([Math.ceil(size / stride), Math.ceil(size / stride)])
        const sides = (paddingOf(z) as Dim[]).map(bound)
        const needed = Math.max((Math.ceil(size / stride) - 1) * stride + dilation * (filter - 1) + 1 - size, 0)
        expect(sides).toEqual([
          Math.floor(needed / 2),
          Math.ceil(needed / 2),
          Math.floor(needed / 2),
          Math.ceil(needed / 2),
        ])
      }),
      { seed: 31, numRuns: 300 },
    )
  })
})

describe("symbolic sizes", () => {
  const [n, h, w] = [symbol("batch"), symbol("h"), symbol("w")]
  const image: Shape = [n, 4, h, w]

  test.each([
    [{ padding: "same" }, "[batch, 6, h, w]"],
    [{}, "[batch, 6, h - 2, w - 2]"],
    [{ padding: "same", stride: 2 }, "[batch, 6, floorDiv(h + 1, 2), floorDiv(w + 1, 2)]"],
    [{ padding: 1, stride: [2, 1] }, "[batch, 6, floorDiv(h + 1, 2), w]"],
    [{ dilation: 2, groups: 2 }, "[batch, 6, h - 4, w - 4]"],
  ] as const)("conv2d with %j", (options, shape) => {
    const groups = "groups" in options ? options.groups : 1
    const [x, filters] = pair(image, [6, 4 / groups, 3, 3])
    const z = conv2d(x, filters, options)
    expect(z.type).toBe(`float32${shape}`)
    // The adjoints accept exactly these shapes, with no equality left to check.
    const dx = conv2dInputGrad(z, filters, { ...options, inputShape: x.shape })
    const dw = conv2dFilterGrad(x, z, { ...options, filterShape: filters.shape })
    expect(dx.type).toBe(x.type)
    expect(dw.type).toBe(filters.type)
    expect([dx, dw].map((v) => v.producer?.equalities)).toEqual([[], []])
    verify(x.program)
  })

  test("that the filter finds a place is recorded, and holds from the first size that has one", () => {
    const [x, filters] = pair([n, 1, h, 5], [1, 1, 3, 3])
    const [recorded, ...more] = conv2d(x, filters, { stride: 2 }).producer?.equalities ?? []
    const holds = (size: number) => {
      const at = new Map([["h", size]])
      return bindDim(recorded?.left ?? NaN, at) === bindDim(recorded?.right ?? NaN, at)
    }
    expect([1, 2, 3, 4, 9].map(holds)).toEqual([false, false, true, true, true])
    expect(more).toEqual([])
  })

  test.each([
    [{ stride: 2 }, "[batch, 3, 2*h + 1, 2*w + 1]"],
    [{ stride: 2, padding: 1 }, "[batch, 3, 2*h - 1, 2*w - 1]"],
    [{ stride: [2, 3], padding: "same" }, "[batch, 3, 2*h, 3*w]"],
    [{ stride: 2, padding: 1, outputSize: [mulDims(2, h), mulDims(2, w)] }, "[batch, 3, 2*h, 2*w]"],
    [{ dilation: [1, 2] }, "[batch, 3, h + 2, w + 4]"],
  ] as const)("conv2dTranspose with %j undoes the shape of conv2d", (options, shape) => {
    const [x, filters] = pair(image, [4, 3, 3, 3])
    const z = conv2dTranspose(x, filters, options)
    expect(z.type).toBe(`float32${shape}`)
    const { outputSize: _size, ...same } = { outputSize: null, ...options }
    expect(conv2d(z, filters, same).type).toBe(x.type)
  })
})

test("one number is an outputSize for both axes", () => {
  const [x, w] = pair([1, 2, 3, 3], [2, 1, 2, 2])
  expect(conv2dTranspose(x, w, { stride: 2, outputSize: 7 }).type).toBe("float32[1, 1, 7, 7]")
})

test("an empty batch has a shape like any other", () => {
  const [x, w] = pair([0, 2, 4, 4], [3, 2, 3, 3])
  expect(conv2d(x, w).type).toBe("float32[0, 3, 2, 2]")
})

describe("refusals", () => {
  test("channels that the filters do not read", () => {
    const [x, w] = pair([8, 3, 32, 32], [16, 4, 3, 3])
    expect(refusal(() => conv2d(x, w))).toMatchInlineSnapshot(`
      "CF_SHAPE_MISMATCH  conv2d: x has 3 channels, filters of shape [16, 4, 3, 3] read 4
          x = x   float32[8, 3, 32, 32]   built at (here)
          w = w   float32[16, 4, 3, 3]    built at (here)
        this conv2d was built at (here)
        fix: x is [n, c, h, w], filters are [out, c/groups, kh, kw]: the two c must agree"
    `)
  })

  test("channels and groups", () => {
    const [x, w] = pair([8, 3, 32, 32], [16, 3, 3, 3])
    expect(refusal(() => conv2d(x, w, { groups: 3 }))).toMatchInlineSnapshot(`
      "CF_SHAPE_MISMATCH  conv2d: x has 3 channels, filters of shape [16, 3, 3, 3] read 3 in each of 3 groups
          x = x   float32[8, 3, 32, 32]   built at (here)
          w = w   float32[16, 3, 3, 3]    built at (here)
        this conv2d was built at (here)
        fix: x is [n, c, h, w], filters are [out, c/groups, kh, kw]: the two c must agree"
    `)
  })

  test("a filter larger than the image", () => {
    const [x, w] = pair([8, 3, 4, 4], [16, 3, 7, 7])
    expect(refusal(() => conv2d(x, w, { padding: 1 }))).toMatchInlineSnapshot(`
      "CF_SHAPE_MISMATCH  conv2d: a filter of height 7 finds no place in x of height 6, its padding included
          x = x   float32[8, 3, 4, 4]    built at (here)
          w = w   float32[16, 3, 7, 7]   built at (here)
        this conv2d was built at (here)
        fix: take a smaller filter, or pad x more"
    `)
  })

  test("an image without a channel axis", () => {
    const [x, w] = pair([8, 28, 28], [16, 1, 3, 3])
    expect(refusal(() => conv2d(x, w))).toMatchInlineSnapshot(`
      "CF_SHAPE_MISMATCH  conv2d: x must have rank 4, got [8, 28, 28]
          x = x   float32[8, 28, 28]     built at (here)
          w = w   float32[16, 1, 3, 3]   built at (here)
        this conv2d was built at (here)"
    `)
  })

  test("padding, stride, groups and outputSize that are none", () => {
    const [x, w] = pair([1, 1, 5, 5], [1, 1, 3, 3])
    const texts = [
      refusal(() => conv2d(x, w, { padding: [1, 2, 3] })),
      refusal(() => conv2d(x, w, { padding: -1 })),
      refusal(() => conv2d(x, w, { stride: 0 })),
      refusal(() => conv2d(x, w, { dilation: [1, 1, 1] })),
      refusal(() => conv2d(x, w, { groups: 1.5 })),
      refusal(() => conv2dTranspose(x, w, { outputSize: [7, 7, 7] })),
    ]
    expect(texts.join("\n")).toMatchInlineSnapshot(`
      "CF_BAD_ATTRIBUTE  conv2d: padding must be "same", "valid", or one, two or four sizes, got [1, 2, 3]
        called at (here)
        fix: sizes are integers of at least 0: one for all sides, [height, width] or [top, bottom, left, right]
      CF_BAD_ATTRIBUTE  conv2d: padding must be "same", "valid", or one, two or four sizes, got -1
        called at (here)
        fix: sizes are integers of at least 0: one for all sides, [height, width] or [top, bottom, left, right]
      CF_BAD_ATTRIBUTE  conv2d: stride must be an integer of at least 1, or two of them, got 0
        called at (here)
      CF_BAD_ATTRIBUTE  conv2d: dilation must be an integer of at least 1, or two of them, got [1, 1, 1]
        called at (here)
      CF_BAD_ATTRIBUTE  conv2d: groups must be an integer of at least 1, got 1.5
        called at (here)
      CF_BAD_ATTRIBUTE  conv2dTranspose: outputSize must be a size or two, got 3
        called at (here)"
    `)
  })

  test("an outputSize that no convolution maps back", () => {
    const [x, w] = pair([1, 2, 3, 3], [2, 1, 2, 2])
    expect(refusal(() => conv2dTranspose(x, w, { stride: 2, outputSize: [6, 8] }))).toMatchInlineSnapshot(`
      "CF_SHAPE_MISMATCH  conv2dTranspose: the width of the result may be 6 to 7, got outputSize 8
          x = x   float32[1, 2, 3, 3]   built at (here)
          w = w   float32[2, 1, 2, 2]   built at (here)
        this conv2dTranspose was built at (here)"
    `)
  })
})
