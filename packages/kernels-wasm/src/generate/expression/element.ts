// Elements by dtype: how one is loaded and stored, and the type it is computed in. Floats are computed in f64 whatever they
// are stored as and rounded when stored, as the reference backend does; integers as wide as they are stored, bytes in
// i32.

import { type DType, fail } from "@counterflow/ir"
import { type Expr, f32, f64, type FunctionBuilder, i32, i64, type Operand } from "../../assembler/index.ts"

/** The types that elements are computed in. */
export type Work = "i32" | "i64" | "f64"

export interface Element<T extends Work = Work> {
  readonly bytes: number
  readonly type: T
  constant(value: number): Expr<T>
  load(address: Operand<"i32">, offset?: number): Expr<T>
  store(f: FunctionBuilder, address: Operand<"i32">, value: Expr<T>, offset?: number): void
  add(x: Expr<T>, y: Expr<T>): Expr<T>
  mul(x: Expr<T>, y: Expr<T>): Expr<T>
  greater(x: Expr<T>, y: Expr<T>): Expr<"i32">
  /** Whether a value is NaN; null where none can be. */
  isNaN(x: Expr<T>): Expr<"i32"> | null
}

const real = {
  type: "f64",
  constant: (value: number) => f64.const(value),
  add: f64.add,
  mul: f64.mul,
  greater: f64.gt,
  isNaN: (x: Expr<"f64">) => f64.ne(x, x),
} as const

const float32: Element<"f64"> = {
  ...real,
  bytes: 4,
  load: (address, offset) => f64.promoteF32(f32.load(address, offset)),
  store: (f, address, value, offset) => f.store("f32", address, f32.demoteF64(value), offset),
}

const float64: Element<"f64"> = {
  ...real,
  bytes: 8,
  load: (address, offset) => f64.load(address, offset),
  store: (f, address, value, offset) => f.store("f64", address, value, offset),
}

const integer = {
  type: "i32",
  constant: (value: number) => i32.const(value | 0),
  add: i32.add,
  mul: i32.mul,
  greater: i32.gtS,
  isNaN: () => null,
} as const

const int32: Element<"i32"> = {
  ...integer,
  bytes: 4,
  load: (address, offset) => i32.load(address, offset),
  store: (f, address, value, offset) => f.store("i32", address, value, offset),
}

/** Storing keeps the low byte, which is how uint8 wraps around. */
const byte: Element<"i32"> = {
  ...integer,
  bytes: 1,
  load: (address, offset) => i32.load8U(address, offset),
  store: (f, address, value, offset) => f.store("i32.8", address, value, offset),
}

const int64: Element<"i64"> = {
  bytes: 8,
  type: "i64",
  constant: (value) => i64.const(BigInt(Math.trunc(value))),
  load: (address, offset) => i64.load(address, offset),
  store: (f, address, value, offset) => f.store("i64", address, value, offset),
  add: i64.add,
  mul: i64.mul,
  greater: i64.gtS,
  isNaN: () => null,
}

const elements = { float32, float64, int32, int64, uint8: byte, bool: byte } as const satisfies Record<DType, Element>

export function elementOf(dtype: DType): Element {
  return elements[dtype]
}

export function bytesOf(dtype: DType): number {
  return elements[dtype].bytes
}

/** The element of a float dtype. */
export function realOf(dtype: DType): Element<"f64"> {
  if (dtype === "float32") return float32
  return dtype === "float64" ? float64 : fail("CF_INTERNAL", `${dtype} is no float dtype`)
}
