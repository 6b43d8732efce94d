// Fills arrays with random numbers: what element i holds depends on key, stream, step, trip and i alone, so every
// backend that follows the same layout draws the same numbers.
//
//   counter = [stream, step, trip, block]          one block of Philox = four words
//   float32, int32   element i: block i >> 2, word i & 3
//   float64          element i: block i >> 1, words 2·(i & 1) and the next, 53 bits in all

import { float32Below, float64Below } from "./bits.ts"
import type { Reals } from "./gemm.ts"
import { inverseNormal } from "./normal.ts"
import { multiplyHigh, philox, uniformWord32, uniformWord53 } from "./philox.ts"

/** Φ(−2): the truncated normal keeps what lies within two deviations of the mean. */
const truncatedBelow = 0.022750131948179209
const truncatedSpan = 0.9544997361036416

const words = new Uint32Array(4)

/** Makes `words` hold the block of element i; elements are visited in order, so only a block's first one computes. */
function seek(
  i: number,
  isWide: boolean,
  key0: number,
  key1: number,
  stream: number,
  step: number,
  trip: number,
): void {
  if ((i & (isWide ? 1 : 3)) === 0) philox(key0, key1, stream, step, trip, isWide ? i >>> 1 : i >>> 2, words)
}

/** A uniform number in [0, 1) for element i, with as many bits as its dtype holds. */
function fraction(i: number, isWide: boolean): number {
  const lane = (i & 1) * 2
  return isWide ? uniformWord53(words[lane]!, words[lane + 1]!) : uniformWord32(words[i & 3]!)
}

/** A uniform number in (0, 1) for element i: the middle of its interval, so that both tails are reachable. */
function midpoint(i: number, isWide: boolean): number {
  if (!isWide) return (words[i & 3]! + 0.5) * 2 ** -32
  const lane = (i & 1) * 2
  // Adding a half to more than 52 bits rounds; the very last interval would round to 1.
  return Math.min(uniformWord53(words[lane]!, words[lane + 1]!) + 2 ** -54, 1 - 2 ** -53)
}

/** Uniform in [lo, hi); a number that rounding would put on `hi` becomes the one just below. */
export function fillUniform(
  out: Reals,
  lo: number,
  hi: number,
  key0: number,
  key1: number,
  stream: number,
  step: number,
  trip: number,
): void {
  const isWide = out instanceof Float64Array
  const span = hi - lo
  const last = span > 0 ? (isWide ? float64Below(hi) : float32Below(hi)) : hi
  for (let i = 0; i < out.length; i++) {
    seek(i, isWide, key0, key1, stream, step, trip)
    out[i] = lo + fraction(i, isWide) * span
    if (out[i]! > last) out[i] = last // read back: it is the store that rounds to float32
  }
}

/** Normal with the given mean and deviation, by the inverse of its distribution function. */
export function fillNormal(
  out: Reals,
  mean: number,
  std: number,
  key0: number,
  key1: number,
  stream: number,
  step: number,
  trip: number,
): void {
  const isWide = out instanceof Float64Array
  for (let i = 0; i < out.length; i++) {
    seek(i, isWide, key0, key1, stream, step, trip)
    out[i] = mean + std * inverseNormal(midpoint(i, isWide))
  }
}

/** Normal restricted to mean ± 2·std: the uniform is mapped into [Φ(−2), Φ(2)] first, so nothing is rejected. */
export function fillTruncatedNormal(
  out: Reals,
  mean: number,
  std: number,
  key0: number,
  key1: number,
  stream: number,
  step: number,
  trip: number,
): void {
  const isWide = out instanceof Float64Array
  for (let i = 0; i < out.length; i++) {
    seek(i, isWide, key0, key1, stream, step, trip)
    const z = inverseNormal(truncatedBelow + midpoint(i, isWide) * truncatedSpan)
    out[i] = mean + std * Math.max(-2, Math.min(2, z)) // the last bit of z is not to be trusted with the bound
  }
}

/**
 * Integers in [lo, hi), hi − lo ≤ 2^32: the high word of word × range (Lemire 2019, without the rejection step, so an
 * integer's probability is off by less than 2^-32). A float64 element uses the first of its two words.
 */
export function fillRandint(
  out: Reals | Int32Array,
  lo: number,
  hi: number,
  key0: number,
  key1: number,
  stream: number,
  step: number,
  trip: number,
): void {
  const isWide = out instanceof Float64Array
  const range = hi - lo
  for (let i = 0; i < out.length; i++) {
    seek(i, isWide, key0, key1, stream, step, trip)
    const word = words[isWide ? (i & 1) * 2 : i & 3]!
    out[i] = lo + (range === 2 ** 32 ? word : multiplyHigh(word, range) >>> 0)
  }
}
