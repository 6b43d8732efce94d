// The epilogue sees every entry of C once, after the whole sum, with its row and column: whichever operand is walked by
// rows, and however columns, rows and sums are cut.

import { describe, expect, test } from "vitest"
import { f32x4, i32, ModuleBuilder, v128 } from "../../src/assembler/index.ts"
import { emitGemm, type Epilogue, type GemmForm, type GemmSpec, gemmWorkspaceBytes } from "../../src/gemm/index.ts"
import { expectBits, multiply, numbers, operandsOf } from "./product.ts"

/** max(0, c + bias[column]) · scale[row] */
const biasAndScale: Epilogue = {
  key: "max(0, c + bias[column]) scale[row]",
  operands: 2,
  apply: (f, { acc, row, column, lanes, operands: [bias, scale] }) => {
    if (bias === undefined || scale === undefined) throw new Error("two operands were asked for")
    const from = f.let(i32.add(bias, i32.shl(column, 2)))
    // Lane by lane: bias may end with memory.
    let more = v128.load32Zero(from)
    for (let lane = 1; lane < lanes; lane++) more = v128.load32Lane(lane, from, more, 4 * lane)
    const factor = v128.load32Splat(i32.add(scale, i32.shl(row, 2)))
    return f32x4.mul(f32x4.pmax(f32x4.add(acc, more), f32x4.splat(0)), factor)
  },
}

const shapes: readonly GemmSpec[] = [
  { m: 6, n: 11, k: 9 },
  { m: 35, n: 21, k: 140, batch: 2, alpha: 0.5 },
  { m: 9, n: 13, k: 1100, accumulate: true },
  { m: 17, n: 3, k: 21 },
  { m: 3, n: 18, k: 70 },
  { m: 403, n: 270, k: 8 },
  { m: 34, n: 531, k: 130 },
  { m: 1, n: 131, k: 130, accumulate: true },
  { m: 131, n: 1, k: 130 },
]

describe.each(["NN", "NT", "TN", "TT"] as const)("form %s", (form: GemmForm) => {
  test.each(shapes)("$m x $n x $k", (shape) => {
    const { m, n } = shape
    // The same kernels with and without an epilogue: a single column without gaps would be stored as a row without one.
    const spec = n === 1 ? { ...shape, form, ldc: 2 } : { ...shape, form }
    const operands = operandsOf(spec, 1)
    const [bias, scale] = [numbers(n, 7), numbers(m, 8)]
    const plain = multiply(spec, operands)
    const wanted = plain.map((value, at) => {
      const line = spec.ldc ?? n
      const [row, column] = [Math.floor(at / line) % m, at % line]
      if (column >= n) return value
      const sum = Math.fround(value + (bias[column] ?? NaN))
      return Math.max(0, sum) * (scale[row] ?? NaN)
    })
    expectBits(multiply(spec, { ...operands, more: [bias, scale] }, { epilogue: biasAndScale }), wanted)
    expect(wanted).not.toEqual(plain)
  })
})

test("an empty sum passes through it", () => {
  const more = [Float32Array.of(1, 2, -3), Float32Array.of(10, 20)]
  const empty = { a: new Float32Array(0), b: new Float32Array(0), more }
  const c = multiply({ m: 2, n: 3, k: 0 }, empty, { epilogue: biasAndScale })
  expect([...c]).toEqual([10, 20, 0, 20, 40, 0])
})

test("epilogues are told apart by their keys, and equal products are one function", () => {
  const module = new ModuleBuilder()
  const spec = { m: 4, n: 8, k: 3 }
  const plain = emitGemm(module, spec)
  const finished = emitGemm(module, spec, biasAndScale)
  expect(finished).not.toBe(plain)
  expect(emitGemm(module, { form: "NN", batch: 1, ...spec })).toBe(plain)
  expect(emitGemm(module, spec, { ...biasAndScale })).toBe(finished)
  expect(emitGemm(module, spec, { ...biasAndScale, key: "another" })).not.toBe(finished)
  expect(emitGemm(module, { ...spec, alpha: -0 })).not.toBe(emitGemm(module, { ...spec, alpha: 0 }))
  expect(emitGemm(new ModuleBuilder(), spec)).not.toBe(plain)
  expect(gemmWorkspaceBytes(spec)).toBe(0)
})
