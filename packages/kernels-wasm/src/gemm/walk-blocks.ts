// Walks a product in blocks, outermost first: columns, as many as are packed together; pieces of k; rows, as many as
// stay in the second cache. Inside, tile functions run rows past panels, of which one stays in the first cache.

import { type Expr, i32, type Local, type Operand } from "../assembler/index.ts"
import { packFunction } from "./pack.ts"
import { ahead, bandsOf, behind, finishOperands, inBlocks, type Lines, type Product } from "./product.ts"
import type { Part } from "./schedule.ts"
import { stepsInC } from "./store.ts"
import { outerFunction } from "./tile-outer.ts"

/** Up to this k a whole block of panels stays close, and what C is written in counts more. */
const shortSum = 64

/** Panels of one width side by side. */
interface Panels extends Lines {
  readonly vectors: number
  /** That count in the last vector. */
  readonly lanes: number
  readonly count: number | Local<"i32">
  readonly isPacked: boolean
}

/** Tiles of one height below each other. */
interface Tiles extends Lines {
  readonly height: number
  readonly count: number | Local<"i32">
}

/** Some of k; the operands begin there. */
interface Piece {
  readonly k: number
  readonly left: Expr<"i32">
  readonly adds: boolean
  readonly isLast: boolean
}

export function multiplyByBlocks(product: Product, { lines: columns, isPacked }: Part): void {
  const { f, schedule, at } = product
  const { panel, block, right } = schedule
  const lines = { source: at.right, c: at.c, index: i32.const(0) }
  const steps = { source: right.step, c: stepsInC(schedule.store).right }
  const whole = Math.floor(columns / panel)
  const blocks = { count: whole, size: isPacked ? block / panel : whole, width: panel }
  inBlocks(f, blocks, lines, steps, (count, some) => {
    multiplyPanels(product, { vectors: panel / 4, lanes: 4, count, isPacked, ...some })
  })
  const rest = columns % panel
  if (rest === 0) return
  const vectors = Math.ceil(rest / 4)
  const last = behind(lines, whole * panel, steps)
  multiplyPanels(product, { vectors, lanes: rest - 4 * (vectors - 1), count: 1, isPacked, ...last })
}

/** All of k, piece after piece. */
function multiplyPanels(product: Product, panels: Panels): void {
  const { f, spec, schedule, at } = product
  const { kBlock, left, right } = schedule
  const pieces = Math.max(1, Math.ceil(spec.k / kBlock))
  const adds = spec.accumulate
  if (pieces === 1) return multiplyPiece(product, panels, { k: spec.k, left: at.left, adds, isLast: true })

  multiplyPiece(product, panels, { k: kBlock, left: at.left, adds, isLast: false })
  const nextLeft = f.let(ahead(at.left, kBlock * left.kStep))
  const nextRight = f.let(ahead(panels.source, kBlock * right.kStep))
  const further = { ...panels, source: nextRight }
  const next = { left: nextLeft, adds: true }
  if (pieces > 2) {
    const advance = [[nextLeft, kBlock * left.kStep] as const, [nextRight, kBlock * right.kStep] as const]
    const body = () => multiplyPiece(product, further, { k: kBlock, ...next, isLast: false })
    f.forRange(pieces - 2, body, { advance })
  }
  multiplyPiece(product, further, { k: spec.k - (pieces - 1) * kBlock, ...next, isLast: true })
}

function multiplyPiece(product: Product, panels: Panels, piece: Piece): void {
  const { module, f, spec, schedule, at } = product
  const { left, right } = schedule
  const { vectors, lanes, count, isPacked } = panels
  if (isPacked) {
    const pack = packFunction(module, { k: piece.k, kStep: right.kStep, lineStep: right.step, vectors, lanes })
    f.run(pack, panels.source, at.workspace, count)
  }
  const lines = { source: piece.left, c: panels.c, index: i32.const(0) }
  const steps = { source: left.step, c: stepsInC(schedule.store).left }
  for (const band of bandsOf(left.lines, spec.tuning.rows)) {
    const height = band.rows
    const size = Math.max(1, Math.floor(spec.tuning.rowBlock / height))
    const blocks = { count: band.tiles, size, width: height }
    inBlocks(f, blocks, behind(lines, band.first, steps), steps, (tiles, some) => {
      multiplyTiles(product, panels, { height, count: tiles, ...some }, piece)
    })
  }
}

/** Some rows by some panels; where rows are few, several panels at a time, or their sums would wait for each other. */
function multiplyTiles(product: Product, panels: Panels, tiles: Tiles, piece: Piece): void {
  const { module, f, schedule, at } = product
  const { left } = schedule
  const { count, vectors } = panels
  const { height } = tiles
  if (schedule.packsLeft) {
    const lanes = 1 + ((height - 1) % 4)
    const spec = { k: piece.k, kStep: left.kStep, lineStep: left.step, vectors: Math.ceil(height / 4), lanes }
    f.run(packFunction(module, spec), tiles.source, ahead(at.workspace, schedule.leftAt), tiles.count)
  }
  const run = (width: number, done: Operand<"i32">, groups: Operand<"i32">) =>
    runTiles(product, panels, tiles, piece, width, done, groups)
  const width = panels.lanes < 4 ? 1 : widthOf(height, vectors)
  if (width === 1) return run(1, 0, count)
  if (typeof count === "number") {
    const groups = Math.floor(count / width)
    if (groups > 0) run(width, 0, groups)
    if (count % width > 0) run(1, groups * width, count % width)
    return
  }
  const groups = f.let(i32.divU(count, width))
  const done = f.let(i32.mul(groups, width))
  run(width, 0, groups)
  run(1, done, i32.sub(count, done))
}

/** Panels that a tile of this height may take at once: sums, vectors, splats and one product in 15 registers. */
function widthOf(height: number, vectors: number): number {
  return Math.max(1, Math.floor((14 - height) / ((height + 1) * vectors)))
}

/** Calls the tile function for `groups` groups of `width` panels, behind the panels that are done. */
function runTiles(
  { module, f, spec, schedule, at, finish }: Product,
  { vectors, lanes, source, index, isPacked }: Panels,
  tiles: Tiles,
  piece: Piece,
  width: number,
  done: Operand<"i32">,
  groups: Operand<"i32">,
): void {
  const { left, store, packsLeft } = schedule
  const inC = stepsInC(store)
  const { height } = tiles
  // A panel lies in one piece once it is packed; else its vectors, and the panels, are neighbours in each row.
  const packedPanel = 16 * vectors * piece.k
  const panelStep = isPacked ? packedPanel : 16 * vectors
  const offsetOf = (j: number) => (isPacked ? Math.floor(j / vectors) * packedPanel + 16 * (j % vectors) : 16 * j)
  const packedLeft = 16 * Math.ceil(height / 4)
  const leftSteps = packsLeft
    ? { leftStep: 4, leftK: packedLeft, tileStep: packedLeft * piece.k }
    : { leftStep: left.step, leftK: left.kStep, tileStep: height * left.step }
  const epilogue = piece.isLast ? finish : undefined
  const tile = outerFunction(
    module,
    {
      k: piece.k,
      rows: height,
      ...leftSteps,
      lanes,
      isExact: !isPacked,
      relaxed: spec.relaxed,
      vectors: Array.from({ length: width * vectors }, (_, j) => offsetOf(j)),
      rightK: isPacked ? 16 * vectors : schedule.right.kStep,
      panelStep: width * panelStep,
      isAcross: piece.k <= shortSum,
      store: { ...store, adds: piece.adds },
    },
    epilogue?.epilogue,
  )
  const columns = 4 * vectors
  f.run(
    tile,
    packsLeft ? ahead(at.workspace, schedule.leftAt) : tiles.source,
    further(isPacked ? at.workspace : source, done, panelStep),
    further(tiles.c, done, columns * inC.right),
    tiles.count,
    groups,
    ...finishOperands(epilogue, tiles.index, further(index, done, columns)),
  )
}

/** base + count · step */
function further(base: Expr<"i32">, count: Operand<"i32">, step: number): Expr<"i32"> {
  return typeof count === "number" ? ahead(base, count * step) : i32.add(base, i32.mul(count, step))
}
