// Scalar expressions: what an elementwise op computes at one point, as data every backend can read: to interpret, to print
// as JavaScript, to emit as WebAssembly. Arithmetic happens in the dtype of the operands; a constant takes its partner's.

import type { DType } from "./dtype.ts"

export const unaryScalars = [
  "neg",
  "abs",
  "sign",
  "floor",
  "ceil",
  "round",
  "sqrt",
  "exp",
  "log",
  "log1p",
  "sin",
  "cos",
  "tanh",
  "erf",
  "not",
] as const
export const binaryScalars = ["add", "sub", "mul", "div", "pow", "min", "max", "and", "or"] as const
export const comparisons = ["less", "lessEqual", "equal", "notEqual"] as const

export type UnaryScalar = (typeof unaryScalars)[number]
export type BinaryScalar = (typeof binaryScalars)[number]
export type Comparison = (typeof comparisons)[number]

/**
 * - `round` goes to the nearest integer, ties to even; `sign(0)` is 0; `min` and `max` propagate NaN.
 * - On integers `div` truncates and division by zero is 0; int32 and uint8 wrap around.
 * - `cast` to an integer truncates towards zero and saturates (NaN becomes 0); to bool it asks for ≠ 0.
 */
export type Scalar =
  | { readonly op: "input"; readonly slot: string }
  | { readonly op: "const"; readonly value: number }
  | { readonly op: UnaryScalar; readonly x: Scalar }
  | { readonly op: BinaryScalar | Comparison; readonly x: Scalar; readonly y: Scalar }
  | { readonly op: "select"; readonly condition: Scalar; readonly x: Scalar; readonly y: Scalar }
  | { readonly op: "cast"; readonly x: Scalar; readonly dtype: DType }
