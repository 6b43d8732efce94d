// Operators that draw random numbers: what element i holds depends on key, stream, step and i alone.
//
//   counter = [stream, step, trip, block]          one block of Philox = four words
//   float32, int32   element i: block i >> 2, word i & 3
//   float64, int64   element i: block i >> 1, words 2·(i & 1) and the next, 53 bits in all

import { type DType, fail } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import { call, type Expr, f32, f64, type FunctionBuilder, i32, i64, type Local, select } from "../assembler/index.ts"
import { elementOf, type Work } from "./element.ts"
import type { Kernel, KernelContext } from "./kernel.ts"
import { below } from "./neighbour.ts"
import { inverseNormalOf } from "./normal.ts"
import { philoxOf } from "./philox.ts"
import type { Emit, Generators, PlacedTensor } from "./signature.ts"

interface DrawSpec {
  readonly dtype: DType
  readonly count: number
  readonly key: readonly [number, number]
  readonly stream: number
  readonly draw: Draw
}

type Draw =
  | { readonly kind: "uniform"; readonly min: number; readonly max: number }
  | { readonly kind: "normal" | "truncatedNormal"; readonly mean: number; readonly std: number }
  | { readonly kind: "integer"; readonly low: number; readonly high: number }

/** Draws outside of loops; inside one it is the enclosing loop's index. */
const trip = 0

const draw: Kernel<"step" | "z", DrawSpec> = {
  name: "draw",
  build: (context, { step, z }, { dtype, count, key, stream, draw: drawn }) => {
    const { f, module } = context
    const { bytes } = elementOf(dtype)
    const [w0, w1, w2, w3] = [f.local("i32"), f.local("i32"), f.local("i32"), f.local("i32")]
    const philox = philoxOf(module)
    const perElement =
      bytes === 8
        ? [
            [w0, w1],
            [w2, w3],
          ]
        : [[w0], [w1], [w2], [w3]]
    const now = f.let(i32.load(step))
    const fill = (block: Local<"i32">, elements: number) => {
      f.receive([w0, w1, w2, w3], philox, key[0], key[1], stream, now, trip, block)
      for (const [i, words] of perElement.slice(0, elements).entries()) {
        elementOf(dtype).store(f, z, valueOf(context, words, dtype, drawn), i * bytes)
      }
    }
    const { length } = perElement
    const blocks = Math.floor(count / length)
    f.forRange(blocks, (block) => fill(block, length), { advance: [[z, 16]] })
    if (count > blocks * length) fill(f.let(i32.const(blocks)), count - blocks * length)
  },
}

function valueOf(context: KernelContext, words: readonly Local<"i32">[], dtype: DType, drawn: Draw): Expr<Work> {
  const { f } = context
  if (drawn.kind === "uniform") return uniformOf(f, words, dtype, drawn.min, drawn.max)
  if (drawn.kind === "integer") return integerOf(words, dtype, drawn.low, drawn.high)
  const p = midpointOf(words)
  const inverse = inverseNormalOf(context.module)
  if (drawn.kind === "normal") return f64.add(drawn.mean, f64.mul(drawn.std, call(inverse, p)))
  const z = call(inverse, f64.add(truncatedBelow, f64.mul(p, truncatedSpan)))
  // The last bit of z is not to be trusted with the bound.
  return f64.add(drawn.mean, f64.mul(drawn.std, f64.max(-2, f64.min(2, z))))
}

/** Φ(−2) and Φ(2) − Φ(−2): the truncated normal keeps what lies within two deviations of the mean. */
const [truncatedBelow, truncatedSpan] = [0.022750131948179209, 0.9544997361036416]

function word(words: readonly Local<"i32">[], index: 0 | 1): Local<"i32"> {
  return words[index] ?? fail("CF_INTERNAL", "a draw has too few words")
}

/** The top 27 bits of the one word and the top 26 of the other as a 53-bit fraction in [0, 1). */
function fraction53(words: readonly Local<"i32">[]): Expr<"f64"> {
  const high = f64.convertI32U(i32.shrU(word(words, 0), 5))
  const low = f64.convertI32U(i32.shrU(word(words, 1), 6))
  return f64.mul(f64.add(f64.mul(high, 2 ** 26), low), 2 ** -53)
}

/** A uniform number in [0, 1), with as many bits as the dtype holds. */
function fractionOf(words: readonly Local<"i32">[]): Expr<"f64"> {
  return words.length === 2 ? fraction53(words) : f64.mul(f64.convertI32U(i32.shrU(word(words, 0), 8)), 2 ** -24)
}

/** A uniform number in (0, 1): the middle of its interval, so that both tails are reachable. */
function midpointOf(words: readonly Local<"i32">[]): Expr<"f64"> {
  if (words.length === 1) return f64.mul(f64.add(f64.convertI32U(word(words, 0)), 0.5), 2 ** -32)
  // Adding a half to more than 52 bits rounds; the very last interval would round to 1.
  return f64.min(f64.add(fraction53(words), 2 ** -54), 1 - 2 ** -53)
}

/** Uniform in [min, max); a number that rounding would put on `max` becomes the one just below. */
function uniformOf(
  f: FunctionBuilder,
  words: readonly Local<"i32">[],
  dtype: DType,
  min: number,
  max: number,
): Expr<"f64"> {
  const span = max - min
  const last = span > 0 ? below(max, dtype) : max
  const value = f64.add(min, f64.mul(fractionOf(words), span))
  const stored = f.let(dtype === "float32" ? f64.promoteF32(f32.demoteF64(value)) : value)
  return select(f64.gt(stored, last), f64.const(last), stored)
}

/** The high word of word × range (Lemire 2019, without the rejection step). */
function integerOf(words: readonly Local<"i32">[], dtype: DType, low: number, high: number): Expr<Work> {
  const drawn = i64.extendI32U(word(words, 0))
  const place = high - low === 2 ** 32 ? drawn : i64.shrU(i64.mul(drawn, high - low), 32)
  const value = i64.add(place, low)
  return dtype === "int64" ? value : i32.wrapI64(value)
}

/** A seed's two's complement, low and high word: the key of Philox. */
function keyOf(seed: number | null): [number, number] {
  if (seed === null)
    return fail("CF_INTERNAL", "a draw without a seed reached a kernel: legalizing puts the program's in")
  return [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0]
}

interface DrawAttrs {
  readonly seed: number | null
  readonly stream: number
}

function emitDraw(step: PlacedTensor, z: PlacedTensor, { seed, stream }: DrawAttrs, drawn: Draw, emit: Emit): void {
  if (z.elements === 0) return
  const spec = { dtype: z.dtype, count: z.elements, key: keyOf(seed), stream: stream >>> 0, draw: drawn }
  emit.run(draw, { step: step.place, z: z.place }, spec)
}

export const random = {
  uniformRandom: ({ inputs: { step }, outputs: { z }, attrs }, emit) =>
    emitDraw(step, z, attrs, { kind: "uniform", min: attrs.min, max: attrs.max }, emit),

  gaussianRandom: ({ inputs: { step }, outputs: { z }, attrs }, emit) =>
    emitDraw(step, z, attrs, { kind: "normal", mean: attrs.mean, std: attrs.std }, emit),

  truncatedGaussianRandom: ({ inputs: { step }, outputs: { z }, attrs }, emit) =>
    emitDraw(step, z, attrs, { kind: "truncatedNormal", mean: attrs.mean, std: attrs.std }, emit),

  randint: ({ inputs: { step }, outputs: { z }, attrs }, emit) =>
    emitDraw(step, z, attrs, { kind: "integer", low: attrs.low, high: attrs.high }, emit),
} satisfies Generators<Registry>
