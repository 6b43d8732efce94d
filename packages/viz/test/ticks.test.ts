// Axes: ticks are round, evenly spaced, inside the range, and no two labels are equal.
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type Axis, linearAxis, logAxis } from "../src/ticks.ts"

const shown = ({ labels }: Axis) => labels.join(" ")

describe("linear", () => {
  test.each([
    [0, 10, 6, "0 2 4 6 8 10"],
    [0, 1, 6, "0 0.2 0.4 0.6 0.8 1.0"],
    [0.031, 0.0352, 5, "0.031 0.032 0.033 0.034 0.035 0.036"],
    [0, 25_000, 6, "0 5k 10k 15k 20k 25k"],
    [0, 3e6, 4, "0 1M 2M 3M"],
    [-0.3, 0.4, 5, "-0.4 -0.2 0 0.2 0.4"],
    [0, 1e-7, 3, "0 5e-8 1.0e-7"],
    [999_999.5, 1e6, 3, "999999.4 999999.6 999999.8 1000000.0"],
    [2e9, 2e9 + 4, 3, "2.000000000e9 2.000000002e9 2.000000004e9"],
    [0, 3e5, 4, "0 100k 200k 300k"],
    [0, 2.5e-4, 6, "0 5e-5 1.0e-4 1.5e-4 2.0e-4 2.5e-4"],
    [7, 7, 5, "2 4 6 8 10 12"],
    [0, 0, 3, "-1 0 1"],
  ])("%d to %d with about %d ticks: %s", (low, high, count, labels) => {
    expect(shown(linearAxis(low, high, count, true))).toBe(labels)
  })

  test("tight: the range stays, ticks lie within", () => {
    const axis = linearAxis(3, 1234, 5, false)
    expect([axis.low, axis.high, shown(axis)]).toEqual([3, 1234, "200 400 600 800 1000 1200"])
  })

  const value = fc.double({ min: -1e12, max: 1e12, noNaN: true })

  test("any range", () => {
    fc.assert(
      fc.property(value, value, fc.integer({ min: 3, max: 12 }), fc.boolean(), (a, b, count, isLoose) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)]
        const axis = linearAxis(low, high, count, isLoose)
        const { ticks } = axis
        expect(ticks.length).toBeLessThanOrEqual(2 * count + 3)
        expect(ticks.length).toBeGreaterThanOrEqual(isLoose ? 2 : 0)
        expect(new Set(axis.labels).size).toBe(ticks.length)
        for (const at of [low, high, ...ticks]) {
          expect(axis.position(at)).toBeGreaterThan(-1e-6)
          expect(axis.position(at)).toBeLessThan(1 + 1e-6)
        }
        const steps = ticks.slice(1).map((tick, index) => tick - (ticks[index] ?? 0))
        const [first = 0] = steps
        for (const step of steps) expect(Math.abs(step - first)).toBeLessThan(first * 1e-2)
      }),
      { seed: 3, numRuns: 500 },
    )
  })
})

describe("logarithmic", () => {
  test.each([
    [0.02, 3, "0.02 0.05 0.1 0.2 0.5 1 2"],
    [1e-4, 100, "0.0001 0.001 0.01 0.1 1 10 100"],
    [1e-9, 1e9, "1e-9 1e-6 0.001 1 1000 1M 1e9"],
    [5, 5, "5 10"],
  ])("%d to %d: %s", (low, high, labels) => {
    expect(shown(logAxis(low, high))).toBe(labels)
  })

  test("equal factors are equal distances", () => {
    const axis = logAxis(1, 10_000)
    expect([1, 10, 100, 1000, 10_000].map((value) => axis.position(value))).toEqual([0, 0.25, 0.5, 0.75, 1])
  })
})
