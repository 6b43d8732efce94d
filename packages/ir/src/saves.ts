// What the blocks of an operator hand out one by one: results that it yields in an output list, and values that it saves for
// gradients (`extendOutputs` of append.ts adds them). Such outputs leave where nothing reads them, with what they hand out.

import type { Block } from "./block.ts"
import type { Operator } from "./operator.ts"
import type { Slots } from "./record.ts"
import type { Variable } from "./variable.ts"

/** An output, and the results of blocks that it hands out: which leaves, the others leave with. */
export interface HandedOut {
  readonly slot: string
  readonly output: Variable
  readonly results: readonly { readonly block: Block; readonly index: number }[]
}

/** What may leave: yielded and saved outputs, and those `before` the saved ones where the whole program is at hand. */
export function handedOut(op: Operator, options: { withBefore?: boolean } = {}): HandedOut[] {
  const { saves, yields } = op.record
  if (saves === undefined && yields === undefined) return []
  const outputsOf = (slots: readonly string[]) =>
    slots.flatMap((slot) => (op.outputs[slot] ?? []).map((output) => ({ slot, output })))
  const yielded = outputsOf(yields === undefined ? [] : [yields]).map((each, index) => {
    return { ...each, results: Object.values(op.blocks).map((block) => ({ block, index })) }
  })
  const block = op.blocks[saves?.block ?? ""]
  if (saves === undefined || block === undefined) return yielded
  const stacked = outputsOf([...(options.withBefore === true ? (saves.before ?? []) : []), saves.slot])
  const first = block.results.length - stacked.length
  return [...yielded, ...stacked.map((each, i) => ({ ...each, results: [{ block, index: first + i }] }))]
}

/** An operator's outputs, and the results of its blocks, without what may leave and nothing reads. */
export function withoutUnread(
  op: Operator,
  mayLeave: readonly HandedOut[],
  isRead: (variable: Variable) => boolean,
): { outputs: Slots<Variable>; resultsOf: (block: Block) => readonly Variable[] } {
  const gone = mayLeave.filter(({ output }) => !isRead(output))
  if (gone.length === 0) return { outputs: op.outputs, resultsOf: ({ results }) => results }
  const lost = new Set(gone.map(({ output }) => output))
  const slots = new Set(gone.map(({ slot }) => slot))
  const kept = [...slots].map((slot) => [slot, (op.outputs[slot] ?? []).filter((output) => !lost.has(output))] as const)
  const places = gone.flatMap(({ results }) => results)
  const resultsOf = (inner: Block) => {
    const left = new Set(places.flatMap(({ block, index }) => (block === inner ? [index] : [])))
    return inner.results.filter((_, index) => !left.has(index))
  }
  return { outputs: { ...op.outputs, ...Object.fromEntries(kept) }, resultsOf }
}
