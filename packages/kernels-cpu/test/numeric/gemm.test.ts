// The blocked product against the triple loop it must equal bit for bit, over sizes, strides, transposes and dtypes.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { gemm, gemmInt, gemmWorkspace, type Reals } from "../../src/numeric/gemm.ts"

interface Placed<T> {
  values: T
  offset: number
  rowStride: number
  colStride: number
}

interface Case {
  m: number
  n: number
  k: number
  aTransposed: boolean
  bTransposed: boolean
  /** Unused elements before the matrix and after each row. */
  gap: number
  isWide: boolean
  alpha: number
  beta: 0 | 1
  seed: number
}

const sizes = fc.constantFrom(0, 1, 2, 3, 4, 5, 17, 33)
const cases: fc.Arbitrary<Case> = fc.record({
  m: sizes,
  n: sizes,
  k: sizes,
  aTransposed: fc.boolean(),
  bTransposed: fc.boolean(),
  gap: fc.constantFrom(0, 1, 3),
  isWide: fc.boolean(),
  alpha: fc.constantFrom(1, -1, 0, 0.3, 2),
  beta: fc.constantFrom(0, 1),
  seed: fc.integer(),
})

/** Reproducible numbers in [-1, 1). */
function numbers(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state / 2 ** 31
  }
}

function allocate(length: number, isWide: boolean): Reals {
  return isWide ? new Float64Array(length) : new Float32Array(length)
}

function place(rows: number, cols: number, transposed: boolean, gap: number, isWide: boolean, next: () => number) {
  const [outer, inner] = transposed ? [cols, rows] : [rows, cols]
  const stride = inner + gap
  const values = allocate(gap + outer * stride, isWide).fill(NaN)
  for (let i = 0; i < outer; i++) for (let j = 0; j < inner; j++) values[gap + i * stride + j] = next()
  const placed: Placed<Reals> = {
    values,
    offset: gap,
    rowStride: transposed ? 1 : stride,
    colStride: transposed ? stride : 1,
  }
  return placed
}

function product(m: number, n: number, k: number, alpha: number, a: Placed<Reals>, b: Placed<Reals>) {
  return (beta: 0 | 1, c: Placed<Reals>, pack: Float64Array): void =>
    gemm(
      m,
      n,
      k,
      alpha,
      a.values,
      a.offset,
      a.rowStride,
      a.colStride,
      b.values,
      b.offset,
      b.rowStride,
      b.colStride,
      beta,
      c.values,
      c.offset,
      c.rowStride,
      pack,
    )
}

function naive(m: number, n: number, k: number, alpha: number, a: Placed<Reals>, b: Placed<Reals>) {
  return (beta: 0 | 1, c: Placed<Reals>): void => {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0
        for (let p = 0; p < k; p++) {
          const x = a.values[a.offset + i * a.rowStride + p * a.colStride]!
          sum += x * b.values[b.offset + p * b.rowStride + j * b.colStride]!
        }
        const to = c.offset + i * c.rowStride + j
        c.values[to] = (k === 0 ? 0 : alpha * sum) + (beta === 0 ? 0 : c.values[to]!)
      }
    }
  }
}

/** Plain row-major matrices without gaps. */
function dense(values: Reals, cols: number): Placed<Reals> {
  return { values, offset: 0, rowStride: cols, colStride: 1 }
}

describe("gemm", () => {
  test("equals the triple loop in every bit and touches nothing outside C", () => {
    fc.assert(
      fc.property(cases, ({ m, n, k, aTransposed, bTransposed, gap, isWide, alpha, beta, seed }) => {
        const next = numbers(seed)
        const a = place(m, k, aTransposed, gap, isWide, next)
        const b = place(k, n, bTransposed, gap, isWide, next)
        const expected = place(m, n, false, gap, isWide, next)
        // With beta = 0 the old content must not even be read.
        if (beta === 0) expected.values.fill(NaN)
        const actual = { ...expected, values: expected.values.slice() }
        const pack = new Float64Array(gemmWorkspace(m, n, k)).fill(NaN)
        naive(m, n, k, alpha, a, b)(beta, expected)
        product(m, n, k, alpha, a, b)(beta, actual, pack)
        // Adding 0 makes −0 and 0 the same: the one liberty left open.
        expect(actual.values.map((x) => x + 0)).toEqual(expected.values.map((x) => x + 0))
      }),
      { seed: 1, numRuns: 600 },
    )
  })

  test("equals the triple loop where B takes several blocks", () => {
    // k > 4096 makes the block as narrow as it gets (64 columns); wide and flat shapes take the other routes.
    for (const [m, n, k] of [
      [5, 131, 4201],
      [2, 131, 4201],
      [131, 2, 4201],
      [9, 1301, 301],
    ] as const) {
      const next = numbers(m + n + k)
      const a = place(m, k, false, 0, false, next)
      const b = place(k, n, false, 0, false, next)
      const expected = place(m, n, false, 0, false, next)
      const actual = { ...expected, values: expected.values.slice() }
      naive(m, n, k, 1, a, b)(0, expected)
      product(m, n, k, 1, a, b)(0, actual, new Float64Array(gemmWorkspace(m, n, k)).fill(NaN))
      expect(actual.values, `${m}×${n}×${k}`).toEqual(expected.values)
    }
  })

  test("infinities and NaN stay in their own rows and columns", () => {
    const [m, n, k] = [6, 5, 3]
    const a = new Float32Array(m * k).fill(1)
    const b = new Float32Array(k * n).fill(1)
    const c = new Float32Array(m * n)
    a[1 * k + 2] = Infinity
    a[4 * k + 0] = NaN
    b[2 * n + 3] = 0
    product(m, n, k, 1, dense(a, k), dense(b, n))(0, dense(c, n), new Float64Array(gemmWorkspace(m, n, k)))
    const row = (i: number) => [...c.subarray(i * n, (i + 1) * n)]
    expect(row(0)).toEqual([3, 3, 3, 2, 3])
    expect(row(1)).toEqual([Infinity, Infinity, Infinity, NaN, Infinity])
    expect(row(4)).toEqual([NaN, NaN, NaN, NaN, NaN])
    expect(row(5)).toEqual([3, 3, 3, 2, 3])
  })

  test("an empty inner dimension gives zeros, or leaves C as it is", () => {
    const none = dense(new Float32Array(0), 0)
    const c = new Float32Array([NaN, 1, 2, 3])
    product(1, 3, 0, -1, none, none)(0, { ...dense(c, 3), offset: 1 }, new Float64Array(0))
    expect(c).toEqual(new Float32Array([NaN, 0, 0, 0]))
    c.set([4, 5, 6, 7])
    product(1, 3, 0, -1, none, none)(1, { ...dense(c, 3), offset: 1 }, new Float64Array(0))
    expect(c).toEqual(new Float32Array([4, 5, 6, 7]))
  })

  test("sums in float64 and rounds once", () => {
    const k = 1000
    const a = new Float32Array(k).fill(0.1)
    const b = new Float32Array(k).fill(1)
    const c = new Float32Array(1)
    product(1, 1, k, 1, dense(a, k), dense(b, 1))(0, dense(c, 1), new Float64Array(gemmWorkspace(1, 1, k)))
    expect(c[0]).toBe(Math.fround(k * Math.fround(0.1)))
  })
})

describe("gemmInt", () => {
  test("is exact modulo 2^32", () => {
    const extreme = fc.oneof(fc.integer(), fc.constantFrom(-(2 ** 31), 2 ** 31 - 1, -1, 0, 1))
    const matrices = fc
      .record({ m: fc.nat(5), n: fc.nat(5), k: fc.nat(5), alpha: extreme, beta: fc.constantFrom<0 | 1>(0, 1) })
      .chain((shape) => {
        const matrix = (size: number) => fc.array(extreme, { minLength: size, maxLength: size })
        const { m, n, k } = shape
        return fc.record({ shape: fc.constant(shape), a: matrix(m * k), b: matrix(k * n), old: matrix(m * n) })
      })
    fc.assert(
      fc.property(matrices, fc.boolean(), ({ shape: { m, n, k, alpha, beta }, a, b, old }, bTransposed) => {
        const [bRowStride, bColStride] = bTransposed ? [1, k] : [n, 1]
        const expected = old.map((before, at) => {
          let sum = BigInt(beta) * BigInt(before)
          for (let p = 0; p < k; p++) {
            const y = b[p * bRowStride + (at % n) * bColStride]!
            sum += BigInt(alpha) * BigInt(a[Math.floor(at / n) * k + p]!) * BigInt(y)
          }
          return Number(BigInt.asIntN(32, sum))
        })
        const c = Int32Array.from(old)
        gemmInt(
          m,
          n,
          k,
          alpha,
          Int32Array.from(a),
          0,
          k,
          1,
          Int32Array.from(b),
          0,
          bRowStride,
          bColStride,
          beta,
          c,
          0,
          n,
        )
        expect([...c]).toEqual(expected)
      }),
      { seed: 2, numRuns: 300 },
    )
  })
})
