// Conversions between dtypes, in the types elements are computed in: to an integer truncates towards zero and saturates (NaN
// becomes 0), to bool asks for ≠ 0, to float32 rounds.

import { type DType, fail } from "@counterflow/ir"
import { type Expr, f32, f64, type Local, i32, i64, select } from "../../assembler/index.ts"
import type { Work } from "./element.ts"

const limit = Number.MAX_SAFE_INTEGER

type Conversions<T extends Work> = Readonly<Record<DType, (x: Local<T>) => Expr<Work>>>

const fromReal: Conversions<"f64"> = {
  float32: (x) => rounded(x),
  float64: (x) => x,
  int32: (x) => i32.truncSatF64S(x),
  int64: (x) => i64.truncSatF64S(f64.min(f64.max(x, -limit), limit)),
  uint8: (x) => i32.truncSatF64S(f64.min(f64.max(x, 0), 255)),
  bool: (x) => f64.ne(x, 0),
}

const fromInteger: Conversions<"i32"> = {
  float32: (x) => rounded(f64.convertI32S(x)),
  float64: (x) => f64.convertI32S(x),
  int32: (x) => x,
  int64: (x) => i64.extendI32S(x),
  uint8: (x) => select(i32.gtS(x, 255), i32.const(255), select(i32.ltS(x, 0), i32.const(0), x)),
  bool: (x) => i32.ne(x, 0),
}

const [least, most] = [-(2 ** 31), 2 ** 31 - 1]

const fromWide: Conversions<"i64"> = {
  float32: (x) => rounded(f64.convertI64S(x)),
  float64: (x) => f64.convertI64S(x),
  int32: (x) => i32.wrapI64(select(i64.gtS(x, most), i64.const(most), select(i64.ltS(x, least), i64.const(least), x))),
  int64: (x) => x,
  uint8: (x) => i32.wrapI64(select(i64.gtS(x, 255), i64.const(255), select(i64.ltS(x, 0), i64.const(0), x))),
  bool: (x) => i64.ne(x, 0),
}

function rounded(x: Expr<"f64">): Expr<"f64"> {
  return f64.promoteF32(f32.demoteF64(x))
}

/** The value x as an element of `dtype`. */
export function convert(x: Local<Work>, dtype: DType): Expr<Work> {
  if (isOf("f64", x)) return fromReal[dtype](x)
  if (isOf("i32", x)) return fromInteger[dtype](x)
  if (isOf("i64", x)) return fromWide[dtype](x)
  return fail("CF_INTERNAL", "an element is computed in an unknown type")
}

function isOf<T extends Work>(type: T, x: Local<Work>): x is Local<T> {
  return x.type === type
}

/** A constant as an element of `dtype`, converted alike. */
export function convertConstant(value: number, dtype: DType): number {
  switch (dtype) {
    case "float32":
      return Math.fround(value)
    case "float64":
      return value
    case "int32":
      return saturate(value, least, most)
    case "int64":
      return saturate(value, -limit, limit)
    case "uint8":
      return saturate(value, 0, 255)
    case "bool":
      return value === 0 ? 0 : 1
  }
}

function saturate(value: number, low: number, high: number): number {
  return Number.isNaN(value) ? 0 : Math.trunc(Math.min(Math.max(value, low), high)) + 0
}
