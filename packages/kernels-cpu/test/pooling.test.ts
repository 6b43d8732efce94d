// The pooling kernels against their definitions, on random shapes with all options; ties, padding and empty windows by hand.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { DType } from "@counterflow/ir"
import { avgPool2dInputGradOp, avgPool2dOp, maxPool2dOp, poolGatherOp, poolScatterOp } from "@counterflow/ops"
import type { HostTensor } from "../src/kernel.ts"
import { call, numbers, tensor } from "./call.ts"

interface Along {
  size: number
  window: number
  stride: number
  before: number
  after: number
}

const upTo = (max: number, min = 1) => fc.integer({ min, max })

const cases = fc
  .record({
    images: upTo(2, 0),
    channels: upTo(3),
    rows: fc.record({ size: upTo(7), window: upTo(4), stride: upTo(4), before: upTo(3, 0), after: upTo(3, 0) }),
    columns: fc.record({ size: upTo(7), window: upTo(4), stride: upTo(4), before: upTo(3, 0), after: upTo(3, 0) }),
    ceilMode: fc.boolean(),
    adaptive: fc.boolean(),
    exclusive: fc.boolean(),
    dtype: fc.constantFrom<DType>("float32", "float64"),
    seed: fc.integer(),
  })
  .filter(
    ({ rows, columns, ceilMode, adaptive }) =>
      adaptive || (placesOf(rows, ceilMode) > 0 && placesOf(columns, ceilMode) > 0),
  )

type Case = typeof cases extends fc.Arbitrary<infer C> ? C : never

function placesOf({ size, window, stride, before, after }: Along, ceilMode: boolean): number {
  const room = (size + before + after - window) / stride
  return (ceilMode ? Math.ceil(room) : Math.floor(room)) + 1
}

function attrsOf({ rows, columns, ceilMode, adaptive }: Case) {
  return {
    poolSize: [rows.window, columns.window],
    poolStride: [rows.stride, columns.stride],
    poolPadding: [rows.before, rows.after, columns.before, columns.after],
    ceilMode,
    adaptive,
  }
}

/** Whether window i holds row y, by the definition. */
function holds({ size, window, stride, before }: Along, adaptive: boolean, i: number, y: number): boolean {
  if (adaptive) return y >= Math.floor((i * size) / window) && y < Math.ceil(((i + 1) * size) / window)
  return y >= i * stride - before && y < i * stride - before + window
}

/** Every window of every plane: its flat index, its plane, and the places in the plane that it holds, row by row. */
function eachWindow(c: Case, visit: (window: number, plane: number, places: number[]) => void): number[] {
  const places = (axis: Along) => (c.adaptive ? axis.window : placesOf(axis, c.ceilMode))
  const shape = [c.images, c.channels, places(c.rows), places(c.columns)]
  let window = 0
  for (let plane = 0; plane < c.images * c.channels; plane++) {
    for (let i = 0; i < places(c.rows); i++) {
      for (let j = 0; j < places(c.columns); j++) {
        const held: number[] = []
        for (let y = 0; y < c.rows.size; y++) {
          for (let x = 0; x < c.columns.size; x++) {
            if (holds(c.rows, c.adaptive, i, y) && holds(c.columns, c.adaptive, j, x)) held.push(y * c.columns.size + x)
          }
        }
        visit(window++, plane, held)
      }
    }
  }
  return shape
}

const planeSize = (c: Case) => c.rows.size * c.columns.size
const imageShape = (c: Case) => [c.images, c.channels, c.rows.size, c.columns.size]

function store(values: readonly number[], dtype: DType): HostTensor["data"] {
  return dtype === "float32" ? Float32Array.from(values) : Float64Array.from(values)
}

describe("pooling equals its definition", () => {
  test("maxPool2d, with many ties", () => {
    fc.assert(
      fc.property(cases, (c) => {
        const next = numbers(c.seed)
        const x = tensor(imageShape(c), () => Math.round(next() * 3), c.dtype)
        const [values, found]: [number[], number[]] = [[], []]
        const shape = eachWindow(c, (_window, plane, places) => {
          const own = places.map((place) => x.data[plane * planeSize(c) + place]!)
          const largest = own.length === 0 ? 0 : Math.max(...own)
          values.push(largest)
          found.push(own.length === 0 ? -1 : places[own.findIndex((value) => value === largest)]!)
        })
        const { z, index } = call(maxPool2dOp, { x }, attrsOf(c))
        expect([z?.shape, index?.shape]).toEqual([shape, shape])
        expect([...z!.data].map((value) => value + 0)).toEqual(values.map((value) => value + 0))
        expect([...index!.data]).toEqual(found)
      }),
      { seed: 21, numRuns: 300 },
    )
  })

  test("poolScatter and poolGather, along the maxima and outside", () => {
    fc.assert(
      fc.property(cases, (c) => {
        const next = numbers(c.seed)
        const x = tensor(imageShape(c), next, c.dtype)
        const { index } = call(maxPool2dOp, { x }, attrsOf(c))
        // A place just outside the plane must not reach the next plane.
        const outside = index!.data.map((place, i) => (i % 5 === 4 ? planeSize(c) : place))
        const places: HostTensor = { ...index!, data: outside }
        const dz = tensor(index!.shape, next, c.dtype)
        const sums = Array.from({ length: x.data.length }, () => 0)
        const gathered: number[] = []
        eachWindow(c, (window, plane) => {
          const place = places.data[window]!
          const isInside = place >= 0 && place < planeSize(c)
          const at = plane * planeSize(c) + place
          if (isInside) sums[at] = sums[at]! + dz.data[window]!
          gathered.push(isInside ? x.data[at]! : 0)
        })
        const { dx } = call(poolScatterOp, { dz, index: places }, { inputShape: imageShape(c) })
        const { z } = call(poolGatherOp, { x, index: places }, {})
        expect(dx?.data).toEqual(store(sums, c.dtype))
        expect(z?.data).toEqual(store(gathered, c.dtype))
      }),
      { seed: 22, numRuns: 300 },
    )
  })

  test("avgPool2d", () => {
    fc.assert(
      fc.property(cases, (c) => {
        const x = tensor(imageShape(c), numbers(c.seed), c.dtype)
        const means: number[] = []
        const shape = eachWindow(c, (_window, plane, places) => {
          const sum = places.reduce((total, place) => total + x.data[plane * planeSize(c) + place]!, 0)
          means.push(places.length === 0 ? 0 : sum / divisor(c, places.length))
        })
        const { z } = call(avgPool2dOp, { x }, { ...attrsOf(c), exclusive: c.exclusive })
        expect(z?.shape).toEqual(shape)
        expect(z?.data).toEqual(store(means, c.dtype))
      }),
      { seed: 23, numRuns: 300 },
    )
  })

  test("avgPool2dInputGrad", () => {
    fc.assert(
      fc.property(cases, (c) => {
        const shape = eachWindow(c, () => {})
        const dz = tensor(shape, numbers(c.seed), c.dtype)
        const sums = Array.from({ length: imageShape(c).reduce((a, b) => a * b, 1) }, () => 0)
        eachWindow(c, (window, plane, places) => {
          for (const place of places) {
            const at = plane * planeSize(c) + place
            sums[at] = sums[at]! + dz.data[window]! / divisor(c, places.length)
          }
        })
        const { dx } = call(
          avgPool2dInputGradOp,
          { dz },
          { ...attrsOf(c), exclusive: c.exclusive, inputShape: imageShape(c) },
        )
        expect(dx?.data).toEqual(store(sums, c.dtype))
      }),
      { seed: 24, numRuns: 300 },
    )
  })
})

function divisor(c: Case, held: number): number {
  return c.exclusive || c.adaptive ? held : c.rows.window * c.columns.window
}

describe("by hand", () => {
  const plain = { poolSize: [2, 2], poolStride: [2, 2], poolPadding: [0, 0, 0, 0], ceilMode: false, adaptive: false }

  test("of equal elements the first is the maximum", () => {
    const x = tensor([1, 1, 2, 4], [7, 7, 0, 5, 7, 7, 5, 5])
    const { z, index } = call(maxPool2dOp, { x }, plain)
    expect([...z!.data]).toEqual([7, 5])
    expect([...index!.data]).toEqual([0, 3])
  })

  test("padding never wins, not even against −Infinity", () => {
    const x = tensor([1, 1, 1, 2], [-Infinity, -3])
    const { z, index } = call(maxPool2dOp, { x }, { ...plain, poolPadding: [1, 0, 1, 1] })
    expect([...z!.data]).toEqual([-Infinity, -3])
    expect([...index!.data]).toEqual([0, 1])
  })

  test("NaN wins, the first of them", () => {
    const x = tensor([1, 1, 2, 2], [1, NaN, NaN, 9])
    const { z, index } = call(maxPool2dOp, { x }, plain)
    expect([...z!.data]).toEqual([NaN])
    expect([...index!.data]).toEqual([1])
  })

  test("a window in padding altogether gives 0 and takes no gradient", () => {
    // Windows of one element three apart, rounded up: the second row and column begin outside.
    const attrs = { ...plain, poolSize: [1, 1], poolStride: [3, 3], ceilMode: true }
    const x = tensor([1, 1, 3, 3], [-1, -2, -3, -4, -5, -6, -7, -8, -9])
    const { z, index } = call(maxPool2dOp, { x }, attrs)
    expect(z?.shape).toEqual([1, 1, 2, 2])
    expect([...z!.data]).toEqual([-1, 0, 0, 0])
    expect([...index!.data]).toEqual([0, -1, -1, -1])
    const dz = tensor([1, 1, 2, 2], [1, 2, 3, 4])
    const { dx } = call(poolScatterOp, { dz, index: index! }, { inputShape: [1, 1, 3, 3] })
    expect([...dx!.data]).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0])
    for (const exclusive of [true, false]) {
      const mean = call(avgPool2dOp, { x }, { ...attrs, exclusive })
      expect([...mean.z!.data]).toEqual([-1, 0, 0, 0])
      const back = call(avgPool2dInputGradOp, { dz }, { ...attrs, exclusive, inputShape: [1, 1, 3, 3] })
      expect([...back.dx!.data]).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0])
    }
  })

  test("five columns in three bins: 0–1, 1–3, 3–4", () => {
    const x = tensor([1, 1, 1, 5], [1, 2, 3, 4, 6])
    const attrs = { ...plain, poolSize: [1, 3], adaptive: true }
    expect([...call(maxPool2dOp, { x }, attrs).z!.data]).toEqual([2, 4, 6])
    expect([...call(avgPool2dOp, { x }, { ...attrs, exclusive: true }).z!.data]).toEqual([1.5, 3, 5])
  })

  test("exclusive leaves padding out of the count", () => {
    const x = tensor([1, 1, 2, 2], [1, 2, 3, 4])
    const attrs = { ...plain, poolPadding: [1, 1, 1, 1] }
    expect([...call(avgPool2dOp, { x }, { ...attrs, exclusive: true }).z!.data]).toEqual([1, 2, 3, 4])
    expect([...call(avgPool2dOp, { x }, { ...attrs, exclusive: false }).z!.data]).toEqual([0.25, 0.5, 0.75, 1])
  })
})
