// The operator path: what the targets are computed from, found by following links, in program order. Linear in the path.

import type { Block, Operator, Variable } from "@counterflow/ir"

/** Operators of these blocks, outer ones first, that the targets depend on without passing a cut variable, in program order. */
export function operatorPath(
  blocks: readonly Block[],
  targets: readonly Variable[],
  isCut: (variable: Variable) => boolean = () => false,
): Operator[] {
  const found = new Map(blocks.map((block) => [block, new Set<Operator>()]))
  const pending = targets.filter((target) => !isCut(target)).map((target) => target.producer)
  while (pending.length > 0) {
    const op = pending.pop()
    if (op === undefined || op === null) continue
    const own = found.get(op.block)
    if (own === undefined || own.has(op)) continue
    own.add(op)
    // What its blocks read from outside is among its inputs.
    for (const input of op.inputList()) if (!isCut(input)) pending.push(input.producer)
  }
  return [...found.values()].flatMap((own) => [...own].sort((a, b) => a.position - b.position))
}

/** A block and those around it, outer ones first: all of an outer one that an inner one can see stands before it. */
export function blocksAround(block: Block): Block[] {
  const blocks: Block[] = []
  for (let around: Block | null = block; around !== null; around = around.parent) blocks.unshift(around)
  return blocks
}
