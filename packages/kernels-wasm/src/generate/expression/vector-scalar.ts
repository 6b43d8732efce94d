// From a scalar expression to vector instructions, four elements at a time: float32 as floats, int32 and uint8 as integers,
// bool as masks. Every operation rounds to float32. Functions without a vector form are called once for each lane. What needs other
// dtypes is refused as a whole.

import type { DType, Scalar, UnaryScalar } from "@counterflow/ir"
import { type Expr, f32x4, i32x4, type Local, v128 } from "../../assembler/index.ts"
import { exp } from "../../math/simd/exponential.ts"
import { copySign, type Lanes } from "../../math/simd/lanes.ts"
import { log, log1p } from "../../math/simd/logarithm.ts"
import { erf, tanh } from "../../math/simd/sigmoidal.ts"
import { convertConstant } from "./conversion.ts"
import { type LaneCall, laneCalls, powerOf } from "./vector-calls.ts"

type LaneType = "float32" | "int32" | "uint8" | "bool"

/** The type of every part of an expression; null where only constants say it. */
export type LaneTypes = ReadonlyMap<Scalar, LaneType | null>

type Unary = (x: Local<"v128">, lanes: Lanes) => Expr<"v128">
type Binary = (x: Local<"v128">, y: Local<"v128">, lanes: Lanes) => Expr<"v128">

const keep: Unary = (x) => x

function lowByte(x: Expr<"v128">, { bits }: Lanes): Expr<"v128"> {
  return v128.and(x, bits(255))
}

/** The nearest value of uint8. */
function byteOf(x: Expr<"v128">, { bits }: Lanes): Expr<"v128"> {
  return i32x4.minS(i32x4.maxS(x, bits(0)), bits(255))
}

const integerComparisons: Readonly<Record<string, Binary>> = {
  less: (x, y) => i32x4.ltS(x, y),
  lessEqual: (x, y) => i32x4.leS(x, y),
  equal: (x, y) => i32x4.eq(x, y),
  notEqual: (x, y) => i32x4.ne(x, y),
}

const unary: Readonly<Record<LaneType, Readonly<Partial<Record<UnaryScalar, Unary>>>>> = {
  float32: {
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
    log1p: (x, lanes) => log1p(lanes, x),
    tanh: (x, lanes) => tanh(lanes, x),
    erf: (x, lanes) => erf(lanes, x),
  },
  int32: {
    neg: (x) => i32x4.neg(x),
    abs: (x) => i32x4.abs(x),
    // A mask is −1 where it holds.
    sign: (x, lanes) => i32x4.sub(i32x4.ltS(x, lanes.bits(0)), i32x4.gtS(x, lanes.bits(0))),
    floor: keep,
    ceil: keep,
    round: keep,
  },
  uint8: {
    neg: (x, lanes) => lowByte(i32x4.neg(x), lanes),
    abs: keep,
    sign: (x, lanes) => i32x4.minS(x, lanes.bits(1)),
    floor: keep,
    ceil: keep,
    round: keep,
  },
  bool: { not: (x) => v128.not(x) },
}

const binary: Readonly<Record<LaneType, Readonly<Record<string, Binary>>>> = {
  float32: {
    add: (x, y) => f32x4.add(x, y),
    sub: (x, y) => f32x4.sub(x, y),
    mul: (x, y) => f32x4.mul(x, y),
    div: (x, y) => f32x4.div(x, y),
    min: (x, y) => f32x4.min(x, y),
    max: (x, y) => f32x4.max(x, y),
  },
  int32: {
    add: (x, y) => i32x4.add(x, y),
    sub: (x, y) => i32x4.sub(x, y),
    mul: (x, y) => i32x4.mul(x, y),
    min: (x, y) => i32x4.minS(x, y),
    max: (x, y) => i32x4.maxS(x, y),
  },
  uint8: {
    add: (x, y, lanes) => lowByte(i32x4.add(x, y), lanes),
    sub: (x, y, lanes) => lowByte(i32x4.sub(x, y), lanes),
    mul: (x, y, lanes) => lowByte(i32x4.mul(x, y), lanes),
    min: (x, y) => i32x4.minS(x, y),
    max: (x, y) => i32x4.maxS(x, y),
  },
  bool: {
    and: (x, y) => v128.and(x, y),
    or: (x, y) => v128.or(x, y),
    min: (x, y) => v128.and(x, y),
    max: (x, y) => v128.or(x, y),
  },
}

/** By the type of what is compared. */
const comparisons: Readonly<Record<LaneType, Readonly<Record<string, Binary>>>> = {
  float32: {
    less: (x, y) => f32x4.lt(x, y),
    lessEqual: (x, y) => f32x4.le(x, y),
    equal: (x, y) => f32x4.eq(x, y),
    notEqual: (x, y) => f32x4.ne(x, y),
  },
  int32: integerComparisons,
  uint8: integerComparisons,
  bool: {
    less: (x, y) => v128.andnot(y, x),
    lessEqual: (x, y) => v128.or(v128.not(x), y),
    equal: (x, y) => v128.not(v128.xor(x, y)),
    notEqual: (x, y) => v128.xor(x, y),
  },
}

function isComparison(op: string): boolean {
  return Object.hasOwn(comparisons.float32, op)
}

type Conversions = Readonly<Record<LaneType, Unary>>

/** By the type of what is converted: truncating and saturating, as the instruction does. */
const conversions: Readonly<Record<LaneType, Conversions>> = {
  float32: {
    float32: keep,
    int32: (x) => i32x4.truncSatF32x4S(x),
    uint8: (x, lanes) => byteOf(i32x4.truncSatF32x4S(x), lanes),
    bool: (x, lanes) => f32x4.ne(x, lanes.float(0)),
  },
  int32: {
    float32: (x) => f32x4.convertI32x4S(x),
    int32: keep,
    uint8: byteOf,
    bool: (x, lanes) => i32x4.ne(x, lanes.bits(0)),
  },
  uint8: {
    float32: (x) => f32x4.convertI32x4S(x),
    int32: keep,
    uint8: keep,
    bool: (x, lanes) => i32x4.ne(x, lanes.bits(0)),
  },
  bool: {
    float32: (x, lanes) => v128.and(x, lanes.float(1)),
    int32: (x, lanes) => v128.and(x, lanes.bits(1)),
    uint8: (x, lanes) => v128.and(x, lanes.bits(1)),
    bool: keep,
  },
}

/**
 * The types of all parts, null where only constants say it; undefined if a part has no vector form. `calls` allows functions
 * that are called lane by lane, for which `Lanes.module` must be there.
 */
export function laneTypes(
  scalar: Scalar,
  inputs: Readonly<Record<string, DType>>,
  output: DType,
  calls = false,
): LaneTypes | undefined {
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
      const isKnown = unary[x][node.op] !== undefined || (calls && x === "float32" && laneCalls.has(node.op))
      return isKnown ? x : undefined
    }
    const y = typeOf(node.y)
    if (y === undefined || (x !== null && y !== null && x !== y)) return undefined
    const both = x ?? y
    if (both === null) return undefined
    if (node.op === "select") return typeOf(node.condition) === "bool" ? both : undefined
    if (isComparison(node.op)) return "bool"
    if (node.op === "pow") {
      const isPossible = both === "float32" && (calls || powerOf(node.y) !== undefined)
      return isPossible ? both : undefined
    }
    return binary[both][node.op] === undefined ? undefined : both
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
  return dtype === "float64" || dtype === "int64" ? undefined : dtype
}

/** The types of the parts of several expressions, of which parts may be shared. */
export function allLaneTypes(
  results: readonly { readonly scalar: Scalar; readonly dtype: DType }[],
  inputs: Readonly<Record<string, DType>>,
): LaneTypes | undefined {
  const all = new Map<Scalar, LaneType | null>()
  for (const { scalar, dtype } of results) {
    const types = laneTypes(scalar, inputs, dtype, true)
    if (types === undefined) return undefined
    for (const [node, type] of types) all.set(node, type)
  }
  return all
}

/** Four values of an expression that `laneTypes` knows; inputs are asked for once, when they are first read. */
export function evaluateLanes(
  lanes: Lanes,
  scalar: Scalar,
  types: LaneTypes,
  load: (slot: string) => Expr<"v128">,
): Local<"v128"> {
  return laneEvaluator(lanes, types, load)(scalar)
}

/** Four values of each expression that it is given: what they share is computed once. */
export function laneEvaluator(
  lanes: Lanes,
  types: LaneTypes,
  load: (slot: string) => Expr<"v128">,
): (scalar: Scalar) => Local<"v128"> {
  const { f } = lanes
  const made = new Map<Scalar, Local<"v128">>()
  const visit = (node: Scalar, wanted: LaneType): Local<"v128"> => {
    if (node.op === "const") return constant(node.value, wanted)
    let local = made.get(node)
    if (local === undefined) made.set(node, (local = f.let(translate(node, types.get(node) ?? wanted))))
    return local
  }
  const constant = (value: number, type: LaneType) => {
    if (type === "float32") return lanes.float(convertConstant(value, type))
    return lanes.bits(type === "bool" ? -convertConstant(value, type) : convertConstant(value, type))
  }

  const translate = (node: Exclude<Scalar, { readonly op: "const" }>, type: LaneType): Expr<"v128"> => {
    if (node.op === "input") return load(node.slot)
    if (node.op === "cast") {
      const source = types.get(node.x) ?? type
      return conversions[source][type](visit(node.x, source), lanes)
    }
    if (node.op === "select") {
      const condition = visit(node.condition, "bool")
      return v128.bitselect(visit(node.x, type), visit(node.y, type), condition)
    }
    if (!("y" in node)) {
      const x = visit(node.x, type)
      return (unary[type][node.op] ?? laneCalls.get(node.op))?.(x, lanes) ?? x
    }
    if (isComparison(node.op)) {
      const operands = types.get(node.x) ?? types.get(node.y) ?? "float32"
      const [x, y] = [visit(node.x, operands), visit(node.y, operands)]
      return comparisons[operands][node.op]?.(x, y, lanes) ?? x
    }
    if (node.op === "pow") {
      const power: LaneCall | undefined = powerOf(node.y) ?? laneCalls.get(node.op)
      const x = visit(node.x, type)
      return power?.(x, lanes, () => visit(node.y, type)) ?? x
    }
    const limited = type === "float32" ? limit(node.op, node.x, node.y) : undefined
    if (limited !== undefined) return limited
    const [x, y] = [visit(node.x, type), visit(node.y, type)]
    return binary[type][node.op]?.(x, y, lanes) ?? x
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
  return (scalar) => visit(scalar, "float32")
}
