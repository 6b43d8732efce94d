// Cutting a convolution into parts that may run at the same time: images, or rows of an image where there are few images. How
// it is cut follows from shapes alone.

import { mostParts } from "../generate/parts.ts"
import { flopsOf, type Relation } from "./relation.ts"
import type { Schedule } from "./schedule.ts"

/** What one kernel does, one part after the other or at the same time: some images, or some rows of one. */
export interface Part {
  readonly first: number
  readonly images: number
  /** Rows of z, or of tiles: those from `row` on. */
  readonly row: number
  readonly rows: number
}

/** The size of the fewest pieces, of nearly equal size, that are no larger than `most`. */
export function evenly(total: number, most: number): number {
  return Math.ceil(total / Math.ceil(total / most))
}

/** Work of one part that starting a thread for is worth while. */
const flopsPerPart = 1.5e6
/** Images are joined only as long as so many parts are left. */
const leastParts = 4

function wantedParts(relation: Relation, images: number): number {
  return Math.max(1, Math.min(mostParts, Math.floor((flopsOf(relation) * images) / flopsPerPart)))
}

/** Images that may be joined into one matrix of at most `most`. */
export function joinable(relation: Relation, images: number, most: number): number {
  const left = Math.floor(images / Math.min(leastParts, wantedParts(relation, images)))
  return Math.max(1, Math.min(most, left))
}

/** Pieces that the rows of an image are cut into, where there are few images. */
export function rowCuts(relation: Relation, images: number, most: number): number {
  return Math.max(1, Math.min(Math.floor(wantedParts(relation, images) / images), Math.floor(most)))
}

/** At most so many parts of nearly equal size, the larger ones first; of at most two sizes, so that few kernels serve them. */
export function partsOf(relation: Relation, images: number, schedule: Schedule, most = mostParts): Part[] {
  const total = rowsOf(relation, schedule)
  const parts = Math.min(most, wantedParts(relation, images))
  if (images < parts && schedule.canCut && schedule.rows < total) {
    const rows = schedule.rows * Math.ceil(Math.ceil(total / schedule.rows) / Math.floor(parts / images))
    const cut = (first: number) => cutRange(total, rows).map(([row, count]) => ({ first, images: 1, row, rows: count }))
    return Array.from({ length: images }, (_, first) => cut(first)).flat()
  }
  const units = Math.ceil(images / schedule.joined)
  const size = schedule.joined * Math.ceil(units / Math.min(parts, units))
  return cutRange(images, size).map(([first, count]) => ({ first, images: count, row: 0, rows: total }))
}

function rowsOf(relation: Relation, schedule: Schedule): number {
  return schedule.kind === "winograd" ? schedule.tiles[0] : relation.geometry.result[0]
}

/** Where pieces begin, and their sizes. */
function cutRange(total: number, size: number): [number, number][] {
  return Array.from({ length: Math.ceil(total / size) }, (_, i) => [i * size, Math.min(size, total - i * size)])
}
