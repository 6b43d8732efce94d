// The housing set against published figures: its counts, its scaling, and the least-squares losses that Fluid users know.
import { describe, expect, test } from "vitest"
import { housing, type HousingRows, parseHousing } from "../src/index.ts"
import { refusal } from "./refusal.ts"

type Rows = HousingRows<"float64"> | HousingRows

/** Solves a·x = b by Gaussian elimination with partial pivoting. */
function solve(a: number[][], b: number[]): number[] {
  const m = a.map((row, i) => [...row, b[i] ?? 0])
  const at = (i: number, j: number) => m[i]?.[j] ?? 0
  for (let k = 0; k < m.length; k++) {
    let pivot = k
    for (let i = k + 1; i < m.length; i++) if (Math.abs(at(i, k)) > Math.abs(at(pivot, k))) pivot = i
    const row = m[pivot] ?? []
    m[pivot] = m[k] ?? []
    m[k] = row
    for (let i = k + 1; i < m.length; i++) {
      const factor = at(i, k) / at(k, k)
      m[i] = (m[i] ?? []).map((value, j) => value - factor * at(k, j))
    }
  }
  const x: number[] = []
  for (let i = m.length - 1; i >= 0; i--) {
    let rest = at(i, m.length)
    for (let j = i + 1; j < m.length; j++) rest -= at(i, j) * (x[j] ?? 0)
    x[i] = rest / at(i, i)
  }
  return x
}

/** The rows with a leading 1 for the bias. */
function inputs({ x }: Rows): number[][] {
  const [rows = 0, width = 0] = x.shape
  return Array.from({ length: rows }, (_, i) => [1, ...x.data.slice(i * width, (i + 1) * width)])
}

function leastSquares(train: Rows): number[] {
  const a = inputs(train)
  const width = a[0]?.length ?? 0
  const gram = Array.from({ length: width }, (_, i) =>
    Array.from({ length: width }, (_, j) => a.reduce((sum, row) => sum + (row[i] ?? 0) * (row[j] ?? 0), 0)),
  )
  const moment = Array.from({ length: width }, (_, i) =>
    a.reduce((sum, row, n) => sum + (row[i] ?? 0) * (train.y.data[n] ?? 0), 0),
  )
  return solve(gram, moment)
}

function meanSquareError(part: Rows, weights: number[]): number {
  const a = inputs(part)
  const total = a.reduce((sum, row, n) => {
    const predicted = row.reduce((product, value, j) => product + value * (weights[j] ?? 0), 0)
    return sum + (predicted - (part.y.data[n] ?? 0)) ** 2
  }, 0)
  return total / a.length
}

describe("housing", () => {
  test("has 404 rows to train on and 102 to test on, in the file's order", async () => {
    const { train, test: rest, featureNames } = await housing()
    expect(train.x.shape).toEqual([404, 13])
    expect(train.y.shape).toEqual([404, 1])
    expect(rest.x.shape).toEqual([102, 13])
    expect(rest.y.shape).toEqual([102, 1])
    expect(train.x.data).toBeInstanceOf(Float32Array)
    expect(train.x.data.length).toBe(404 * 13)
    expect([train.y.data[0], train.y.data[1]]).toEqual([24, Math.fround(21.6)])
    expect(rest.y.data[101]).toBe(Math.fround(11.9))
    expect(featureNames.join(" ")).toBe("crim zn indus chas nox rm age dis rad tax ptratio b lstat")
  })

  test("every feature has mean 0 and range 1 over all rows", async () => {
    const { train, test: rest, mean, range } = await housing({ dtype: "float64" })
    for (let j = 0; j < 13; j++) {
      const column = [train, rest].flatMap(({ x }) => [...x.data].filter((_, i) => i % 13 === j))
      expect(column.length).toBe(506)
      // Summing 506 numbers below 1 in float64 errs by at most 506 · 2^-53 on the mean.
      expect(Math.abs(column.reduce((sum, value) => sum + value, 0) / 506)).toBeLessThan(506 * 2 ** -53)
      expect(Math.max(...column) - Math.min(...column)).toBeCloseTo(1, 14)
    }
    expect(mean[0]).toBeCloseTo(3.6135235573, 9)
    expect(range[4]).toBeCloseTo(0.871 - 0.385, 12)
    // The first cell, from the file's 0.00632.
    expect(train.x.data[0]).toBeCloseTo(-0.0405441, 7)
  })

  test.each(["float32", "float64"] as const)("least squares in %s: 22.7784 and 32.7999", async (dtype) => {
    const { train, test: rest } = dtype === "float64" ? await housing({ dtype }) : await housing({ dtype })
    const weights = leastSquares(train)
    expect(meanSquareError(train, weights).toFixed(4)).toBe("22.7784")
    expect(meanSquareError(rest, weights).toFixed(4)).toBe("32.7999")
  })

  test("a text of one's own", () => {
    const { train, test: rest, mean, range } = parseHousing("a,k,price\n1,7,10\n2,7,20\n3,7,30\n", { dtype: "float64" })
    expect(train).toEqual({
      x: { data: Float64Array.of(-0.5, 0, 0, 0), shape: [2, 2], dtype: "float64" },
      y: { data: Float64Array.of(10, 20), shape: [2, 1], dtype: "float64" },
    })
    expect(rest.x.data).toEqual(Float64Array.of(0.5, 0))
    expect([mean, range]).toEqual([Float64Array.of(2, 7), Float64Array.of(2, 1)])
  })

  test("refuses what is no table of numbers", async () => {
    expect(await refusal(() => parseHousing("a,b\n1,x\n"))).toBe(
      'CF_BAD_FILE "x" is not a number @ line 2, column 2 (b)',
    )
    expect(await refusal(() => parseHousing("a\n1\n"))).toBe(
      "CF_BAD_FILE expected rows of features and a price, got 1 × 1 @ the table",
    )
    expect(await refusal(() => housing({ source: "/nowhere/housing.csv" }))).toBe(
      "CF_BAD_FILE the file cannot be read @ /nowhere/housing.csv",
    )
  })
})
