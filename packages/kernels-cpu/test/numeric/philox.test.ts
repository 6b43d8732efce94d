// The generator against the published known answers and against a second implementation in big integers.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { multiplyHigh, philox, uniformWord32, uniformWord53 } from "../../src/numeric/philox.ts"

const word = fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0, 1, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff))

function block(key: readonly number[], counter: readonly number[]): string[] {
  const out = new Uint32Array(4)
  philox(key[0]!, key[1]!, counter[0]!, counter[1]!, counter[2]!, counter[3]!, out)
  return [...out].map((x) => x.toString(16).padStart(8, "0"))
}

/** The paper's definition, word for word, on integers without bound. */
function definition(key: readonly number[], counter: readonly number[]): string[] {
  let [k0, k1] = key.map(BigInt) as [bigint, bigint]
  let [left0, right0, left1, right1] = counter.map(BigInt) as [bigint, bigint, bigint, bigint]
  for (let round = 0; round < 10; round++) {
    const product0 = 0xd2511f53n * left0
    const product1 = 0xcd9e8d57n * left1
    left0 = (product1 >> 32n) ^ right0 ^ k0
    right0 = BigInt.asUintN(32, product1)
    left1 = (product0 >> 32n) ^ right1 ^ k1
    right1 = BigInt.asUintN(32, product0)
    k0 = BigInt.asUintN(32, k0 + 0x9e3779b9n)
    k1 = BigInt.asUintN(32, k1 + 0xbb67ae85n)
  }
  return [left0, right0, left1, right1].map((x) => x.toString(16).padStart(8, "0"))
}

describe("philox", () => {
  test("gives the known answers of the Random123 distribution", () => {
    expect(block([0, 0], [0, 0, 0, 0])).toEqual(["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"])
    const ones = 0xffffffff
    expect(block([ones, ones], [ones, ones, ones, ones])).toEqual(["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"])
    // Key and counter are the first 192 bits of the fraction of π.
    const piCounter = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]
    expect(block([0xa4093822, 0x299f31d0], piCounter)).toEqual(["d16cfe09", "94fdcceb", "5001e420", "24126ea1"])
  })

  test("equals the definition on big integers", () => {
    fc.assert(
      fc.property(fc.tuple(word, word), fc.tuple(word, word, word, word), (key, counter) => {
        expect(block(key, counter)).toEqual(definition(key, counter))
      }),
      { seed: 3, numRuns: 500 },
    )
  })

  test("takes its arguments modulo 2^32", () => {
    expect(block([-1, -2], [-3, 0, 2 ** 31, 5])).toEqual(
      block([2 ** 32 - 1, 2 ** 32 - 2], [2 ** 32 - 3, 0, -(2 ** 31), 5]),
    )
  })
})

describe("words", () => {
  test("multiplyHigh is the upper half of the exact product", () => {
    fc.assert(
      fc.property(word, word, (x, y) => {
        expect(multiplyHigh(x, y) >>> 0).toBe(Number((BigInt(x) * BigInt(y)) >> 32n))
      }),
      { seed: 4, numRuns: 1000 },
    )
  })

  test("become fractions in [0, 1) exactly", () => {
    expect(uniformWord32(0xff)).toBe(0)
    expect(uniformWord32(0x100)).toBe(2 ** -24)
    expect(uniformWord32(0xffffffff)).toBe(1 - 2 ** -24)
    expect(uniformWord53(0, 63)).toBe(0)
    expect(uniformWord53(0, 64)).toBe(2 ** -53)
    expect(uniformWord53(32, 0)).toBe(2 ** -27)
    expect(uniformWord53(0xffffffff, 0xffffffff)).toBe(1 - 2 ** -53)
    fc.assert(
      fc.property(word, word, (high, low) => {
        const bits = (BigInt(high >>> 5) << 26n) | BigInt(low >>> 6)
        expect(BigInt(uniformWord53(high, low) * 2 ** 53)).toBe(bits)
        expect(Math.fround(uniformWord32(high))).toBe(uniformWord32(high))
      }),
      { seed: 5, numRuns: 500 },
    )
  })
})
