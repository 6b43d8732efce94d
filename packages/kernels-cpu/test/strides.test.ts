// Walking views: merged axes and copies against the definition, element by element.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { bindCopy, broadcastStrides, collapse, count, lanesOf, Odometer, rowMajor } from "../src/strides.ts"
import { indicesOf, shapes } from "./indices.ts"

const offsetOf = (index: readonly number[], strides: readonly number[]) =>
  index.reduce((sum, i, axis) => sum + i * (strides[axis] ?? 0), 0)

describe("collapse", () => {
  test("whole tensors become one axis, size 1 disappears", () => {
    const shape = [2, 1, 3, 4]
    expect(collapse({ sizes: shape, strides: [rowMajor(shape)] })).toEqual({ sizes: [24], strides: [[1]] })
    expect(collapse({ sizes: [1, 1], strides: [[7, 9]] })).toEqual({ sizes: [], strides: [[]] })
  })

  test("a row under a matrix stays two axes, a bias under an image batch three", () => {
    const strides = [broadcastStrides([4], [2, 3, 4]), rowMajor([2, 3, 4])]
    expect(collapse({ sizes: [2, 3, 4], strides })).toEqual({
      sizes: [6, 4],
      strides: [
        [0, 1],
        [4, 1],
      ],
    })
    const image = [2, 3, 4, 5]
    expect(collapse({ sizes: image, strides: [broadcastStrides([3, 1, 1], image), rowMajor(image)] })).toEqual({
      sizes: [2, 3, 20],
      strides: [
        [0, 1, 0],
        [60, 20, 1],
      ],
    })
  })

  test("reversed axes merge with each other", () => {
    expect(collapse({ sizes: [2, 3], strides: [[-3, -1]] })).toEqual({ sizes: [6], strides: [[-1]] })
  })

  test("visits the same offsets in the same order", () => {
    const strided = shapes().chain((sizes) =>
      fc.record({
        sizes: fc.constant(sizes),
        strides: fc.array(
          fc.array(fc.integer({ min: -6, max: 6 }), { minLength: sizes.length, maxLength: sizes.length }),
          {
            minLength: 2,
            maxLength: 2,
          },
        ),
      }),
    )
    fc.assert(
      fc.property(strided, ({ sizes, strides }) => {
        const merged = collapse({ sizes, strides })
        const [own = [], others = []] = merged.strides
        const odometer = new Odometer(merged.sizes, own, others)
        odometer.start(0, 0)
        const seen = Array.from({ length: odometer.count }, () => {
          const offsets = [odometer.offset, odometer.other]
          odometer.next()
          return offsets
        })
        expect(seen).toEqual(indicesOf(sizes).map((index) => strides.map((view) => offsetOf(index, view) + 0)))
        // After the last element an odometer stands at the first again.
        expect([odometer.offset + 0, odometer.other + 0]).toEqual([0, 0])
      }),
      { seed: 11, numRuns: 300 },
    )
  })
})

describe("bindCopy", () => {
  test("copies any strided view to any other", () => {
    const copies = fc
      .record({
        sizes: shapes(),
        perm: fc.infiniteStream(fc.nat()),
        steps: fc.array(fc.constantFrom(-2, -1, 0, 1, 2), { minLength: 4, maxLength: 4 }),
      })
      .map(({ sizes, perm, steps }) => {
        // The target holds every element once: a permuted layout with gaps. The source may repeat elements and run backwards.
        const order = sizes
          .map((_, axis) => ({ axis, key: Number(perm.next().value ?? 0) }))
          .sort((a, b) => a.key - b.key)
        const layout = rowMajor(order.map(({ axis }) => sizes[axis] ?? 1))
        const to = sizes.map((_, axis) => 2 * (layout[order.findIndex((entry) => entry.axis === axis)] ?? 0))
        const own = rowMajor(sizes)
        const from = sizes.map((_, axis) => (own[axis] ?? 0) * (steps[axis] ?? 1))
        return { sizes, to, from }
      })
    fc.assert(
      fc.property(copies, ({ sizes, to, from }) => {
        const middle = 2 * Math.max(1, count(sizes)) * 4
        const source = Float64Array.from({ length: 2 * middle + 1 }, (_, i) => i)
        const target = new Float32Array(2 * Math.max(1, count(sizes)) + 3).fill(-1)
        const expected = target.slice()
        for (const index of indicesOf(sizes))
          expected[3 + offsetOf(index, to)] = source[middle + offsetOf(index, from)] ?? NaN
        bindCopy(sizes, { data: source, strides: from, start: middle }, { data: target, strides: to, start: 3 })()
        expect(target).toEqual(expected)
      }),
      { seed: 12, numRuns: 300 },
    )
  })
})

test("lanesOf", () => {
  expect(lanesOf([2, 3, 4], 1)).toEqual({ outer: 2, length: 3, inner: 4 })
  expect(lanesOf([5], 0)).toEqual({ outer: 1, length: 5, inner: 1 })
  expect(lanesOf([], 0)).toEqual({ outer: 1, length: 1, inner: 1 })
})
