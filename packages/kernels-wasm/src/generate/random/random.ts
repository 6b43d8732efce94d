// Operators that draw random numbers: what element i holds depends on key, stream, step and i alone.
//
//   counter = [stream, step, trip, block]          one block of Philox = four words
//   float32, int32   element i: block i >> 2, word i & 3
//   float64, int64   element i: block i >> 1, words 2·(i & 1) and the next, 53 bits in all

import { type DType, fail } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import {
  type Expr,
  f32,
  f32x4,
  f64,
  f64x2,
  type FunctionBuilder,
  i32,
  i32x4,
  i64,
  type Local,
  select,
  v128,
} from "../../assembler/index.ts"
import { transpose } from "../../gemm/lanes.ts"
import { elementOf, type Work } from "../expression/element.ts"
import type { Kernel, KernelContext } from "../kernel.ts"
import { below } from "./neighbour.ts"
import { emitParts } from "../parts.ts"
import { philoxOf, philoxOfFour } from "./philox.ts"
import { pick } from "../pooling/rows.ts"
import { behind, type Emit, type Generators, type PlacedTensor } from "../signature.ts"
import { withConstants } from "../expression/vector.ts"

interface DrawSpec<D extends object> {
  readonly dtype: DType
  readonly count: number
  readonly key: readonly [number, number]
  readonly stream: number
  /** Whether the run of the enclosing loops is part of the counter; else it is 0. */
  readonly isInLoop: boolean
  readonly draw: D
}

interface Uniform {
  readonly kind: "uniform"
  readonly min: number
  readonly max: number
}

interface Integer {
  readonly kind: "integer"
  readonly low: number
  readonly high: number
}

/** One element from its words. */
type ValueOf<D> = (context: KernelContext, words: Words, dtype: DType, drawn: D) => Expr<Work>

type Words = readonly Local<"i32">[]

/** What is drawn, by which kernel, and what an element takes in nanoseconds. */
export interface Drawing<D extends object> {
  readonly kernel: DrawKernel<D>
  readonly nanoseconds: number
}

type DrawKernel<D extends object> = Kernel<"step" | "trip" | "z" | "block", DrawSpec<D>>

/** A kernel that draws `count` elements; `block` is the number of the first block, not a place. */
export function drawKernel<D extends object>(name: string, valueOf: ValueOf<D>, fours?: Fours<D>): DrawKernel<D> {
  const build: DrawKernel<D>["build"] = (context, { step, trip, z, block }, spec) => {
    const { f, module } = context
    const { dtype, count, key, stream, draw: drawn } = spec
    const { bytes } = elementOf(dtype)
    const now = f.let(i32.load(step))
    const round = f.let(spec.isInLoop ? i32.load(trip) : i32.const(0))
    const counter = [now, round, block] as const
    const done = fours?.(f, counter, z, spec) ?? 0
    const [w0, w1, w2, w3] = [f.local("i32"), f.local("i32"), f.local("i32"), f.local("i32")]
    const perElement =
      bytes === 8
        ? [
            [w0, w1],
            [w2, w3],
          ]
        : [[w0], [w1], [w2], [w3]]
    const fill = (elements: number) => {
      f.receive([w0, w1, w2, w3], philoxOf(module), key[0], key[1], stream, ...counter)
      for (const [i, words] of perElement.slice(0, elements).entries()) {
        elementOf(dtype).store(f, z, valueOf(context, words, dtype, drawn), i * bytes)
      }
    }
    const { length } = perElement
    const rest = count - done
    const advance = [[z, 16] as const, [block, 1] as const]
    f.forRange(Math.floor(rest / length), () => fill(length), { advance })
    if (rest % length > 0) fill(rest % length)
  }
  return { name, build }
}

/** Elements that are drawn together: the four words of four blocks. */
const together = 16

/** Draws all whole groups, moves z and block behind them, and answers how many elements that were. */
type Fours<D extends object> = (
  f: FunctionBuilder,
  counter: readonly [Local<"i32">, Local<"i32">, Local<"i32">],
  z: Local<"i32">,
  spec: DrawSpec<D>,
) => number

const drawFours: Fours<Uniform | Integer> = (f, [now, round, block], z, { dtype, count, key, stream, draw: drawn }) => {
  const groups = Math.floor(count / together)
  if (groups === 0 || dtype !== "float32" || drawn.kind !== "uniform") return 0
  const { min, max } = drawn
  const [span, last] = [max - min, lastOf(min, max, "float32")]
  withConstants(f, (lanes) => {
    const own = lanes.f
    const pair = (value: number) => own.let(f64x2.splat(f64.const(value)))
    const [unit, scale, shift] = [pair(2 ** -24), pair(span), pair(min)]
    const [moment, turn] = [own.let(i32x4.splat(now)), own.let(i32x4.splat(round))]
    const beside = own.let(i32x4.const(0, 1, 2, 3))
    // As for one element: the product and the sum in f64, then rounded.
    const half = (words: Expr<"v128">) => {
      const fraction = f64x2.mul(f64x2.convertLowI32x4U(words), unit)
      return f32x4.demoteF64x2Zero(f64x2.add(shift, f64x2.mul(fraction, scale)))
    }
    const draws = (words: Local<"v128">) => {
      const top = own.let(i32x4.shrU(words, 8))
      if (min === 0 && max === 1) return f32x4.mul(f32x4.convertI32x4U(top), lanes.float(2 ** -24))
      const value = own.let(pick([0, 1, 4, 5], half(top), half(pick([2, 3, 2, 3], top, top))))
      return v128.bitselect(lanes.float(last), value, f32x4.gt(value, lanes.float(last)))
    }
    own.forRange(
      groups,
      () => {
        const counter = [lanes.bits(stream | 0), moment, turn, i32x4.add(i32x4.splat(block), beside)]
        const [a, b, c, d] = transpose(own, philoxOfFour(lanes, key, counter))
        ;[a, b, c, d].forEach((words, i) => own.store("v128", z, draws(words), 16 * i, 4))
      },
      {
        advance: [
          [z, 4 * together],
          [block, 4],
        ],
      },
    )
  })
  return groups * together
}

const simple: Drawing<Uniform | Integer> = {
  kernel: /*#__PURE__*/ drawKernel("draw", simpleValue, drawFours),
  nanoseconds: 1.5,
}

function simpleValue({ f }: KernelContext, words: Words, dtype: DType, drawn: Uniform | Integer): Expr<Work> {
  return drawn.kind === "uniform"
    ? uniformOf(f, words, dtype, drawn.min, drawn.max)
    : integerOf(words, dtype, drawn.low, drawn.high)
}

function word(words: Words, index: 0 | 1): Local<"i32"> {
  return words[index] ?? fail("CF_INTERNAL", "a draw has too few words")
}

/** The top 27 bits of the one word and the top 26 of the other as a 53-bit fraction in [0, 1). */
function fraction53(words: Words): Expr<"f64"> {
  const high = f64.convertI32U(i32.shrU(word(words, 0), 5))
  const low = f64.convertI32U(i32.shrU(word(words, 1), 6))
  return f64.mul(f64.add(f64.mul(high, 2 ** 26), low), 2 ** -53)
}

/** A uniform number in [0, 1), with as many bits as the dtype holds. */
function fractionOf(words: Words): Expr<"f64"> {
  return words.length === 2 ? fraction53(words) : f64.mul(f64.convertI32U(i32.shrU(word(words, 0), 8)), 2 ** -24)
}

/** A uniform number in (0, 1): the middle of its interval, so that both tails are reachable. */
export function midpointOf(words: Words): Expr<"f64"> {
  if (words.length === 1) return f64.mul(f64.add(f64.convertI32U(word(words, 0)), 0.5), 2 ** -32)
  // Adding a half to more than 52 bits rounds; the very last interval would round to 1.
  return f64.min(f64.add(fraction53(words), 2 ** -54), 1 - 2 ** -53)
}

/** Uniform in [min, max); a number that rounding would put on `max` becomes the one just below. */
function uniformOf(f: FunctionBuilder, words: Words, dtype: DType, min: number, max: number): Expr<"f64"> {
  const last = lastOf(min, max, dtype)
  const value = f64.add(min, f64.mul(fractionOf(words), max - min))
  const stored = f.let(dtype === "float32" ? f64.promoteF32(f32.demoteF64(value)) : value)
  return select(f64.gt(stored, last), f64.const(last), stored)
}

/** The largest number that may be drawn. */
function lastOf(min: number, max: number, dtype: DType): number {
  return max > min ? below(max, dtype) : max
}

/** The high word of word × range (Lemire 2019, without the rejection step). */
function integerOf(words: Words, dtype: DType, low: number, high: number): Expr<Work> {
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

interface DrawCall {
  readonly inputs: { readonly step: PlacedTensor; readonly trip: PlacedTensor | undefined }
  readonly outputs: { readonly z: PlacedTensor }
  readonly attrs: DrawAttrs
}

export function emitDraw<D extends object>(
  { kernel, nanoseconds }: Drawing<D>,
  { inputs: { step, trip }, outputs: { z }, attrs }: DrawCall,
  drawn: D,
  emit: Emit,
): void {
  if (z.elements === 0) return
  const { seed, stream } = attrs
  const spec = { dtype: z.dtype, key: keyOf(seed), stream: stream >>> 0, isInLoop: trip !== undefined, draw: drawn }
  const { bytes } = elementOf(z.dtype)
  emitParts(Math.ceil(z.elements / together), together * nanoseconds, emit, (start, groups) => {
    const first = start * together
    const at = {
      step: step.place,
      trip: (trip ?? step).place,
      z: behind(z.place, first * bytes),
      block: { base: "fixed", offset: (first * bytes) / 16 } as const,
    }
    emit.run(kernel, at, { ...spec, count: Math.min(groups * together, z.elements - first) })
  })
}

export const random = {
  uniformRandom: (call, emit) => {
    emitDraw(simple, call, { kind: "uniform", min: call.attrs.min, max: call.attrs.max }, emit)
  },

  randint: (call, emit) =>
    emitDraw(simple, call, { kind: "integer", low: call.attrs.low, high: call.attrs.high }, emit),
} satisfies Generators<Registry>
