// Shape of the inverse normal distribution function: symmetry, order, ends. Its accuracy is in accuracy.test.ts.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { inverseNormal, logBits } from "../../src/numeric/normal.ts"

describe("inverseNormal", () => {
  test("is odd about one half", () => {
    expect(inverseNormal(0.5)).toBe(0)
    fc.assert(
      // Multiples of 2^-53, for which 1 − p is exact.
      fc.property(fc.bigInt(1n, 2n ** 52n), (bits) => {
        const p = Number(bits) * 2 ** -53
        expect(inverseNormal(1 - p)).toBe(0 - inverseNormal(p))
      }),
      { seed: 8, numRuns: 1000 },
    )
  })

  test("increases strictly over the points that 32-bit words give", () => {
    const at = (word: number) => inverseNormal((word + 0.5) * 2 ** -32)
    // 0.075 and e^-25 are where one approximation takes over from another.
    const seams = [0.075, 0.925, Math.exp(-25), 1 - Math.exp(-25)].map((p) => Math.floor(p * 2 ** 32))
    const words = fc.oneof(
      fc.nat(2 ** 32 - 2),
      fc.nat(100),
      fc
        .constantFrom(...seams)
        .chain((seam) => fc.integer({ min: Math.max(0, seam - 50), max: Math.min(seam + 50, 2 ** 32 - 2) })),
    )
    fc.assert(
      fc.property(words, (word) => {
        expect(at(word)).toBeLessThan(at(word + 1))
      }),
      { seed: 9, numRuns: 2000 },
    )
  })

  test("has infinite ends and no value beyond them", () => {
    expect([0, 1, -0.1, 1.1, NaN].map(inverseNormal)).toEqual([-Infinity, Infinity, NaN, NaN, NaN])
    expect(inverseNormal(2 ** -33)).toBeGreaterThan(-6.4)
    expect(inverseNormal(1 - 2 ** -53)).toBeLessThan(8.3)
    expect(inverseNormal(Number.MIN_VALUE)).toBeGreaterThan(-39)
  })
})

describe("logBits", () => {
  test("is right at the ends and at 1", () => {
    expect([1, 0, -0, Infinity, -1, NaN].map(logBits)).toEqual([0, -Infinity, -Infinity, Infinity, NaN, NaN])
  })
})
