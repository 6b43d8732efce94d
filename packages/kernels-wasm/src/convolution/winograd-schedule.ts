// Which convolutions Winograd's F(2 × 2, 3 × 3) serves, and how their tiles are cut into blocks. Rounding errors are those of a
// sum as large as its tile; an infinity in a tile makes NaN of all of it, not only of the places that meet it.

import type { GemmSpec } from "../gemm/index.ts"
import type { Pair } from "../generate/space/plane.ts"
import { bandBytes, type BandSpec } from "./band.ts"
import { evenly, joinable, rowCuts } from "./parts.ts"
import { gemmScratch, layOut } from "./places.ts"
import type { Relation, Wanted } from "./relation.ts"

/** A convolution of stride 1 as tiles see it; an input gradient is one, from z to x. */
export interface WinogradView {
  /** Planes of one group: those that are read and those that are made. */
  readonly sources: number
  readonly targets: number
  readonly source: Pair
  readonly target: Pair
  readonly before: Pair
}

export interface WinogradSchedule {
  readonly kind: "winograd"
  readonly view: WinogradView
  /** Tiles of 2 × 2 below and beside each other that cover a target plane. */
  readonly tiles: Pair
  /** Rows of tiles in one block. */
  readonly rows: number
  readonly canCut: true
  /** Images of which one block is made. */
  readonly joined: number
  /** Bytes of the filters in the domain of the products, which all parts share; of their gradient, which they do not. */
  readonly filterBytes: number
  /** Bytes behind the start of the workspace of a part. */
  readonly at: Readonly<Record<"band" | "edge" | "sources" | "targets" | "product", number>>
  readonly bytes: number
}

/** Products of tiles: the elements of a 4 × 4 tile, each with its own. */
const elements = 16

/** Planes on either side from which on the transforms pay. */
const planesFrom = { result: 3, image: 3, filter: 16 }
/** Tiles beside each other that one vector takes. */
const acrossFrom = 4
/** Bytes of a block, to stay in the second cache; and tiles in it at least, for the sake of the products. */
const blockBytes = 2 ** 19
const tilesFrom = 48
const fewTiles = 24

export function winogradSchedule(wanted: Wanted, relation: Relation, images: number): WinogradSchedule | undefined {
  const { channels, filters, geometry } = relation
  const { image, taps, result, stride, dilation, before } = geometry
  const isThree = taps.every((size) => size === 3) && stride.every((step) => step === 1)
  if (!isThree || dilation.some((step) => step !== 1) || Math.min(channels, filters) < planesFrom[wanted])
    return undefined
  const view: WinogradView =
    wanted === "image"
      ? { sources: filters, targets: channels, source: result, target: image, before: [2 - before[0], 2 - before[1]] }
      : { sources: channels, targets: filters, source: image, target: result, before }
  const tiles: Pair = [Math.ceil(view.target[0] / 2), Math.ceil(view.target[1] / 2)]
  if (tiles[1] < acrossFrom || Math.min(...view.before) < 0) return undefined

  const fitting = Math.floor(blockBytes / (4 * elements * (channels + filters)))
  const most = Math.max(fitting, tilesFrom)
  const all = tiles[0] * tiles[1]
  const cuts = rowCuts(relation, images, all / fewTiles)
  const rows = Math.min(evenly(tiles[0], Math.max(1, Math.floor(most / tiles[1]))), Math.ceil(tiles[0] / cuts))
  const joined = rows === tiles[0] ? joinable(relation, images, Math.floor(most / all)) : 1
  const lines = joined * rows * tiles[1]
  const products = [lines, (tiles[0] % rows) * tiles[1], (images % joined) * all].map((count) =>
    count === 0 ? 0 : gemmScratch(winogradProduct(wanted, view, count, false)),
  )
  const { at, bytes } = layOut({
    band: bandBytes(sourceBand(view, tiles, rows)),
    edge: wanted === "filter" ? bandBytes(targetBand(view, tiles, rows)) : 0,
    sources: 4 * elements * view.sources * lines,
    targets: 4 * elements * view.targets * lines,
    product: Math.max(...products),
  })
  const filterBytes = 4 * elements * channels * filters
  return { kind: "winograd", view, tiles, rows, canCut: true, joined, filterBytes, at, bytes }
}

/** The products of all elements of so many tiles. */
export function winogradProduct(
  wanted: Wanted,
  { sources, targets }: WinogradView,
  tiles: number,
  relaxed: boolean,
): GemmSpec {
  if (wanted !== "filter") return { m: targets, n: tiles, k: sources, batch: elements, relaxed }
  return { m: targets, n: sources, k: tiles, form: "NT", batch: elements, accumulate: true, relaxed }
}

/** What some rows of tiles read of a source plane; neighbouring tiles of 4 × 4 overlap by two. */
export function sourceBand({ source, before }: WinogradView, tiles: Pair, rows: number): BandSpec {
  return { image: source, rows: 2 * rows + 2, width: 2 * tiles[1] + 2, left: before[1] }
}

/** What some rows of tiles cover of a target plane. */
export function targetBand({ target }: WinogradView, tiles: Pair, rows: number): BandSpec {
  return { image: target, rows: 2 * rows, width: 2 * tiles[1], left: 0 }
}
