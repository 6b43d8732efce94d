// Every entry of C within the documented error of the exact product: all forms, every way a shape can miss the tiles,
// blocks in all three directions, and each of the kernels that a product may be made of.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { GemmForm, GemmSpec } from "../../src/gemm/index.ts"
import { expectAccuracy } from "./product.ts"

const forms: readonly GemmForm[] = ["NN", "NT", "TN", "TT"]

describe.each(forms)("form %s", (form) => {
  test("every remainder of rows and columns", () => {
    for (let m = 1; m <= 10; m++) {
      for (let n = 1; n <= 17; n++) for (const k of [1, 6, 13]) expectAccuracy({ m, n, k, form }, 31 * m + n)
    }
  })

  test("every length of a sum up to 40", () => {
    for (let k = 0; k <= 40; k++) {
      for (const [m, n] of [
        [1, 1],
        [3, 2],
        [9, 3],
        [5, 7],
        [13, 12],
      ] as const)
        expectAccuracy({ m, n, k, form }, k)
    }
  })

  test("random sizes up to 70", () => {
    const size = fc.integer({ min: 1, max: 70 })
    const spec = fc.record({
      m: size,
      n: size,
      k: size,
      batch: fc.integer({ min: 1, max: 3 }),
      alpha: fc.constantFrom(1, -0.375, 3),
      accumulate: fc.boolean(),
    })
    fc.assert(
      fc.property(spec, fc.nat(), (sizes, seed) => expectAccuracy({ ...sizes, form }, seed)),
      { seed: 20261122, numRuns: 150 },
    )
  })
})

/**
 * One for each way through the schedule: blocks of columns, pieces of k, blocks of rows, packed operands, single rows.
 */
const large: readonly (readonly [why: string, spec: GemmSpec])[] = [
  ["three pieces of k", { m: 9, n: 21, k: 1300 }],
  ["pieces of k, packed", { m: 37, n: 19, k: 1030 }],
  ["two blocks of columns and an odd panel", { m: 34, n: 279, k: 131 }],
  ["two rows with two blocks of columns", { m: 33, n: 541, k: 130 }],
  ["three blocks of rows", { m: 401, n: 11, k: 20 }],
  ["all blocks at once", { m: 203, n: 267, k: 521 }],
  ["rows of B that collide in the cache", { m: 9, n: 45, k: 33, ldb: 1024 }],
  ["rows of both operands that collide", { m: 70, n: 47, k: 33, form: "TN", lda: 512, ldb: 1024 }],
  ["a packed left operand with pieces and a rest", { m: 512, n: 37, k: 600, form: "TN", lda: 1024, ldb: 41 }],
  ["a packed left operand, turned", { m: 200, n: 45, k: 65, form: "TT", ldb: 70 }],
  ["one row times a large matrix", { m: 1, n: 203, k: 200 }],
  ["one row, a multiple of six", { m: 1, n: 1024, k: 36, accumulate: true }],
  ["one row, stored as a column", { m: 1, n: 203, k: 200, form: "TN" }],
  ["one row that is scaled", { m: 1, n: 203, k: 200, alpha: 2 }],
  ["one column", { m: 203, n: 1, k: 200 }],
  ["one column of a transposed matrix", { m: 203, n: 1, k: 200, form: "TN" }],
  ["one column with gaps", { m: 203, n: 1, k: 200, form: "TN", ldc: 3 }],
  ["one column of a transposed matrix and a row", { m: 203, n: 1, k: 200, form: "TT" }],
  ["one row of a transposed matrix", { m: 1, n: 203, k: 200, form: "NT" }],
  ["one dot product", { m: 1, n: 1, k: 1003, form: "NT" }],
  ["dot products for all columns", { m: 130, n: 7, k: 200, form: "NT" }],
  ["dot products for the last columns", { m: 65, n: 14, k: 129 }],
  ["dot products, stored transposed", { m: 3, n: 130, k: 200, form: "TT" }],
  ["short sums", { m: 70, n: 300, k: 3 }],
  ["a batch with pieces of k", { m: 6, n: 10, k: 700, batch: 3, alpha: 0.5, accumulate: true }],
]

describe("large", () => {
  test.each(large)("%s", (_, spec) => {
    expectAccuracy(spec, 7)
    expectAccuracy({ ...spec, alpha: 1.5, accumulate: true }, 8)
  })
})

describe("strides", () => {
  test.each(forms)("gaps between rows and matrices, form %s", (form) => {
    const [m, n, k, batch] = [7, 11, 17, 2]
    const spec = { m, n, k, form, batch, lda: 20, ldb: 19, ldc: 13, aStep: 401, bStep: 399, cStep: 103 }
    expectAccuracy(spec, 1)
    expectAccuracy({ ...spec, accumulate: true }, 2)
  })

  test("one operand for all products of a batch", () => {
    expectAccuracy({ m: 5, n: 9, k: 12, batch: 3, aStep: 0 }, 3)
    expectAccuracy({ m: 40, n: 9, k: 200, batch: 3, bStep: 0 }, 4)
  })
})

test("tiles of other sizes", () => {
  for (const [rows, vectors] of [
    [5, 2],
    [6, 2],
    [3, 3],
    [2, 4],
    [8, 1],
    [1, 1],
  ] as const) {
    for (const form of forms) {
      for (const [m, n, k] of [
        [29, 31, 15],
        [41, 50, 133],
        [64, 29, 40],
      ] as const)
        expectAccuracy({ m, n, k, form, tuning: { rows, vectors } }, rows)
    }
  }
  for (const form of forms)
    expectAccuracy({ m: 512, n: 40, k: 35, form, lda: 1024, tuning: { rows: 6, rowBlock: 18 } }, 5)
})

test("an empty product", () => {
  for (const form of forms) {
    expectAccuracy({ m: 0, n: 5, k: 3, form }, 1)
    expectAccuracy({ m: 5, n: 0, k: 3, form }, 1)
    expectAccuracy({ m: 5, n: 3, k: 2, form, batch: 0 }, 1)
    expectAccuracy({ m: 5, n: 9, k: 0, form, accumulate: true }, 1)
  }
  expect.hasAssertions()
})
