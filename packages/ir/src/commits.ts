// Writes of state: who may write what, and that several writers of one state build on each other.

import { sameShape } from "./dims.ts"
import type { Operator } from "./operator.ts"
import type { Program } from "./program.ts"
import type { Variable } from "./variable.ts"
import { refuseOperator } from "./refusal.ts"

export function verifyCommits(program: Program): void {
  const writers = new Map<Variable, { op: Operator; value: Variable }>()
  for (const op of program.operators()) {
    for (const { state, slot } of op.writes) {
      if (op.block.index > 0) refuseOperator(op, `it writes ${state.name}, but a sub-block must not write state`)
      if (!state.persistable) refuseOperator(op, `it writes ${state.name}, which is no state`)
      const [value, ...others] = op.outputs[slot] ?? []
      if (value === undefined || others.length > 0) {
        return refuseOperator(op, `it writes ${state.name} from ${slot}, which is no output with one value`)
      }
      if (value.dtype !== state.dtype || !sameShape(value.shape, state.shape)) {
        refuseOperator(op, `it writes ${value.toString()} to ${state.toString()}; shape and dtype must be equal`)
      }
      const first = writers.get(state)
      if (first !== undefined && !reads(op, first.value)) {
        const notes = [String(first.op), String(op)]
        refuseOperator(
          op,
          `it writes ${state.name} again and must read ${first.value.name}, the value written first`,
          notes,
        )
      }
      writers.set(state, { op, value })
    }
  }
}

/** Whether an operator takes a value, directly or through the operators before it. */
function reads(op: Operator, value: Variable): boolean {
  const seen = new Set<Operator>([op])
  const pending = op.inputList()
  for (let input = pending.pop(); input !== undefined; input = pending.pop()) {
    if (input === value) return true
    const { producer } = input
    if (producer === null || seen.has(producer)) continue
    seen.add(producer)
    pending.push(...producer.inputList())
  }
  return false
}
