// Which functions the expressions of an operator call that a backend may have been made without.

import { type BoundOp, scalarsOf } from "@counterflow/compiler"
import type { Scalar } from "@counterflow/ir"
import type { FunctionBuilders } from "../../math/index.ts"

/** The family of each. */
const familyOf: Readonly<Record<keyof FunctionBuilders, string>> = {
  sin: "trigonometry",
  cos: "trigonometry",
  erf: "erf",
  pow: "power",
}

/** The family of a function that the operator calls and that is not there. */
export function missingFamily(op: BoundOp, there: FunctionBuilders): string | undefined {
  const missing = Object.entries(familyOf).filter(([name]) => !(name in there))
  if (missing.length === 0) return undefined
  const families = new Map<string, string>(missing)
  const seen = new Set<Scalar>()
  const visit = (node: Scalar | undefined): string | undefined => {
    // Parts of an expression may be shared so much that as a tree it would not end.
    if (node === undefined || node.op === "input" || node.op === "const" || seen.has(node)) return undefined
    seen.add(node)
    const inner = [node.x, "y" in node ? node.y : undefined, node.op === "select" ? node.condition : undefined]
    return families.get(node.op) ?? inner.map(visit).find((found) => found !== undefined)
  }
  const expressions = [...Object.values(scalarsOf(op) ?? {}), op.epilogue, op.prologue?.scalar]
  return expressions.map(visit).find((found) => found !== undefined)
}
