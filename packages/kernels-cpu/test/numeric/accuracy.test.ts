// The transcendental functions against series summed in fixed-point big integers, which share nothing with the
// rational approximations under test. A fixed-point number is a bigint in units of 2^-precision.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { inverseNormal, logBits } from "../../src/numeric/normal.ts"
import { erf } from "../../src/numeric/special.ts"

/** Enough for Φ(−38) ≈ 2^-1047, formed by cancelling series terms of up to 2^1040. */
const precision = 2400n
const one = 1n << precision

const view = new DataView(new ArrayBuffer(8))

/** A float64 as a fixed-point number; exact, since no float64 has a bit below 2^-1074. */
function fixed(x: number): bigint {
  view.setFloat64(0, x)
  const bits = view.getBigUint64(0)
  const field = (bits >> 52n) & 0x7ffn
  const mantissa = (bits & (2n ** 52n - 1n)) | (field === 0n ? 0n : 2n ** 52n)
  const exponent = (field === 0n ? 1n : field) - 1075n
  const size = mantissa << (precision + exponent)
  return bits >> 63n === 1n ? -size : size
}

/** To float64, keeping 64 leading bits so that small numbers lose nothing. */
function float(x: bigint): number {
  const size = x < 0n ? -x : x
  const excess = Math.max(0, (size.toString(2).length - 64) & ~1)
  // In two halves, either of which float64 can hold.
  const half = 2 ** ((excess - Number(precision)) / 2)
  const value = Number(size >> BigInt(excess)) * half * half
  return x < 0n ? -value : value
}

function multiply(x: bigint, y: bigint): bigint {
  return (x * y) >> precision
}

function divide(x: bigint, y: bigint): bigint {
  return (x << precision) / y
}

function squareRoot(x: bigint): bigint {
  const target = x << precision
  let root = 1n << BigInt(Math.ceil(target.toString(2).length / 2))
  for (;;) {
    const next = (root + target / root) >> 1n
    if (next >= root) return root
    root = next
  }
}

/** x + x³/3 + x⁵/5 + …, or with alternating signs. */
function oddPowers(x: bigint, isAlternating: boolean): bigint {
  const square = multiply(x, x)
  let sum = 0n
  let power = x
  for (let n = 1n; power !== 0n; n += 2n) {
    sum += isAlternating && n % 4n === 3n ? -power / n : power / n
    power = multiply(power, square)
  }
  return sum
}

const pi = 16n * oddPowers(one / 5n, true) - 4n * oddPowers(one / 239n, true)
const ln2 = 2n * oddPowers(one / 3n, false)

/** erf(x) = 2/√π · Σ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n + 1)) */
function exactErf(x: bigint): bigint {
  const square = multiply(x, x)
  let sum = 0n
  let term = x
  for (let n = 0n; term !== 0n; n++) {
    sum += term / (2n * n + 1n)
    term = -multiply(term, square) / (n + 1n)
  }
  return divide(2n * sum, squareRoot(pi))
}

function exactLog(x: number): bigint {
  const exponent = Math.floor(Math.log2(x))
  // Powers of two beyond the range of float64 are reached by shifting.
  const mantissa = exponent < 0 ? fixed(x) << BigInt(-exponent) : fixed(x) >> BigInt(exponent)
  return 2n * oddPowers(divide(mantissa - one, mantissa + one), false) + BigInt(exponent) * ln2
}

/** Φ(z) = (1 + erf(z/√2)) / 2 */
function exactNormal(z: number): bigint {
  return (one + exactErf(divide(fixed(z), squareRoot(2n * one)))) / 2n
}

/** The distance from x to the exact value, in units of the last place of that value. */
function ulps(x: number, exact: bigint): number {
  const value = Math.abs(float(exact))
  view.setFloat64(0, value)
  view.setBigUint64(0, view.getBigUint64(0) + 1n)
  const spacing = view.getFloat64(0) - value
  return Math.abs(float(fixed(x) - exact)) / spacing
}

describe("erf", () => {
  test("is within one unit in the last place", () => {
    const points = fc.oneof(
      fc.double({ min: -6.5, max: 6.5, noNaN: true }).filter((x) => x !== 0),
      // Where one approximation takes over from another.
      fc
        .tuple(fc.constantFrom(0.84375, 1.25, 1 / 0.35, 6), fc.integer({ min: -3, max: 3 }))
        .map(([seam, step]) => seam * (1 + step * 2 ** -52)),
      fc.integer({ min: -40, max: -1 }).map((exponent) => 1.3 * 2 ** exponent),
    )
    fc.assert(
      fc.property(points, (x) => {
        expect(ulps(erf(x), exactErf(fixed(x)))).toBeLessThan(1)
      }),
      { seed: 10, numRuns: 150 },
    )
  })
})

describe("logBits", () => {
  test("is within one unit in the last place", () => {
    const points = fc.oneof(
      fc.double({ min: 0, minExcluded: true, max: 1, maxExcluded: true, noNaN: true }),
      fc.double({ min: 1, minExcluded: true, max: 1e300, noNaN: true }),
      fc.integer({ min: 1, max: 2 ** 30 }).map((part) => part * 2 ** -30 + 2 ** -35),
      fc
        .integer({ min: -1000, max: 1000 })
        .filter((step) => step !== 0)
        .map((step) => 1 + step * 2 ** -20),
      fc.integer({ min: -3, max: 3 }).map((step) => Math.SQRT2 + step * 2 ** -52),
    )
    fc.assert(
      fc.property(points, (x) => {
        expect(ulps(logBits(x), exactLog(x))).toBeLessThan(1)
      }),
      { seed: 11, numRuns: 150 },
    )
  })
})

describe("inverseNormal", () => {
  test("inverts the distribution function to one part in 10^15", () => {
    const seams = [0.075, 0.925, Math.exp(-25), 1 - Math.exp(-25)]
    const points = fc.oneof(
      fc.integer({ min: 0, max: 2 ** 30 - 1 }).map((part) => (part + 0.5) * 2 ** -30),
      fc.integer({ min: -1000, max: -2 }).map((exponent) => 1.7 * 2 ** exponent),
      fc.integer({ min: -53, max: -2 }).map((exponent) => 1 - 2 ** exponent),
      fc
        .tuple(fc.constantFrom(...seams), fc.integer({ min: -3, max: 3 }))
        .map(([p, step]) => p * (1 + step * 2 ** -52)),
      fc.integer({ min: 2, max: 40 }).map((exponent) => 0.5 + 2 ** -exponent),
    )
    fc.assert(
      fc.property(points, (p) => {
        const z = inverseNormal(p)
        // One Newton step from z: what it would still correct is the error.
        const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)
        const error = float(exactNormal(z) - fixed(p)) / density
        expect(Math.abs(error / z)).toBeLessThan(1e-15)
      }),
      { seed: 12, numRuns: 100 },
    )
  })

  test("gives the quantiles that tables print", () => {
    expect(inverseNormal(0.975)).toBeCloseTo(1.959963984540054, 14)
    expect(inverseNormal(0.75)).toBeCloseTo(0.6744897501960817, 14)
    expect(inverseNormal(0.001)).toBeCloseTo(-3.090232306167813, 14)
  })
})
