// How far the elementary functions are from the truth, over every range where they work differently. Prints what it measured.

import fc from "fast-check"
import { afterAll, describe, expect, test } from "vitest"
import { type UnaryFunction, unaryFunctions } from "../../src/math/index.ts"
import { exact, exactPower, pi, ulps } from "./exact.ts"
import { double, pow, single, singlePow } from "./functions.ts"

/** Spread evenly, which fc.double is not: it favours what lies near 0. */
const between = (min: number, max: number) =>
  fc.noBias(fc.maxSafeNat()).map((part) => min + (max - min) * (part / 2 ** 53))
const signed = (numbers: fc.Arbitrary<number>) =>
  fc.tuple(numbers, fc.boolean()).map(([x, isNegative]) => (isNegative ? -x : x))
/** Sizes spread evenly over the powers of two. */
const magnitudes = (least: number, most: number) =>
  fc.tuple(between(1, 2), fc.integer({ min: least, max: most })).map(([x, power]) => x * 2 ** power)
/** A few steps to both sides of where one formula takes over from another. */
const beside = (...seams: readonly number[]) =>
  fc
    .tuple(fc.constantFrom(...seams), fc.integer({ min: -4, max: 4 }))
    .map(([seam, step]) => seam * (1 + step * 2 ** -52))
const isUsable = (x: number) => x !== 0 && Number.isFinite(x)

const quarterTurns = fc.integer({ min: 1, max: 2 ** 31 }).map((turns) => (turns * Math.PI) / 2)
const angles = {
  small: signed(between(0, 1)),
  tiny: signed(magnitudes(-1000, -1)),
  usual: signed(between(0, 100)),
  "beside quarter turns": signed(quarterTurns),
  "up to the change of method": signed(between(0, 2 ** 21)),
  "at the change of method": signed(beside(2 ** 20 * (Math.PI / 2), Math.PI / 4)),
  huge: signed(magnitudes(21, 1023)),
}

const ranges: Readonly<Record<UnaryFunction, Readonly<Record<string, fc.Arbitrary<number>>>>> = {
  exp: {
    "near 0": signed(between(0, 1)),
    tiny: signed(magnitudes(-80, -1)),
    normal: between(-708, 709.78),
    "denormal results": between(-745.13, -708),
  },
  log: {
    "near 1": between(0.5, 2),
    "beside 1": signed(magnitudes(-52, -4)).map((x) => 1 + x),
    normal: magnitudes(-1022, 1023),
    denormal: fc.maxSafeNat().map((x) => (x % 2 ** 52) * 2 ** -1074),
    "beside √2": beside(Math.SQRT2, Math.SQRT1_2),
  },
  log1p: {
    "near 0": between(-0.9, 3),
    tiny: signed(magnitudes(-1000, -4)),
    "beside −1": magnitudes(-53, -2).map((x) => x - 1),
    large: magnitudes(1, 1023),
    seams: beside(Math.SQRT2 - 1, Math.SQRT1_2 - 1, 2 ** -53, 2 ** 53),
  },
  sin: angles,
  cos: angles,
  tanh: {
    "near 0": signed(between(0, 0.625)),
    tiny: signed(magnitudes(-1000, -2)),
    "past the seam": signed(between(0.625, 0.8)),
    usual: signed(between(0.625, 22)),
    seams: signed(beside(0.625, 22, 2 ** -28)),
  },
  erf: {
    usual: signed(between(0, 6)),
    tiny: signed(magnitudes(-1000, -2)),
    seams: signed(beside(0.84375, 1.25, 1 / 0.35, 6, 2 ** -28)),
  },
}

/** Within 2 is what is asked for; this is what larger runs found, and a little more. */
const promised: Readonly<Record<UnaryFunction | "pow", number>> = {
  exp: 0.85,
  log: 0.85,
  log1p: 0.85,
  sin: 0.85,
  cos: 0.85,
  tanh: 1.4,
  erf: 0.95,
  pow: 0.85,
}

const measured: string[] = []
afterAll(() => console.log(["largest errors found, in units of the last place", ...measured].join("\n")))

function record(name: string, range: string, errors: readonly number[]): number {
  const worst = Math.max(...errors)
  measured.push(`${name.padEnd(10)} ${range.padEnd(28)} ${worst.toFixed(3)}  of ${errors.length}`)
  return worst
}

describe.each(unaryFunctions)("%s", (name) => {
  test.each(Object.entries(ranges[name]))("%s", (range, arbitrary) => {
    const points = fc.sample(arbitrary.filter(isUsable), { seed: 40, numRuns: 80 })
    const errors = points.map((x) => ulps(double[name](x), exact[name](x)))
    expect(record(name, range, errors)).toBeLessThan(promised[name])
  })

  test("in float32", () => {
    const arbitrary = fc.oneof(...Object.values(ranges[name])).map(Math.fround)
    const isInRange = (x: number) => name !== "exp" || (x > -103 && x < 88.7)
    const inDomain = (x: number) => (name === "log" ? x > 0 : name !== "log1p" || x > -1)
    const points = fc.sample(
      arbitrary.filter((x) => isUsable(x) && isInRange(x) && inDomain(x)),
      { seed: 41, numRuns: 80 },
    )
    const errors = points.map((x) => ulps(single[name](x), exact[name](x), 24))
    expect(record(`${name} f32`, "all of these", errors)).toBeLessThan(0.5001)
  })
})

describe("pow", () => {
  const powers: Readonly<Record<string, fc.Arbitrary<readonly [number, number]>>> = {
    usual: fc.tuple(between(1e-3, 10), signed(between(0, 30))),
    "any base, small exponent": fc.tuple(magnitudes(-1074, 1023), signed(between(0, 1))),
    "beside 1, large exponent": fc.tuple(
      signed(magnitudes(-52, -20)).map((x) => 1 + x),
      signed(magnitudes(15, 61)),
    ),
    "large results": fc.tuple(magnitudes(-100, 100), between(-5, 5)),
    seams: fc.tuple(beside(Math.sqrt(1.5), Math.sqrt(3), 1, 2), signed(between(0.1, 900))),
    "small integers": fc.tuple(between(1e-3, 10), fc.integer({ min: -20, max: 20 })),
  }

  test.each(Object.entries(powers))("%s", (range, arbitrary) => {
    const isRegular = ([x, y]: readonly [number, number]) => x !== 1 && x > 0 && Math.abs(y * Math.log2(x)) < 1074
    const points = fc
      .sample(arbitrary.filter(isRegular), { seed: 42, numRuns: 80 })
      .filter(([x, y]) => Number.isFinite(x ** y))
    expect(points.length).toBeGreaterThan(70)
    const errors = points.map(([x, y]) => ulps(pow(x, y), exactPower(x, y)))
    expect(record("pow", range, errors)).toBeLessThan(promised.pow)
  })

  test("in float32", () => {
    const arbitrary = fc.tuple(between(1e-3, 100).map(Math.fround), between(-12, 12).map(Math.fround))
    const points = fc.sample(arbitrary, { seed: 43, numRuns: 200 })
    const errors = points.map(([x, y]) => ulps(singlePow(x, y), exactPower(x, y), 24))
    expect(record("pow f32", "usual", errors)).toBeLessThan(0.5001)
  })
})

describe("the reference", () => {
  test("knows π", () => {
    expect(ulps(Math.PI, pi)).toBeLessThan(0.5)
    expect((pi * 10n ** 50n) >> 2400n).toBe(314159265358979323846264338327950288419716939937510n)
  })

  test("sees an error of one unit", () => {
    expect(ulps(1 + 2 ** -52, exact.exp(0))).toBe(1)
    expect(ulps(1 - 2 ** -53, exact.exp(0))).toBe(0.5)
    expect(ulps(Math.fround(1 + 2 ** -23), exact.exp(0), 24)).toBe(1)
    // Denormals have the unit of the smallest.
    expect(ulps(5e-324, exact.exp(-745))).toBeLessThan(0.5)
    expect(ulps(1e-323, exact.exp(-745))).toBeGreaterThan(0.5)
  })

  test("agrees with known values", () => {
    const known = { exp: Math.E, log: 0, log1p: Math.LN2, sin: 0.8414709848078965, cos: 0.5403023058681398 }
    expect(ulps(known.exp, exact.exp(1))).toBeLessThan(0.51)
    expect(ulps(known.log1p, exact.log1p(1))).toBeLessThan(0.51)
    expect(ulps(known.sin, exact.sin(1))).toBeLessThan(0.51)
    expect(ulps(known.cos, exact.cos(1))).toBeLessThan(0.51)
    expect(exact.log(1)).toBe(0n)
    expect(ulps(Math.SQRT2, exactPower(2, 0.5))).toBeLessThan(0.51)
    expect(ulps(0.8427007929497149, exact.erf(1))).toBeLessThan(0.51)
    expect(ulps(0.7615941559557649, exact.tanh(1))).toBeLessThan(0.51)
  })
})
