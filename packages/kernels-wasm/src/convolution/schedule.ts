// Decides how a float32 convolution or one of its gradients is computed, from its shapes alone:
//
//   winograd   3 × 3, stride 1, enough channels on both sides and planes of some width: 16 products do the work of 36
//   depthwise  one channel and one filter in each of several groups: no product, the taps one after the other
//   columns    anything else: a matrix of columns for some rows of z, or for several small images, and a matrix product
//
// The sizes were measured on x64 under V8 11; none of them is about correctness.

import { columnsBandBytes, isInside } from "./columns.ts"
import { columnProduct, type ColumnMatrix } from "./by-columns.ts"
import { depthwiseSchedule, type DepthwiseSchedule } from "./depthwise.ts"
import { evenly, joinable, rowCuts } from "./parts.ts"
import { gemmScratch, layOut } from "./places.ts"
import { type Relation, sizesOf, type Wanted } from "./relation.ts"
import { type WinogradSchedule, winogradSchedule } from "./winograd-schedule.ts"

export interface ColumnSchedule {
  readonly kind: "columns"
  /** A single tap that meets every element: the planes of x are the columns. */
  readonly isMatrix: boolean
  /** Images of which one matrix is made. */
  readonly joined: number
  /** Rows of z of which one matrix is made; all if images are joined. */
  readonly rows: number
  /** Whether rows of one image may go to different parts. */
  readonly canCut: boolean
  /** Bytes behind the start of the workspace of a part. */
  readonly at: Readonly<Record<"band" | "columns" | "joined" | "product", number>>
  readonly bytes: number
}

export type Schedule = ColumnSchedule | DepthwiseSchedule | WinogradSchedule

/** A matrix of columns should stay in the second cache, with what it is multiplied by. */
const columnBytes = 2 ** 18
/** Fewer columns than this make poor use of the tiles of a product. */
const fewColumns = 48
const enoughColumns = 128

export function scheduleOf(wanted: Wanted, relation: Relation, images: number): Schedule {
  return (
    winogradSchedule(wanted, relation, images) ??
    depthwiseSchedule(wanted, relation) ??
    columnSchedule(wanted, relation, images)
  )
}

function columnSchedule(wanted: Wanted, relation: Relation, images: number): ColumnSchedule {
  const { geometry, filters } = relation
  const { taps, result, stride } = geometry
  const { places, depth } = sizesOf(relation)
  const isMatrix =
    taps.every((size) => size === 1) &&
    stride.every((step) => step === 1) &&
    isInside(geometry) &&
    places === geometry.image[0] * geometry.image[1]
  const fitting = Math.floor(columnBytes / (4 * depth * places))
  const close = Math.min(Math.ceil(enoughColumns / places), 4 * fitting)
  const joined = places < fewColumns ? joinable(relation, images, close) : 1
  const most = Math.max(1, Math.ceil(fewColumns / result[1]), Math.floor(columnBytes / (4 * depth * result[1])))
  const fit = joined > 1 || isMatrix ? result[0] : evenly(result[0], most)
  // Rows that are folded overlap, so they are not cut.
  const canCut = joined === 1 && (isMatrix || wanted !== "image")
  const rows = canCut ? Math.min(fit, Math.ceil(result[0] / rowCuts(relation, images, places / fewColumns))) : fit

  const isCopied = !isMatrix || joined > 1
  const columns = joined * rows * result[1]
  const last = images % joined
  const matrices: ColumnMatrix[] = [
    { images: joined, rows },
    { images: joined, rows: result[0] % rows },
    { images: last, rows },
  ]
  const products = matrices.map((matrix) => {
    const isThere = matrix.images * matrix.rows > 0
    return isThere ? gemmScratch(columnProduct(wanted, relation, isMatrix, matrix, false)) : 0
  })
  const { at, bytes } = layOut({
    band: isCopied && (wanted === "image" || !isInside(geometry)) ? columnsBandBytes(geometry, rows) : 0,
    columns: isCopied ? 4 * depth * columns : 0,
    joined: joined > 1 ? 4 * filters * columns : 0,
    product: Math.max(...products),
  })
  return { kind: "columns", isMatrix, joined, rows, canCut, at, bytes }
}
