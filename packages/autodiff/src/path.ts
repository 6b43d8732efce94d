// The operator path: what the targets are computed from, found by following links, in program order. Linear in the path.

import type { Block, Operator, Variable } from "@counterflow/ir"

/** Operators of `block` that the targets depend on without passing a cut variable, in program order. */
export function operatorPath(
  block: Block,
  targets: readonly Variable[],
  isCut: (variable: Variable) => boolean,
): Operator[] {
  const found = new Set<Operator>()
  const pending = targets.filter((target) => !isCut(target)).map((target) => target.producer)
  while (pending.length > 0) {
    const op = pending.pop()
    if (op === undefined || op === null || op.block !== block || found.has(op)) continue
    found.add(op)
    for (const input of op.inputList()) if (!isCut(input)) pending.push(input.producer)
  }
  return [...found].sort((a, b) => a.position - b.position)
}
