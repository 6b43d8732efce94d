// How often values are read: what only one operator reads, that operator may take over.

import type { VarId } from "@counterflow/ir"
import { allOps, type BoundProgram } from "./bound.ts"

/** Reads of every value, by slots. What is read from outside counts twice more, so it is never taken over. */
export function countReaders({ block, fetches, commits }: BoundProgram): Map<VarId, number> {
  const readers = new Map<VarId, number>()
  const count = (ids: readonly VarId[]) => {
    for (const id of ids) readers.set(id, (readers.get(id) ?? 0) + 1)
  }
  for (const op of allOps(block)) {
    for (const ids of Object.values(op.inputs)) count(ids)
    for (const inner of Object.values(op.blocks)) count(inner.results)
  }
  count(block.results)
  for (const id of [...fetches, ...commits.map(({ value }) => value)]) count([id, id])
  return readers
}
