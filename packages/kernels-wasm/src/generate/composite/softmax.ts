// Softmax and its logarithm in one piece: three passes over each run while it is in the cache. Operation for operation their
// decomposition, so the bits are the same.

import type { DType } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import type { Local } from "../../assembler/index.ts"
import { bytesOf } from "../expression/element.ts"
import type { Kernel } from "../kernel.ts"
import { type Numbers, type NumberType, withNumbers } from "../space/numbers.ts"
import { emitParts } from "../parts.ts"
import { eachRuns, type Runs, type RunSpace } from "../space/runs.ts"
import { behind, type Emit, type KeptGenerators, type PlacedTensor } from "../signature.ts"
import { lanesOf } from "../space/space.ts"

interface SoftmaxSpec extends RunSpace {
  readonly dtype: DType
  readonly isLog: boolean
}

const softmax: Kernel<"x" | "z", SoftmaxSpec> = {
  name: "softmax",
  build: (context, { x, z }, spec) => {
    withNumbers(context, spec.dtype, (numbers) => {
      eachRuns(numbers, spec, [x, z], [], (runs) => {
        const { f } = numbers
        const largest = runs.largest(x)
        const total = exponentials(numbers, runs, x, z, largest)
        if (!spec.isLog) return divideBy(numbers, runs, z, total)
        const logTotal = f.let(numbers.log(total))
        runs.each({ x, z }, (at, { offset, count }) => {
          const shifted = numbers.sub(numbers.load(at.x, offset, count), largest)
          numbers.store(at.z, f.let(numbers.sub(shifted, logTotal)), offset, count)
        })
      })
    })
  },
}

/** z = e^(x − largest); answers Σ z. The sum has a pass of its own: beside the exponentials it would find no register free. */
export function exponentials<T extends NumberType>(
  numbers: Numbers<T>,
  runs: Runs<T>,
  x: Local<"i32">,
  z: Local<"i32">,
  largest: Local<T>,
): Local<T> {
  const { f } = numbers
  runs.each({ x, z }, (at, { offset, count }) => {
    const shifted = f.let(numbers.sub(numbers.load(at.x, offset, count), largest))
    numbers.store(at.z, f.let(numbers.decay(shifted)), offset, count)
  })
  const sum = runs.sum()
  runs.each({ z }, (at, piece) => sum.add(f.let(numbers.load(at.z, piece.offset, piece.count)), piece))
  return sum.total()
}

/** z = z / total */
export function divideBy<T extends NumberType>(
  numbers: Numbers<T>,
  runs: Runs<T>,
  z: Local<"i32">,
  total: Local<T>,
): void {
  runs.each({ z }, (at, { offset, count }) => {
    numbers.store(at.z, numbers.f.let(numbers.div(numbers.load(at.z, offset, count), total)), offset, count)
  })
}

/** Nanoseconds for one element, roughly. */
export function softmaxCost(dtype: DType): number {
  return dtype === "float32" ? 1.4 : 12
}

/** The runs along an axis, cut into parts: `run` is given the runs of one, and the bytes before them. */
export function emitRuns(
  { shape, dtype }: PlacedTensor,
  axis: number,
  cost: number,
  emit: Emit,
  run: (space: RunSpace, start: { readonly bytes: number; readonly runs: number }) => void,
): void {
  const space = lanesOf(shape, axis)
  const each = space.length * space.inner
  emitParts(space.outer, each * cost, emit, (start, outer) =>
    run({ ...space, outer }, { bytes: start * each * bytesOf(dtype), runs: start * space.inner }),
  )
}

function emitSoftmax(x: PlacedTensor, z: PlacedTensor, axis: number, isLog: boolean, emit: Emit): void {
  if (z.elements === 0) return
  const { dtype } = x
  emitRuns(x, axis, softmaxCost(dtype), emit, (space, { bytes }) => {
    emit.run(softmax, { x: behind(x.place, bytes), z: behind(z.place, bytes) }, { ...space, dtype, isLog })
  })
}

export const softmaxGenerators = {
  softmax: ({ inputs: { x }, outputs: { z }, attrs: { axis } }, emit) => emitSoftmax(x, z, axis, false, emit),
  logSoftmax: ({ inputs: { x }, outputs: { z }, attrs: { axis } }, emit) => emitSoftmax(x, z, axis, true, emit),
} satisfies KeptGenerators<Registry>
