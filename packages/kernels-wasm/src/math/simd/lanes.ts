// What the vector functions are written with: four float32 at a time, and constants that stand in locals. They are splat
// before the loop: a vector literal would be made anew at every use inside it.

import { type Expr, f32x4, type FunctionBuilder, type Local, type ModuleBuilder, v128 } from "../../assembler/index.ts"

export interface Lanes {
  readonly f: FunctionBuilder
  /** A float in all lanes. */
  readonly float: (value: number) => Local<"v128">
  /** 32 bits in all lanes. */
  readonly bits: (value: number) => Local<"v128">
  /** Where functions that are called lane by lane go; nowhere if none may be called. */
  readonly module?: ModuleBuilder | undefined
}

/** Four results of four operands. */
export type LaneFunction = (lanes: Lanes, x: Local<"v128">) => Expr<"v128">

/** c₀ + x (c₁ + x (c₂ + …)) */
export function polynomial(lanes: Lanes, x: Local<"v128">, coefficients: readonly number[]): Expr<"v128"> {
  const [first = 0, ...rest] = coefficients
  if (rest.length === 0) return lanes.float(first)
  return f32x4.add(f32x4.mul(x, polynomial(lanes, x, rest)), lanes.float(first))
}

/** The size of one, the sign of the other. */
export function copySign(lanes: Lanes, size: Expr<"v128">, sign: Local<"v128">): Expr<"v128"> {
  return v128.bitselect(sign, size, lanes.bits(-(2 ** 31)))
}
