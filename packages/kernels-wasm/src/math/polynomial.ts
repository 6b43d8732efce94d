// Building blocks of the elementary functions: polynomials, powers of two, and numbers cut short so that products are exact.

import { type Expr, f64, type FunctionRef, i32, i64, type Local } from "../assembler/index.ts"

export type Unary = FunctionRef<readonly ["f64"], readonly ["f64"]>
export type Binary = FunctionRef<readonly ["f64", "f64"], readonly ["f64"]>

/** c₀ + x (c₁ + x (c₂ + …)) */
export function polynomial(x: Local<"f64">, coefficients: readonly number[]): Expr<"f64"> {
  const [first = 0, ...rest] = coefficients
  if (rest.length === 0) return f64.const(first)
  return f64.add(f64.mul(x, polynomial(x, rest)), first)
}

/** 2^k for k in [-1022, 1023]. */
export function powerOfTwo(k: Expr<"i32">): Expr<"f64"> {
  return f64.reinterpretI64(i64.shl(i64.extendI32S(i32.add(k, 1023)), 52))
}

/** x · 2^k for k in [-2044, 2046] and x near 1: in two steps, of which only the second can round, overflow or underflow. */
export function scaled(x: Expr<"f64">, k: Local<"i32">): Expr<"f64"> {
  const half = i32.shrS(k, 1)
  return f64.mul(f64.mul(x, powerOfTwo(half)), powerOfTwo(i32.sub(k, half)))
}

/** x with the low 32 bits cleared: 21 significant bits are left, so a product of two is exact. */
export function highPart(x: Expr<"f64">): Expr<"f64"> {
  return f64.reinterpretI64(i64.and(i64.reinterpretF64(x), -(2n ** 32n)))
}

export const ln2High = 6.931471803691238e-1
export const ln2Low = 1.9082149292705877e-10
