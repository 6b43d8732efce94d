// From a scalar expression to vector instructions, four elements at a time: float32 as floats, bool as masks. Every operation
// rounds to float32. What has no vector form here (other dtypes, pow, sine and cosine) is refused as a whole.

import type { DType, Scalar, UnaryScalar } from "@counterflow/ir"
import { type Expr, f32x4, type Local, v128 } from "../assembler/index.ts"
import { exp } from "../math/simd/exponential.ts"
import { copySign, type Lanes } from "../math/simd/lanes.ts"
import { log } from "../math/simd/logarithm.ts"
import { erf, tanh } from "../math/simd/sigmoidal.ts"
import { convertConstant } from "./conversion.ts"

type LaneType = "float32" | "bool"

type Unary = (x: Local<"v128">, lanes: Lanes) => Expr<"v128">
type Binary = (x: Local<"v128">, y: Local<"v128">) => Expr<"v128">

const floatUnary: Readonly<Partial<Record<UnaryScalar, Unary>>> = {
  neg: (x) => f32x4.neg(x),
  abs: (x) => f32x4.abs(x),
  // Zeros and NaN stay what they are.
  sign: (x, lanes) => v128.bitselect(copySign(lanes, lanes.float(1), x), x, f32x4.gt(f32x4.abs(x), lanes.float(0))),
  floor: (x) => f32x4.floor(x),
  ceil: (x) => f32x4.ceil(x),
  round: (x) => f32x4.nearest(x),
  sqrt: (x) => f32x4.sqrt(x),
  exp: (x, lanes) => exp(lanes, x),
  log: (x, lanes) => log(lanes, x),
  tanh: (x, lanes) => tanh(lanes, x),
  erf: (x, lanes) => erf(lanes, x),
}

const floatBinary: Readonly<Record<string, Binary>> = {
  add: (x, y) => f32x4.add(x, y),
  sub: (x, y) => f32x4.sub(x, y),
  mul: (x, y) => f32x4.mul(x, y),
  div: (x, y) => f32x4.div(x, y),
  min: (x, y) => f32x4.min(x, y),
  max: (x, y) => f32x4.max(x, y),
}

const comparisons: Readonly<Record<string, Binary>> = {
  less: (x, y) => f32x4.lt(x, y),
  lessEqual: (x, y) => f32x4.le(x, y),
  equal: (x, y) => f32x4.eq(x, y),
  notEqual: (x, y) => f32x4.ne(x, y),
}

const maskBinary: Readonly<Record<string, Binary>> = {
  and: (x, y) => v128.and(x, y),
  or: (x, y) => v128.or(x, y),
  min: (x, y) => v128.and(x, y),
  max: (x, y) => v128.or(x, y),
}

/** The types of all parts, null where only constants say it; undefined if a part has no vector form. */
export function laneTypes(
  scalar: Scalar,
  inputs: Readonly<Record<string, DType>>,
  output: DType,
): ReadonlyMap<Scalar, LaneType | null> | undefined {
  const types = new Map<Scalar, LaneType | null | undefined>()
  const typeOf = (node: Scalar): LaneType | null | undefined => {
    if (!types.has(node)) types.set(node, infer(node))
    return types.get(node)
  }
  const infer = (node: Scalar): LaneType | null | undefined => {
    if (node.op === "input") return laneType(inputs[node.slot])
    if (node.op === "const") return null
    const x = typeOf(node.x)
    if (x === undefined) return undefined
    if (node.op === "cast") return x === null ? undefined : laneType(node.dtype)
    if (!("y" in node)) {
      if (x === null) return undefined
      const isKnown = x === "bool" ? node.op === "not" : floatUnary[node.op] !== undefined
      return isKnown ? x : undefined
    }
    const y = typeOf(node.y)
    if (y === undefined || (x !== null && y !== null && x !== y)) return undefined
    const both = x ?? y
    if (both === null) return undefined
    if (node.op === "select") return typeOf(node.condition) === "bool" ? both : undefined
    if (comparisons[node.op] !== undefined) return both === "float32" ? "bool" : undefined
    const table = both === "bool" ? maskBinary : floatBinary
    return table[node.op] === undefined ? undefined : both
  }
  if (laneType(output) === undefined || typeOf(scalar) !== output) return undefined
  const known = new Map<Scalar, LaneType | null>()
  for (const [node, type] of types) {
    if (type === undefined) return undefined
    known.set(node, type)
  }
  return known
}

function laneType(dtype: DType | undefined): LaneType | undefined {
  return dtype === "float32" || dtype === "bool" ? dtype : undefined
}

/** Four values of an expression that `laneTypes` knows; inputs are asked for once, when they are first read. */
export function evaluateLanes(
  lanes: Lanes,
  scalar: Scalar,
  types: ReadonlyMap<Scalar, LaneType | null>,
  load: (slot: string) => Expr<"v128">,
): Local<"v128"> {
  const { f } = lanes
  const made = new Map<Scalar, Local<"v128">>()
  const visit = (node: Scalar, wanted: LaneType): Local<"v128"> => {
    if (node.op === "const") return constant(node.value, wanted)
    let local = made.get(node)
    if (local === undefined) made.set(node, (local = f.let(translate(node, types.get(node) ?? wanted))))
    return local
  }
  const constant = (value: number, type: LaneType) =>
    type === "bool" ? lanes.bits(value === 0 ? 0 : -1) : lanes.float(convertConstant(value, type))

  const translate = (node: Exclude<Scalar, { readonly op: "const" }>, type: LaneType): Expr<"v128"> => {
    if (node.op === "input") return load(node.slot)
    if (node.op === "cast") return converted(node.x, type)
    if (node.op === "select") {
      const condition = visit(node.condition, "bool")
      return v128.bitselect(visit(node.x, type), visit(node.y, type), condition)
    }
    if (!("y" in node)) {
      const x = visit(node.x, type)
      return type === "bool" ? v128.not(x) : (floatUnary[node.op]?.(x, lanes) ?? x)
    }
    const compared = comparisons[node.op]
    const operands = compared === undefined ? type : "float32"
    const limited = operands === "float32" ? limit(node.op, node.x, node.y) : undefined
    if (limited !== undefined) return limited
    const [x, y] = [visit(node.x, operands), visit(node.y, operands)]
    const rule = compared ?? (type === "bool" ? maskBinary : floatBinary)[node.op]
    return rule?.(x, y) ?? x
  }
  const converted = (from: Scalar, type: LaneType): Expr<"v128"> => {
    const x = visit(from, "float32")
    const source = types.get(from)
    if (source === type) return x
    return source === "bool" ? v128.and(x, lanes.float(1)) : f32x4.ne(x, lanes.float(0))
  }
  /** min and max with a constant take one instruction: with the constant second, NaN is kept. */
  const limit = (op: string, x: Scalar, y: Scalar): Expr<"v128"> | undefined => {
    if (op !== "min" && op !== "max") return undefined
    const [value, bound] = x.op === "const" ? [y, x] : [x, y]
    if (bound.op !== "const" || Number.isNaN(bound.value)) return undefined
    const [number, operand] = [Math.fround(bound.value), visit(value, "float32")]
    if (op === "max") {
      const larger = f32x4.pmax(operand, lanes.float(number))
      // Of both zeros the positive one is the larger.
      return Object.is(number, 0) ? f32x4.add(larger, lanes.float(0)) : larger
    }
    return Object.is(number, -0) ? undefined : f32x4.pmin(operand, lanes.float(number))
  }
  return visit(scalar, "float32")
}
