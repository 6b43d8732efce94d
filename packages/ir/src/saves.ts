// What an operator saves for gradients: values of its blocks that it hands out besides its results (`extendOutputs` of append.ts
// adds them). They leave where nothing reads them.

import type { Block } from "./block.ts"
import type { Operator } from "./operator.ts"
import type { Slots } from "./record.ts"
import type { Variable } from "./variable.ts"

/**
 * An operator's outputs without those of some lists that nothing reads, and the results of its blocks without these. The lists hand
 * out the last results of the block that the record names, in order.
 */
export function withoutUnread(
  op: Operator,
  slots: readonly string[],
  isRead: (variable: Variable) => boolean,
): { outputs: Slots<Variable>; resultsOf: (block: Block) => readonly Variable[] } {
  const block = op.blocks[op.record.saves?.block ?? ""]
  const stacked = slots.flatMap((slot) => op.outputs[slot] ?? [])
  if (stacked.every(isRead)) return { outputs: op.outputs, resultsOf: ({ results }) => results }
  const resultsOf = (inner: Block) => {
    const first = inner.results.length - stacked.length
    return inner === block ? inner.results.filter((_, i) => i < first || isRead(stacked[i - first]!)) : inner.results
  }
  const kept = slots.map((slot) => [slot, (op.outputs[slot] ?? []).filter(isRead)] as const)
  return { outputs: { ...op.outputs, ...Object.fromEntries(kept) }, resultsOf }
}
