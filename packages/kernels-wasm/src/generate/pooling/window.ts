// Windows of pooling: which rows and columns each covers, clipped to the image.

import type { DType } from "@counterflow/ir"
import { type Expr, type FunctionBuilder, i32, type Local, type Operand, select } from "../../assembler/index.ts"
import { bytesOf } from "../expression/element.ts"
import type { Pair } from "../space/plane.ts"
import type { TensorShape } from "../signature.ts"

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
  const planes = planesOf(x, z)
  if (adaptive) {
    const { image, pooled } = planes
    const bins: Pair = [image[0] / pooled[0], image[1] / pooled[1]]
    const isEven = bins.every((size) => Number.isInteger(size) && size > 0)
    // Bins of one size are windows like any others.
    return { ...planes, window: bins, stride: bins, before: [0, 0], adaptive: !isEven }
  }
  return {
    ...planes,
    window: [poolSize[0] ?? 1, poolSize[1] ?? 1],
    stride: [poolStride[0] ?? 1, poolStride[1] ?? 1],
    before: [poolPadding[0] ?? 0, poolPadding[2] ?? 0],
    adaptive,
  }
}

/** Nanoseconds for a plane, roughly. */
export function windowsCost({ dtype, window, pooled, adaptive, image }: WindowSpec): number {
  const perWindow = adaptive ? (image[0] * image[1]) / (pooled[0] * pooled[1]) : window[0] * window[1]
  return pooled[0] * pooled[1] * perWindow * (dtype === "float32" && !adaptive ? 0.3 : 2)
}

/** Rows or columns from `from` to `to` − 1. */
export interface Range {
  readonly from: Local<"i32">
  readonly to: Local<"i32">
}

/** The rows or columns that window `i` covers, `from` to `to` − 1; none if it lies in padding. */
export function rangeOf(f: FunctionBuilder, i: Local<"i32">, spec: WindowSpec, axis: 0 | 1): Range {
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

/** A window, clipped: how many rows and columns, where its first element lies, and the place of that in its plane. */
export interface Clipped {
  readonly rows: Operand<"i32">
  readonly columns: Operand<"i32">
  readonly pointer: Local<"i32">
  readonly place: Local<"i32">
}

/** Runs `body` for every element of a window, row by row; `place` is row · width + column. */
export function eachElement(
  f: FunctionBuilder,
  { rows, columns, pointer, place }: Clipped,
  { image, dtype }: PoolSpec,
  body: (pointer: Local<"i32">, place: Local<"i32">) => void,
): void {
  const [width, bytes] = [image[1], bytesOf(dtype)]
  const [row, first] = [f.let(pointer), f.let(place)]
  f.forRange(
    rows,
    () => {
      const [at, own] = [f.let(row), f.let(first)]
      f.forRange(columns, () => body(at, own), {
        advance: [
          [at, bytes],
          [own, 1],
        ],
      })
    },
    {
      advance: [
        [row, width * bytes],
        [first, width],
      ],
    },
  )
}

/** Runs `body` for every window of the plane at x. */
export function eachWindow(
  f: FunctionBuilder,
  x: Local<"i32">,
  spec: WindowSpec,
  body: (window: Clipped) => void,
): void {
  const [width, bytes] = [spec.image[1], bytesOf(spec.dtype)]
  f.forRange(spec.pooled[0], (i) => {
    const rows = rangeOf(f, i, spec, 0)
    const row = f.let(i32.mul(rows.from, width))
    f.forRange(spec.pooled[1], (j) => {
      const columns = rangeOf(f, j, spec, 1)
      const place = f.let(i32.add(row, columns.from))
      body({
        rows: f.let(i32.sub(rows.to, rows.from)),
        columns: f.let(i32.sub(columns.to, columns.from)),
        pointer: f.let(i32.add(x, i32.mul(place, bytes))),
        place,
      })
    })
  })
}
