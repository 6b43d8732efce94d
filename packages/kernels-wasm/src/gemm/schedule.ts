// Decides how a product is computed. The left operand is the one whose entries are taken one by one, the right one lies
// in vectors; which of A and B is which follows from how they are stored:
//
//   NN  A | B     TN  A | B or B | A, whichever wastes fewer lanes     TT  B | A: Cᵀ = Bᵀ Aᵀ is of form NN
//   NT  neither lies along the vectors: the larger is left, the other is turned while it is packed
//
// Few lines of the right operand are dot products instead, if k runs along the left one; a single row of the left one
// lets a large right one stream by. The thresholds were measured on x64 under V8 11; none of them is about correctness.

import { type FullSpec } from "./spec.ts"
import type { StoreSpec } from "./store.ts"

/** An operand as kernels walk it: bytes from line to line (a row of the left, a column of the right), and along k. */
export interface Side {
  readonly lines: number
  readonly step: number
  readonly kStep: number
}

/** Some lines of the right operand, and how they are multiplied. */
export interface Part {
  readonly kernel: "outer" | "dot" | "stream"
  readonly first: number
  readonly lines: number
  readonly isPacked: boolean
}

export interface GemmSchedule {
  /** A is the right operand, B the left one. */
  readonly isSwapped: boolean
  readonly left: Side
  readonly right: Side
  readonly store: StoreSpec
  /** Parts of k whose sums are added to each other, all of one size but the last. */
  readonly kBlock: number
  readonly parts: readonly Part[]
  /** Lines of the right operand in one panel, and in one block of panels. */
  readonly panel: number
  readonly block: number
  readonly packsLeft: boolean
  /** Where the left operand is packed, behind the start of the workspace. */
  readonly leftAt: number
  readonly workspaceBytes: number
}

/** k up to this is one sum; a longer one is cut into pieces of nearly equal size. */
const longestSum = 512
/**
 * Bytes: entries that are multiples of these apart fall on few places of the cache, in the left and in the right
 * operand.
 */
const collision = { left: 2048, right: 4096 }
/** From so many k, and lines of the other operand, it then pays to pack. */
const packsCollisionsFrom = { k: 32, left: 8, right: 32 }
/** Without collisions, the right operand is packed from here on. */
const packsFrom = { k: 129, left: 32 }
/**
 * From which k on so many lines of the right operand are multiplied sooner as dot products, the zeros of a panel
 * considered.
 */
const dotsFrom = [Infinity, 1, 8, 12, 48, 32, 48, 128]
/** Rows of the left operand from which on it pays to turn columns for dot products. */
const turnsFrom = 8
/** Elements of a matrix from which on it is rather streamed than walked in tiles, if the left operand is one row. */
const streamFrom = 2 ** 14

export function scheduleGemm(spec: FullSpec, hasEpilogue = false): GemmSchedule {
  const { m, n, k, form, lda, ldb, ldc, alpha, accumulate, tuning } = spec
  const a = { lines: m, ...(form.startsWith("N") ? { step: 4 * lda, kStep: 4 } : { step: 4, kStep: 4 * lda }) }
  const b = { lines: n, ...(form.endsWith("N") ? { step: 4, kStep: 4 * ldb } : { step: 4 * ldb, kStep: 4 }) }
  const panel = 4 * tuning.vectors
  const isSwapped = swaps(spec, panel)
  const [left, right] = isSwapped ? [b, a] : [a, b]
  // A single column without gaps is as well a single row, which is stored by whole vectors.
  const isColumn = n === 1 && ldc === 1 && !hasEpilogue
  const store = { rowStep: 4 * ldc, isTransposed: isSwapped !== isColumn, alpha, adds: accumulate }

  const pieces = Math.max(1, Math.ceil(k / longestSum))
  const kBlock = 4 * Math.max(1, Math.ceil(k / pieces / 4))
  const parts = partsOf(left, right, store, k, panel)
  const block = panel * Math.max(1, Math.floor(tuning.columnBlock / panel))
  const packed = parts.map(({ kernel, lines, isPacked }) => {
    if (!isPacked) return 0
    if (kernel === "dot") return 4 * lines * k
    return 16 * Math.ceil(Math.min(lines, block) / 4) * Math.min(k, kBlock)
  })
  const leftAt = 16 * Math.ceil(Math.max(0, ...packed) / 16)
  const packsLeft =
    left.kStep % collision.left === 0 &&
    k >= packsCollisionsFrom.k &&
    left.lines >= packsCollisionsFrom.left &&
    right.lines >= packsCollisionsFrom.right
  const tiles = Math.ceil(Math.min(left.lines, Math.max(tuning.rowBlock, tuning.rows)) / tuning.rows)
  const packedTile = 16 * Math.ceil(tuning.rows / 4) * Math.min(k, kBlock)
  const workspaceBytes = leftAt + (packsLeft ? tiles * packedTile : 0)
  return { isSwapped, left, right, store, kBlock, parts, panel, block, packsLeft, leftAt, workspaceBytes }
}

function swaps({ m, n, form }: FullSpec, panel: number): boolean {
  const waste = (lines: number) => (Math.ceil(lines / panel) * panel) / lines
  switch (form) {
    case "NN":
      return false
    case "TT":
      return true
    case "TN":
      return waste(m) < waste(n)
    case "NT":
      return n > m
  }
}

function partsOf(left: Side, right: Side, store: StoreSpec, k: number, panel: number): Part[] {
  const { lines } = right
  const isAlongK = left.kStep === 4
  const isTurned = right.kStep === 4 && (right.step !== 4 || lines === 1)
  const all = { first: 0, lines }
  const isFew = (columns: number) => isAlongK && k >= (dotsFrom[columns] ?? Infinity)
  if (isTurned && isFew(lines)) return [{ kernel: "dot", ...all, isPacked: false }]
  const isRow = left.lines === 1 && !isTurned && !store.isTransposed
  if (isRow && store.alpha === 1 && k * lines >= streamFrom) return [{ kernel: "stream", ...all, isPacked: false }]

  const collides =
    right.kStep % collision.right === 0 && k >= packsCollisionsFrom.k && left.lines >= packsCollisionsFrom.left
  const isPacked = isTurned || collides || (k >= packsFrom.k && left.lines >= packsFrom.left)
  const rest = lines % panel
  const hasDots = isFew(rest) && (isTurned || left.lines >= turnsFrom)
  if (!hasDots) return [{ kernel: "outer", ...all, isPacked }]
  const main = lines - rest
  const tail: Part = { kernel: "dot", first: main, lines: rest, isPacked: !isTurned }
  return main === 0 ? [tail] : [{ kernel: "outer", first: 0, lines: main, isPacked }, tail]
}
