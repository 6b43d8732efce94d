// Walks the lines of a part that are multiplied as dot products: pairs of lines, then a single one, by bands of rows.

import { dotFunction } from "./tile-dot.ts"
import { linesFunction } from "./pack.ts"
import { ahead, bandsOf, finishOperands, type Product } from "./product.ts"
import type { Part } from "./schedule.ts"
import { stepsInC } from "./store.ts"

const rows = 4
const pair = 2

export function multiplyByDots({ module, f, spec, schedule, at, finish }: Product, part: Part): void {
  const { left, right: side, store } = schedule
  const { k } = spec
  const inC = stepsInC(store)
  const source = f.let(ahead(at.right, part.first * side.step))
  const right = part.isPacked ? at.workspace : source
  const rightStep = part.isPacked ? 4 * k : side.step
  if (part.isPacked) {
    f.run(linesFunction(module, { k, lines: part.lines, kStep: side.kStep, lineStep: side.step }), source, at.workspace)
  }
  const groups = Math.floor(part.lines / pair)
  const pieces = [
    { first: 0, lines: pair, groups },
    { first: groups * pair, lines: 1, groups: part.lines - groups * pair },
  ].filter((piece) => piece.groups > 0)
  for (const band of bandsOf(left.lines, rows)) {
    for (const { first, lines, groups } of pieces) {
      const tile = dotFunction(
        module,
        {
          k,
          rows: band.rows,
          lines,
          tiles: band.tiles,
          groups,
          leftStep: left.step,
          rightStep,
          depth: Math.max(1, Math.floor(rows / (band.rows * lines))),
          relaxed: spec.relaxed,
          store,
        },
        finish?.epilogue,
      )
      f.run(
        tile,
        ahead(at.left, band.first * left.step),
        ahead(right, first * rightStep),
        ahead(at.c, band.first * inC.left + (part.first + first) * inC.right),
        ...finishOperands(finish, band.first, part.first + first),
      )
    }
  }
}
