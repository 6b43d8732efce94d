// Phase 4: common subexpressions. Two operators of one type with the same inputs and attributes make one value; draws are
// functions of seed, stream and step, so they take part. A fetched or committed value is only ever renamed, never lost. What a
// recomputation makes again is shared within its segment only: elsewhere it would have to be kept, which it is there to avoid.

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
  const block = mergeBlock(program.block, merged, [])
  return {
    ...program,
    block,
    fetches: program.fetches.map(now),
    commits: program.commits.map(({ state, value }) => ({ state, value: now(value) })),
  }
}

type Seen = Map<string, BoundOp>

function mergeBlock(block: BoundBlock, merged: Map<VarId, VarId>, outer: readonly Seen[]): BoundBlock {
  const seen: Seen = new Map()
  const scopes = [seen, ...outer]
  const ops: BoundOp[] = []
  for (const op of block.ops) {
    const inputs = merged.size === 0 ? op.inputs : renamed(op.inputs, merged)
    const own = Object.entries(op.blocks)
    if (own.length > 0) {
      // What a branch computes, it computes only when taken: it may use outer values, but nobody may use its own.
      const blocks = Object.fromEntries(own.map(([name, inner]) => [name, mergeBlock(inner, merged, scopes)]))
      ops.push({ ...op, inputs, blocks })
      continue
    }
    const key = keyOf(op, inputs)
    const twin = scopes.map((scope) => scope.get(key)).find((found) => found !== undefined)
    if (twin === undefined) {
      const kept = inputs === op.inputs ? op : { ...op, inputs }
      seen.set(key, kept)
      ops.push(kept)
      continue
    }
    const theirs = idsOf(twin.outputs)
    idsOf(op.outputs).forEach((id, index) => merged.set(id, theirs[index] ?? id))
  }
  return { ...block, ops, results: block.results.map((id) => merged.get(id) ?? id) }
}

function renamed(slots: VarSlots, merged: ReadonlyMap<VarId, VarId>): VarSlots {
  for (const ids of Object.values(slots)) {
    if (!ids.some((id) => merged.has(id))) continue
    return Object.fromEntries(
      Object.entries(slots).map(([slot, each]) => [slot, each.map((id) => merged.get(id) ?? id)]),
    )
  }
  return slots
}

/** Everything that what an operator makes depends on. A rewritten one has its meaning in its expression, not in attributes. */
function keyOf({ type, attrs, facts, segment }: BoundOp, inputs: VarSlots): string {
  let key = segment === undefined ? type : `${segment} ${type}`
  for (const slot in inputs) key += ` ${slot} ${inputs[slot]!.join(",")}`
  for (const name in attrs) key += ` ${name} ${textOf(attrs[name])}`
  return type.endsWith("'") ? `${key} ${textOf(facts.scalar)}` : key
}

function textOf(value: unknown): string {
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : `${value}`
  if (Array.isArray(value)) return `[${value.map(textOf).join(",")}]`
  if (typeof value === "string") return JSON.stringify(value)
  if (typeof value !== "object" || value === null) return String(value)
  return `{${Object.entries(value)
    .map(([name, entry]) => `${name}:${textOf(entry)}`)
    .join(",")}}`
}
