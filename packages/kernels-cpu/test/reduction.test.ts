// The reduction kernels against their definition: the elements of every lane, folded in row-major order in float64.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { DType } from "@counterflow/ir"
import { type Op, reduceMaxOp, reduceMinOp, reduceProdOp, reduceSumOp } from "@counterflow/ops"
import type { HostTensor } from "../src/kernel.ts"
import { call, numbers, tensor } from "./call.ts"
import { anyDType, at, indicesOf, numericDType, shapes, valuesFor } from "./indices.ts"

interface Case {
  shape: number[]
  axis: number[]
  keepDim: boolean
  dtype: DType
  seed: number
}

function cases(dtype: fc.Arbitrary<DType>): fc.Arbitrary<Case> {
  // Now and then an axis longer than the block of results that is folded at a time.
  const long = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 255, max: 520 })).map(([a, b]) => [a, b])
  return fc.oneof({ weight: 9, arbitrary: shapes() }, { weight: 1, arbitrary: long }).chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      axis: fc.subarray(shape.map((_, axis) => axis)),
      keepDim: fc.boolean(),
      dtype,
      seed: fc.integer(),
    }),
  )
}

/** The elements of every lane, and where its result goes. */
function lanes(x: HostTensor, axis: readonly number[]): number[][] {
  const kept = x.shape.map((size, i) => (axis.includes(i) ? 1 : size))
  const reduced = x.shape.map((size, i) => (axis.includes(i) ? size : 1))
  return indicesOf(kept).map((outer) =>
    indicesOf(reduced).map((inner) =>
      at(
        x,
        outer.map((i, k) => i + (inner[k] ?? 0)),
      ),
    ),
  )
}

function computed(op: Op, { shape, axis, keepDim, dtype, seed }: Case): HostTensor | undefined {
  return call(op, { x: fill(shape, dtype, seed) }, { axis, keepDim })["z"]
}

function defined(
  { shape, axis, keepDim, dtype, seed }: Case,
  fold: (lane: number[], dtype: DType) => number,
): HostTensor {
  const results = lanes(fill(shape, dtype, seed), axis).map((lane) => fold(lane, dtype))
  return tensor(
    shape.flatMap((size, i) => (axis.includes(i) ? (keepDim ? [1] : []) : [size])),
    results,
    dtype,
  )
}

function fill(shape: readonly number[], dtype: DType, seed: number): HostTensor {
  return tensor(shape, valuesFor(dtype, numbers(seed), true), dtype)
}

/** What storing in a 32-bit integer and on leaves of exact arithmetic on integers. */
const wrapped = (value: bigint) => Number(BigInt.asIntN(32, value))

describe("against the definition", () => {
  test("reduceSum", () => {
    const sum = (lane: number[]) => lane.reduce((total, value) => total + value, 0)
    fc.assert(
      fc.property(cases(numericDType), (given) => {
        expect(computed(reduceSumOp, given)).toEqual(defined(given, sum))
      }),
      { seed: 21, numRuns: 300 },
    )
  })

  test("reduceProd: floats in float64, integers modulo the range of their dtype", () => {
    const product = (lane: number[], dtype: DType) => {
      if (dtype === "float32" || dtype === "float64") return lane.reduce((total, value) => total * value, 1)
      return wrapped(lane.reduce((total, value) => total * BigInt(value), 1n))
    }
    const dtypes = fc.constantFrom<DType>("float32", "float64", "int32", "uint8")
    fc.assert(
      fc.property(cases(dtypes), (given) => {
        expect(computed(reduceProdOp, given)).toEqual(defined(given, product))
      }),
      { seed: 22, numRuns: 300 },
    )
  })

  const least: Record<DType, number> = {
    float32: -Infinity,
    float64: -Infinity,
    int32: -(2 ** 31),
    int64: Number.MIN_SAFE_INTEGER,
    uint8: 0,
    bool: 0,
  }
  const greatest: Record<DType, number> = {
    float32: Infinity,
    float64: Infinity,
    int32: 2 ** 31 - 1,
    int64: Number.MAX_SAFE_INTEGER,
    uint8: 255,
    bool: 1,
  }

  test("reduceMax", () => {
    const extreme = (lane: number[], dtype: DType) => Math.max(least[dtype], ...lane)
    fc.assert(
      fc.property(cases(anyDType), (given) => {
        expect(computed(reduceMaxOp, given)).toEqual(defined(given, extreme))
      }),
      { seed: 23, numRuns: 300 },
    )
  })

  test("reduceMin", () => {
    const extreme = (lane: number[], dtype: DType) => Math.min(greatest[dtype], ...lane)
    fc.assert(
      fc.property(cases(anyDType), (given) => {
        expect(computed(reduceMinOp, given)).toEqual(defined(given, extreme))
      }),
      { seed: 24, numRuns: 300 },
    )
  })
})

test("sums are rounded once", () => {
  // 1 and then 2^16 times 2^-25, each of which float32 would lose beside the 1.
  const rows = tensor(
    [2, 65_537],
    Array.from({ length: 2 * 65_537 }, (_, i) => (i % 65_537 === 0 ? 1 : 2 ** -25)),
    "float32",
  )
  expect([...(call(reduceSumOp, { x: rows }, { axis: [1], keepDim: false })["z"]?.data ?? [])]).toEqual([
    1 + 2 ** -9,
    1 + 2 ** -9,
  ])
  const columns = tensor(
    [65_537, 2],
    Array.from({ length: 2 * 65_537 }, (_, i) => (i < 2 ? 1 : 2 ** -25)),
    "float32",
  )
  expect([...(call(reduceSumOp, { x: columns }, { axis: [0], keepDim: false })["z"]?.data ?? [])]).toEqual([
    1 + 2 ** -9,
    1 + 2 ** -9,
  ])
})

test.each([
  [0, "NaN first"],
  [1, "NaN in the middle"],
  [2, "NaN last"],
])("extremes of a NaN are NaN (%d: %s)", (place) => {
  const values = [1, -2, 3].with(place, NaN)
  for (const op of [reduceMaxOp, reduceMinOp]) {
    expect(call(op, { x: tensor([3], values) }, { axis: [0], keepDim: false })["z"]?.data[0]).toBeNaN()
    expect(
      call(
        op,
        {
          x: tensor(
            [3, 1, 2],
            values.flatMap((value) => [value, 0]),
          ),
        },
        { axis: [0], keepDim: false },
      )["z"]?.data,
    ).toEqual(new Float64Array([NaN, 0]))
  }
})

test("int32 sums wrap around", () => {
  const x = tensor([3], [2 ** 31 - 1, 2 ** 31 - 1, 5], "int32")
  expect(call(reduceSumOp, { x }, { axis: [0], keepDim: false })["z"]?.data[0]).toBe(3)
})
