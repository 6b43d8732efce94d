// The figures: when they are met, and that the least-squares optimum is what the regression is measured by.

import { housing } from "@counterflow/data"
import { describe, expect, test } from "vitest"
import { confusion, confusionText } from "../src/confusion.ts"
import { allEqual, atLeast, within } from "../src/figures.ts"
import { optimum } from "../src/regression.ts"

describe("figures", () => {
  test("within a fraction of a target, on both sides", () => {
    expect(within("error", 22.9, 22.778, 0.01)).toEqual({
      what: "error",
      got: "22.900",
      wanted: "within 1 % of 22.778",
      isMet: true,
    })
    expect([22.5, 22.551, 23.005, 23.1, NaN].map((value) => within("error", value, 22.778, 0.01).isMet)).toEqual([
      false,
      true,
      true,
      false,
      false,
    ])
  })

  test("at least a bound", () => {
    expect([0.9699, 0.97, 1, NaN].map((share) => atLeast("accuracy", share, 0.97).isMet)).toEqual([
      false,
      true,
      true,
      false,
    ])
  })

  test("at least a bound, with more digits", () => {
    const { got, wanted, isMet } = atLeast("accuracy", 0.98512, 0.985, 2)
    expect([got, wanted, isMet]).toEqual(["98.51 %", "at least 98.5 %", true])
  })

  test("all equal, and nothing is not all", () => {
    expect([allEqual("values", 3, 3), allEqual("values", 2, 3), allEqual("values", 0, 0)].map((f) => f.isMet)).toEqual([
      true,
      false,
      false,
    ])
  })
})

test("the optimum is the least-squares fit, by the normal equations in float64", async () => {
  const { train, test: heldOut } = await housing({ dtype: "float64" })
  const weights = leastSquares(rowsOf(train.x.data), train.y.data)
  expect(meanSquare(rowsOf(train.x.data), train.y.data, weights)).toBeCloseTo(optimum.train, 3)
  expect(meanSquare(rowsOf(heldOut.x.data), heldOut.y.data, weights)).toBeCloseTo(optimum.heldOut, 3)
})

test("the confusion table makes room for large counts", () => {
  expect(
    confusionText([
      [1130, 0],
      [12345, 7],
    ]),
  ).toMatchInlineSnapshot(`
    "  digit │     0     1
      ──────┼─────────────
          0 │  1130     ·
          1 │ 12345     7
    "
  `)
})

test("the confusion table", () => {
  const counts = confusion([0, 0, 1, 2, 2], [0, 1, 1, 2, 0], 3)
  expect(confusionText(counts)).toMatchInlineSnapshot(`
    "  digit │   0   1   2
      ──────┼─────────────
          0 │   1   1   ·
          1 │   ·   1   ·
          2 │   1   ·   1
    "
  `)
})

/** Rows of 13 features and a 1 for the bias. */
function rowsOf(features: Float64Array): number[][] {
  return Array.from({ length: features.length / 13 }, (_, row) => [...features.subarray(row * 13, (row + 1) * 13), 1])
}

function meanSquare(rows: readonly number[][], targets: ArrayLike<number>, weights: readonly number[]): number {
  const errors = rows.map((row, i) => dot(row, weights) - (targets[i] ?? NaN))
  return dot(errors, errors) / rows.length
}

/** Solves XᵀX w = Xᵀy by elimination with pivots. */
function leastSquares(rows: readonly number[][], targets: ArrayLike<number>): number[] {
  const columns = Array.from({ length: 14 }, (_, j) => rows.map((row) => row[j] ?? NaN))
  const system = columns.map((column) => [
    ...columns.map((other) => dot(column, other)),
    dot(column, [...asArray(targets)]),
  ])
  for (let pivot = 0; pivot < 14; pivot++) {
    const best = system.slice(pivot).reduce((a, b) => (Math.abs(b[pivot] ?? 0) > Math.abs(a[pivot] ?? 0) ? b : a))
    const at = system.indexOf(best)
    system[at] = system[pivot] ?? []
    system[pivot] = best.map((value) => value / (best[pivot] ?? NaN))
    for (const [i, row] of system.entries()) {
      if (i === pivot) continue
      const factor = row[pivot] ?? NaN
      system[i] = row.map((value, j) => value - factor * (system[pivot]?.[j] ?? NaN))
    }
  }
  return system.map((row) => row[14] ?? NaN)
}

function asArray(values: ArrayLike<number>): number[] {
  return Array.from(values)
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? NaN), 0)
}
