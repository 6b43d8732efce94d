// Typed expressions: trees of WebAssembly instructions that leave one value. An expression is a recipe, not a value: it is
// evaluated where a statement uses it, and used twice it is computed twice (FunctionBuilder.let computes it once).

import { fail } from "@counterflow/ir"
import { f32Bytes, f64Bytes, i32Bytes, i64Bytes } from "./bytes.ts"

export type ValueType = "i32" | "i64" | "f32" | "f64" | "v128"

/** One instruction of the binary format; `opcode` is the byte, or the prefix byte shifted left by 12 plus the number. */
export interface Instruction {
  readonly name: string
  readonly opcode: number
  readonly isRelaxed: boolean
}

/** Address = operand + offset; `align` is a promise in bytes, for speed only. */
export interface Memarg {
  readonly offset: number
  readonly align: number
}

export type Code =
  /** Floats and vectors are little-endian bytes, which keep NaN payloads and the sign of zero. */
  | { readonly kind: "const"; readonly value: number | bigint | Uint8Array }
  | Variable
  | { readonly kind: "tee"; readonly local: Local; readonly value: Expr }
  | {
      readonly kind: "apply"
      readonly instruction: Instruction
      readonly operands: readonly Expr[]
      readonly memarg: Memarg | undefined
      /** Lane numbers, or the sixteen of a shuffle; single bytes. */
      readonly lanes: readonly number[]
    }
  | { readonly kind: "call"; readonly target: FunctionRef; readonly operands: readonly Expr[] }

/** A local variable; the object itself is its identity. */
export interface Variable {
  readonly kind: "get"
  readonly name: string
  /** Its place among the parameters and locals of its function, in the order in which they were made. */
  readonly at: number
}

export interface Expr<T extends ValueType = ValueType> {
  readonly type: T
  readonly code: Code
}

/** A parameter or a local variable; as an expression it reads itself. */
export interface Local<T extends ValueType = ValueType> extends Expr<T> {
  readonly code: Variable
}

/** What an instruction accepts for an operand: an expression of the type, or a number that becomes a constant of the type. */
export type Operand<T extends ValueType> =
  | Expr<T>
  | (T extends "v128" ? never : T extends "i64" ? bigint | number : number)

export type Operands<P extends readonly ValueType[]> = { readonly [I in keyof P]: Operand<P[I]> }

/** A function of the module or an import, called with `call` or `FunctionBuilder.run`. */
export interface FunctionRef<
  P extends readonly ValueType[] = readonly ValueType[],
  R extends readonly ValueType[] = readonly ValueType[],
> {
  readonly name: string
  readonly params: P
  readonly results: R
}

/** The operand as an expression, checked: generators compute types, and a wrong module fails far from its cause. */
export function lift<T extends ValueType>(type: T, operand: Operand<T>): Expr<T> {
  if (typeof operand === "number" || typeof operand === "bigint") return constant(type, operand)
  if (operand.type !== type) fail("CF_INTERNAL", `assembler: expected an ${type} operand, got ${operand.type}`)
  return operand
}

export function liftAll<P extends readonly ValueType[]>(
  types: P,
  operands: Operands<P>,
  user: string,
): readonly Expr[] {
  const given: readonly Operand<ValueType>[] = operands
  if (given.length !== types.length) {
    fail("CF_INTERNAL", `assembler: ${user} takes ${types.length} operands, got ${given.length}`)
  }
  const lifted: Expr[] = []
  for (let i = 0; i < given.length; i++) lifted.push(lift(types[i] ?? "i32", given[i] ?? 0))
  return lifted
}

export function constant<T extends ValueType>(type: T, value: number | bigint): Expr<T> {
  return { type, code: { kind: "const", value: encoded(type, value) } }
}

/** A constant given by its bytes: any NaN, any vector. */
export function rawConstant<T extends "f32" | "f64" | "v128">(type: T, bytes: Uint8Array): Expr<T> {
  const size = { f32: 4, f64: 8, v128: 16 }[type]
  if (bytes.length !== size)
    fail("CF_INTERNAL", `assembler: an ${type} constant has ${size} bytes, got ${bytes.length}`)
  return { type, code: { kind: "const", value: bytes } }
}

/** The value computed by a call of a function with exactly one result. */
export function call<P extends readonly ValueType[], T extends ValueType>(
  target: FunctionRef<P, readonly [T]>,
  ...operands: Operands<P>
): Expr<T> {
  return { type: target.results[0], code: callOf(target, operands).code }
}

/** A call as a node, whatever it leaves. */
export function callOf<P extends readonly ValueType[]>(target: FunctionRef<P>, operands: Operands<P>): Expr {
  const code: Code = { kind: "call", target, operands: liftAll(target.params, operands, target.name) }
  return { type: target.results[0] ?? "i32", code }
}

function encoded(type: ValueType, value: number | bigint): number | bigint | Uint8Array {
  switch (type) {
    case "i32":
      return wrapped32(value)
    case "i64":
      return wrapped64(value)
    case "f32":
      return f32Bytes(Number(value))
    case "f64":
      return f64Bytes(Number(value))
    case "v128":
      return fail("CF_INTERNAL", "assembler: a v128 constant is given by bytes or lanes")
  }
}

/** Signed and unsigned spellings of the same bits are both welcome. */
function wrapped32(value: number | bigint): number {
  const number = Number(value)
  if (!Number.isInteger(number) || number < -(2 ** 31) || number >= 2 ** 32) {
    fail("CF_INTERNAL", `assembler: ${value} is no 32-bit integer`)
  }
  return number | 0
}

function wrapped64(value: number | bigint): bigint {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    fail("CF_INTERNAL", `assembler: ${value} is no exact integer; pass a bigint`)
  }
  const integer = BigInt(value)
  if (integer < -(2n ** 63n) || integer >= 2n ** 64n) fail("CF_INTERNAL", `assembler: ${value} is no 64-bit integer`)
  return BigInt.asIntN(64, integer)
}

/** The bytes of one lane of a vector constant. */
export function laneBytes(type: "i8" | "i16" | "i32" | "i64" | "f32" | "f64", value: number | bigint): Uint8Array {
  switch (type) {
    case "i8":
      return i32Bytes(Number(value)).slice(0, 1)
    case "i16":
      return i32Bytes(Number(value)).slice(0, 2)
    case "i32":
      return i32Bytes(wrapped32(value))
    case "i64":
      return i64Bytes(wrapped64(value))
    case "f32":
      return f32Bytes(Number(value))
    case "f64":
      return f64Bytes(Number(value))
  }
}
