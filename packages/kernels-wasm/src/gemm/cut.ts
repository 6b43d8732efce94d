// Cuts a large product into independent ones of rows and columns of C, which may run at the same time. The cut follows from
// the shape alone. Lines of the right operand are parted first: each panel is packed by one part only, so that cutting costs
// nothing. Where nothing is packed and sums are short, rows are parted, because C is then written in long runs.

import { mostParts } from "../generate/parts.ts"
import { scheduleGemm } from "./schedule.ts"
import { complete, type GemmSpec } from "./spec.ts"

export interface Box {
  readonly row: number
  readonly rows: number
  readonly column: number
  readonly columns: number
}

/** Products of fewer operations than this are done before another thread has begun. */
const operationsPerPart = 1.9e6
/** Lines of the right operand in a part: at least so many; more where each part packs the left one for itself. */
const narrowest = { unpacked: 16, packed: 128 }
/** Lines of the left operand in a part; where the right one is packed, each part does that for itself. */
const lowest = { unpacked: 24, packed: 128 }
/** Up to this k runs along C count more than panels that stay close. */
const shortSum = 64

/** Into how many parts work of so many operations is worth being cut. */
export function partsWorth(operations: number): number {
  return Math.max(1, Math.min(mostParts, Math.floor(operations / operationsPerPart)))
}

/** The boxes of C, at most `wanted`, each of which is a product of its own. */
export function cutGemm(spec: GemmSpec, wanted: number): readonly Box[] {
  const full = complete({ ...spec, batch: 1 })
  const { m, n, k, tuning } = full
  const { isSwapped, left, right, parts, panel, packsLeft } = scheduleGemm(full)
  const isPacked = parts.some((part) => part.isPacked)
  const along = {
    right: cutLines(right.lines, wanted, panel, packsLeft ? narrowest.packed : narrowest.unpacked),
    left: cutLines(left.lines, wanted, tuning.rows, isPacked ? lowest.packed : lowest.unpacked),
  }
  const byRows = along.left.length > along.right.length || (!isPacked && k <= shortSum && along.left.length > 1)
  const isRow = byRows !== isSwapped
  return (byRows ? along.left : along.right).map(({ first, count }) =>
    isRow ? { row: first, rows: count, column: 0, columns: n } : { row: 0, rows: m, column: first, columns: count },
  )
}

export interface Run {
  readonly first: number
  readonly count: number
}

/** At most `wanted` runs of whole units, as equal as they can be, none shorter than `least` if there are several. */
export function cutLines(count: number, wanted: number, unit = 1, least = 1): Run[] {
  const units = Math.ceil(count / unit)
  const parts = Math.max(1, Math.min(wanted, units, Math.floor(count / least)))
  const size = Math.ceil(units / parts) * unit
  const runs: Run[] = []
  for (let first = 0; first < count; first += size) runs.push({ first, count: Math.min(size, count - first) })
  return runs
}
