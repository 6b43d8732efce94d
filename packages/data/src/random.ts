// Seeded permutations, the same on every host and for ever: shuffles name their seed instead of touching Math.random.
import { requireInteger } from "./errors.ts"

/**
 * The generator sfc32 (Chris Doty-Humphrey, PractRand 0.95: three words of state and a counter, period at least 2^32)
 * as a function that draws 32-bit words. `stream` separates draws of one seed, such as the epochs of a training run.
 */
export function sfc32(seed: number, stream = 0): () => number {
  requireInteger(seed, 0, "seed")
  requireInteger(stream, 0, "stream")
  let a = stream >>> 0
  let b = seed >>> 0
  let c = Math.floor(seed / 2 ** 32)
  let counter = 1
  const draw = () => {
    const word = (a + b + counter) >>> 0
    counter = (counter + 1) >>> 0
    a = (b ^ (b >>> 9)) >>> 0
    b = (c + (c << 3)) >>> 0
    c = (((c << 21) | (c >>> 11)) + word) >>> 0
    return word
  }
  // PractRand's own warm-up after seeding three words: seeds that differ in one bit have parted by then.
  for (let i = 0; i < 15; i++) draw()
  return draw
}

/** A uniformly drawn permutation of 0..n−1 (Fisher and Yates, from the end). */
export function shuffled(n: number, seed: number, stream = 0): Uint32Array {
  requireInteger(n, 0, "shuffled: n")
  const draw = sfc32(seed, stream)
  const order = Uint32Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = below(draw, i + 1)
    const moved = order[i] ?? 0
    order[i] = order[j] ?? 0
    order[j] = moved
  }
  return order
}

/** Uniform in 0..n−1: words past the last multiple of n are drawn again, since taking them would favour small values. */
function below(draw: () => number, n: number): number {
  const limit = 2 ** 32 - (2 ** 32 % n)
  for (;;) {
    const word = draw()
    if (word < limit) return word % n
  }
}
