// What the blocks of an operator hand out one by one: results that it yields in an output list, and values that it saves for
// gradients (`extendOutputs` of append.ts adds them). Such outputs leave where nothing reads them, with what they hand out.

import type { Block } from "./block.ts"
import type { Operator } from "./operator.ts"
import type { Slots } from "./record.ts"
import type { Variable } from "./variable.ts"

/** A result of a block by its place. */
export interface Result {
  readonly block: Block
  readonly index: number
}

/** An output, and the results of blocks that it hands out: where it leaves, they leave. */
export interface HandedOut {
  readonly slot: string
  readonly output: Variable
  readonly results: readonly Result[]
}

/** What may leave: yielded and saved outputs, and those `before` the saved ones where the whole program is at hand. */
export function handedOut(op: Operator, options: { withBefore?: boolean } = {}): HandedOut[] {
  return listsOf(op, options.withBefore === true).flatMap(({ slots, blocks, first }) =>
    slots
      .flatMap((slot) => (op.outputs[slot] ?? []).map((output) => ({ slot, output })))
      .map((each, place) => ({ ...each, results: blocks.map((block) => ({ block, index: first + place })) })),
  )
}

/** The results of blocks of which one is the value of a variable; none of what is computed otherwise. */
export function resultsBehind(output: Variable): Result[] {
  const { producer } = output
  if (producer === null) return []
  for (const { slots, blocks, first } of listsOf(producer, false)) {
    const place = slots.flatMap((slot) => producer.outputs[slot] ?? []).indexOf(output)
    if (place >= 0) return blocks.map((block) => ({ block, index: first + place }))
  }
  return []
}

/** Output lists that hand out results of blocks, from the `first` on. */
function listsOf({ record, blocks, outputs }: Operator, withBefore: boolean) {
  const { saves, yields } = record
  const lists: { slots: readonly string[]; blocks: readonly Block[]; first: number }[] = []
  if (yields !== undefined) lists.push({ slots: [yields], blocks: Object.values(blocks), first: 0 })
  const block = blocks[saves?.block ?? ""]
  if (saves === undefined || block === undefined) return lists
  const slots = [...(withBefore ? (saves.before ?? []) : []), saves.slot]
  const count = slots.reduce((total, slot) => total + (outputs[slot]?.length ?? 0), 0)
  return [...lists, { slots, blocks: [block], first: block.results.length - count }]
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
