// Operators that make one element of many. They fold in index order, in the type elements are computed in, and round once,
// when the result is stored; only sums of float32 along contiguous elements have an order of their own.
//
//   reduced axes innermost   one result at a time, from contiguous runs of x
//   kept axes innermost      up to eight results side by side, from contiguous pieces of the rows of x

import type { DType } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import { type Expr, type FunctionBuilder, i32, type Local, select } from "../assembler/index.ts"
import { emitFill } from "./copy.ts"
import { bytesOf, type Element, elementOf, type Work } from "./element.ts"
import type { Kernel } from "./kernel.ts"
import { sums, sumAlong, sumSide } from "./reduction-sum.ts"
import type { Emit, Generators, PlacedTensor } from "./signature.ts"
import { collapse, rowMajor } from "./space.ts"
import { walk } from "./walk.ts"

type Fold = "sum" | "product" | "maximum" | "minimum"

interface ReduceSpec {
  readonly fold: Fold
  readonly dtype: DType
  /** Axes that are kept, but the innermost one: sizes and steps of x in bytes. */
  readonly outer: Axes
  readonly inner: Axes
  /** Elements of the innermost axis, if that is kept, else 1. */
  readonly width: number
}

interface Axes {
  readonly sizes: readonly number[]
  readonly steps: readonly number[]
}

/** Results that are folded together: their partial results should stay in registers. */
const side = sums

const reduce: Kernel<"x" | "z", ReduceSpec> = {
  name: "reduce",
  build: ({ f }, { x, z }, spec) => {
    const { dtype, outer, width } = spec
    const { bytes } = elementOf(dtype)
    walk(f, outer.sizes, [{ pointer: x, steps: outer.steps }], () => {
      const blocks = Math.floor(width / side)
      const from = f.let(x)
      const advance = [from, z].map((pointer) => [pointer, bytes * side] as const)
      f.forRange(blocks, () => foldSide(f, from, z, side, spec), { advance })
      const rest = width - blocks * side
      if (rest === 0) return
      foldSide(f, from, z, rest, spec)
      f.increment(z, bytes * rest)
    })
  },
}

/** As many results as are said, from elements that lie side by side. */
function foldSide(f: FunctionBuilder, x: Local<"i32">, z: Local<"i32">, results: number, spec: ReduceSpec): void {
  const { fold, dtype, inner } = spec
  if (fold === "sum" && dtype === "float32") {
    if (results === side) return sumSide(f, x, z, inner)
    if (results === 1 && inner.steps.at(-1) === bytesOf(dtype)) return sumAlong(f, x, z, inner)
  }
  const element = elementOf(dtype)
  const folded = Array.from({ length: results }, () => f.let(element.constant(emptyOf(fold, dtype))))
  const pointer = f.let(x)
  walk(f, inner.sizes, [{ pointer, steps: inner.steps }], () => {
    folded.forEach((result, i) => f.set(result, foldedBy(f, fold, element, result, pointer, i * element.bytes)))
  })
  folded.forEach((result, i) => element.store(f, z, result, i * element.bytes))
}

function foldedBy(
  f: FunctionBuilder,
  fold: Fold,
  element: Element,
  result: Local<Work>,
  pointer: Local<"i32">,
  offset: number,
): Expr<Work> {
  if (fold === "sum") return element.add(result, element.load(pointer, offset))
  if (fold === "product") return element.mul(result, element.load(pointer, offset))
  const value = f.let(element.load(pointer, offset))
  const beats = fold === "maximum" ? element.greater(value, result) : element.greater(result, value)
  // A NaN is taken, and stays: nothing is greater.
  const isNaN = element.isNaN(value)
  return select(isNaN === null ? beats : i32.or(beats, isNaN), value, result)
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

/** The fold of nothing. */
function emptyOf(fold: Fold, dtype: DType): number {
  if (fold === "sum") return 0
  if (fold === "product") return 1
  return limits[dtype][fold === "maximum" ? 0 : 1]
}

function emitReduce(fold: Fold, x: PlacedTensor, z: PlacedTensor, axis: readonly number[], emit: Emit): void {
  if (x.elements === 0) return emitFill(z, emptyOf(fold, x.dtype), emit)
  const { bytes } = elementOf(x.dtype)
  // The step by which the result is walked: 0 along reduced axes, so that these merge with each other only.
  const results = rowMajor(x.shape.map((size, i) => (axis.includes(i) ? 1 : size))).map((step, i) =>
    axis.includes(i) ? 0 : step,
  )
  const { sizes, steps } = collapse({ sizes: x.shape, steps: [rowMajor(x.shape, bytes), results] })
  const [own = [], kept = []] = steps
  const last = sizes.length - 1
  const isKeptInside = last >= 0 && kept[last] !== 0
  const part = (isKept: boolean): Axes => {
    const axes = sizes.flatMap((_, i) => ((kept[i] !== 0) === isKept && !(isKeptInside && i === last) ? [i] : []))
    return { sizes: axes.map((i) => sizes[i] ?? 1), steps: axes.map((i) => own[i] ?? 0) }
  }
  const width = isKeptInside ? (sizes[last] ?? 1) : 1
  emit.run(reduce, { x: x.place, z: z.place }, { fold, dtype: x.dtype, outer: part(true), inner: part(false), width })
}

export const reduction = {
  reduceSum: ({ inputs: { x }, outputs: { z }, attrs: { axis } }, emit) => emitReduce("sum", x, z, axis, emit),
  reduceProd: ({ inputs: { x }, outputs: { z }, attrs: { axis } }, emit) => emitReduce("product", x, z, axis, emit),
  reduceMax: ({ inputs: { x }, outputs: { z }, attrs: { axis } }, emit) => emitReduce("maximum", x, z, axis, emit),
  reduceMin: ({ inputs: { x }, outputs: { z }, attrs: { axis } }, emit) => emitReduce("minimum", x, z, axis, emit),
} satisfies Generators<Registry>
