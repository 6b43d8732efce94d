// Rules of algebra on scalar expressions that hold to the bit in IEEE arithmetic, for every value, NaN and −0 included. So
// x · 1, x / 1, x − 0, x + (−0) are x; but x + 0 is not (it makes 0 of −0), nor is x · 0 zero.

import type { DType, Scalar } from "@counterflow/ir"
import type { Constant } from "./4-evaluate.ts"

/** What an expression reads at a slot: a tensor, or a constant. */
export interface Operand {
  readonly dtype: DType
  readonly value?: number | undefined
}

interface Term {
  readonly node: Scalar
  /** Undefined where only literals say it. */
  readonly dtype: DType | undefined
  readonly value?: number | undefined
}

/** The same expression, with fewer operations where a rule applies. */
export function simplifyScalar(scalar: Scalar, operandOf: (slot: string) => Operand | undefined): Scalar {
  const known = new Map<Scalar, Term>()
  const visit = (node: Scalar): Term => {
    let term = known.get(node)
    if (term === undefined) known.set(node, (term = rewrite(node)))
    return term
  }
  const rewrite = (node: Scalar): Term => {
    if (node.op === "input") return { node, ...(operandOf(node.slot) ?? { dtype: undefined }) }
    if (node.op === "const") return { node, dtype: undefined, value: node.value }
    if (node.op === "select") {
      const [condition, x, y] = [visit(node.condition), visit(node.x), visit(node.y)]
      const dtype = x.dtype ?? y.dtype
      const chosen = sameScalar(x.node, y.node)
        ? x
        : condition.value === undefined
          ? undefined
          : condition.value === 0
            ? y
            : x
      // A literal alone would lose the dtype that its partner gives it.
      if (chosen?.dtype !== undefined) return chosen
      return { node: rebuilt(node, condition, x, y), dtype }
    }
    const x = visit(node.x)
    if ("y" in node) {
      const y = visit(node.y)
      const isComparison = !(node.op in binaryRules)
      const dtype = isComparison ? "bool" : (x.dtype ?? y.dtype)
      const kept = isComparison ? undefined : binaryRules[node.op as keyof typeof binaryRules](x, y)
      if (kept?.dtype !== undefined) return kept
      const same = x.node === node.x && y.node === node.y
      return { node: same ? node : { ...node, x: x.node, y: y.node }, dtype }
    }
    if (node.op === "cast") return cast(node, x)
    const inner = x.node
    const isInteger = x.dtype !== undefined && !x.dtype.startsWith("float")
    if ((node.op === "neg" || node.op === "not") && inner.op === node.op) return visit(inner.x)
    if (node.op === "abs" && (inner.op === "abs" || inner.op === "neg")) {
      return inner.op === "abs" ? x : { node: { op: "abs", x: inner.x }, dtype: x.dtype }
    }
    if (isInteger && (node.op === "floor" || node.op === "ceil" || node.op === "round")) return x
    return { node: inner === node.x ? node : { ...node, x: inner }, dtype: x.dtype }
  }
  const cast = (node: Extract<Scalar, { op: "cast" }>, x: Term): Term => {
    const inner = x.node
    // What is not read from memory may hold more digits than its dtype: then the cast rounds.
    if (x.dtype === node.dtype && (inner.op === "input" || node.dtype !== "float32")) return x
    if (inner.op === "cast" && inner.x.op === "input") {
      const source = visit(inner.x)
      if (source.dtype === node.dtype && holds(inner.dtype, node.dtype)) return source
    }
    return { node: inner === node.x ? node : { ...node, x: inner }, dtype: node.dtype }
  }
  return visit(scalar).node
}

type BinaryRule = (x: Term, y: Term) => Term | undefined

const none: BinaryRule = () => undefined
const idempotent: BinaryRule = (x, y) => (sameScalar(x.node, y.node) ? x : undefined)
const neutral =
  (value: number): BinaryRule =>
  (x, y) => {
    if (Object.is(y.value, value)) return x
    return Object.is(x.value, value) ? y : idempotent(x, y)
  }

/** What an operation on two operands is equal to, of the two. */
const binaryRules = {
  add: (x, y) => {
    const zero = isFloat(x.dtype ?? y.dtype) ? -0 : 0
    return Object.is(y.value, zero) ? x : Object.is(x.value, zero) ? y : undefined
  },
  sub: (x, y) => (Object.is(y.value, 0) ? x : undefined),
  mul: (x, y) => (y.value === 1 ? x : x.value === 1 ? y : undefined),
  div: (x, y) => (y.value === 1 ? x : undefined),
  pow: none,
  min: idempotent,
  max: idempotent,
  and: neutral(1),
  or: neutral(0),
} satisfies Record<string, BinaryRule>

function isFloat(dtype: Constant["dtype"] | undefined): boolean {
  return dtype === undefined || dtype.startsWith("float")
}

function rebuilt(node: Extract<Scalar, { op: "select" }>, condition: Term, x: Term, y: Term): Scalar {
  if (condition.node === node.condition && x.node === node.x && y.node === node.y) return node
  return { op: "select", condition: condition.node, x: x.node, y: y.node }
}

/** Whether every value of `dtype` survives the way to `wide` and back. */
function holds(wide: DType, dtype: DType): boolean {
  if (dtype === "bool") return true
  if (dtype === "uint8") return wide !== "bool"
  if (dtype === "int32") return wide === "int64" || wide === "float64"
  return dtype === "float32" && wide === "float64"
}

/** Whether two expressions are the same, node by node. */
export function sameScalar(a: Scalar, b: Scalar): boolean {
  if (a === b) return true
  if (a.op !== b.op) return false
  if (a.op === "input") return b.op === "input" && a.slot === b.slot
  if (a.op === "const") return b.op === "const" && Object.is(a.value, b.value)
  if (a.op === "cast") return b.op === "cast" && a.dtype === b.dtype && sameScalar(a.x, b.x)
  if (b.op === "input" || b.op === "const" || !sameScalar(a.x, b.x)) return false
  if (a.op === "select") return b.op === "select" && sameScalar(a.condition, b.condition) && sameScalar(a.y, b.y)
  return !("y" in a) || ("y" in b && sameScalar(a.y, b.y))
}

/** How many operations an expression has. */
export function operationsOf(scalar: Scalar): number {
  if (scalar.op === "input" || scalar.op === "const") return 0
  const own = 1 + operationsOf(scalar.x)
  if (scalar.op === "select") return own + operationsOf(scalar.condition) + operationsOf(scalar.y)
  return "y" in scalar ? own + operationsOf(scalar.y) : own
}
