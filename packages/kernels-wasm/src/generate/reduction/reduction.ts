// Operators that make one element of many. They fold in index order, in the type elements are computed in, and round once,
// when the result is stored; only sums of float32 along contiguous elements have an order of their own. What they fold may be
// an expression: it is computed as it is read.
//
//   reduced axes innermost   one result at a time, from contiguous runs
//   kept axes innermost      up to eight results side by side, from contiguous pieces of rows

import type { DType } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import { type Expr, f32, f64, type FunctionBuilder, i32, type Local, select } from "../../assembler/index.ts"
import { storeLanes } from "../../gemm/lanes.ts"
import type { Lanes } from "../../math/simd/lanes.ts"
import { emitFill } from "../movement/copy.ts"
import { costOf } from "../expression/cost.ts"
import { bytesOf, type Element, elementOf, type Work } from "../expression/element.ts"
import type { Kernel, KernelContext } from "../kernel.ts"
import { emitParts, mostParts } from "../parts.ts"
import { type ExtremeKind, Extremes, extremes, noteZero } from "./extreme.ts"
import { copied, elementAt, type FoldInput, type FoldSource, type Pointers, Row, vectorTypes } from "./source.ts"
import { Sums, sums } from "./sum.ts"
import { shareParts } from "../expression/sharing.ts"
import {
  argument,
  behind,
  type Emit,
  type FusedPrologue,
  type Generators,
  type Place,
  type PlacedTensor,
  type TensorShape,
} from "../signature.ts"
import { collapse, rowMajor } from "../space/space.ts"
import type { LaneTypes } from "../expression/vector-scalar.ts"
import { withConstants } from "../expression/vector.ts"
import { walk, walkRows } from "../space/walk.ts"

type Fold = "sum" | "product" | ExtremeKind

interface ReduceSpec extends FoldSource {
  readonly fold: Fold
  /** Sizes of the kept axes but the first, which is told by the parameter n, and but for the innermost of all. */
  readonly outer: readonly number[]
  /** Sizes of the folded axes. */
  readonly inner: readonly number[]
  /** Elements of the innermost axis, if that is kept, else 0. */
  readonly width: number
  /** Whether a sum is stored in float64, to be added to others. */
  readonly isPartial: boolean
}

/** Results that are folded together: their partial results should stay in registers. */
const side = sums

const reduce: Kernel<string, ReduceSpec> = {
  name: "reduce",
  build: (context, at, spec) => {
    const { f, module } = context
    const { z, n } = at
    const pointers = spec.inputs.flatMap((_, i) => at[`x${i}`] ?? [])
    if (z === undefined || n === undefined) return
    const types = spec.fold === "product" ? undefined : vectorTypes(spec)
    if (types === undefined)
      return foldAll(f, spec, pointers, z, n, (from, results) => foldOnes(context, spec, from, z, results))
    const build = (lanes: Lanes) =>
      foldAll(lanes.f, spec, pointers, z, n, (from, results) => foldVectors(lanes, spec, types, from, z, results))
    withConstants(f, build, module)
  },
}

/** Walks over all results; `fold` makes some of them that lie side by side, 0 for one that lies alone. */
function foldAll(
  f: FunctionBuilder,
  { dtype, inputs, outer, width }: ReduceSpec,
  pointers: Pointers,
  z: Local<"i32">,
  n: Local<"i32">,
  fold: (from: Pointers, results: number) => void,
): void {
  const bytes = bytesOf(dtype)
  const walkers = pointers.map((pointer, i) => ({ pointer, steps: inputs[i]?.outer ?? [] }))
  walkRows(f, n, outer, walkers, () => {
    const from = copied(f, pointers)
    if (width === 0) {
      fold(from, 0)
      return f.increment(z, bytes)
    }
    const steps = from.map((pointer, i) => [pointer, side * (inputs[i]?.step ?? 0)] as const)
    const advance = [...steps.filter(([, step]) => step !== 0), [z, bytes * side] as const]
    f.forRange(Math.floor(width / side), () => fold(from, side), { advance })
    const rest = width % side
    if (rest === 0) return
    fold(from, rest)
    f.increment(z, bytes * rest)
  })
}

/** Four elements at a time. */
function foldVectors(
  lanes: Lanes,
  spec: ReduceSpec,
  types: LaneTypes,
  pointers: Pointers,
  z: Local<"i32">,
  results: number,
): void {
  const { f } = lanes
  const { fold, inner, inputs } = spec
  const rowAt = (at: Pointers) => new Row(lanes, spec, types, at)
  if (results > 0) {
    const folded =
      fold === "sum" ? new Sums(f, results) : new Extremes(lanes, fold === "maximum" ? fold : "minimum", results)
    const at = copied(f, pointers)
    walk(
      f,
      inner,
      at.map((pointer, i) => ({ pointer, steps: inputs[i]?.inner ?? [] })),
      () => folded.add(rowAt(at), results),
    )
    if (folded instanceof Sums) return folded.store(z, results)
    return folded.results().forEach((vector, i) => storeLanes(f, z, vector, 16 * i, Math.min(4, results - 4 * i)))
  }
  const length = inner.at(-1) ?? 1
  /** Every run of contiguous elements. */
  const runs = (run: (row: Row) => void) => {
    const at = copied(f, pointers)
    const walkers = at.map((pointer, i) => ({ pointer, steps: (inputs[i]?.inner ?? []).slice(0, -1) }))
    walk(f, inner.slice(0, -1), walkers, () => run(rowAt(copied(f, at))))
  }
  if (fold === "sum") {
    const total = new Sums(f)
    runs((row) => {
      f.forRange(Math.floor(length / sums), () => total.add(row, sums), { advance: row.advance(sums) })
      if (length % sums > 0) total.add(row, length % sums)
    })
    return total.storeTotal(z, spec.isPartial)
  }
  const best = new Extremes(lanes, fold === "maximum" ? fold : "minimum")
  runs((row) => {
    f.forRange(Math.floor(length / extremes), () => best.add(row, extremes), { advance: row.advance(extremes) })
    const rest = length % extremes
    for (let from = 0; from < rest; from += 4) best.addRest(row, from, Math.min(4, rest - from))
  })
  best.storeBest(z, () => {
    const zero = f.let(f32.const(1))
    runs((row) => {
      f.forRange(Math.floor(length / 4), () => noteZero(lanes, zero, row.vector(0, 4), 4), { advance: row.advance(4) })
      if (length % 4 > 0) noteZero(lanes, zero, row.vector(0, length % 4), length % 4)
    })
    return zero
  })
}

/** One element at a time. */
function foldOnes(
  context: KernelContext,
  spec: ReduceSpec,
  pointers: Pointers,
  z: Local<"i32">,
  results: number,
): void {
  const { f } = context
  const { fold, dtype, inner, inputs } = spec
  const element = elementOf(dtype)
  const made = Array.from({ length: Math.max(results, 1) }, () => f.let(element.constant(emptyOf(fold, dtype))))
  const at = copied(f, pointers)
  walk(
    f,
    inner,
    at.map((pointer, i) => ({ pointer, steps: inputs[i]?.inner ?? [] })),
    () => {
      made.forEach((result, i) => f.set(result, foldedBy(f, fold, element, result, elementAt(context, spec, at, i))))
    },
  )
  made.forEach((result, i) => element.store(f, z, result, i * element.bytes))
}

function foldedBy(f: FunctionBuilder, fold: Fold, element: Element, result: Local<Work>, next: Expr<Work>): Expr<Work> {
  if (fold === "sum") return element.add(result, next)
  if (fold === "product") return element.mul(result, next)
  const value = f.let(next)
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

interface ReduceCall {
  readonly inputs: { readonly x: PlacedTensor }
  readonly outputs: { readonly z: PlacedTensor }
  readonly attrs: { readonly axis: readonly number[] }
  readonly prologue?: FusedPrologue
  readonly workspace: Place
}

function emitReduce(
  fold: Fold,
  { inputs: { x }, outputs: { z }, attrs: { axis }, prologue, workspace }: ReduceCall,
  emit: Emit,
): void {
  if (x.elements === 0) return emitFill(z, emptyOf(fold, x.dtype), emit)
  const own = { scalar: { op: "input", slot: "x" } as const, inputs: { x: { tensor: x } } }
  const source: FusedPrologue = prologue ?? own
  const read = Object.entries(source.inputs)
  const steps = read.map(([, { tensor, strides }]) => {
    const bytes = bytesOf(tensor.dtype)
    return strides === undefined ? rowMajor(x.shape, bytes) : strides.map((stride) => stride * bytes)
  })
  // The step by which the result is walked: 0 along reduced axes, so that these merge with each other only.
  const results = rowMajor(x.shape.map((size, i) => (axis.includes(i) ? 1 : size))).map((step, i) =>
    axis.includes(i) ? 0 : step,
  )
  const space = collapse({ sizes: x.shape, steps: [...steps, results] })
  const isSingle = space.sizes.length === 0
  const sizes = isSingle ? [1] : space.sizes
  const views = isSingle ? [...read.map(([, { tensor }]) => [bytesOf(tensor.dtype)]), [0]] : space.steps
  const kept = views.at(-1) ?? []
  const last = sizes.length - 1
  const isKeptInside = kept[last] !== 0
  const axes = (isKept: boolean) =>
    sizes.flatMap((_, i) => ((kept[i] !== 0) === isKept && !(isKeptInside && i === last) ? [i] : []))
  const [outer, inner] = [axes(true), axes(false)]
  const spec: ReduceSpec = {
    fold,
    scalar: shareParts(source.scalar),
    dtype: x.dtype,
    inputs: read.map(([slot, { tensor }], i) => ({
      slot,
      dtype: tensor.dtype,
      outer: outer.length === 0 ? [0] : outer.map((a) => views[i]?.[a] ?? 0),
      inner: inner.map((a) => views[i]?.[a] ?? 0),
      step: views[i]?.[last] ?? 0,
    })),
    outer: outer.slice(1).map((a) => sizes[a] ?? 1),
    inner: inner.map((a) => sizes[a] ?? 1),
    width: isKeptInside ? (sizes[last] ?? 1) : 0,
    isPartial: false,
  }
  const rows = outer[0] === undefined ? 1 : (sizes[outer[0]] ?? 1)
  const cost = x.elements * (costOf([spec.scalar], read.length) + 0.1)
  const { bytes } = elementOf(z.dtype)
  /** Some rows of results, from elements that lie somewhat behind the first. */
  const run = (part: ReduceSpec, count: number, target: Place, ahead: (input: FoldInput) => number) => {
    const at = read.flatMap(([, { tensor }], i) => {
      const input = spec.inputs[i]
      return input === undefined ? [] : [[`x${i}`, behind(tensor.place, ahead(input))] as const]
    })
    emit.run(reduce, { ...Object.fromEntries(at), z: target, n: argument(count) }, part)
  }
  const long = spec.inner[0] ?? 1
  if (rows === 1 && spec.width >= 2 * side) {
    const columns = (start: number, width: number) =>
      run({ ...spec, width }, 1, behind(z.place, start * bytes), ({ step }) => start * step)
    emitParts(spec.width, cost / spec.width, emit, columns, side)
  } else if (isLongSum(spec, z.elements)) {
    const piece = (start: number, length: number, part: number) =>
      run({ ...spec, inner: [length], isPartial: true }, 1, behind(workspace, 8 * part), ({ step }) => start * step)
    const parts = emitParts(long, cost / long, emit, piece, sums)
    emit.run(addUp, { x: workspace, z: z.place }, { count: parts })
  } else {
    emitParts(rows, cost / rows, emit, (start, count) =>
      run(spec, count, behind(z.place, (start * z.elements * bytes) / rows), ({ outer: [step = 0] }) => start * step),
    )
  }
}

/** Sums from here on are made in parts, which may be made at the same time. */
const longSum = 2 ** 17

/** Room for the partial sums. */
const partialBytes = 8 * mostParts

function isLongSum(spec: ReduceSpec, results: number): boolean {
  if (spec.fold !== "sum" || results !== 1 || spec.inner.length !== 1 || vectorTypes(spec) === undefined) return false
  return (spec.inner[0] ?? 0) >= longSum
}

/** z = x₀ + x₁ + …, in float64, rounded to float32. */
const addUp: Kernel<"x" | "z", { readonly count: number }> = {
  name: "addUp",
  build: ({ f }, { x, z }, { count: terms }) => {
    const total = f.let(f64.load(x))
    for (let i = 1; i < terms; i++) f.set(total, f64.add(total, f64.load(x, 8 * i)))
    f.store("f32", z, f32.demoteF64(total))
  },
}

/** In vectors, as the loop that would make the input does: products and other dtypes are folded one by one. */
const computes = ({ inputs: { x } }: ReduceShapes) => x.dtype === "float32"

export interface ReduceShapes {
  readonly inputs: { readonly x: TensorShape }
  readonly outputs: { readonly z: TensorShape }
}

const workspace = ({ inputs: { x }, outputs: { z } }: ReduceShapes) =>
  x.dtype === "float32" && z.elements === 1 && x.elements >= longSum ? partialBytes : 0

export const reduction = {
  reduceSum: { computes, workspace, emit: (call, emit) => emitReduce("sum", call, emit) },
  reduceProd: (call, emit) => emitReduce("product", call, emit),
  reduceMax: { computes, emit: (call, emit) => emitReduce("maximum", call, emit) },
  reduceMin: { computes, emit: (call, emit) => emitReduce("minimum", call, emit) },
} satisfies Generators<Registry>
