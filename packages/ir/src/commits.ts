// Writes of state: who may write what, what a state is at a place of the program, and that several writers of one state build
// on each other.

import type { Block } from "./block.ts"
import { sameShape } from "./dims.ts"
import type { Operator } from "./operator.ts"
import type { Program } from "./program.ts"
import { refuseOperator } from "./refusal.ts"
import { resultsBehind } from "./saves.ts"
import type { Variable } from "./variable.ts"

/** What each state that is written would be at the end of the step, as far as a block and those around it are built. */
export function currentValues(block: Block): Map<Variable, Variable> {
  const before = block.parent === null ? [] : currentValues(block.parent)
  return new Map([...before, ...lastWritten(block.ops)])
}

/** States that operators, in order, give new values, each with the last of them. */
export function lastWritten(ops: Iterable<Operator>): Map<Variable, Variable> {
  const last = new Map<Variable, Variable>()
  for (const op of ops) {
    for (const write of op.writes) {
      const value = op.written(write)
      if (value !== undefined) last.set(write.state, value)
    }
  }
  return last
}

export function verifyCommits(program: Program): void {
  const writers = new Map<Variable, { op: Operator; value: Variable }>()
  for (const op of program.operators()) {
    for (const write of op.writes) {
      const { state, slot, index } = write
      if (op.block.index > 0) refuseOperator(op, `it writes ${state.name}, but a sub-block must not write state`)
      if (!state.persistable) refuseOperator(op, `it writes ${state.name}, which is no state`)
      const value = op.written(write)
      const isSole = index !== undefined || op.outputs[slot]?.length === 1
      if (value === undefined || !isSole) {
        const from = index === undefined ? slot : `${slot}[${index}]`
        return refuseOperator(op, `it writes ${state.name} from ${from}, which is no output with one value`)
      }
      if (value.dtype !== state.dtype || !sameShape(value.shape, state.shape)) {
        refuseOperator(op, `it writes ${value.toString()} to ${state.toString()}; shape and dtype must be equal`)
      }
      const first = writers.get(state)
      if (first !== undefined && !buildsOn(op, value, first.value)) {
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

/** Whether an operator makes its value of an earlier one; what branches yield, in each of them. */
function buildsOn(op: Operator, value: Variable, earlier: Variable): boolean {
  const yielded = resultsBehind(value)
  if (yielded.length === 0) return reads(op.inputList(), earlier)
  return yielded.every(({ block, index }) => reads(block.results.slice(index, index + 1), earlier))
}

/** Whether one of these is a value, or computed from it. */
function reads(variables: readonly Variable[], value: Variable): boolean {
  const seen = new Set<Operator>()
  const pending = [...variables]
  for (let input = pending.pop(); input !== undefined; input = pending.pop()) {
    if (input === value) return true
    const { producer } = input
    if (producer === null || seen.has(producer)) continue
    seen.add(producer)
    pending.push(...producer.inputList())
  }
  return false
}
