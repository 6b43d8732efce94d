// The matmul kernel against the triple loop, for every storage, batch and transposition.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { matmulOp } from "@counterflow/ops"
import type { DType } from "@counterflow/ir"
import { call, numbers, tensor } from "./call.ts"

const size = fc.constantFrom(0, 1, 2, 3, 5, 17)
const shapes = fc.record({
  batch: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 2 }),
  m: size,
  n: size,
  k: size,
  transposeX: fc.boolean(),
  transposeY: fc.boolean(),
  seed: fc.integer(),
})

/** Sums in index order; the caller rounds to what the dtype stores. */
function product(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  at: { x: (i: number, p: number) => number; y: (p: number, j: number) => number },
  i: number,
  j: number,
  k: number,
) {
  let sum = 0
  for (let p = 0; p < k; p++) sum += x[at.x(i, p)]! * y[at.y(p, j)]!
  return sum
}

const stored: Readonly<
  Record<string, { draw: (next: number) => number; alpha: number; round: (sum: number) => number }>
> = {
  float32: { draw: (next) => next, alpha: 0.5, round: Math.fround },
  float64: { draw: (next) => next, alpha: 0.5, round: (sum) => sum },
  int32: { draw: (next) => Math.floor(next * 1000), alpha: -3, round: (sum) => sum | 0 },
  int64: { draw: (next) => Math.floor(next * 1000), alpha: -3, round: (sum) => sum },
  uint8: { draw: (next) => Math.floor(next * 128) + 128, alpha: 3, round: (sum) => sum & 255 },
}

describe("matmul", () => {
  test.each(Object.keys(stored))("equals the triple loop bit for bit in %s", (name) => {
    const { draw, alpha, round } = stored[name]!
    const dtype = name as DType
    fc.assert(
      fc.property(shapes, ({ batch, m, n, k, transposeX, transposeY, seed }) => {
        const next = numbers(seed)
        const x = tensor([...batch, ...(transposeX ? [k, m] : [m, k])], () => draw(next()), dtype)
        const y = tensor([...batch, ...(transposeY ? [n, k] : [k, n])], () => draw(next()), dtype)
        const { z } = call(matmulOp, { x, y }, { transposeX, transposeY, alpha })
        const images = batch.reduce((a, b) => a * b, 1)
        const expected: number[] = []
        for (let b = 0; b < images; b++) {
          const at = {
            x: (i: number, p: number) => b * m * k + (transposeX ? p * m + i : i * k + p),
            y: (p: number, j: number) => b * k * n + (transposeY ? j * k + p : p * n + j),
          }
          for (let i = 0; i < m; i++)
            for (let j = 0; j < n; j++) expected.push(round(alpha * product(x.data, y.data, at, i, j, k)))
        }
        expect(z?.shape).toEqual([...batch, m, n])
        expect([...z!.data].map((value) => value + 0)).toEqual(expected.map((value) => value + 0))
      }),
      { seed: 7, numRuns: 150 },
    )
  })

  test("int32 wraps modulo 2^32", () => {
    const x = tensor([1, 2], [2 ** 30, 2 ** 30], "int32")
    const y = tensor([2, 1], [3, 1], "int32")
    const { z } = call(matmulOp, { x, y }, { transposeX: false, transposeY: false, alpha: 1 })
    expect([...z!.data]).toEqual([0])
  })
})
