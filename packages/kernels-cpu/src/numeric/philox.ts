// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as
// 1, 2, 3" (SC 2011): four random words are a pure function of a 64-bit key and a 128-bit counter. No state, so a draw
// can be replayed, split and recomputed at will. Here too: the exact conversions of words to uniforms in [0, 1).

const multiplier0 = 0xd2511f53
const multiplier1 = 0xcd9e8d57
/** Key increments: the golden ratio and √3 − 1, as 32-bit fractions. */
const weyl0 = 0x9e3779b9
const weyl1 = 0xbb67ae85
const rounds = 10

/** Writes the four words of block (c0, c1, c2, c3) under key (key0, key1) to `out[0..3]`; all arguments modulo 2^32. */
export function philox(
  key0: number,
  key1: number,
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  out: Uint32Array,
): void {
  let k0 = key0 | 0
  let k1 = key1 | 0
  let x0 = c0 | 0
  let x1 = c1 | 0
  let x2 = c2 | 0
  let x3 = c3 | 0
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(multiplier0, x0)
    const high1 = multiplyHigh(multiplier1, x2)
    const low0 = Math.imul(multiplier0, x0)
    const low1 = Math.imul(multiplier1, x2)
    x0 = high1 ^ x1 ^ k0
    x1 = low1
    x2 = high0 ^ x3 ^ k1
    x3 = low0
    k0 = (k0 + weyl0) | 0
    k1 = (k1 + weyl1) | 0
  }
  out[0] = x0
  out[1] = x1
  out[2] = x2
  out[3] = x3
}

/**
 * The high word of the 64-bit product of two unsigned words, as an int32 bit pattern. Schoolbook on 16-bit halves:
 * no partial sum exceeds 2^32 − 1, so wrapping integer arithmetic is exact throughout.
 */
export function multiplyHigh(x: number, y: number): number {
  const xLow = x & 0xffff
  const xHigh = x >>> 16
  const yLow = y & 0xffff
  const yHigh = y >>> 16
  const first = (Math.imul(xHigh, yLow) + (Math.imul(xLow, yLow) >>> 16)) | 0
  const second = (Math.imul(xLow, yHigh) + (first & 0xffff)) | 0
  return (Math.imul(xHigh, yHigh) + (first >>> 16) + (second >>> 16)) | 0
}

/** The top 24 bits of a word as a fraction in [0, 1): every value is a float32. */
export function uniformWord32(word: number): number {
  return (word >>> 8) * 2 ** -24
}

/** The top 27 bits of `high` and the top 26 of `low` as a 53-bit fraction in [0, 1). */
export function uniformWord53(high: number, low: number): number {
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) * 2 ** -53
}
