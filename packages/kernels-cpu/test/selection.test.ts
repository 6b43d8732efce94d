// Looking elements up by index, adding them up by index, and finding the extreme one, against their definitions.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type DType, isCounterflowError } from "@counterflow/ir"
import { argmaxOp, argminOp, gatherNdOp, scatterNdAddOp } from "@counterflow/ops"
import type { HostTensor } from "../src/kernel.ts"
import { allocate, call, numbers, tensor } from "./call.ts"
import { anyDType, at, indicesOf, numericDType, shapes, valuesFor } from "./indices.ts"

interface Lookup {
  shape: number[]
  axis: number
  depth: number
  rows: number[]
  index: HostTensor
  dtype: DType
  seed: number
}

/** A tensor's shape and an index of `depth` of its axes from `axis` on, with places inside. */
function lookups(dtype: fc.Arbitrary<DType>): fc.Arbitrary<Lookup> {
  const parts = fc.record({
    shape: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
    at: fc.nat(),
    depth: fc.nat(),
    rows: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 2 }),
    wide: fc.boolean(),
    dtype,
    seed: fc.integer(),
  })
  return parts.map(({ shape, at: start, depth: many, rows, wide, ...rest }) => {
    const axis = start % shape.length
    const depth = many % (shape.length - axis + 1)
    const random = numbers(rest.seed)
    let k = 0
    const place = () => Math.floor(((random() + 1) / 2) * (shape[axis + (k++ % depth)] ?? 1))
    return { shape, axis, depth, rows, index: tensor([...rows, depth], place, wide ? "int64" : "int32"), ...rest }
  })
}

/** Where in a tensor of `shape` the element `[outer, row, inner]` of what the index names lies. */
function target({ axis, depth, rows, index }: Lookup, place: readonly number[]): number[] {
  const row = place.slice(axis, axis + rows.length)
  const named = Array.from({ length: depth }, (_, k) => at(index, [...row, k]))
  return [...place.slice(0, axis), ...named, ...place.slice(axis + rows.length)]
}

function namedShape({ shape, axis, depth, rows }: Lookup): number[] {
  return [...shape.slice(0, axis), ...rows, ...shape.slice(axis + depth)]
}

test("gatherNd", () => {
  fc.assert(
    fc.property(lookups(anyDType), (given) => {
      const x = tensor(given.shape, valuesFor(given.dtype, numbers(given.seed), true), given.dtype)
      const { z } = call(gatherNdOp, { x, index: given.index }, { axis: given.axis })
      expect(z?.shape).toEqual(namedShape(given))
      const expected = indicesOf(namedShape(given)).map((place) => at(x, target(given, place)))
      expect([...(z?.data ?? [])]).toEqual(expected)
    }),
    { seed: 51, numRuns: 300 },
  )
})

test("scatterNdAdd", () => {
  fc.assert(
    fc.property(lookups(numericDType), (given) => {
      const { shape, axis, dtype, index, seed } = given
      const updates = tensor(namedShape(given), valuesFor(dtype, numbers(seed), true), dtype)
      const { z } = call(scatterNdAddOp, { updates, index }, { shape, axis })
      const expected: HostTensor = { data: allocate(dtype, z?.data.length ?? 0), shape, dtype }
      const cells = indicesOf(shape).map((place) => place.join())
      indicesOf(updates.shape).forEach((place, i) => {
        const cell = cells.indexOf(target(given, place).join())
        expected.data[cell] = (expected.data[cell] ?? NaN) + (updates.data[i] ?? NaN)
      })
      expect(z?.data).toEqual(expected.data)
    }),
    { seed: 52, numRuns: 300 },
  )
})

describe("places outside", () => {
  function refusal(place: number, dtype: DType = "int32"): string {
    try {
      const index = tensor([2, 2], [0, 1, 1, place], dtype)
      call(gatherNdOp, { x: tensor([2, 3], () => 0), index }, { axis: 0 })
    } catch (error) {
      if (isCounterflowError(error)) return error.message
      throw error
    }
    return "nothing was refused"
  }

  test("are refused, not wrapped around", () => {
    expect(refusal(2)).toBe("nothing was refused")
    expect(refusal(3)).toMatchInlineSnapshot(`
      "CF_INDEX_RANGE  index 3 lies outside axis 1 of size 3
        fix: use places from 0 to 2; negative ones do not count from the end"
    `)
    expect(refusal(-1, "int64")).toMatchInlineSnapshot(`
      "CF_INDEX_RANGE  index -1 lies outside axis 1 of size 3
        fix: use places from 0 to 2; negative ones do not count from the end"
    `)
  })

  test("in a scatter as well, and of an empty axis all are", () => {
    const scatter = () =>
      call(scatterNdAddOp, { updates: tensor([1], [1]), index: tensor([1, 1], [0], "int32") }, { shape: [0], axis: 0 })
    expect(scatter).toThrowErrorMatchingInlineSnapshot(`
      [CounterflowError: CF_INDEX_RANGE  index 0 lies outside axis 0 of size 0
        fix: the axis is empty: there is nothing to index]
    `)
  })
})

describe("argmax and argmin", () => {
  test("against the definition", () => {
    const given = shapes(1)
      .filter((shape) => !shape.includes(0))
      .chain((shape) =>
        fc.record({
          shape: fc.constant(shape),
          axis: fc.nat({ max: shape.length - 1 }),
          dtype: anyDType,
          place: fc.constantFrom<DType>("int32", "int64"),
          seed: fc.integer(),
        }),
      )
    fc.assert(
      fc.property(given, ({ shape, axis, dtype, place, seed }) => {
        const random = valuesFor(dtype, numbers(seed))
        // Rounded, so that ties occur.
        const x = tensor(shape, () => Math.round(random()), dtype)
        const kept = shape.toSpliced(axis, 1)
        const lanes = indicesOf(kept).map((index) =>
          Array.from({ length: shape[axis] ?? 0 }, (_, k) => at(x, index.toSpliced(axis, 0, k))),
        )
        const max = call(argmaxOp, { x }, { axis, dtype: place })["z"]
        expect(max?.shape).toEqual(kept)
        expect([...(max?.data ?? [])]).toEqual(lanes.map((lane) => lane.indexOf(Math.max(...lane))))
        const min = call(argminOp, { x }, { axis, dtype: place })["z"]
        expect([...(min?.data ?? [])]).toEqual(lanes.map((lane) => lane.indexOf(Math.min(...lane))))
      }),
      { seed: 53, numRuns: 300 },
    )
  })

  test.each([
    [[1, NaN, 3, NaN], 1],
    [[NaN, 2, 1, 0], 0],
    [[-Infinity, -Infinity], 0],
  ])("the first NaN of %j is at %d", (values, place) => {
    for (const op of [argmaxOp, argminOp]) {
      expect(call(op, { x: tensor([values.length], values) }, { axis: 0, dtype: "int32" })["z"]?.data[0]).toBe(place)
    }
  })
})
