// Refusing a plan that needs too much memory. What would need less is found by a function that is handed in, so that pages which do
// without it do not carry it.

import type { Bindings, Plan } from "@counterflow/compiler"
import { CounterflowError, type Program } from "@counterflow/ir"

/** What recomputing activations in the backward part would save, at the price of more operations. */
export interface Savings {
  readonly savedBytes: number
  readonly extraFlops: number
}

/** Estimates what recomputation would save in a training program; null where it would save nothing. */
export type Advise = (program: Program, bindings: Bindings) => Savings | null

export interface OverBudget {
  readonly program: Program
  readonly plan: Plan
  readonly bindings: Bindings
  /** Bytes that the plan may need, and whether the user said so. */
  readonly limit: number
  readonly isChosen: boolean
  /** What recomputation would save, where somebody can say. */
  readonly savings: Savings | null
  /** Plans for other sizes; throws where there is no such plan. */
  readonly planFor: (bindings: Bindings) => Plan
  readonly bytesOf: (ids: readonly number[]) => number
}

/** What would need less: a line for each way, and whether one of them suffices. */
export type WaysDown = (problem: OverBudget) => { readonly lines: readonly string[]; readonly suffices: boolean }

export function needed({ memory }: Plan): number {
  return memory.arenaBytes + memory.stateBytes
}

export function overBudget(problem: OverBudget, waysDown?: WaysDown): CounterflowError {
  const { plan, limit, isChosen } = problem
  const { arenaBytes, stateBytes } = plan.memory
  const { lines, suffices } = waysDown?.(problem) ?? { lines: [], suffices: false }
  const fix = suffices ? "take one of these ways" : "feed a smaller batch, fetch fewer intermediates"
  return new CounterflowError({
    code: "CF_MEMORY_LIMIT",
    why: `the plan needs ${arenaBytes + stateBytes} bytes, ${limit} are ${isChosen ? "allowed" : "all that the backend has"}`,
    notes: [`arena ${arenaBytes} bytes`, `state ${stateBytes} bytes`, ...lines],
    fix: `${fix}${isChosen ? ", or raise memoryLimit" : ""}`,
  })
}
