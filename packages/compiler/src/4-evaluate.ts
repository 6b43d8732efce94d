// The value of a scalar expression of constants, where every backend has the same one to the bit. Backends may round a float32
// expression at each operation or once at its end, so it is computed both ways, and has a value only where they agree. What
// backends compute by approximation (exp, pow, …) has none, nor has NaN, of which there are many.

import type { BinaryScalar, Comparison, DType, Scalar, UnaryScalar } from "@counterflow/ir"

/** A constant of a dtype, as it is stored. */
export interface Constant {
  readonly dtype: DType
  readonly value: number
}

/** One number, rounded at each operation and not rounded in between. */
interface Pair {
  readonly narrow: number
  readonly wide: number
}

type Rule = (x: number, y: number) => number

const unaries: Partial<Record<UnaryScalar, Rule>> = {
  neg: (x) => -x,
  abs: (x) => Math.abs(x),
  floor: (x) => Math.floor(x),
  ceil: (x) => Math.ceil(x),
  sqrt: (x) => Math.sqrt(x),
  not: (x) => (x === 0 ? 1 : 0),
}

const binaries: Partial<Record<BinaryScalar, Rule>> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  div: (x, y) => x / y,
  min: (x, y) => Math.min(x, y),
  max: (x, y) => Math.max(x, y),
  and: (x, y) => x & y,
  or: (x, y) => x | y,
}

const comparisons: Readonly<Record<Comparison, (x: number, y: number) => boolean>> = {
  less: (x, y) => x < y,
  lessEqual: (x, y) => x <= y,
  equal: (x, y) => x === y,
  notEqual: (x, y) => x !== y,
}

/** The value at every point if `scalar` reads these constants, or undefined where backends may differ. */
export function evaluate(scalar: Scalar, inputs: ReadonlyMap<string, Constant>, output: DType): number | undefined {
  const dtypeOf = (node: Scalar) => scalarDType(node, (slot) => inputs.get(slot)?.dtype)
  const visit = (node: Scalar, wanted: DType): Pair | undefined => {
    if (node.op === "input") return same(inputs.get(node.slot)?.value)
    const dtype = dtypeOf(node) ?? wanted
    if (node.op === "const") return same(converted(node.value, dtype))
    if (node.op === "cast") {
      const x = visit(node.x, dtypeOf(node.x) ?? "float64")
      return both(x, x, (value) => converted(value, node.dtype))
    }
    if (node.op === "select") {
      const condition = visit(node.condition, "bool")
      // Both ways of rounding must choose the same.
      if (condition === undefined || (condition.narrow === 0) !== (condition.wide === 0)) return undefined
      return visit(condition.narrow === 0 ? node.y : node.x, dtype)
    }
    if (!("y" in node)) {
      const x = visit(node.x, dtype)
      return applied(unaries[node.op], dtype, x, x)
    }
    if (node.op in comparisons) {
      const operands = dtypeOf(node.x) ?? dtypeOf(node.y) ?? "float64"
      const holds = comparisons[node.op as Comparison]
      return both(visit(node.x, operands), visit(node.y, operands), (x, y) => (holds(x, y) ? 1 : 0))
    }
    return applied(binaries[node.op as BinaryScalar], dtype, visit(node.x, dtype), visit(node.y, dtype))
  }
  const result = visit(scalar, output)
  if (result === undefined) return undefined
  const stored = rounded(result.wide, output)
  return Object.is(stored, result.narrow) && !Number.isNaN(stored) ? stored : undefined
}

function same(value: number | undefined): Pair | undefined {
  return value === undefined ? undefined : { narrow: value, wide: value }
}

function both(x: Pair | undefined, y: Pair | undefined, rule: Rule): Pair | undefined {
  if (x === undefined || y === undefined) return undefined
  return { narrow: rule(x.narrow, y.narrow), wide: rule(x.wide, y.wide) }
}

/** A rule of one operand is given it twice. */
function applied(rule: Rule | undefined, dtype: DType, x: Pair | undefined, y: Pair | undefined): Pair | undefined {
  if (rule === undefined || x === undefined || y === undefined) return undefined
  if (dtype === "float32" || dtype === "float64") {
    return { narrow: rounded(rule(x.narrow, y.narrow), dtype), wide: rule(x.wide, y.wide) }
  }
  const result = dtype === "int32" && rule === binaries.mul ? Math.imul(x.narrow, y.narrow) : rule(x.narrow, y.narrow)
  // Divided by zero, integers are 0.
  return same(wrapped(rule === binaries.div && y.narrow === 0 ? 0 : Math.trunc(result), dtype))
}

function rounded(value: number, dtype: DType): number {
  return dtype === "float32" ? Math.fround(value) : value
}

/** An integer result as its dtype wraps around; undefined for what not all backends represent. */
function wrapped(value: number, dtype: DType): number | undefined {
  if (dtype === "int32") return value | 0
  if (dtype === "uint8") return value & 255
  return dtype === "int64" && !Number.isSafeInteger(value) ? undefined : value + 0
}

/** As `cast` converts: to integers towards zero and saturating, to bool by asking for ≠ 0. */
export function converted(value: number, dtype: DType): number {
  if (dtype === "float32") return Math.fround(value)
  if (dtype === "float64") return value
  if (dtype === "bool") return value === 0 ? 0 : 1
  if (Number.isNaN(value)) return 0
  const [low, high] = ranges[dtype]
  return Math.trunc(Math.min(Math.max(value, low), high)) + 0
}

const ranges = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint8: [0, 255],
} as const

/** The dtype of an expression, or undefined where only constants say it: they take that of what they are combined with. */
export function scalarDType(scalar: Scalar, typeOf: (slot: string) => DType | undefined): DType | undefined {
  if (scalar.op === "input") return typeOf(scalar.slot)
  if (scalar.op === "const") return undefined
  if (scalar.op === "cast") return scalar.dtype
  if (scalar.op in comparisons) return "bool"
  const own = scalarDType(scalar.x, typeOf)
  return own === undefined && "y" in scalar ? scalarDType(scalar.y, typeOf) : own
}

/** What an operator that makes one constant stores, or undefined for a number that its dtype cannot hold. */
export function storedConstant(value: number, dtype: DType): number | undefined {
  const stored = converted(value, dtype)
  return dtype === "float32" || Object.is(stored, value) ? stored : undefined
}
