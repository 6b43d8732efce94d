// The order in which a block declares its variables and operators: what both written forms follow, so that reading
// them back gives the same order of variables.

import type { Block } from "./block.ts"
import type { Operator } from "./operator.ts"
import { Variable } from "./variable.ts"

/** Parameters of the block first; other variables without a producer where they were made, between the operators. */
export function declarations(block: Block): (Variable | Operator)[] {
  const items: (Variable | Operator)[] = [...block.params]
  const params = new Set(block.params)
  const placed = new Set<Operator>()
  let next = 0
  for (const variable of block.vars.values()) {
    const { producer } = variable
    if (params.has(variable)) continue
    if (producer === null || producer.block !== block) items.push(variable)
    else {
      while (!placed.has(producer) && next < block.ops.length) next = place(block, next, placed, items)
    }
  }
  while (next < block.ops.length) next = place(block, next, placed, items)
  return items
}

function place(block: Block, index: number, placed: Set<Operator>, items: (Variable | Operator)[]): number {
  const op = block.ops[index]
  if (op !== undefined) {
    placed.add(op)
    items.push(op)
  }
  return index + 1
}

/** All variables of a block in that order. */
export function declaredVariables(block: Block): Variable[] {
  return declarations(block).flatMap((item) => (item instanceof Variable ? [item] : item.outputList()))
}
