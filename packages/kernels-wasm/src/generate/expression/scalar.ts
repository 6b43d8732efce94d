// From a scalar expression to instructions: each node once, into a local, with the dtype of every operation known. A constant
// takes the dtype of what it is combined with.

import { type Comparison, comparisons, type DType, fail, type Scalar } from "@counterflow/ir"
import { type Expr, type Local, select } from "../../assembler/index.ts"
import { mathFunctions } from "../../math/index.ts"
import { convert, convertConstant } from "./conversion.ts"
import { elementOf, type Work } from "./element.ts"
import type { KernelContext } from "../kernel.ts"
import { compare, ruleFor } from "./rules.ts"

export interface ScalarInput {
  readonly dtype: DType
  /** The element at the current point; asked for once, if the expression reads it. */
  load(): Expr<Work>
}

/** The value of an expression at one point. */
export function evaluate(
  context: KernelContext,
  scalar: Scalar,
  inputs: Readonly<Record<string, ScalarInput>>,
  output: DType,
): Expr<Work> {
  return evaluator(context, inputs)(scalar, output)
}

/** Values of expressions at one point: what they share is computed once. */
export function evaluator(
  { f, module }: KernelContext,
  inputs: Readonly<Record<string, ScalarInput>>,
): (scalar: Scalar, output: DType) => Expr<Work> {
  const math = mathFunctions(module)
  const known = new Map<Scalar, DType | null>()
  const made = new Map<Scalar, Local<Work>>()

  /** null where only constants say it. */
  const dtypeOf = (node: Scalar): DType | null => {
    let dtype = known.get(node)
    if (dtype === undefined) known.set(node, (dtype = infer(node)))
    return dtype
  }
  const infer = (node: Scalar): DType | null => {
    if (node.op === "input") return inputOf(node.slot).dtype
    if (node.op === "const") return null
    if (node.op === "cast") return node.dtype
    if (!("y" in node)) return dtypeOf(node.x)
    const operands = joined(node)
    return isComparison(node.op) ? "bool" : operands
  }
  const joined = ({ op, x, y }: Extract<Scalar, { readonly y: Scalar }>): DType | null => {
    const [left, right] = [dtypeOf(x), dtypeOf(y)]
    if (left !== null && right !== null && left !== right)
      fail("CF_INTERNAL", `a scalar expression combines ${left} and ${right} by ${op}`)
    return left ?? right
  }
  const inputOf = (slot: string) =>
    inputs[slot] ?? fail("CF_INTERNAL", `a scalar expression reads "${slot}", which is no input`)

  /** A node of constants only may be wanted in two dtypes, so it is not kept. */
  const visit = (node: Scalar, wanted: DType): Expr<Work> => {
    const dtype = dtypeOf(node)
    if (node.op === "const") return elementOf(wanted).constant(convertConstant(node.value, wanted))
    if (dtype === null) return f.let(translate(node, wanted))
    let local = made.get(node)
    if (local === undefined) made.set(node, (local = f.let(translate(node, dtype))))
    return local
  }
  const translate = (node: Scalar, dtype: DType): Expr<Work> => {
    if (node.op === "input") return inputOf(node.slot).load()
    if (node.op === "const") return visit(node, dtype)
    if (node.op === "cast") return convert(f.let(visit(node.x, "float64")), node.dtype)
    if (node.op === "select") {
      if (dtypeOf(node.condition) !== "bool") fail("CF_INTERNAL", "the condition of a select is not bool")
      const condition = visit(node.condition, "bool")
      return select(asCondition(condition), visit(node.x, dtype), visit(node.y, dtype))
    }
    if (isComparison(node.op) && "y" in node) {
      const operands = joined(node) ?? "float64"
      return compare(node.op, elementOf(operands).type, visit(node.x, operands), visit(node.y, operands))
    }
    const rule = isComparison(node.op) ? undefined : ruleFor(node.op, dtype)
    if (rule === undefined) return fail("CF_INTERNAL", `the scalar operation ${node.op} has no meaning on ${dtype}`)
    const x = visit(node.x, dtype)
    const value = rule(x, "y" in node ? visit(node.y, dtype) : x, math)
    // It may have been a tensor of its own before operators were fused, and every backend rounds what it stores.
    return dtype === "float32" ? convert(f.let(value), dtype) : value
  }

  return (scalar, output) => {
    const dtype = dtypeOf(scalar) ?? output
    if (dtype !== output) fail("CF_INTERNAL", `a scalar expression yields ${dtype} where its output is ${output}`)
    return visit(scalar, output)
  }
}

function isComparison(op: Scalar["op"]): op is Comparison {
  const names: readonly string[] = comparisons
  return names.includes(op)
}

function asCondition(value: Expr<Work>): Expr<"i32"> {
  const { type } = value
  return type === "i32" ? { ...value, type } : fail("CF_INTERNAL", "a condition is no i32")
}
