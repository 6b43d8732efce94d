// Running sums and products of the others against their definitions.

import fc from "fast-check"
import { expect, test } from "vitest"
import type { DType } from "@counterflow/ir"
import { cumsumOp, productOfOthersOp } from "@counterflow/ops"
import { allocate, call, numbers, tensor } from "./call.ts"
import { at, indicesOf, numericDType, shapes, valuesFor } from "./indices.ts"

function cases(dtype: fc.Arbitrary<DType>) {
  return shapes(1).chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      axis: fc.nat({ max: shape.length - 1 }),
      exclusive: fc.boolean(),
      reverse: fc.boolean(),
      dtype,
      seed: fc.integer(),
    }),
  )
}

test("cumsum", () => {
  fc.assert(
    fc.property(cases(numericDType), ({ shape, axis, exclusive, reverse, dtype, seed }) => {
      const x = tensor(shape, valuesFor(dtype, numbers(seed), true), dtype)
      const { z } = call(cumsumOp, { x }, { axis, exclusive, reverse })
      const expected = allocate(dtype, x.data.length)
      indicesOf(shape).forEach((index, i) => {
        const here = index[axis] ?? 0
        const places = Array.from({ length: shape[axis] ?? 0 }, (_, k) => (reverse ? (shape[axis] ?? 0) - 1 - k : k))
        const taken = places.filter((k) => (reverse ? k > here : k < here) || (k === here && !exclusive))
        expected[i] = taken.reduce((sum, k) => sum + at(x, index.with(axis, k)), 0)
      })
      expect(z?.data).toEqual(expected)
    }),
    { seed: 41, numRuns: 300 },
  )
})

test("cumsum of a scalar", () => {
  expect(call(cumsumOp, { x: tensor([], [3]) }, { axis: 0, exclusive: false, reverse: false })["z"]?.data[0]).toBe(3)
  expect(call(cumsumOp, { x: tensor([], [3]) }, { axis: 0, exclusive: true, reverse: false })["z"]?.data[0]).toBe(0)
})

test("productOfOthers", () => {
  fc.assert(
    fc.property(cases(fc.constantFrom<DType>("float32", "float64")), ({ shape, axis, dtype, seed }) => {
      const random = valuesFor(dtype, numbers(seed))
      // Zeros are what division would fail at.
      const x = tensor(shape, () => (random() > 2.5 ? 0 : random()), dtype)
      const { z } = call(productOfOthersOp, { x }, { axis })
      indicesOf(shape).forEach((index, i) => {
        const others = Array.from({ length: shape[axis] ?? 0 }, (_, k) => k).filter((k) => k !== index[axis])
        const product = others.reduce((result, k) => result * at(x, index.with(axis, k)), 1)
        expect(z?.data[i]).toBeCloseTo(product, dtype === "float32" ? 4 : 10)
      })
    }),
    { seed: 42, numRuns: 300 },
  )
})

test("partial products may leave the range of float32", () => {
  const { z } = call(productOfOthersOp, { x: tensor([4], [2 ** 100, 2 ** 100, 2 ** -100, 0], "float32") }, { axis: 0 })
  expect([...(z?.data ?? [])]).toEqual([0, 0, 0, 2 ** 100])
})
