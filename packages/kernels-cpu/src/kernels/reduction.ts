// Kernels that make one element of many. They fold in index order, in float64, and round once, when the result is stored;
// integers wrap around like their dtype.
//
//   reduced axes innermost   each result folds contiguous runs of x
//   kept axes innermost      results side by side are folded together, row after row of x: x is read as it lies in memory

import type { DType } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import type { CpuKernels, HostTensor, NumberArray } from "../kernel.ts"
import { collapse, count, Odometer, rowMajor } from "../strides.ts"

interface Fold {
  /** The fold of nothing. */
  readonly empty: number
  /** Folds x[from … from + length) into `result`. */
  along(result: number, x: NumberArray, from: number, length: number): number
  /** Folds x[from + i] into results[i]. */
  beside(results: Float64Array, x: NumberArray, from: number, length: number): void
}

/** Results folded together where kept axes are innermost: few enough to stay in the fastest cache. */
const blockSize = 256

function bindFold(x: HostTensor, z: HostTensor, axis: readonly number[], fold: Fold): () => void {
  if (count(x.shape) === 0) return () => z.data.fill(fold.empty)
  const own = rowMajor(x.shape)
  // The stride by which the result is walked: 0 along reduced axes, so that these merge with each other only.
  const results = rowMajor(x.shape.map((size, i) => (axis.includes(i) ? 1 : size))).map((step, i) =>
    axis.includes(i) ? 0 : step,
  )
  const { sizes, strides } = collapse({ sizes: x.shape, strides: [own, results] })
  const [steps = [], kept = []] = strides
  const last = sizes.length - 1
  const part = (isKept: boolean) => {
    const axes = sizes.flatMap((_, i) => (i < last && (kept[i] !== 0) === isKept ? [i] : []))
    return new Odometer(
      axes.map((i) => sizes[i] ?? 1),
      axes.map((i) => steps[i] ?? 0),
    )
  }
  const [outer, inner, length] = [part(true), part(false), sizes[last] ?? 1]
  const bind = last < 0 || kept[last] === 0 ? foldRuns : foldRows
  return bind(x.data, z.data, outer, inner, length, fold)
}

function foldRuns(
  x: NumberArray,
  z: NumberArray,
  outer: Odometer,
  inner: Odometer,
  length: number,
  fold: Fold,
): () => void {
  return () => {
    outer.start(0)
    for (let i = 0; i < outer.count; i++) {
      let result = fold.empty
      inner.start(outer.offset)
      for (let run = 0; run < inner.count; run++) {
        result = fold.along(result, x, inner.offset, length)
        inner.next()
      }
      z[i] = result
      outer.next()
    }
  }
}

function foldRows(
  x: NumberArray,
  z: NumberArray,
  outer: Odometer,
  inner: Odometer,
  length: number,
  fold: Fold,
): () => void {
  const results = new Float64Array(Math.min(length, blockSize))
  return () => {
    outer.start(0)
    for (let i = 0; i < outer.count; i++) {
      for (let at = 0; at < length; at += blockSize) {
        const block = Math.min(blockSize, length - at)
        results.fill(fold.empty)
        inner.start(outer.offset + at)
        for (let row = 0; row < inner.count; row++) {
          fold.beside(results, x, inner.offset, block)
          inner.next()
        }
        for (let k = 0; k < block; k++) z[i * length + at + k] = results[k]!
      }
      outer.next()
    }
  }
}

/** The least and greatest value of a dtype. */
const limits: Readonly<Record<DType, readonly [number, number]>> = {
  float32: [-Infinity, Infinity],
  float64: [-Infinity, Infinity],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint8: [0, 255],
  bool: [0, 1],
}

const sum: Fold = {
  empty: 0,
  along(result, x, from, length) {
    for (let i = from; i < from + length; i++) result += x[i]!
    return result
  },
  beside(results, x, from, length) {
    for (let i = 0; i < length; i++) results[i]! += x[from + i]!
  },
}

const product: Fold = {
  empty: 1,
  along(result, x, from, length) {
    for (let i = from; i < from + length; i++) result *= x[i]!
    return result
  },
  beside(results, x, from, length) {
    for (let i = 0; i < length; i++) results[i]! *= x[from + i]!
  },
}

/** Modulo 2^32, where products in float64 would be rounded. */
const wrappingProduct: Fold = {
  empty: 1,
  along(result, x, from, length) {
    for (let i = from; i < from + length; i++) result = Math.imul(result, x[i]!)
    return result
  },
  beside(results, x, from, length) {
    for (let i = 0; i < length; i++) results[i] = Math.imul(results[i]!, x[from + i]!)
  },
}

/** A NaN is taken, and stays: nothing is greater. */
const maximumFrom = (empty: number): Fold => ({
  empty,
  along(result, x, from, length) {
    for (let i = from; i < from + length; i++) {
      const value = x[i]!
      if (value > result || value !== value) result = value
    }
    return result
  },
  beside(results, x, from, length) {
    for (let i = 0; i < length; i++) {
      const value = x[from + i]!
      if (value > results[i]! || value !== value) results[i] = value
    }
  },
})

const minimumFrom = (empty: number): Fold => ({
  empty,
  along(result, x, from, length) {
    for (let i = from; i < from + length; i++) {
      const value = x[i]!
      if (value < result || value !== value) result = value
    }
    return result
  },
  beside(results, x, from, length) {
    for (let i = 0; i < length; i++) {
      const value = x[from + i]!
      if (value < results[i]! || value !== value) results[i] = value
    }
  },
})

export const reduction = {
  reduceSum: ({ inputs: { x }, outputs: { z }, attrs: { axis } }) => bindFold(x, z, axis, sum),

  reduceProd: ({ inputs: { x }, outputs: { z }, attrs: { axis } }) => {
    return bindFold(x, z, axis, x.dtype === "int32" || x.dtype === "uint8" ? wrappingProduct : product)
  },

  reduceMax: ({ inputs: { x }, outputs: { z }, attrs: { axis } }) =>
    bindFold(x, z, axis, maximumFrom(limits[x.dtype][0])),

  reduceMin: ({ inputs: { x }, outputs: { z }, attrs: { axis } }) =>
    bindFold(x, z, axis, minimumFrom(limits[x.dtype][1])),
} satisfies CpuKernels<Registry>
