// What every scalar operation does, per class of dtype, as instructions. Floats are computed in f64; integers wrap around as
// their dtype does, their division truncates, and what is divided by 0 is 0. Operands are locals or constants, so they may be
// named twice.

import type { BinaryScalar, Comparison, DType, UnaryScalar } from "@counterflow/ir"
import { call, type Expr, f64, i32, i64, select } from "../../assembler/index.ts"
import type { MathFunctions } from "../../math/index.ts"
import type { Work } from "./element.ts"

/** A method type, so that rules for one type fit a table of rules for any; operands are checked when an instruction is made. */
type Rule<T extends Work> = { rule(x: Expr<T>, y: Expr<T>, math: MathFunctions): Expr<T> }["rule"]
type Rules<T extends Work> = Readonly<Partial<Record<UnaryScalar | BinaryScalar, Rule<T>>>>

const keep = <T extends Work>(x: Expr<T>): Expr<T> => x

const float: Rules<"f64"> = {
  neg: (x) => f64.neg(x),
  abs: (x) => f64.abs(x),
  // Zeros and NaN stay what they are.
  sign: (x) => select(f64.gt(f64.abs(x), 0), f64.copysign(1, x), x),
  floor: (x) => f64.floor(x),
  ceil: (x) => f64.ceil(x),
  round: (x) => f64.nearest(x),
  sqrt: (x) => f64.sqrt(x),
  exp: (x, _y, math) => call(math.exp, x),
  log: (x, _y, math) => call(math.log, x),
  log1p: (x, _y, math) => call(math.log1p, x),
  sin: (x, _y, math) => call(math.sin, x),
  cos: (x, _y, math) => call(math.cos, x),
  tanh: (x, _y, math) => call(math.tanh, x),
  erf: (x, _y, math) => call(math.erf, x),
  add: (x, y) => f64.add(x, y),
  sub: (x, y) => f64.sub(x, y),
  mul: (x, y) => f64.mul(x, y),
  div: (x, y) => f64.div(x, y),
  pow: (x, y, math) => call(math.pow, x, y),
  min: (x, y) => f64.min(x, y),
  max: (x, y) => f64.max(x, y),
}

const int32: Rules<"i32"> = {
  neg: (x) => i32.sub(0, x),
  abs: (x) => select(i32.ltS(x, 0), i32.sub(0, x), x),
  sign: (x) => i32.sub(i32.gtS(x, 0), i32.ltS(x, 0)),
  floor: keep,
  ceil: keep,
  round: keep,
  add: (x, y) => i32.add(x, y),
  sub: (x, y) => i32.sub(x, y),
  mul: (x, y) => i32.mul(x, y),
  // Division traps on 0 and on the one quotient that overflows, −2^31 / −1: both are done as a division by 1.
  div: (x, y) => {
    const isSpecial = i32.leU(i32.add(y, 1), 1)
    const quotient = i32.divS(x, select(isSpecial, i32.const(1), y))
    return select(isSpecial, i32.mul(x, y), quotient)
  },
  min: (x, y) => select(i32.ltS(x, y), x, y),
  max: (x, y) => select(i32.gtS(x, y), x, y),
}

const lowByte = (x: Expr<"i32">): Expr<"i32"> => i32.and(x, 255)

const uint8: Rules<"i32"> = {
  neg: (x) => lowByte(i32.sub(0, x)),
  abs: keep,
  sign: (x) => i32.ne(x, 0),
  floor: keep,
  ceil: keep,
  round: keep,
  add: (x, y) => lowByte(i32.add(x, y)),
  sub: (x, y) => lowByte(i32.sub(x, y)),
  mul: (x, y) => lowByte(i32.mul(x, y)),
  div: (x, y) => select(y, i32.divU(x, i32.or(y, i32.eqz(y))), i32.const(0)),
  min: (x, y) => select(i32.ltU(x, y), x, y),
  max: (x, y) => select(i32.gtU(x, y), x, y),
}

const int64: Rules<"i64"> = {
  neg: (x) => i64.sub(0, x),
  abs: (x) => select(i64.ltS(x, 0), i64.sub(0, x), x),
  sign: (x) => i64.extendI32S(i32.sub(i64.gtS(x, 0), i64.ltS(x, 0))),
  floor: keep,
  ceil: keep,
  round: keep,
  add: (x, y) => i64.add(x, y),
  sub: (x, y) => i64.sub(x, y),
  mul: (x, y) => i64.mul(x, y),
  div: (x, y) => {
    const isSpecial = i64.leU(i64.add(y, 1), 1)
    const quotient = i64.divS(x, select(isSpecial, i64.const(1), y))
    return select(isSpecial, i64.mul(x, y), quotient)
  },
  min: (x, y) => select(i64.ltS(x, y), x, y),
  max: (x, y) => select(i64.gtS(x, y), x, y),
}

const bool: Rules<"i32"> = {
  not: (x) => i32.xor(x, 1),
  and: (x, y) => i32.and(x, y),
  or: (x, y) => i32.or(x, y),
  min: (x, y) => i32.and(x, y),
  max: (x, y) => i32.or(x, y),
}

const rules: Readonly<Record<DType, Rules<Work>>> = {
  float32: float as Rules<Work>,
  float64: float as Rules<Work>,
  int32: int32 as Rules<Work>,
  int64: int64 as Rules<Work>,
  uint8: uint8 as Rules<Work>,
  bool: bool as Rules<Work>,
}

/** What an operation does on operands of a dtype, or undefined where it has no meaning: `exp` of an integer. */
export function ruleFor(op: UnaryScalar | BinaryScalar, dtype: DType): Rule<Work> | undefined {
  return rules[dtype][op]
}

type ComparisonOf<T extends Work> = Readonly<Record<Comparison, { rule(x: Expr<T>, y: Expr<T>): Expr<"i32"> }["rule"]>>

const floatComparisons: ComparisonOf<"f64"> = { less: f64.lt, lessEqual: f64.le, equal: f64.eq, notEqual: f64.ne }
const intComparisons: ComparisonOf<"i32"> = { less: i32.ltS, lessEqual: i32.leS, equal: i32.eq, notEqual: i32.ne }
const wideComparisons: ComparisonOf<"i64"> = { less: i64.ltS, lessEqual: i64.leS, equal: i64.eq, notEqual: i64.ne }

/** 1 or 0; with NaN only `notEqual` holds. */
export function compare(op: Comparison, type: Work, x: Expr<Work>, y: Expr<Work>): Expr<"i32"> {
  const tables: Readonly<Record<Work, ComparisonOf<Work>>> = {
    f64: floatComparisons,
    i32: intComparisons,
    i64: wideComparisons,
  }
  return tables[type][op](x, y)
}
