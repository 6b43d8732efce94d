// exp of four float32 that are not positive: the bits of the general one, with less to do for the exponent. What is divided by
// the exponential of the largest has such arguments.

import { type Expr, f32x4, i32x4, type Local } from "../../assembler/index.ts"
import { coefficients, ln2High, ln2Low, rounder, rounderBits } from "./exponential.ts"
import { type Lanes, polynomial } from "./lanes.ts"

/** 2^(n + lift) is a normal number for all n that occur, n = −150 to 0. */
const lift = 64

export function decay(lanes: Lanes, x: Local<"v128">): Expr<"v128"> {
  const { f, float, bits } = lanes
  // Beyond is 0. A NaN is not less, and stays.
  const clamped = f.let(f32x4.pmax(x, float(-104)))
  const moved = f.let(f32x4.add(f32x4.mul(clamped, float(Math.LOG2E)), float(rounder)))
  const n = f.let(f32x4.sub(moved, float(rounder)))
  const part = f32x4.sub(clamped, f32x4.mul(n, float(ln2High)))
  const r = f.let(f32x4.sub(part, f32x4.mul(n, float(ln2Low))))
  const tail = f32x4.mul(polynomial(lanes, r, coefficients), f32x4.mul(r, r))
  const y = f32x4.add(f32x4.add(tail, r), float(1))
  const power = i32x4.shl(i32x4.add(moved, bits(127 + lift - rounderBits)), 23)
  return f32x4.mul(f32x4.mul(y, power), float(2 ** -lift))
}
