// What every scalar operation does on this backend, per class of dtype. Each rule says it twice: as JavaScript text for
// compiled loops and as a function for hosts that forbid compiling text. Floats are computed in float64 whatever they are
// stored as; integers as their dtype wraps; int64 lives in float64 and is exact within ±(2^53 − 1).

import type { BinaryScalar, Comparison, DType, UnaryScalar } from "@counterflow/ir"
import { erf, roundHalfEven } from "./numeric/special.ts"

export interface Rule {
  /** Its operands are names of variables or literals, never compound expressions. */
  readonly text: (x: string, y: string) => string
  readonly run: (x: number, y: number) => number
}

type ScalarClass = "float" | "int32" | "int64" | "uint8" | "bool"
type Rules = Partial<Record<UnaryScalar | BinaryScalar, Rule>>

/** The functions that texts call by these names. */
export const runtime = { erf, roundHalfEven, toInt32, toUint8, toInt64 } as const

function rule(text: (x: string, y: string) => string, run: (x: number, y: number) => number): Rule {
  return { text, run }
}

function call(name: string, run: (x: number, y: number) => number): Rule {
  return { text: (x) => `${name}(${x})`, run }
}

const keep = rule(
  (x) => x,
  (x) => x,
)
const abs = rule((x) => `Math.abs(${x})`, Math.abs)
const sign = rule((x) => `Math.sign(${x})`, Math.sign)
// Both propagate NaN, and hold 0 to be greater than −0.
const min = rule((x, y) => `Math.min(${x}, ${y})`, Math.min)
const max = rule((x, y) => `Math.max(${x}, ${y})`, Math.max)

const float: Rules = {
  neg: rule(
    (x) => `-${x}`,
    (x) => -x,
  ),
  abs,
  sign,
  floor: call("Math.floor", Math.floor),
  ceil: call("Math.ceil", Math.ceil),
  round: call("roundHalfEven", roundHalfEven),
  sqrt: call("Math.sqrt", Math.sqrt),
  exp: call("Math.exp", Math.exp),
  log: call("Math.log", Math.log),
  log1p: call("Math.log1p", Math.log1p),
  sin: call("Math.sin", Math.sin),
  cos: call("Math.cos", Math.cos),
  tanh: call("Math.tanh", Math.tanh),
  erf: call("erf", erf),
  add: rule(
    (x, y) => `${x} + ${y}`,
    (x, y) => x + y,
  ),
  sub: rule(
    (x, y) => `${x} - ${y}`,
    (x, y) => x - y,
  ),
  mul: rule(
    (x, y) => `${x} * ${y}`,
    (x, y) => x * y,
  ),
  div: rule(
    (x, y) => `${x} / ${y}`,
    (x, y) => x / y,
  ),
  pow: rule((x, y) => `Math.pow(${x}, ${y})`, Math.pow),
  min,
  max,
}

const int32: Rules = {
  neg: rule(
    (x) => `-${x} | 0`,
    (x) => -x | 0,
  ),
  abs: rule(
    (x) => `Math.abs(${x}) | 0`,
    (x) => Math.abs(x) | 0,
  ),
  sign,
  floor: keep,
  ceil: keep,
  round: keep,
  add: rule(
    (x, y) => `(${x} + ${y}) | 0`,
    (x, y) => (x + y) | 0,
  ),
  sub: rule(
    (x, y) => `(${x} - ${y}) | 0`,
    (x, y) => (x - y) | 0,
  ),
  mul: rule((x, y) => `Math.imul(${x}, ${y})`, Math.imul),
  div: rule(
    (x, y) => `${y} === 0 ? 0 : (${x} / ${y}) | 0`,
    (x, y) => (y === 0 ? 0 : (x / y) | 0),
  ),
  min,
  max,
}

const uint8: Rules = {
  neg: rule(
    (x) => `-${x} & 255`,
    (x) => -x & 255,
  ),
  abs: keep,
  sign,
  floor: keep,
  ceil: keep,
  round: keep,
  add: rule(
    (x, y) => `(${x} + ${y}) & 255`,
    (x, y) => (x + y) & 255,
  ),
  sub: rule(
    (x, y) => `(${x} - ${y}) & 255`,
    (x, y) => (x - y) & 255,
  ),
  mul: rule(
    (x, y) => `(${x} * ${y}) & 255`,
    (x, y) => (x * y) & 255,
  ),
  div: int32.div as Rule,
  min,
  max,
}

// An integer has no −0: adding 0 makes it 0. The rounded quotient never reaches the next integer while |x| < 2^53.
const int64: Rules = {
  neg: rule(
    (x) => `-${x} + 0`,
    (x) => -x + 0,
  ),
  abs,
  sign,
  floor: keep,
  ceil: keep,
  round: keep,
  add: float.add as Rule,
  sub: float.sub as Rule,
  mul: rule(
    (x, y) => `${x} * ${y} + 0`,
    (x, y) => x * y + 0,
  ),
  div: rule(
    (x, y) => `${y} === 0 ? 0 : Math.trunc(${x} / ${y}) + 0`,
    (x, y) => (y === 0 ? 0 : Math.trunc(x / y) + 0),
  ),
  min,
  max,
}

const bool: Rules = {
  not: rule(
    (x) => `${x} ^ 1`,
    (x) => x ^ 1,
  ),
  and: rule(
    (x, y) => `${x} & ${y}`,
    (x, y) => x & y,
  ),
  or: rule(
    (x, y) => `${x} | ${y}`,
    (x, y) => x | y,
  ),
  min,
  max,
}

const rules: Readonly<Record<ScalarClass, Rules>> = { float, int32, int64, uint8, bool }

/** What an operation does on operands of a dtype, or undefined where it has no meaning: `exp` of an integer. */
export function ruleFor(op: UnaryScalar | BinaryScalar, dtype: DType): Rule | undefined {
  return rules[dtype === "float32" || dtype === "float64" ? "float" : dtype][op]
}

/** Comparisons, alike for all dtypes: 1 or 0; with NaN only `notEqual` holds. */
export const comparisonRules: Readonly<Record<Comparison, Rule>> = {
  less: rule(
    (x, y) => `${x} < ${y} ? 1 : 0`,
    (x, y) => (x < y ? 1 : 0),
  ),
  lessEqual: rule(
    (x, y) => `${x} <= ${y} ? 1 : 0`,
    (x, y) => (x <= y ? 1 : 0),
  ),
  equal: rule(
    (x, y) => `${x} === ${y} ? 1 : 0`,
    (x, y) => (x === y ? 1 : 0),
  ),
  notEqual: rule(
    (x, y) => `${x} !== ${y} ? 1 : 0`,
    (x, y) => (x !== y ? 1 : 0),
  ),
}

/** Conversions by target. A value of a float32 expression is rounded here or when it is stored, nowhere else. */
export const castRules: Readonly<Record<DType, Rule>> = {
  float32: call("Math.fround", Math.fround),
  float64: keep,
  int32: call("toInt32", toInt32),
  int64: call("toInt64", toInt64),
  uint8: call("toUint8", toUint8),
  bool: rule(
    (x) => `${x} !== 0 ? 1 : 0`,
    (x) => (x !== 0 ? 1 : 0),
  ),
}

// NaN fails both comparisons, and NaN | 0 is 0.
function toInt32(x: number): number {
  return x > 2147483647 ? 2147483647 : x < -2147483648 ? -2147483648 : x | 0
}

function toUint8(x: number): number {
  return x > 255 ? 255 : x < 0 ? 0 : x | 0
}

function toInt64(x: number): number {
  if (Number.isNaN(x)) return 0
  return Math.trunc(Math.min(Math.max(x, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)) + 0
}
