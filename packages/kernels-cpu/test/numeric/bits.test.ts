// The neighbour below, against the order of bit patterns.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { float32Below, float64Below } from "../../src/numeric/bits.ts"

describe("float64Below", () => {
  test("leaves no room for another number", () => {
    const finite = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e308 })
    fc.assert(
      fc.property(finite, (x) => {
        const below = float64Below(x)
        expect(below).toBeLessThan(x)
        // The midpoint of neighbours rounds to one of them.
        const middle = below / 2 + x / 2
        expect(middle <= below || middle >= x || Math.abs(x) < 2 ** -1000).toBe(true)
      }),
      { seed: 6, numRuns: 500 },
    )
    expect(float64Below(1)).toBe(1 - 2 ** -53)
    expect(float64Below(2 ** 32)).toBe(2 ** 32 - 2 ** -21)
    expect(float64Below(-1)).toBe(-1 - 2 ** -52)
    expect(float64Below(-(2 ** -20))).toBe(-(2 ** -20) - 2 ** -72)
    expect(float64Below(0)).toBe(-Number.MIN_VALUE)
    expect(float64Below(Number.MIN_VALUE)).toBe(0)
    expect(float64Below(-Number.MIN_VALUE)).toBe(-2 * Number.MIN_VALUE)
  })
})

describe("float32Below", () => {
  test("is the greatest float32 that is smaller, whether or not x itself is one", () => {
    const bits = new Int32Array(1)
    const alias = new Float32Array(bits.buffer)
    /** Position on the line of float32 numbers: consecutive integers for consecutive numbers. */
    const position = (x: number): number => {
      alias[0] = x
      return bits[0]! < 0 ? -(bits[0]! & 0x7fffffff) : bits[0]!
    }
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 127) }), (x) => {
        expect(position(x) - position(float32Below(x))).toBe(1)
        // Just above x, the answer is x itself.
        expect(float32Below(float64Below(-x) * -1)).toBe(x === 0 ? 0 : x)
      }),
      { seed: 7, numRuns: 500 },
    )
    expect(float32Below(1)).toBe(1 - 2 ** -24)
    expect(float32Below(0.7)).toBe(Math.fround(0.7)) // which lies below 0.7
    expect(float32Below(0)).toBe(-(2 ** -149))
    expect(float32Below(2 ** 128)).toBe((2 - 2 ** -23) * 2 ** 127)
  })
})
