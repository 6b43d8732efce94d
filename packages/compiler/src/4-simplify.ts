// Phase 4: common subexpressions. Two operators of one type with the same inputs and attributes make one value; draws are
// functions of seed, stream and step, so they take part. A fetched or committed value is only ever renamed, never lost.

import type { VarId } from "@counterflow/ir"
import { type BoundBlock, type BoundOp, type BoundProgram, idsOf, type VarSlots } from "./bound.ts"

/**
 * The same program with each operator that computes again what an earlier one did left out, and its readers on the earlier one.
 * Inside a sub-block outer values are reused, never the other way round.
 *
 * @example
 * ```ts
 * console.log(mergeCommonSubexpressions(bound).block.ops.length <= bound.block.ops.length)
 * ```
 */
export function mergeCommonSubexpressions(program: BoundProgram): BoundProgram {
  const merged = new Map<VarId, VarId>()
  const now = (id: VarId) => merged.get(id) ?? id
  const block = mergeBlock(program.block, merged, new Map())
  return {
    ...program,
    block,
    fetches: program.fetches.map(now),
    commits: program.commits.map(({ state, value }) => ({ state, value: now(value) })),
  }
}

function mergeBlock(block: BoundBlock, merged: Map<VarId, VarId>, outer: ReadonlyMap<string, BoundOp>): BoundBlock {
  const seen = new Map(outer)
  const ops = block.ops.flatMap((op): BoundOp[] => {
    const inputs = renamed(op.inputs, merged)
    const own = Object.entries(op.blocks)
    if (own.length > 0) {
      // What a branch computes, it computes only when taken: it may use outer values, but nobody may use its own.
      const blocks = Object.fromEntries(own.map(([name, inner]) => [name, mergeBlock(inner, merged, seen)]))
      return [{ ...op, inputs, blocks }]
    }
    const key = JSON.stringify([op.type, inputs, op.attrs], exactNumbers)
    const twin = seen.get(key)
    if (twin === undefined) {
      const kept = { ...op, inputs }
      seen.set(key, kept)
      return [kept]
    }
    const theirs = idsOf(twin.outputs)
    idsOf(op.outputs).forEach((id, index) => merged.set(id, theirs[index] ?? id))
    return []
  })
  return { ops, results: block.results.map((id) => merged.get(id) ?? id) }
}

function renamed(slots: VarSlots, merged: ReadonlyMap<VarId, VarId>): VarSlots {
  return Object.fromEntries(Object.entries(slots).map(([slot, ids]) => [slot, ids.map((id) => merged.get(id) ?? id)]))
}

/** JSON has no NaN, no infinities and no −0; constants may be any of them. */
function exactNumbers(_key: string, value: unknown): unknown {
  if (typeof value !== "number" || (Number.isFinite(value) && !Object.is(value, -0))) return value
  return Object.is(value, -0) ? "-0" : String(value)
}
