// Patches as columns against the definition, and the adjoint against the inner product that defines it.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { col2im, im2col } from "../../src/numeric/im2col.ts"

interface Window {
  c: number
  h: number
  w: number
  kh: number
  kw: number
  sh: number
  sw: number
  padTop: number
  padLeft: number
  dh: number
  dw: number
  oh: number
  ow: number
}

const size = fc.integer({ min: 1, max: 3 })
// Output sizes are free: windows may hang over any edge, or miss the image altogether.
const windows: fc.Arbitrary<Window> = fc.record({
  c: fc.nat(3),
  h: fc.constantFrom(0, 1, 3, 5, 17),
  w: fc.constantFrom(0, 1, 3, 5, 17),
  kh: size,
  kw: size,
  sh: size,
  sw: size,
  padTop: fc.nat(4),
  padLeft: fc.nat(4),
  dh: size,
  dw: size,
  oh: fc.nat(6),
  ow: fc.nat(6),
})
const offsets = fc.tuple(fc.nat(3), fc.nat(3))

/** Small integers, so that every sum below is exact in any order. */
function filled(length: number, seed: number, isWide: boolean): Float32Array | Float64Array {
  const values = isWide ? new Float64Array(length) : new Float32Array(length)
  return values.map((_, i) => (Math.imul(i + 1, 2654435761) + seed) % 17)
}

function colSize(v: Window): number {
  return v.c * v.kh * v.kw * v.oh * v.ow
}

/** Calls `visit` for every entry of col with the index into x it stands for, or −1 outside the image. */
function definition(v: Window, visit: (entry: number, source: number) => void): void {
  let entry = 0
  for (let ch = 0; ch < v.c; ch++)
    for (let ky = 0; ky < v.kh; ky++)
      for (let kx = 0; kx < v.kw; kx++)
        for (let oy = 0; oy < v.oh; oy++)
          for (let ox = 0; ox < v.ow; ox++) {
            const y = oy * v.sh - v.padTop + ky * v.dh
            const x = ox * v.sw - v.padLeft + kx * v.dw
            const isInside = y >= 0 && y < v.h && x >= 0 && x < v.w
            visit(entry++, isInside ? (ch * v.h + y) * v.w + x : -1)
          }
}

function args(v: Window) {
  return [v.c, v.h, v.w, v.kh, v.kw, v.sh, v.sw, v.padTop, v.padLeft, v.dh, v.dw, v.oh, v.ow] as const
}

describe("im2col", () => {
  test("copies what the definition says, zeros outside, and writes nothing else", () => {
    fc.assert(
      fc.property(windows, offsets, fc.boolean(), fc.integer(), (v, [xOffset, colOffset], isWide, seed) => {
        const x = filled(xOffset + v.c * v.h * v.w, seed, isWide)
        const col = filled(colOffset + colSize(v) + 2, seed, isWide).fill(NaN)
        const expected = col.slice()
        definition(v, (entry, source) => {
          expected[colOffset + entry] = source < 0 ? 0 : x[xOffset + source]!
        })
        im2col(x, xOffset, ...args(v), col, colOffset)
        expect(col).toEqual(expected)
      }),
      { seed: 17, numRuns: 500 },
    )
  })

  test("lays a 2×2 kernel over a 3×3 image", () => {
    const x = Float32Array.from({ length: 9 }, (_, i) => i + 1)
    const col = new Float32Array(16)
    im2col(x, 0, 1, 3, 3, 2, 2, 1, 1, 0, 0, 1, 1, 2, 2, col, 0)
    expect([...col]).toEqual([1, 2, 4, 5, 2, 3, 5, 6, 4, 5, 7, 8, 5, 6, 8, 9])
  })
})

describe("col2im", () => {
  test("is the adjoint of im2col and adds to what is there", () => {
    fc.assert(
      fc.property(windows, offsets, fc.boolean(), fc.integer(), (v, [xOffset, colOffset], isWide, seed) => {
        const x = filled(xOffset + v.c * v.h * v.w, seed, isWide)
        const given = filled(colOffset + colSize(v), seed + 5, isWide)
        const col = given.slice()
        im2col(x, xOffset, ...args(v), col, colOffset)
        const before = filled(x.length, seed + 9, isWide)
        const after = before.slice()
        col2im(given, colOffset, ...args(v), after, xOffset)
        let overCols = 0
        for (let i = colOffset; i < col.length; i++) overCols += col[i]! * given[i]!
        let overImage = 0
        for (let i = xOffset; i < x.length; i++) overImage += x[i]! * (after[i]! - before[i]!)
        expect(overImage).toBe(overCols)
        expect(after.subarray(0, xOffset)).toEqual(before.subarray(0, xOffset))
      }),
      { seed: 18, numRuns: 500 },
    )
  })
})
