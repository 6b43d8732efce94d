// Convolution as a matrix product: im2col lays the patches of one NCHW image out as columns, col2im is its adjoint.
//
//   col[((ch·kh + ky)·kw + kx), oy·ow + ox] = x[ch, oy·sh − padTop + ky·dh, ox·sw − padLeft + kx·dw]     (0 outside)
//
// One row of `col` at a time; the range of ox that stays inside the image is worked out once, so no inner loop tests.

import type { Reals } from "./gemm.ts"

/** x [c, h, w] → col [c·kh·kw, oh·ow], both row-major; positions outside the image read as zero. */
export function im2col(
  x: Reals,
  xOffset: number,
  c: number,
  h: number,
  w: number,
  kh: number,
  kw: number,
  sh: number,
  sw: number,
  padTop: number,
  padLeft: number,
  dh: number,
  dw: number,
  oh: number,
  ow: number,
  col: Reals,
  colOffset: number,
): void {
  let row = colOffset
  for (let ch = 0; ch < c; ch++) {
    const plane = xOffset + ch * h * w
    for (let ky = 0; ky < kh; ky++) {
      for (let kx = 0; kx < kw; kx++) {
        const shift = kx * dw - padLeft
        const first = firstInside(shift, sw, ow)
        const last = endInside(shift, sw, w, ow, first)
        for (let oy = 0; oy < oh; oy++, row += ow) {
          const y = oy * sh - padTop + ky * dh
          if (y < 0 || y >= h) {
            col.fill(0, row, row + ow)
            continue
          }
          for (let ox = 0; ox < first; ox++) col[row + ox] = 0
          for (let ox = first, from = plane + y * w + first * sw + shift; ox < last; ox++, from += sw) {
            col[row + ox] = x[from]!
          }
          for (let ox = last; ox < ow; ox++) col[row + ox] = 0
        }
      }
    }
  }
}

/** The adjoint: adds every entry of col [c·kh·kw, oh·ow] to the element of x [c, h, w] that im2col copies it from. */
export function col2im(
  col: Reals,
  colOffset: number,
  c: number,
  h: number,
  w: number,
  kh: number,
  kw: number,
  sh: number,
  sw: number,
  padTop: number,
  padLeft: number,
  dh: number,
  dw: number,
  oh: number,
  ow: number,
  x: Reals,
  xOffset: number,
): void {
  let row = colOffset
  for (let ch = 0; ch < c; ch++) {
    const plane = xOffset + ch * h * w
    for (let ky = 0; ky < kh; ky++) {
      for (let kx = 0; kx < kw; kx++) {
        const shift = kx * dw - padLeft
        const first = firstInside(shift, sw, ow)
        const last = endInside(shift, sw, w, ow, first)
        for (let oy = 0; oy < oh; oy++, row += ow) {
          const y = oy * sh - padTop + ky * dh
          if (y < 0 || y >= h) continue
          for (let ox = first, to = plane + y * w + first * sw + shift; ox < last; ox++, to += sw) {
            x[to] = x[to]! + col[row + ox]!
          }
        }
      }
    }
  }
}

/** The least ox in [0, ow] with ox·stride + shift ≥ 0. */
function firstInside(shift: number, stride: number, ow: number): number {
  return shift >= 0 ? 0 : Math.min(ow, Math.ceil(-shift / stride))
}

/** One past the greatest ox below ow with ox·stride + shift < width, but never less than `first`. */
function endInside(shift: number, stride: number, width: number, ow: number, first: number): number {
  return Math.max(first, Math.min(ow, Math.ceil((width - shift) / stride)))
}
