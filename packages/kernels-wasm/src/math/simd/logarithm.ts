// log of four float32: x = 2^k (1 + m) with 1 + m in [√½, √2), and the polynomial of the Cephes library on m. Within one unit
// in the last place, denormal numbers included.

import { type Expr, f32x4, i32x4, type Local, v128 } from "../../assembler/index.ts"
import { type Lanes, polynomial } from "./lanes.ts"

const coefficients = [
  3.3333331174e-1, -2.4999993993e-1, 2.0000714765e-1, -1.6668057665e-1, 1.4249322787e-1, -1.2420140846e-1,
  1.167699874e-1, -1.151461031e-1, 7.0376836292e-2,
]
const ln2High = 0.693359375
const ln2Low = -2.1219444e-4
const sqrtHalf = 0.7071067811865476

export function log(lanes: Lanes, x: Local<"v128">): Expr<"v128"> {
  const { f, float, bits } = lanes
  const isTiny = f.let(f32x4.lt(x, float(2 ** -126)))
  const normal = f.let(v128.bitselect(f32x4.mul(x, float(2 ** 23)), x, isTiny))
  const half = f.let(v128.or(v128.and(normal, bits(0x7fffff)), bits(0x3f000000)))
  const isLow = f.let(f32x4.lt(half, float(sqrtHalf)))
  const shift = v128.and(isTiny, bits(23))
  // A mask is −1 where it holds.
  const exponent = i32x4.add(i32x4.sub(i32x4.sub(i32x4.shrU(normal, 23), bits(126)), shift), isLow)
  const k = f.let(f32x4.convertI32x4S(exponent))
  const m = f.let(f32x4.sub(f32x4.add(half, v128.and(half, isLow)), float(1)))
  const square = f.let(f32x4.mul(m, m))
  const tail = f32x4.mul(f32x4.mul(m, square), polynomial(lanes, m, coefficients))
  const low = f32x4.add(tail, f32x4.mul(k, float(ln2Low)))
  const small = f32x4.sub(low, f32x4.mul(square, float(0.5)))
  const value = f32x4.add(f32x4.add(m, small), f32x4.mul(k, float(ln2High)))
  // Infinity and NaN are their own logarithms; of 0 it is −∞, of negative numbers there is none.
  const finite = v128.bitselect(value, x, f32x4.lt(x, float(Infinity)))
  const positive = v128.bitselect(float(-Infinity), finite, f32x4.eq(x, float(0)))
  return v128.bitselect(float(NaN), positive, f32x4.lt(x, float(0)))
}

/** log(1 + x), without the digits that 1 + x loses: Goldberg, What every computer scientist should know (1991), theorem 4. */
export function log1p(lanes: Lanes, x: Local<"v128">): Expr<"v128"> {
  const { f, float } = lanes
  const sum = f.let(f32x4.add(x, float(1)))
  const logarithm = f.let(log(lanes, sum))
  const repaired = f32x4.mul(logarithm, f32x4.div(x, f32x4.sub(sum, float(1))))
  const finite = v128.bitselect(repaired, logarithm, f32x4.lt(sum, float(Infinity)))
  return v128.bitselect(x, finite, f32x4.eq(sum, float(1)))
}
