// Moving bytes: copies of one view of an index space to another, and fills. Elements are moved as bits, whatever their dtype.

import type { DType } from "@counterflow/ir"
import { type FunctionBuilder, i32, i64, type Local } from "../../assembler/index.ts"
import { copyTransposed, spread, turnedAxis } from "./copy-transposed.ts"
import { bytesOf, elementOf } from "../expression/element.ts"
import type { Kernel } from "../kernel.ts"
import { behind, type Emit, type Place, type PlacedTensor } from "../signature.ts"
import { collapse, rowMajor } from "../space/space.ts"
import { walk } from "../space/walk.ts"

/** Some elements of a tensor: where the first one lies, and the step in bytes along every axis of an index space. */
export interface View {
  readonly place: Place
  readonly steps: readonly number[]
}

/** All of a tensor, in row-major order. */
export function wholeView({ place, shape, dtype }: PlacedTensor): View {
  return { place, steps: rowMajor(shape, bytesOf(dtype)) }
}

interface CopySpec {
  /** Of one element. */
  readonly bytes: number
  readonly sizes: readonly number[]
  readonly from: readonly number[]
  readonly to: readonly number[]
}

const copy: Kernel<"x" | "z", CopySpec> = {
  name: "copy",
  build: ({ f }, { x, z }, { bytes, sizes, from, to }) => {
    const last = sizes.length - 1
    const turned = turnedAxis(bytes, { sizes, from, to })
    if (turned !== undefined) return copyTransposed(f, x, z, { sizes, from, to }, turned)
    const stretches = bytes === 4 && last >= 0 && from[last] === 0 && to[last] === bytes
    const runs = last < 0 || (from[last] === bytes && to[last] === bytes)
    const outer = runs || stretches ? Math.max(last, 0) : sizes.length
    const length = runs ? bytes * (sizes[last] ?? 1) : bytes
    const walkers = [
      { pointer: x, steps: from.slice(0, outer) },
      { pointer: z, steps: to.slice(0, outer) },
    ]
    walk(f, sizes.slice(0, outer), walkers, () => {
      if (stretches) spread(f, z, x, sizes[last] ?? 1)
      else copyRun(f, z, x, length)
    })
  },
}

/** Up to here a run is moved by loads and stores: memory.copy is a call out of the generated code. */
const shortRun = 64

/** Copies a constant number of bytes between places that do not overlap. */
export function copyRun(f: FunctionBuilder, to: Local<"i32">, from: Local<"i32">, bytes: number): void {
  if (bytes > shortRun) return f.copy(to, from, bytes)
  let at = 0
  for (; at + 8 <= bytes; at += 8) f.store("i64", to, i64.load(from, at, 1), at, 1)
  for (; at + 4 <= bytes; at += 4) f.store("i32", to, i32.load(from, at, 1), at, 1)
  for (; at < bytes; at++) f.store("i32.8", to, i32.load8U(from, at), at)
}

/** to[…] = from[…] over an index space. */
export function emitCopy(sizes: readonly number[], from: View, to: View, dtype: DType, emit: Emit): void {
  if (sizes.includes(0)) return
  const space = collapse({ sizes, steps: [from.steps, to.steps] })
  const [own = [], others = []] = space.steps
  emit.run(copy, { x: from.place, z: to.place }, { bytes: bytesOf(dtype), sizes: space.sizes, from: own, to: others })
}

interface FillSpec {
  readonly dtype: DType
  readonly count: number
  readonly value: number
}

const fill: Kernel<"z", FillSpec> = {
  name: "fill",
  build: ({ f }, { z }, { dtype, count: elements, value }) => {
    const element = elementOf(dtype)
    if (Object.is(value, 0)) return f.fill(z, 0, elements * element.bytes)
    if (element.bytes === 1) return f.fill(z, value & 255, elements)
    f.forRange(elements, () => element.store(f, z, element.constant(value)), { advance: [[z, element.bytes]] })
  },
}

/** Gives every element one value, which is a value of the dtype. */
export function emitFill(z: PlacedTensor, value: number, emit: Emit): void {
  if (z.elements > 0) emit.run(fill, { z: z.place }, { dtype: z.dtype, count: z.elements, value })
}

/** The elements of a tensor at start + i·stride along every axis. */
export function windowView(
  { place, shape, dtype }: PlacedTensor,
  starts: readonly number[],
  strides: readonly number[],
): View {
  const own = rowMajor(shape, bytesOf(dtype))
  const start = starts.reduce((sum, at, axis) => sum + at * (own[axis] ?? 0), 0)
  return { place: behind(place, start), steps: own.map((step, axis) => step * (strides[axis] ?? 1)) }
}

/** As many elements as z has, as they lie. */
export function emitWhole(x: PlacedTensor, z: PlacedTensor, emit: Emit): void {
  const bytes = bytesOf(z.dtype)
  emitCopy([z.elements], { place: x.place, steps: [bytes] }, { place: z.place, steps: [bytes] }, z.dtype, emit)
}
