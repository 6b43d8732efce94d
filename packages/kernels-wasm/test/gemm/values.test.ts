// NaN and infinity reach exactly the entries they belong to: whatever fills unused lanes must not leak, nor be leaked
// into.

import { describe, expect, test } from "vitest"
import type { GemmForm, GemmSpec } from "../../src/gemm/index.ts"
import { layoutsOf, multiply, numbers } from "./product.ts"

const forms: readonly GemmForm[] = ["NN", "NT", "TN", "TT"]

const shapes: readonly GemmSpec[] = [
  { m: 6, n: 11, k: 9 },
  { m: 35, n: 21, k: 140 },
  { m: 9, n: 13, k: 530 },
  { m: 17, n: 3, k: 21 },
  { m: 3, n: 18, k: 70 },
  { m: 1, n: 131, k: 130 },
  { m: 131, n: 1, k: 130 },
]

/** Positive numbers, so that an infinity times them is that infinity. */
function positive(count: number, seed: number): Float32Array {
  return numbers(count, seed).map((value) => 0.5 + Math.abs(value))
}

describe.each(forms)("form %s", (form) => {
  test.each(shapes)("$m x $n x $k", (shape) => {
    const { m, n, k } = shape
    const spec = { ...shape, form }
    const layouts = layoutsOf(spec)
    const rows = [...new Set([0, m - 1, Math.floor(m / 2)])]
    const columns = [...new Set([0, n - 1, Math.floor(n / 2)])]
    for (const p of new Set([0, k - 1, Math.floor(k / 2)])) {
      for (const row of rows) {
        const [a, b] = [positive(layouts.a.elements, 1), positive(layouts.b.elements, 2)]
        a[row * layouts.a.row + p * layouts.a.column] = NaN
        const c = multiply(spec, { a, b })
        const isRight = [...c].every((value, at) => (Math.floor(at / n) === row ? Number.isNaN(value) : value > 0))
        expect({ p, row, isRight }).toEqual({ p, row, isRight: true })
      }
      for (const column of columns) {
        const [a, b] = [positive(layouts.a.elements, 3), positive(layouts.b.elements, 4)]
        b[p * layouts.b.row + column * layouts.b.column] = Infinity
        const c = multiply(spec, { a, b })
        const isRight = [...c].every((value, at) => (value === Infinity) === (at % n === column) && value > 0)
        expect({ p, column, isRight }).toEqual({ p, column, isRight: true })
      }
    }
  })
})

test("infinities of both signs make NaN, and accumulation keeps what C held", () => {
  const a = Float32Array.of(Infinity, 1, 2, 3)
  const b = Float32Array.of(1, -1, -Infinity, 4)
  expect([...multiply({ m: 2, n: 2, k: 2 }, { a, b })]).toEqual([NaN, -Infinity, -Infinity, 10])
  const c = Float32Array.of(1, Infinity, 5, NaN)
  expect([...multiply({ m: 2, n: 2, k: 2, accumulate: true }, { a, b, c })]).toEqual([NaN, NaN, -Infinity, NaN])
  const one = Float32Array.of(1)
  const huge = Float32Array.of(3e38)
  expect([...multiply({ m: 1, n: 1, k: 1, alpha: 2 }, { a: huge, b: one })]).toEqual([Infinity])
})
