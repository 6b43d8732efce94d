// Windows of pooling: which rows and columns each covers, clipped to the image.

import type { DType } from "@counterflow/ir"
import { type Expr, type FunctionBuilder, i32, type Local, select } from "../assembler/index.ts"
import type { Pair } from "./plane.ts"
import type { TensorShape } from "./signature.ts"

/** Planes of images and of what they are pooled to. */
export interface PoolSpec {
  readonly dtype: DType
  readonly planes: number
  readonly image: Pair
  readonly pooled: Pair
}

/** Where the windows lie; of `adaptive` ones the sizes alone decide. */
export interface WindowSpec extends PoolSpec {
  readonly window: Pair
  readonly stride: Pair
  readonly before: Pair
  readonly adaptive: boolean
}

interface PoolAttrs {
  readonly poolSize: readonly number[]
  readonly poolStride: readonly number[]
  readonly poolPadding: readonly number[]
  readonly adaptive: boolean
}

export function planesOf(x: TensorShape, z: TensorShape): PoolSpec {
  const [images = 0, channels = 0, height = 0, width = 0] = x.shape
  const [, , rows = 0, columns = 0] = z.shape
  return { dtype: x.dtype, planes: images * channels, image: [height, width], pooled: [rows, columns] }
}

export function windowsOf(x: TensorShape, z: TensorShape, attrs: PoolAttrs): WindowSpec {
  const { poolSize, poolStride, poolPadding, adaptive } = attrs
  return {
    ...planesOf(x, z),
    window: [poolSize[0] ?? 1, poolSize[1] ?? 1],
    stride: [poolStride[0] ?? 1, poolStride[1] ?? 1],
    before: [poolPadding[0] ?? 0, poolPadding[2] ?? 0],
    adaptive,
  }
}

/** Rows or columns from `from` to `to` − 1. */
export interface Range {
  readonly from: Local<"i32">
  readonly to: Local<"i32">
}

/** The rows or columns that window `i` covers, `from` to `to` − 1; none if it lies in padding. */
function rangeOf(f: FunctionBuilder, i: Local<"i32">, spec: WindowSpec, axis: 0 | 1): Range {
  const [size, places] = [spec.image[axis], spec.pooled[axis]]
  if (spec.adaptive) {
    const from = f.let(i32.divU(i32.mul(i, size), places))
    const to = f.let(i32.divU(i32.add(i32.mul(i32.add(i, 1), size), places - 1), places))
    return { from, to }
  }
  const first = f.let(i32.sub(i32.mul(i, spec.stride[axis]), spec.before[axis]))
  return { from: f.let(clamped(f, first, size)), to: f.let(clamped(f, f.let(i32.add(first, spec.window[axis])), size)) }
}

function clamped(f: FunctionBuilder, x: Local<"i32">, size: number): Expr<"i32"> {
  const least = f.let(select(i32.ltS(x, 0), i32.const(0), x))
  return select(i32.gtS(least, size), i32.const(size), least)
}

/** Runs `body` for every element of a window; `place` is row · width + column. */
export function eachElement(
  f: FunctionBuilder,
  rows: Range,
  columns: Range,
  width: number,
  body: (place: Local<"i32">) => void,
): void {
  f.forRange(
    rows.to,
    (row) => {
      const place = f.let(i32.add(i32.mul(row, width), columns.from))
      f.forRange(columns.to, () => body(place), { from: columns.from, advance: [[place, 1]] })
    },
    { from: rows.from },
  )
}

/** Runs `body` for every window of every plane, with its rows and columns. */
export function eachWindow(f: FunctionBuilder, spec: WindowSpec, body: (rows: Range, columns: Range) => void): void {
  f.forRange(spec.pooled[0], (i) => {
    const rows = rangeOf(f, i, spec, 0)
    f.forRange(spec.pooled[1], (j) => body(rows, rangeOf(f, j, spec, 1)))
  })
}
