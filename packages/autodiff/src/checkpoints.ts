// What a list of checkpoints keeps: these, and what a later part of the forward pass reads of an earlier one. The checkpoints cut
// the forward pass, in program order, into parts; what follows the last is needed at once and kept whole.

import { type Block, fail, type Operator, type Variable } from "@counterflow/ir"
import { operatorPath } from "./path.ts"
import type { Keeping } from "./repetition.ts"

/** For a backward part that is appended to `block`; what is computed outside of it is kept. */
export function checkpointed(loss: Variable, block: Block, checkpoints: readonly Variable[]): Keeping {
  const kept = new Set(checkpoints)
  const ends = [...new Set(checkpoints.flatMap((variable) => endOf(variable, block)))].sort((a, b) => b - a)
  const partOf = ({ position }: Operator) => countAtLeast(ends, position)
  for (const op of operatorPath([block], [loss])) {
    const part = partOf(op)
    for (const input of op.inputList()) {
      const { producer } = input
      if (producer !== null && producer.block === block && partOf(producer) > part) kept.add(input)
    }
  }
  return {
    partOf,
    isKept: (variable) => variable.producer === null || partOf(variable.producer) === 0 || kept.has(variable),
  }
}

/** Where in the block a checkpoint is made; data, state and what is computed around the block are there anyway. */
function endOf(checkpoint: Variable, block: Block): number[] {
  const { producer } = checkpoint
  if (producer?.block === block) return [producer.position]
  if (block.sees(checkpoint)) return []
  return fail("CF_BAD_ARGUMENT", `checkpoints holds ${checkpoint.name}, which belongs to a sub-block`, {
    op: "appendBackward",
    notes: [`${checkpoint}   built at ${checkpoint.site}`],
    fix: "a branch or loop is computed again whole: name what goes into it, or what comes out",
  })
}

/** How many numbers of a falling list are at least `limit`. */
export function countAtLeast(falling: readonly number[], limit: number): number {
  let [low, high] = [0, falling.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((falling[middle] ?? 0) >= limit) low = middle + 1
    else high = middle
  }
  return low
}
