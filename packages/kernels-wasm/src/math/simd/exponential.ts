// exp of four float32: x = n ln 2 + r with |r| ≤ ln 2 / 2, the polynomial of the Cephes library on r, and 2^n in two factors,
// so that results near overflow and denormal ones are right. Within 1.2 units in the last place.

import { type Expr, f32x4, i32x4, type Local } from "../../assembler/index.ts"
import { type Lanes, polynomial } from "./lanes.ts"

export const coefficients = [
  5.0000001201e-1, 1.6666665459e-1, 4.1665795894e-2, 8.3334519073e-3, 1.3981999507e-3, 1.98756915e-4,
]
/** ln 2: few bits, so that their product with n is exact, and the rest. */
export const ln2High = 0.693359375
export const ln2Low = -2.1219444e-4
/** Added to a small number it leaves the nearest integer in the low bits. */
export const rounder = 1.5 * 2 ** 23
export const rounderBits = 0x4b400000

export function exp(lanes: Lanes, x: Local<"v128">): Expr<"v128"> {
  const { f, float, bits } = lanes
  // Beyond these limits are infinity and 0. A NaN is not less, and stays.
  const clamped = f.let(f32x4.pmax(f32x4.pmin(x, float(89)), float(-104)))
  const moved = f.let(f32x4.add(f32x4.mul(clamped, float(Math.LOG2E)), float(rounder)))
  const n = f.let(f32x4.sub(moved, float(rounder)))
  const part = f32x4.sub(clamped, f32x4.mul(n, float(ln2High)))
  const r = f.let(f32x4.sub(part, f32x4.mul(n, float(ln2Low))))
  const tail = f32x4.mul(polynomial(lanes, r, coefficients), f32x4.mul(r, r))
  const y = f.let(f32x4.add(f32x4.add(tail, r), float(1)))
  // Twice the bias of exponents is added before n is halved, so that both halves have it.
  const exponent = f.let(i32x4.sub(moved, bits(rounderBits - 254)))
  const half = f.let(i32x4.shrU(exponent, 1))
  const power = (k: Expr<"v128">) => i32x4.shl(k, 23)
  return f32x4.mul(f32x4.mul(y, power(half)), power(i32x4.sub(exponent, half)))
}
