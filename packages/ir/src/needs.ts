// What of a program some of it needs: followed from what is read to what computes it, into sub-blocks and out of them. What an
// operator yields or saves is needed one by one, and what its blocks capture only as far as something needed in them reads it.

import type { Block } from "./block.ts"
import type { Operator } from "./operator.ts"
import { handedOut, resultsBehind } from "./saves.ts"
import type { Variable } from "./variable.ts"

export interface Needs {
  readonly ops: ReadonlySet<Operator>
  /** What is read, or stays though nothing reads it. */
  readonly variables: ReadonlySet<Variable>
}

/** The operators and variables themselves and all that they are computed from. `stays`: outputs that are kept unread. */
export function needsOf(
  ops: Iterable<Operator>,
  variables: Iterable<Variable>,
  stays: (output: Variable) => boolean,
): Needs {
  const needed = new Set<Operator>()
  const read = new Set<Variable>()
  const pendingOps = [...ops]
  const pending = [...variables]
  const visit = (op: Operator) => {
    if (needed.has(op)) return
    needed.add(op)
    for (const [slot, inputs] of Object.entries(op.inputs)) if (slot !== op.record.captures) pending.push(...inputs)
    const single = handedOut(op)
    for (const { output } of single) if (stays(output)) pending.push(output)
    const places = single.flatMap(({ results }) => results)
    for (const inner of Object.values(op.blocks)) {
      const left = new Set(places.flatMap(({ block, index }) => (block === inner ? [index] : [])))
      pending.push(...inner.results.filter((_, index) => !left.has(index)))
    }
  }
  const follow = (variable: Variable) => {
    if (read.has(variable)) return
    read.add(variable)
    const { producer } = variable
    if (producer === null) return
    visit(producer)
    pending.push(...resultsBehind(variable).flatMap(({ block, index }) => block.results[index] ?? []))
  }
  for (let op = pendingOps.pop(); op !== undefined; op = pendingOps.pop()) visit(op)
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) follow(next)
  return { ops: needed, variables: read }
}

/** Variables from outside that blocks, or blocks inside them, read or hand out, each once. */
export function capturesOf(
  blocks: readonly Block[],
  readBy: (op: Operator) => readonly Variable[] = (op) => op.inputList(),
  contentOf: (block: Block) => Pick<Block, "ops" | "results"> = (block) => block,
): Variable[] {
  const found = new Set<Variable>()
  for (const block of blocks) {
    // An operator lists what its own blocks read among its inputs.
    const { ops, results } = contentOf(block)
    const read = [...ops.flatMap((op) => readBy(op)), ...results]
    for (const variable of read) if (variable.block !== block) found.add(variable)
  }
  return [...found]
}
