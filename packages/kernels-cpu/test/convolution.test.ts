// The convolution kernels against their definitions, seven nested loops, on random shapes with all options.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { DType } from "@counterflow/ir"
import { conv2dFilterGradOp, conv2dInputGradOp, conv2dOp } from "@counterflow/ops"
import type { HostTensor } from "../src/kernel.ts"
import { allocate, call, numbers, tensor } from "./call.ts"

interface Case {
  x: [number, number, number, number]
  w: [number, number, number, number]
  z: [number, number, number, number]
  attrs: {
    stride: [number, number]
    padding: [number, number, number, number]
    dilation: [number, number]
    groups: number
  }
  dtype: DType
  seed: number
}

const upTo = (max: number, min = 1) => fc.integer({ min, max })

interface Along {
  size: number
  filter: number
  stride: number
  dilation: number
  before: number
  after: number
  places: number
}

/** One axis: the filter finds at least one place, and up to `slack` elements at the far end are never read. */
const along: fc.Arbitrary<Along> = fc
  .record({
    filter: upTo(3),
    stride: upTo(3),
    dilation: upTo(2),
    before: upTo(2, 0),
    after: upTo(2, 0),
    places: upTo(4),
    slack: upTo(2, 0),
  })
  .map(({ filter, stride, dilation, before, after, places, slack }) => {
    const span = dilation * (filter - 1) + 1
    const size = (places - 1) * stride + span - before - after + Math.min(slack, stride - 1)
    return { filter, stride, dilation, before, after, size: Math.max(size, 0), places }
  })
  .filter(({ size, filter, stride, dilation, before, after, places }) => {
    return Math.floor((size + before + after - dilation * (filter - 1) - 1) / stride) + 1 === places
  })

const pointwise: fc.Arbitrary<Along> = upTo(5).map((size) => {
  return { size, filter: 1, stride: 1, dilation: 1, before: 0, after: 0, places: size }
})

/** Also without padding, but the image is not its own patches. */
const strided: fc.Arbitrary<Along> = fc.record({ places: upTo(4), stride: upTo(3, 2) }).map(({ places, stride }) => {
  return { size: places * stride, filter: 1, stride, dilation: 1, before: 0, after: 0, places }
})

function casesOf(axis: fc.Arbitrary<Along>): fc.Arbitrary<Case> {
  const parts = {
    images: upTo(3, 0),
    groups: upTo(3),
    channels: upTo(3),
    filters: upTo(3),
    rows: axis,
    columns: axis,
    dtype: fc.constantFrom<DType>("float32", "float64"),
    seed: fc.integer(),
  }
  return fc.record(parts).map(({ images, groups, channels, filters, rows, columns, dtype, seed }) => ({
    x: [images, groups * channels, rows.size, columns.size],
    w: [groups * filters, channels, rows.filter, columns.filter],
    z: [images, groups * filters, rows.places, columns.places],
    attrs: {
      stride: [rows.stride, columns.stride],
      padding: [rows.before, rows.after, columns.before, columns.after],
      dilation: [rows.dilation, columns.dilation],
      groups,
    },
    dtype,
    seed,
  }))
}

/** Every product of the convolution, as flat indices into x, w and z. */
function eachProduct({ x, w, z, attrs }: Case, visit: (x: number, w: number, z: number) => void): void {
  const [images, out, oh, ow] = z
  const [, channels, kh, kw] = w
  for (let b = 0; b < images; b++) {
    for (let o = 0; o < out; o++) {
      for (let i = 0; i < oh; i++) {
        for (let j = 0; j < ow; j++) {
          for (let c = 0; c < channels; c++) {
            for (let p = 0; p < kh; p++) {
              for (let q = 0; q < kw; q++) {
                const channel = Math.floor(o / (out / attrs.groups)) * channels + c
                const row = i * attrs.stride[0] - attrs.padding[0] + p * attrs.dilation[0]
                const column = j * attrs.stride[1] - attrs.padding[2] + q * attrs.dilation[1]
                if (row < 0 || row >= x[2] || column < 0 || column >= x[3]) continue
                const xAt = ((b * x[1] + channel) * x[2] + row) * x[3] + column
                const wAt = ((o * channels + c) * kh + p) * kw + q
                visit(xAt, wAt, ((b * out + o) * oh + i) * ow + j)
              }
            }
          }
        }
      }
    }
  }
}

/** The largest difference between what a kernel stored and sums formed in another order. */
function distance(got: HostTensor | undefined, sums: Float64Array): number {
  return sums.reduce((largest, sum, i) => Math.max(largest, Math.abs(sum - (got?.data[i] ?? NaN))), 0)
}

/** Sums of up to a few hundred products below 1: exact to about 1e-13, then stored once, within half an ulp of 64. */
const tolerance = (dtype: DType) => (dtype === "float32" ? 2 ** -18 : 1e-13)

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

describe.each([
  ["filters with strides, dilations, padding and groups", casesOf(along)],
  ["1×1 filters on whole images", casesOf(pointwise)],
  ["1×1 filters with strides", casesOf(strided)],
])("%s", (_name, cases) => {
  test("conv2d equals its definition bit for bit", () => {
    fc.assert(
      fc.property(cases, (c) => {
        const next = numbers(c.seed)
        const x = tensor(c.x, next, c.dtype)
        const w = tensor(c.w, next, c.dtype)
        const sums = new Float64Array(sizeOf(c.z))
        eachProduct(c, (i, j, k) => (sums[k] = sums[k]! + x.data[i]! * w.data[j]!))
        const { z } = call(conv2dOp, { x, w }, c.attrs)
        expect(z?.shape).toEqual(c.z)
        const stored = allocate(c.dtype, sums.length)
        stored.set(sums)
        expect(z?.data).toEqual(stored)
      }),
      { seed: 11, numRuns: 200 },
    )
  })

  test("conv2dInputGrad equals its definition", () => {
    fc.assert(
      fc.property(cases, (c) => {
        const next = numbers(c.seed)
        const dz = tensor(c.z, next, c.dtype)
        const w = tensor(c.w, next, c.dtype)
        const sums = new Float64Array(sizeOf(c.x))
        eachProduct(c, (i, j, k) => (sums[i] = sums[i]! + dz.data[k]! * w.data[j]!))
        const { dx } = call(conv2dInputGradOp, { dz, w }, { ...c.attrs, inputShape: c.x })
        expect(dx?.shape).toEqual(c.x)
        expect(distance(dx, sums)).toBeLessThan(tolerance(c.dtype))
      }),
      { seed: 12, numRuns: 200 },
    )
  })

  test("conv2dFilterGrad equals its definition", () => {
    fc.assert(
      fc.property(cases, (c) => {
        const next = numbers(c.seed)
        const x = tensor(c.x, next, c.dtype)
        const dz = tensor(c.z, next, c.dtype)
        const sums = new Float64Array(sizeOf(c.w))
        eachProduct(c, (i, j, k) => (sums[j] = sums[j]! + x.data[i]! * dz.data[k]!))
        const { dw } = call(conv2dFilterGradOp, { x, dz }, { ...c.attrs, filterShape: c.w })
        expect(dw?.shape).toEqual(c.w)
        expect(distance(dw, sums)).toBeLessThan(tolerance(c.dtype))
      }),
      { seed: 13, numRuns: 200 },
    )
  })
})

describe("by hand", () => {
  const plain = { stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1], groups: 1 }

  test("a 2×2 filter over a 3×3 image", () => {
    const x = tensor([1, 1, 3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9])
    const w = tensor([1, 1, 2, 2], [1, 10, 100, 1000])
    expect([...call(conv2dOp, { x, w }, plain).z!.data]).toEqual([5421, 6532, 8754, 9865])
  })

  test("the sum over a batch is formed in float64", () => {
    const images = 64
    const values = Array.from({ length: images }, (_, i) => (i === 0 ? 2 ** 24 : 1))
    const x = tensor([images, 1, 1, 1], values, "float32")
    const dz = tensor([images, 1, 1, 1], () => 1, "float32")
    const { dw } = call(conv2dFilterGradOp, { x, dz }, { ...plain, filterShape: [1, 1, 1, 1] })
    expect([...dw!.data]).toEqual([Math.fround(2 ** 24 + 63)])
  })

  test("without images the filter's gradient is zero", () => {
    const x = tensor([0, 2, 3, 3], [])
    const dz = tensor([0, 2, 2, 2], [])
    const { dw } = call(conv2dFilterGradOp, { x, dz }, { ...plain, filterShape: [2, 2, 2, 2] })
    expect([...dw!.data]).toEqual(Array.from({ length: 16 }, () => 0))
  })
})
