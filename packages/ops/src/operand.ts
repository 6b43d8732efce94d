// What public op functions accept where a tensor is meant: a Variable or a number; and broadcasting of operands.

import {
  currentSite,
  describeValue,
  type DType,
  fail,
  formatShape,
  isCounterflowError,
  sameShape,
  site,
  Variable,
} from "@counterflow/ir"
import { fillConstant } from "./creation.ts"
import { broadcastTo } from "./broadcast.ts"
import { broadcastShapes } from "./shapes.ts"

/** A Variable, or a number that becomes a constant of the other operand's dtype. */
export type Operand = Variable | number

/** Both operands as variables of one shape; numbers become constants, `broadcastTo` is inserted where shapes differ. */
export function broadcastPair(x: Operand, y: Operand, op: string): { x: Variable; y: Variable } {
  const [bx, by] = broadcastOperands([x, y], op, ["x", "y"])
  if (bx === undefined || by === undefined) return fail("CF_INTERNAL", "two operands gave not two variables")
  return { x: bx, y: by }
}

/** Operands as variables of one shape. At least one must be a Variable. `names` are used in errors. */
export function broadcastOperands(operands: readonly Operand[], op: string, names: readonly string[]): Variable[] {
  const like = operands.find((operand) => operand instanceof Variable)
  if (like === undefined) {
    return fail(
      "CF_BAD_ARGUMENT",
      `at least one operand must be a Variable, got ${operands.map(describeValue).join(", ")}`,
      { op },
    )
  }
  const known = operands.filter((operand) => operand instanceof Variable)
  const shape = site(broadcastOperands, () => shapeOf(known, op, names))
  return operands.map((operand) => {
    if (operand instanceof Variable) return broadcastLike(operand, shape)
    if (typeof operand !== "number") return fail("CF_BAD_ARGUMENT", `an operand is ${describeValue(operand)}`, { op })
    return constantLike(operand, like.dtype, shape, like)
  })
}

function shapeOf(variables: readonly Variable[], op: string, names: readonly string[]) {
  try {
    return broadcastShapes(variables.map((variable) => variable.shape))
  } catch (error) {
    if (!isCounterflowError(error)) throw error
    const rows = variables.map((variable, i) => `${names[i] ?? "x"} = ${variable}   built at ${variable.site}`)
    const matrices = op === "mul" && variables.every((variable) => variable.shape.length === 2)
    throw error.with({
      op,
      notes: rows,
      where: `this ${op} was built at ${currentSite(broadcastOperands)}`,
      fix: matrices
        ? "mul is elementwise: for a matrix product use matmul(x, y), or flattenMatmul(x, y)"
        : `make the shapes equal, or of size 1 where they differ: ${variables.map((v) => formatShape(v.shape)).join(" and ")}`,
    })
  }
}

function broadcastLike(x: Variable, shape: Variable["shape"]): Variable {
  return sameShape(x.shape, shape) ? x : broadcastTo(x, { shape })
}

function constantLike(value: number, dtype: DType, shape: Variable["shape"], like: Variable): Variable {
  return fillConstant({ shape, value, dtype, program: like.program })
}
