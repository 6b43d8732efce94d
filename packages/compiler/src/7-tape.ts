// Phase 7: what a loop whose runs nobody can count beforehand adds to the tape in each of its runs. The tape is a region outside of
// the arena that grows while a step runs and is empty before the next. A run adds one record to the chain of its loop, with all it
// saves side by side; chains of several loops may lie between each other.
//
//   record   | next, previous | value | value | …      links are int32; everything begins at a multiple of 8 bytes
//
// A stack is one place of a record, in every record of a chain; see the backends for how they say which.

import {
  allOps,
  type BoundBlock,
  type BoundOp,
  type BoundProgram,
  type BoundRow,
  type BoundVar,
  idsOf,
} from "./bound.ts"

export interface TapeRecord {
  readonly bytes: number
  /** Where the values lie, in the order of the stacks. */
  readonly offsets: readonly number[]
}

const alignment = 8
/** Of the links. */
const linkBytes = 8

/** The record of a run that saves rows of these sizes in bytes. */
export function tapeRecord(rows: readonly number[]): TapeRecord {
  let bytes = linkBytes
  const offsets = rows.map((size) => {
    const offset = bytes
    bytes += Math.ceil(size / alignment) * alignment
    return offset
  })
  return { bytes, offsets }
}

/** Bytes that one run of every loop adds. */
export function bytesPerTrip({ block, vars }: BoundProgram, bytesOf: (row: BoundRow) => number): number {
  let total = 0
  for (const op of allOps(block)) {
    const rows = stackedRows(op, vars)
    if (rows.length > 0) total += tapeRecord(rows.map(bytesOf)).bytes
  }
  return total
}

/** Whether nothing that a run of a block puts on the tape is read once the run is over: it hands out nothing that lies there. */
export function leavesTape(block: BoundBlock, vars: readonly BoundVar[]): boolean {
  if (block.results.some((id) => vars[id]?.isPlace === true)) return false
  return [...allOps(block)].some((op) => stackedRows(op, vars).length > 0)
}

/** What a run of an operator's blocks adds, by output. */
export function stackedRows(op: BoundOp, vars: readonly BoundVar[]): BoundRow[] {
  return idsOf(op.outputs).flatMap((id) => vars[id]?.row ?? [])
}
