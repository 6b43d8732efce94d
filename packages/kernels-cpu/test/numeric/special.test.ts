// Special values of erf, and rounding to the nearest integer with ties to even.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { erf, roundHalfEven } from "../../src/numeric/special.ts"

describe("erf", () => {
  test("keeps zeros with their sign, saturates, and passes NaN on", () => {
    expect([0, -0, 6, -6, 27, Infinity, -Infinity, NaN].map(erf)).toEqual([0, -0, 1, -1, 1, 1, -1, NaN])
    expect(erf(1)).toBe(0.8427007929497149)
    expect(erf(1e-300)).toBe(1.1283791670955126e-300)
    expect(erf(Number.MIN_VALUE)).toBe(Number.MIN_VALUE)
  })

  test("is odd and does not decrease", () => {
    const finite = fc.double({ noNaN: true })
    fc.assert(
      fc.property(finite, finite, (x, y) => {
        expect(erf(-x)).toBe(-erf(x))
        expect(erf(Math.min(x, y))).toBeLessThanOrEqual(erf(Math.max(x, y)))
      }),
      { seed: 13, numRuns: 500 },
    )
  })
})

describe("roundHalfEven", () => {
  test("sends halves to the even neighbour and keeps signs", () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, -2.5].map(roundHalfEven)).toEqual([0, 2, 2, -0, -2, -2])
    expect([0, -0, 0.2, -0.2, 0.49999999999999994].map(roundHalfEven)).toEqual([0, -0, 0, -0, 0])
    expect([Infinity, -Infinity, NaN, 2 ** 53, -(2 ** 60)].map(roundHalfEven)).toEqual([
      Infinity,
      -Infinity,
      NaN,
      2 ** 53,
      -(2 ** 60),
    ])
    expect([2 ** 52 - 0.5, 2 ** 52 - 1.5, 2 ** 51 + 0.5].map(roundHalfEven)).toEqual([2 ** 52, 2 ** 52 - 2, 2 ** 51])
  })

  test("is the nearest integer", () => {
    fc.assert(
      fc.property(fc.double({ min: -1e6, max: 1e6, noNaN: true }), (x) => {
        const rounded = roundHalfEven(x)
        expect(Number.isInteger(rounded)).toBe(true)
        const distance = Math.abs(rounded - x)
        expect(distance).toBeLessThanOrEqual(0.5)
        expect(distance < 0.5 || rounded % 2 === 0).toBe(true)
      }),
      { seed: 14, numRuns: 500 },
    )
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 40), max: 2 ** 40 }), (n) => {
        expect(roundHalfEven(n)).toBe(n)
        expect(roundHalfEven(n + 0.5)).toBe(n % 2 === 0 ? n : n === -1 ? -0 : n + 1)
      }),
      { seed: 15, numRuns: 300 },
    )
  })
})
