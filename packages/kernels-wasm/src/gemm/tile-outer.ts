// The register tile of outer products: rows of the left operand, each entry spread over a vector, times vectors of
// neighbouring lines of the right one. Every sum runs in the order of k.
//
//   one k:  2 vectors of the right operand, then per row one splat and at once its two products
//
// One k per round: engines unroll small loops themselves and keep the order, while the sea-of-nodes scheduler of older
// V8 moves all loads of a larger body to its top and then runs out of registers. 4 × 8 needs 12 of the 15 there are on
// x64.

import { f32x4, type FunctionBuilder, i32, type Local, type ModuleBuilder, v128 } from "../assembler/index.ts"
import { loadLanes } from "./lanes.ts"
import { more, type Procedure, procedure } from "./procedure.ts"
import { type Epilogue, finishOf, finishParams, stepsInC, type StoreSpec, storeTile } from "./store.ts"
import { type TileSources, walkTiles } from "./walk-tiles.ts"

export interface OuterSpec {
  readonly k: number
  readonly rows: number
  /** Bytes of the left operand from row to row, from one k to the next, and from tile to tile. */
  readonly leftStep: number
  readonly leftK: number
  readonly tileStep: number
  /** Where the vectors of the right operand lie at one k. */
  readonly vectors: readonly number[]
  /** Lanes that count in the last vector. */
  readonly lanes: number
  /** No byte behind the counting lanes may be read. */
  readonly isExact: boolean
  readonly rightK: number
  /** Bytes from one panel of the right operand to the next. */
  readonly panelStep: number
  /**
   * All panels for one tile of rows, then the next: C is written in long runs. Else all tiles for one panel, which
   * stays close.
   */
  readonly isAcross: boolean
  readonly relaxed: boolean
  readonly store: StoreSpec
}

/** A function (left, right, c, tiles, panels, …) that multiplies so many tiles below each other by so many panels. */
export function outerFunction(module: ModuleBuilder, spec: OuterSpec, epilogue?: Epilogue): Procedure {
  const { rows, vectors, lanes, store } = spec
  const width = 4 * (vectors.length - 1) + lanes
  const name = `outer${rows}x${width}x${spec.k}`
  const params = ["i32", "i32", "i32", "i32", "i32", ...more(finishParams(epilogue))] as const
  const key = { ...spec, epilogue: epilogue?.key }
  return procedure(
    module,
    name,
    key,
    params,
    (f, left, right, c, tiles, panels, leftIndex, rightIndex, ...operands) => {
      const inC = stepsInC(store)
      const down = {
        count: tiles,
        source: left,
        index: leftIndex,
        step: spec.tileStep,
        stepInC: rows * inC.left,
        lines: rows,
      }
      const across = {
        count: panels,
        source: right,
        index: rightIndex,
        step: spec.panelStep,
        stepInC: width * inC.right,
        lines: width,
      }
      const tile = (row: TileSources, panel: TileSources, address: Local<"i32">) => {
        const sums = sumTile(f, row.source, panel.source, spec)
        const place = { address, left: row.index, right: panel.index }
        storeTile(f, store, place, sums, lanes, finishOf(f, epilogue, operands))
      }
      if (spec.isAcross) walkTiles(f, c, down, across, tile)
      else walkTiles(f, c, across, down, (panel, row, address) => tile(row, panel, address))
    },
  )
}

function sumTile(
  f: FunctionBuilder,
  left: Local<"i32">,
  right: Local<"i32">,
  { k, rows, leftStep, leftK, vectors, lanes, isExact, rightK, relaxed }: OuterSpec,
): Local<"v128">[][] {
  const sums = Array.from({ length: rows }, () => vectors.map(() => f.let(f32x4.const(0, 0, 0, 0))))
  const p = f.let(left)
  const q = f.let(right)
  if (k === 0) return sums
  const last = f.let(i32.add(left, k * leftK))
  f.loop((next) => {
    const factors = vectors.map((offset, j) =>
      f.let(isExact && j === vectors.length - 1 ? loadLanes(q, offset, lanes) : v128.load(q, offset)),
    )
    sums.forEach((row, i) => {
      const x = f.let(v128.load32Splat(p, i * leftStep))
      row.forEach((sum, j) => {
        const y = factors[j] ?? x
        f.set(sum, relaxed ? f32x4.relaxedMadd(x, y, sum) : f32x4.add(sum, f32x4.mul(x, y)))
      })
    })
    f.increment(p, leftK)
    f.increment(q, rightK)
    f.branch(next, i32.ne(p, last))
  })
  return sums
}
