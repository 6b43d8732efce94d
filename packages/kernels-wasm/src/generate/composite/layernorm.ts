// Layer normalization in one piece: mean, variance and result of each sample while it is in the cache. Operation for operation
// the decomposition, so the bits are the same.

import type { DType } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import type { Local } from "../../assembler/index.ts"
import { bytesOf } from "../expression/element.ts"
import type { Kernel } from "../kernel.ts"
import { type Numbers, type NumberType, withNumbers } from "../space/numbers.ts"
import { emitParts } from "../parts.ts"
import { rowRuns, type Runs } from "../space/runs.ts"
import { behind, type KeptGenerators, type Place } from "../signature.ts"
import { count } from "../space/space.ts"

interface LayerNormSpec {
  readonly dtype: DType
  readonly samples: number
  readonly length: number
  readonly epsilon: number
  readonly hasScale: boolean
  readonly hasBias: boolean
}

export interface Moments<T extends NumberType> {
  readonly mean: Local<T>
  readonly variance: Local<T>
  readonly invStd: Local<T>
}

/** Mean, biased variance and 1/√(variance + ε) of `elements` elements, in two passes. */
export function momentsOf<T extends NumberType>(
  numbers: Numbers<T>,
  runs: Runs<T>,
  x: Local<"i32">,
  elements: number,
  epsilon: number,
): Moments<T> {
  const { f } = numbers
  const n = numbers.constant(elements)
  const sum = runs.sum()
  runs.each({ x }, (at, piece) => sum.add(f.let(numbers.load(at.x, piece.offset, piece.count)), piece))
  const mean = f.let(numbers.div(sum.total(), n))
  const squares = runs.sum()
  runs.each({ x }, (at, piece) => {
    const distance = f.let(numbers.sub(numbers.load(at.x, piece.offset, piece.count), mean))
    squares.add(f.let(numbers.mul(distance, distance)), piece)
  })
  const variance = f.let(numbers.div(squares.total(), n))
  const invStd = f.let(numbers.div(numbers.constant(1), numbers.sqrt(numbers.add(variance, numbers.constant(epsilon)))))
  return { mean, variance, invStd }
}

type Slot = "x" | "scale" | "bias" | "y" | "mean" | "invStd"

const layerNorm: Kernel<Slot, LayerNormSpec> = {
  name: "layerNorm",
  build: (context, { x, y, scale, bias, mean, invStd }, { dtype, samples, length, epsilon, hasScale, hasBias }) => {
    withNumbers(context, dtype, (numbers) => {
      const { f, bytes } = numbers
      const runs = rowRuns(numbers, length)
      const body = () => {
        const moments = momentsOf(numbers, runs, x, length, epsilon)
        numbers.store(mean, moments.mean, 0, 1)
        numbers.store(invStd, moments.invStd, 0, 1)
        runs.each({ x, y, scale, bias }, (at, { offset, count: elements }) => {
          const load = (pointer: Local<"i32">) => numbers.load(pointer, offset, elements)
          const normalized = numbers.mul(numbers.sub(load(at.x), moments.mean), moments.invStd)
          const scaled = hasScale ? numbers.mul(normalized, load(at.scale)) : normalized
          numbers.store(at.y, f.let(hasBias ? numbers.add(scaled, load(at.bias)) : scaled), offset, elements)
        })
      }
      const advance = [x, y].map((pointer) => [pointer, length * bytes] as const)
      const single = [mean, invStd].map((pointer) => [pointer, bytes] as const)
      f.forRange(samples, body, { advance: [...advance, ...single] })
    })
  },
}

/** Nanoseconds for one element, roughly. */
export function normCost(dtype: DType): number {
  return dtype === "float32" ? 0.4 : 3
}

export const layerNormGenerators = {
  layerNorm: ({ inputs, outputs, attrs }, emit) => {
    const { x, scale, bias } = inputs
    const { y, mean, invStd } = outputs
    const { dtype } = x
    const [bytes, length] = [bytesOf(dtype), count(x.shape.slice(attrs.beginNormAxis))]
    const spec = { dtype, length, epsilon: attrs.epsilon, hasScale: scale !== undefined, hasBias: bias !== undefined }
    if (mean.elements === 0) return
    emitParts(mean.elements, length * normCost(dtype), emit, (start, samples) => {
      const sample = (place: Place) => behind(place, start * length * bytes)
      const single = (place: Place) => behind(place, start * bytes)
      const at = {
        x: sample(x.place),
        y: sample(y.place),
        // What is not there is not read.
        scale: (scale ?? x).place,
        bias: (bias ?? x).place,
        mean: single(mean.place),
        invStd: single(invStd.place),
      }
      emit.run(layerNorm, at, { ...spec, samples })
    })
  },
} satisfies KeptGenerators<Registry>
