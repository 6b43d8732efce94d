// The movement kernels against their definitions: where every element of the result comes from. All dtypes.

import fc from "fast-check"
import { expect, test } from "vitest"
import type { DType } from "@counterflow/ir"
import { broadcastToOp, concatOp, stridedPadOp, stridedSliceOp, transposeOp } from "@counterflow/ops"
import type { HostTensor } from "../src/kernel.ts"
import { movement } from "../src/kernels/movement.ts"
import { call, numbers, tensor } from "./call.ts"
import { anyDType, at, indicesOf, shapes, valuesFor } from "./indices.ts"

const runs = { numRuns: 250 }

function fill(shape: readonly number[], dtype: DType, seed = 1): HostTensor {
  return tensor(shape, valuesFor(dtype, numbers(seed), true), dtype)
}

/** The tensor whose elements a definition names. */
function defined(shape: readonly number[], dtype: DType, element: (index: number[]) => number): HostTensor {
  return tensor(shape, indicesOf(shape).map(element), dtype)
}

test("transpose", () => {
  const given = shapes().chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      perm: fc.shuffledSubarray(
        shape.map((_, axis) => axis),
        { minLength: shape.length },
      ),
      dtype: anyDType,
    }),
  )
  fc.assert(
    fc.property(given, ({ shape, perm, dtype }) => {
      const x = fill(shape, dtype)
      const { z } = call(transposeOp, { x }, { perm })
      expect(z).toEqual(
        defined(
          perm.map((axis) => shape[axis] ?? 0),
          dtype,
          (index) =>
            at(
              x,
              perm.map((_, axis) => index[perm.indexOf(axis)] ?? 0),
            ),
        ),
      )
    }),
    { seed: 31, ...runs },
  )
})

test("broadcastTo", () => {
  const given = shapes().chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      // Which axes of x are 1, and how many of its leading axes it lacks.
      ones: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      missing: fc.integer({ min: 0, max: shape.length }),
      dtype: anyDType,
    }),
  )
  fc.assert(
    fc.property(given, ({ shape, ones, missing, dtype }) => {
      const x = fill(shape.map((size, axis) => (ones[axis] ? 1 : size)).slice(missing), dtype)
      const { z } = call(broadcastToOp, { x }, { shape })
      expect(z).toEqual(
        defined(shape, dtype, (index) =>
          at(
            x,
            x.shape.map((size, axis) => (size === 1 ? 0 : (index[axis + missing] ?? 0))),
          ),
        ),
      )
    }),
    { seed: 32, ...runs },
  )
})

/** Along one axis: a window of `size` elements, `step` apart, in an axis of size `whole`. */
const along = fc
  .record({
    size: fc.integer({ min: 0, max: 4 }),
    stride: fc.constantFrom(-3, -2, -1, 1, 2, 3),
    before: fc.integer({ min: 0, max: 2 }),
    after: fc.integer({ min: 0, max: 2 }),
  })
  .map(({ size, stride, before, after }) => {
    const span = size === 0 ? 0 : (size - 1) * Math.abs(stride) + 1
    return { size, stride, start: stride > 0 ? before : before + Math.max(span - 1, 0), whole: before + span + after }
  })

const windows = fc.record({ axes: fc.array(along, { maxLength: 4 }), dtype: anyDType })

test("stridedSlice", () => {
  fc.assert(
    fc.property(windows, ({ axes, dtype }) => {
      const x = fill(
        axes.map(({ whole }) => whole),
        dtype,
      )
      const sizes = axes.map(({ size }) => size)
      const attrs = { starts: axes.map(({ start }) => start), sizes, strides: axes.map(({ stride }) => stride) }
      const { z } = call(stridedSliceOp, { x }, attrs)
      expect(z).toEqual(
        defined(sizes, dtype, (index) =>
          at(
            x,
            axes.map(({ start, stride }, axis) => start + (index[axis] ?? 0) * stride),
          ),
        ),
      )
    }),
    { seed: 33, ...runs },
  )
})

test("stridedPad", () => {
  fc.assert(
    fc.property(windows, ({ axes, dtype }) => {
      const x = fill(
        axes.map(({ size }) => size),
        dtype,
      )
      const shape = axes.map(({ whole }) => whole)
      const attrs = {
        shape,
        starts: axes.map(({ start }) => start),
        strides: axes.map(({ stride }) => stride),
        padValue: 1,
      }
      const { z } = call(stridedPadOp, { x }, attrs)
      expect(z).toEqual(
        defined(shape, dtype, (index) => {
          const from = axes.map(({ start, stride }, axis) => ((index[axis] ?? 0) - start) / stride)
          const isInside = from.every((i, axis) => Number.isInteger(i) && i >= 0 && i < (x.shape[axis] ?? 0))
          return isInside ? at(x, from) : 1
        }),
      )
    }),
    { seed: 34, ...runs },
  )
})

test("concat", () => {
  const given = shapes(1).chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      axis: fc.nat({ max: shape.length - 1 }),
      sizes: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 4 }),
      dtype: anyDType,
    }),
  )
  fc.assert(
    fc.property(given, ({ shape, axis, sizes, dtype }) => {
      const xs = sizes.map((size, i) => fill(shape.with(axis, size), dtype, i))
      const [type] = [concatOp.inferTypes({ xs }, { axis }, { blocks: {} })["z"]]
      const whole = shape.with(
        axis,
        sizes.reduce((sum, size) => sum + size, 0),
      )
      expect(type).toEqual({ shape: whole, dtype })
      const z = fill(whole, dtype, 99)
      movement.concat({ inputs: { xs }, outputs: { z }, attrs: { axis }, workspace: new Float64Array(0), blocks: {} })()
      expect(z).toEqual(
        defined(whole, dtype, (index) => {
          let rest = index[axis] ?? 0
          const part = xs.find((x) => {
            const size = x.shape[axis] ?? 0
            if (rest < size) return true
            rest -= size
            return false
          })
          return part === undefined ? NaN : at(part, index.with(axis, rest))
        }),
      )
    }),
    { seed: 35, ...runs },
  )
})

test("a copy keeps every bit that a dtype holds", () => {
  const x = tensor([2, 2], [-0, NaN, -Infinity, 5e-324])
  const { z } = call(transposeOp, { x }, { perm: [1, 0] })
  expect([...(z?.data ?? [])]).toEqual([-0, -Infinity, NaN, 5e-324])
  const ids = tensor([2, 1], [2 ** 53 - 1, -(2 ** 53 - 1)], "int64")
  expect([...(call(transposeOp, { x: ids }, { perm: [1, 0] })["z"]?.data ?? [])]).toEqual([2 ** 53 - 1, -(2 ** 53 - 1)])
})
