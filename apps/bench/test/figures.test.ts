// Medians, spreads, ratios, agreement, and numbers in tables.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { agree } from "../src/agreement.ts"
import { median, ratio, summarize } from "../src/statistics.ts"
import { bytes, digits, percent, table } from "../src/table.ts"

describe("statistics", () => {
  test("the median of an odd and of an even number of samples", () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 3, 2])).toBe(2.5)
  })

  test("a median has as many samples below as above, whatever their order", () => {
    const samples = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 9 })
    fc.assert(
      fc.property(samples, (list) => {
        const before = [...list]
        const middle = median(list)
        expect(list).toEqual(before)
        expect(median(list.toReversed())).toBe(middle)
        const [below, above] = [list.filter((x) => x < middle).length, list.filter((x) => x > middle).length]
        expect(Math.max(below, above)).toBeLessThanOrEqual(list.length / 2)
      }),
      { seed: 1 },
    )
  })

  test("the spread is a share of the median", () => {
    expect(summarize([10, 12, 11, 9, 10])).toEqual({ median: 10, least: 9, most: 12, spread: 0.3 })
  })

  test("a ratio tells how many times as long the first takes", () => {
    expect(ratio([30, 10, 20], [5, 4, 100])).toBe(4)
  })
})

describe("agreement", () => {
  const checks = (...values: number[]) => values.map((check, i) => ({ peer: `p${i}`, check }))

  test("takes two", () => {
    expect(agree(checks(1), 0.1)).toBeNull()
  })

  test("within the tolerance of the median", () => {
    expect(agree(checks(2, 2.02, 1.99), 0.02)).toEqual({
      reference: 2,
      deviation: expect.closeTo(0.01, 6) as number,
      disagreeing: [],
    })
  })

  test("names who is off, for either sign and for NaN", () => {
    expect(agree(checks(2, 2, 2.1, 2, 1.9), 0.01)?.disagreeing).toEqual(["p2", "p4"])
    expect(agree(checks(2, 2, NaN), 0.01)?.disagreeing).toEqual(["p2"])
  })

  test("two peers: one is compared with the other", () => {
    expect(agree(checks(2, 3), 0.1)).toEqual({ reference: 2, deviation: 0.5, disagreeing: ["p1"] })
  })
})

describe("numbers", () => {
  test.each([
    [0, "0"],
    [0.001234, "0.00123"],
    [0.5, "0.500"],
    [12.345, "12.3"],
    [999.4, "999"],
    [12345.6, "12346"],
    [NaN, "–"],
  ])("%d → %s", (x, text) => {
    expect(digits(x)).toBe(text)
  })

  test("bytes and shares", () => {
    expect([bytes(1234), bytes(353_511), bytes(2.5e9), bytes(NaN)]).toEqual(["1.23 kB", "354 kB", "2500 MB", "–"])
    expect([percent(0.012), percent(0.25), percent(NaN)]).toEqual(["1.2 %", "25 %", "–"])
  })
})

test("tables align numbers to the right and keep bars out of cells", () => {
  const text = table(
    ["name", "ms"],
    [
      ["a|b", "1"],
      ["c", "22"],
    ],
  )
  expect(text.split("\n")).toEqual(["| name | ms |", "| --- | ---: |", "| a\\|b | 1 |", "| c | 22 |"])
})
