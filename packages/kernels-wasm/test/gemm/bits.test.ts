// Where results must be the same bits: from run to run, in a batch or alone, wherever the operands lie, whatever the
// tile and the blocks, and in every form where the same sums are formed.

import { describe, expect, test } from "vitest"
import type { GemmForm, GemmSpec } from "../../src/gemm/index.ts"
import { expectBits, layoutsOf, multiply, numbers, operandsOf } from "./product.ts"

const forms: readonly GemmForm[] = ["NN", "NT", "TN", "TT"]

/** One for every kernel, with and without packing, with and without pieces of k. */
const shapes: readonly GemmSpec[] = [
  { m: 13, n: 29, k: 40 },
  { m: 45, n: 37, k: 530 },
  { m: 33, n: 10, k: 150 },
  { m: 1, n: 150, k: 120 },
  { m: 150, n: 1, k: 120 },
  { m: 5, n: 3, k: 7 },
]

describe.each(forms)("form %s", (form) => {
  test.each(shapes)("$m x $n x $k: every run", (shape) => {
    const spec = { ...shape, form, accumulate: true }
    const operands = operandsOf(spec, 1)
    expectBits(multiply(spec, operands, { runs: 3 }), multiply(spec, operands))
  })

  test.each(shapes)("$m x $n x $k: a batch is its products", (shape) => {
    const spec = { ...shape, form, batch: 3, alpha: 0.7 }
    const { a, b } = operandsOf(spec, 2)
    const together = multiply(spec, { a, b })
    const one = layoutsOf({ ...spec, batch: 1 })
    for (let z = 0; z < 3; z++) {
      const part = (all: Float32Array, { elements }: { readonly elements: number }) =>
        all.slice(z * elements, (z + 1) * elements)
      const alone = multiply({ ...spec, batch: 1 }, { a: part(a, one.a), b: part(b, one.b) })
      expectBits(alone, part(together, one.c))
    }
  })

  test.each(shapes)("$m x $n x $k: any address", (shape) => {
    const spec = { ...shape, form }
    const { a, b } = operandsOf(spec, 3)
    const first = multiply(spec, { a, b })
    for (const shift of [4, 8, 12, 20, 36]) expectBits(multiply(spec, { a, b }, { shift }), first)
  })

  test.each(shapes)("$m x $n x $k: any height of a tile, and any blocks", (shape) => {
    const spec = { ...shape, form }
    const { a, b } = operandsOf(spec, 4)
    const first = multiply(spec, { a, b })
    for (const rows of [1, 2, 3, 5, 6, 8]) expectBits(multiply({ ...spec, tuning: { rows } }, { a, b }), first)
    for (const [columnBlock, rowBlock] of [
      [8, 4],
      [24, 1],
      [4096, 4096],
    ] as const)
      expectBits(multiply({ ...spec, tuning: { columnBlock, rowBlock } }, { a, b }), first)
  })
})

test("all forms, where tiles form every sum", () => {
  const [m, n, k] = [24, 40, 700]
  const rowsOf = (values: Float32Array, rows: number, columns: number) =>
    Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)] ?? NaN)
  const [a, b] = [numbers(m * k, 5), numbers(k * n, 6)]
  const [at, bt] = [rowsOf(a, m, k), rowsOf(b, k, n)]
  const wanted = multiply({ m, n, k }, { a, b })
  expectBits(multiply({ m, n, k, form: "TN" }, { a: at, b }), wanted)
  expectBits(multiply({ m, n, k, form: "NT" }, { a, b: bt }), wanted)
  expectBits(multiply({ m, n, k, form: "TT" }, { a: at, b: bt }), wanted)
  expect(wanted.every(Number.isFinite)).toBe(true)
})
