// The fills: which words an element takes, bounds that rounding must not break, and the distributions drawn.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { fillNormal, fillRandint, fillTruncatedNormal, fillUniform } from "../../src/numeric/draws.ts"
import type { Reals } from "../../src/numeric/gemm.ts"
import { inverseNormal } from "../../src/numeric/normal.ts"
import { philox, uniformWord32, uniformWord53 } from "../../src/numeric/philox.ts"
import { erf } from "../../src/numeric/special.ts"

const key = [0x1234567, 0x89abcdef] as const
const place = [7, 3, 2] as const // stream, step, trip

function wordsOf(block: number): number[] {
  const out = new Uint32Array(4)
  philox(...key, ...place, block, out)
  return [...out]
}

/** The words of the first blocks, as the float32 layout deals them out to elements. */
function words(count: number): number[] {
  return Array.from({ length: count }, (_, i) => wordsOf(i >> 2)[i & 3]!)
}

/** The pairs of words of the float64 layout. */
function pairs(count: number): [number, number][] {
  return Array.from({ length: count }, (_, i) => {
    const four = wordsOf(i >> 1)
    return i % 2 === 0 ? [four[0]!, four[1]!] : [four[2]!, four[3]!]
  })
}

const normal = (z: number) => (1 + erf(z / Math.SQRT2)) / 2

/** Kolmogorov's distance between the sample and a distribution function, times √n; above 2 has a chance of 0.07 %. */
function kolmogorov(sample: Reals, distribution: (x: number) => number): number {
  const sorted = Float64Array.from(sample).sort()
  const n = sorted.length
  const gaps = sorted.map((x, i) => Math.max(distribution(x) - i / n, (i + 1) / n - distribution(x)))
  return Math.sqrt(n) * gaps.reduce((most, gap) => Math.max(most, gap), 0)
}

describe("layout", () => {
  test.each([0, 1, 3, 5, 17, 33])("%i elements take the words of their blocks in order", (count) => {
    const narrow = new Float32Array(count)
    fillUniform(narrow, 0, 1, ...key, ...place)
    expect([...narrow]).toEqual(words(count).map(uniformWord32))
    fillNormal(narrow, 0, 1, ...key, ...place)
    expect([...narrow]).toEqual(words(count).map((word) => Math.fround(inverseNormal((word + 0.5) * 2 ** -32))))

    const wide = new Float64Array(count)
    fillUniform(wide, 0, 1, ...key, ...place)
    expect([...wide]).toEqual(pairs(count).map(([high, low]) => uniformWord53(high, low)))
    fillNormal(wide, 0, 1, ...key, ...place)
    expect([...wide]).toEqual(pairs(count).map(([high, low]) => inverseNormal(uniformWord53(high, low) + 2 ** -54)))

    const integers = new Int32Array(count)
    fillRandint(integers, -50, 950, ...key, ...place)
    expect([...integers]).toEqual(words(count).map((word) => Math.floor((word * 1000) / 2 ** 32) - 50))
    fillRandint(wide, -50, 950, ...key, ...place)
    expect([...wide]).toEqual(pairs(count).map(([high]) => Math.floor((high * 1000) / 2 ** 32) - 50))
  })

  test("every part of key and counter matters", () => {
    const draws = [
      [1, 2, 3, 4, 5],
      [2, 2, 3, 4, 5],
      [1, 3, 3, 4, 5],
      [1, 2, 4, 4, 5],
      [1, 2, 3, 5, 5],
      [1, 2, 3, 4, 6],
    ].map(([key0, key1, stream, step, trip]) => {
      const out = new Int32Array(4)
      fillRandint(out, -(2 ** 31), 2 ** 31, key0!, key1!, stream!, step!, trip!)
      return [...out]
    })
    expect(new Set(draws.flat()).size).toBe(24)
  })
})

describe("bounds", () => {
  test("rounding never puts a uniform number on its upper bound", () => {
    const out = new Float32Array(64)
    // float32 has 2^24 but not 2^24 + 1, and 2^24 + 2 is excluded: half of all draws would round up to it.
    fillUniform(out, 2 ** 24, 2 ** 24 + 2, ...key, ...place)
    expect(new Set(out)).toEqual(new Set([2 ** 24]))
    fillUniform(out, -1 - 2 ** -22, -1, ...key, ...place)
    expect(Math.max(...out)).toBe(-1 - 2 ** -23)
    const wide = new Float64Array(64)
    fillUniform(wide, 2 ** 53, 2 ** 53 + 2, ...key, ...place)
    expect(new Set(wide)).toEqual(new Set([2 ** 53]))
    fillUniform(out, 3, 3, ...key, ...place)
    expect(new Set(out)).toEqual(new Set([3]))
  })

  test("hold for all seeds", () => {
    const bound = fc.float({ min: -1000, max: 1000, noNaN: true })
    fc.assert(
      fc.property(bound, bound, fc.integer(), fc.boolean(), (x, y, seed, isWide) => {
        fc.pre(x !== y)
        const [lo, hi] = x < y ? [x, y] : [y, x]
        const out = isWide ? new Float64Array(17) : new Float32Array(17)
        fillUniform(out, lo, hi, seed, 0, 1, 0, 0)
        expect(out.every((value) => value >= lo && value < hi)).toBe(true)
        fillTruncatedNormal(out, 0, hi - lo, seed, 0, 1, 0, 0)
        const most = isWide ? 2 * (hi - lo) : Math.fround(2 * (hi - lo))
        expect(out.every((value) => Math.abs(value) <= most)).toBe(true)
      }),
      { seed: 16, numRuns: 300 },
    )
  })

  test("integers reach both ends of any range and nothing else", () => {
    const out = new Int32Array(1000)
    fillRandint(out, -1, 2, ...key, ...place)
    expect(new Set(out)).toEqual(new Set([-1, 0, 1]))
    fillRandint(out, 5, 6, ...key, ...place)
    expect(new Set(out)).toEqual(new Set([5]))
    fillRandint(out, -(2 ** 31), 2 ** 31, ...key, ...place)
    expect([...out]).toEqual(words(1000).map((word) => word - 2 ** 31))
  })
})

describe("distributions", () => {
  const count = 20_000
  test.each([new Float32Array(count), new Float64Array(count)])("have the right shape (%#)", (out) => {
    fillUniform(out, -3, 5, ...key, ...place)
    expect(kolmogorov(out, (x) => (x + 3) / 8)).toBeLessThan(2)
    fillNormal(out, 1.5, 0.25, ...key, ...place)
    expect(kolmogorov(out, (x) => normal((x - 1.5) / 0.25))).toBeLessThan(2)
    fillTruncatedNormal(out, -2, 3, ...key, ...place)
    const inside = normal(2) - normal(-2)
    expect(kolmogorov(out, (x) => (normal((x + 2) / 3) - normal(-2)) / inside)).toBeLessThan(2)
  })

  test("integers are equally likely", () => {
    const out = new Int32Array(count)
    fillRandint(out, 0, 10, ...key, ...place)
    const counts = new Float64Array(10)
    for (const value of out) counts[value]! += 1
    const chiSquare = counts.reduce((sum, seen) => sum + (seen - count / 10) ** 2 / (count / 10), 0)
    expect(chiSquare).toBeLessThan(27.9) // 0.1 % with nine degrees of freedom
  })
})
