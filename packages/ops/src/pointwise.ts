// Shape rules and option checks that elementwise families share: one operand keeps its type, two must have one type.

import { fail, isFloat, type TensorType } from "@counterflow/ir"
import { numericDTypes, requireDType, requireFloat, sameTypes } from "./shapes.ts"

/** A function of numbers: any dtype but bool. */
export function numericLike({ x }: { readonly x: TensorType }): { z: TensorType } {
  requireDType("x", x, numericDTypes)
  return { z: x }
}

/** A function of reals. */
export function floatLike({ x }: { readonly x: TensorType }): { z: TensorType } {
  requireFloat("x", x)
  return { z: x }
}

/** Arithmetic of two operands of one numeric type. */
export function numericPair(inputs: { readonly x: TensorType; readonly y: TensorType }): { z: TensorType } {
  requireDType("x", inputs.x, numericDTypes)
  return { z: sameTypes(inputs) }
}

/** A constant that takes part in integer arithmetic must be an integer itself. */
export function requireConstant(name: string, value: number, { dtype }: TensorType): void {
  if (!isFloat(dtype) && !Number.isSafeInteger(value)) {
    fail("CF_BAD_ATTRIBUTE", `${name} must be an integer where x is ${dtype}, got ${value}`, {
      fix: `cast(x, { dtype: "float32" })`,
    })
  }
}

/** What descriptions of float functions of one operand show as refused. */
export const refusesIntegers = [
  {
    in: { x: { shape: [2], dtype: "int32" } },
    code: "CF_DTYPE_MISMATCH",
    text: /must be float32 or float64, got int32/,
  },
] as const

/** An option as the user gave it: a number that is no NaN. */
export function numberOption(op: string, name: string, value: unknown): number {
  if (typeof value === "number" && !Number.isNaN(value)) return value
  return fail("CF_BAD_ATTRIBUTE", `${name} must be a number, got ${String(value)}`, { op })
}
