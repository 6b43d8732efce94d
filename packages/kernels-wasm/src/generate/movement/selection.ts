// Operators that choose elements: by places that are data, which they check, and by comparing along an axis.

import type { DType } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import {
  type Expr,
  f32,
  f32x4,
  type FunctionBuilder,
  i32,
  i32x4,
  i64,
  type Local,
  v128,
} from "../../assembler/index.ts"
import { reportPlace } from "../control.ts"
import { copyRun, emitFill } from "./copy.ts"
import { bytesOf, type Element, elementOf, type Work } from "../expression/element.ts"
import type { Kernel } from "../kernel.ts"
import type { Emit, Generators, PlacedTensor, TensorShape } from "../signature.ts"
import { count, lanesOf, rowMajor } from "../space/space.ts"
import { walk } from "../space/walk.ts"

/** How a tensor is addressed: `outer` blocks, in each the places along the indexed axes, at each `run` bytes. */
interface PlacesSpec {
  readonly dtype: DType
  readonly index: DType
  readonly outer: number
  /** Bytes of one of the outer blocks, and of what lies at one place. */
  readonly block: number
  readonly run: number
  /** How many places the index names. */
  readonly rows: number
  /** The first indexed axis; of each its size and its step in bytes. */
  readonly axis: number
  readonly sizes: readonly number[]
  readonly steps: readonly number[]
}

function placesOf(shape: readonly number[], index: TensorShape, axis: number, dtype: DType): PlacesSpec {
  const depth = index.shape.at(-1) ?? 0
  const sizes = shape.slice(axis, axis + depth)
  const run = count(shape.slice(axis + depth)) * bytesOf(dtype)
  return {
    dtype,
    index: index.dtype,
    outer: count(shape.slice(0, axis)),
    block: count(sizes) * run,
    run,
    rows: count(index.shape.slice(0, -1)),
    axis,
    sizes,
    steps: rowMajor(shape, bytesOf(dtype)).slice(axis, axis + depth),
  }
}

/** The byte offset of the place that an index row names; leaves the kernel where there is no such place. */
function offsetOf(f: FunctionBuilder, row: Local<"i32">, { index, axis, sizes, steps }: PlacesSpec): Local<"i32"> {
  const offset = f.let(i32.const(0))
  sizes.forEach((size, k) => {
    const at = k * bytesOf(index)
    const place = f.let(index === "int64" ? i64.load(row, at) : i64.extendI32S(i32.load(row, at)))
    // Without sign a negative place is a very large one.
    f.if(i64.geU(place, size), () => reportPlace(f, place, axis + k, size))
    f.increment(offset, i32.mul(i32.wrapI64(place), steps[k] ?? 0))
  })
  return offset
}

const gatherNd: Kernel<"x" | "index" | "z", PlacesSpec> = {
  name: "gatherNd",
  canFail: true,
  build: ({ f }, { x, index, z }, spec) => {
    const { outer, block, run, rows, sizes } = spec
    f.forRange(
      rows,
      () => {
        const [from, to] = [f.let(i32.add(x, offsetOf(f, index, spec))), f.let(z)]
        const advance = [[from, block] as const, [to, rows * run] as const]
        f.forRange(run === 0 ? 0 : outer, () => copyRun(f, to, from, run), { advance })
      },
      {
        advance: [
          [index, sizes.length * bytesOf(spec.index)],
          [z, run],
        ],
      },
    )
    f.return(0)
  },
}

/** Updates are added in their order, in the dtype of the result: every sum is rounded. */
const scatterNdAdd: Kernel<"updates" | "index" | "z", PlacesSpec> = {
  name: "scatterNdAdd",
  canFail: true,
  build: ({ f }, { updates, index, z }, spec) => {
    const { outer, block, run, rows, sizes, dtype } = spec
    f.forRange(
      rows,
      () => {
        const [from, to] = [f.let(updates), f.let(i32.add(z, offsetOf(f, index, spec)))]
        const advance = [[from, rows * run] as const, [to, block] as const]
        f.forRange(run === 0 ? 0 : outer, () => addRun(f, to, from, run, dtype), { advance })
      },
      {
        advance: [
          [index, sizes.length * bytesOf(spec.index)],
          [updates, run],
        ],
      },
    )
    f.return(0)
  },
}

/** Adds `run` bytes of elements to others, element by element. */
function addRun(f: FunctionBuilder, to: Local<"i32">, from: Local<"i32">, run: number, dtype: DType): void {
  const { bytes } = elementOf(dtype)
  const add = dtype === "float32" ? f32x4.add : dtype === "int32" ? i32x4.add : null
  if (run === bytes) return addTo(f, to, from, dtype)
  const [target, source] = [f.let(to), f.let(from)]
  const by = (step: number) => ({ advance: [[target, step] as const, [source, step] as const] })
  const vectors = add === null ? 0 : Math.floor(run / 16)
  f.forRange(
    vectors,
    () =>
      f.store(
        "v128",
        target,
        add?.(v128.load(target, 0, bytes), v128.load(source, 0, bytes)) ?? v128.load(source),
        0,
        bytes,
      ),
    by(16),
  )
  f.forRange((run - 16 * vectors) / bytes, () => addTo(f, target, source, dtype), by(bytes))
}

function addTo(f: FunctionBuilder, to: Local<"i32">, from: Local<"i32">, dtype: DType): void {
  // Adding two float32 in f64 and rounding gives what f32.add gives.
  if (dtype === "float32") return f.store("f32", to, f32.add(f32.load(to), f32.load(from)))
  const element = elementOf(dtype)
  element.store(f, to, element.add(element.load(to), element.load(from)))
}

interface FirstSpec {
  readonly dtype: DType
  readonly index: DType
  readonly outer: number
  readonly length: number
  readonly inner: number
  readonly beats: "greater" | "less"
}

/** The place of the first element that beats all before it, in every lane; the first NaN beats all. */
const first: Kernel<"x" | "z", FirstSpec> = {
  name: "first",
  build: ({ f }, { x, z }, { dtype, index, outer, length, inner, beats }) => {
    const [element, places] = [elementOf(dtype), elementOf(index)]
    const { bytes } = element
    const walkers = [
      { pointer: x, steps: [length * inner * bytes, bytes] },
      { pointer: z, steps: [inner * places.bytes, places.bytes] },
    ]
    const best = f.local("i32")
    walk(f, [outer, inner], walkers, () => {
      f.set(best, 0)
      const from = f.let(x)
      const value = f.let(element.load(from))
      f.increment(from, inner * bytes)
      f.forRange(
        length,
        (k) => {
          const candidate = f.let(element.load(from))
          const greater = beats === "greater" ? element.greater(candidate, value) : element.greater(value, candidate)
          f.if(beatsAll(element, greater, candidate, value), () => {
            f.set(best, k)
            f.set(value, candidate)
          })
        },
        { from: 1, advance: [[from, inner * bytes]] },
      )
      places.store(f, z, index === "int64" ? i64.extendI32U(best) : best)
    })
  },
}

/** Once a NaN is found it stays: nothing compares with it, and another one is not taken. */
function beatsAll(element: Element, greater: Expr<"i32">, candidate: Local<Work>, value: Local<Work>): Expr<"i32"> {
  const [isNaN, wasNaN] = [element.isNaN(candidate), element.isNaN(value)]
  return isNaN === null || wasNaN === null ? greater : i32.or(greater, i32.and(isNaN, i32.eqz(wasNaN)))
}

function emitFirst(beats: FirstSpec["beats"], x: PlacedTensor, z: PlacedTensor, axis: number, emit: Emit): void {
  if (z.elements === 0) return
  const lanes = lanesOf(x.shape, axis)
  if (lanes.length === 0) return emitFill(z, 0, emit)
  emit.run(first, { x: x.place, z: z.place }, { dtype: x.dtype, index: z.dtype, ...lanes, beats })
}

export const selection = {
  gatherNd: ({ inputs: { x, index }, outputs: { z }, attrs: { axis } }, emit) => {
    const spec = placesOf(x.shape, index, axis, x.dtype)
    // Even where nothing is moved, every place is checked.
    if (spec.rows > 0) emit.run(gatherNd, { x: x.place, index: index.place, z: z.place }, spec)
  },

  scatterNdAdd: ({ inputs: { updates, index }, outputs: { z }, attrs: { shape, axis } }, emit) => {
    emitFill(z, 0, emit)
    const spec = placesOf(shape, index, axis, z.dtype)
    const at = { updates: updates.place, index: index.place, z: z.place }
    if (spec.rows > 0) emit.run(scatterNdAdd, at, spec)
  },

  argmax: ({ inputs: { x }, outputs: { z }, attrs: { axis } }, emit) => emitFirst("greater", x, z, axis, emit),
  argmin: ({ inputs: { x }, outputs: { z }, attrs: { axis } }, emit) => emitFirst("less", x, z, axis, emit),
} satisfies Generators<Registry>
