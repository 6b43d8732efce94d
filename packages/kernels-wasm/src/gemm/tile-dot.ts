// The register tile of dot products: rows of the left operand times lines of the right one, both with k side by side. A
// sum is kept in four lanes by k modulo 4 (and in several vectors where few sums would wait for each other), and added
// up at the end. Nothing is padded and nothing need be packed: it serves matrix times vector and the last few columns.

import { type Expr, f32x4, type FunctionBuilder, i32, type Local, type ModuleBuilder } from "../assembler/index.ts"
import { loadLanes, sumOfLanes } from "./lanes.ts"
import { more, type Procedure, procedure } from "./procedure.ts"
import { type Epilogue, finishOf, finishParams, stepsInC, type StoreSpec, storeTile } from "./store.ts"
import { walkTiles } from "./walk-tiles.ts"

export interface DotSpec {
  readonly k: number
  /** Of one tile, at most 4. */
  readonly rows: number
  readonly lines: number
  /** Tiles below each other, and beside each other. */
  readonly tiles: number
  readonly groups: number
  /** Bytes from row to row of the left operand, and from line to line of the right one. */
  readonly leftStep: number
  readonly rightStep: number
  /** Vectors in which one sum is kept. */
  readonly depth: number
  readonly relaxed: boolean
  readonly store: StoreSpec
}

/** A function (left, right, c, …). Rows are the outer loop: a long left operand is read once. */
export function dotFunction(module: ModuleBuilder, spec: DotSpec, epilogue?: Epilogue): Procedure {
  const { k, rows, lines, tiles, groups, leftStep, rightStep, store } = spec
  const name = `dot${rows}x${lines}x${k}`
  const params = ["i32", "i32", "i32", ...more(finishParams(epilogue))] as const
  const key = { ...spec, epilogue: epilogue?.key }
  return procedure(module, name, key, params, (f, left, right, c, leftIndex, rightIndex, ...operands) => {
    const inC = stepsInC(store)
    const down = {
      count: tiles,
      source: left,
      index: leftIndex,
      step: rows * leftStep,
      stepInC: rows * inC.left,
      lines: rows,
    }
    const across = {
      count: groups,
      source: right,
      index: rightIndex,
      step: lines * rightStep,
      stepInC: lines * inC.right,
      lines,
    }
    // Lanes run along the rows of the left operand here, so the tile is stored as its transpose.
    const turned = { ...store, isTransposed: !store.isTransposed }
    walkTiles(f, c, down, across, (row, line, address) => {
      const sums = sumTile(f, row.source, line.source, spec).map((sum) => [sum])
      const place = { address, left: line.index, right: row.index }
      storeTile(f, turned, place, sums, rows, finishOf(f, epilogue, operands))
    })
  })
}

/** For each line of the right operand one vector: lane i is the product with row i. */
function sumTile(f: FunctionBuilder, left: Local<"i32">, right: Local<"i32">, spec: DotSpec): Local<"v128">[] {
  const { k, rows, lines, leftStep, rightStep, depth, relaxed } = spec
  const range = (count: number) => Array.from({ length: count }, (_, i) => i)
  const zero = () => f.let(f32x4.const(0, 0, 0, 0))
  const sums = range(lines).map(() => range(rows).map(() => range(depth).map(zero)))
  const p = f.let(left)
  const q = f.let(right)

  /** Multiplies what lies `offset` bytes ahead. */
  const multiply = (offset: number, lanes: number, part: number) => {
    const factors = range(lines).map((j) => f.let(loadLanes(q, j * rightStep + offset, lanes)))
    for (const i of range(rows)) {
      const x = f.let(loadLanes(p, i * leftStep + offset, lanes))
      factors.forEach((y, j) => {
        const sum = sums[j]?.[i]?.[part]
        if (sum === undefined) return
        f.set(sum, relaxed ? f32x4.relaxedMadd(x, y, sum) : f32x4.add(sum, f32x4.mul(x, y)))
      })
    }
  }
  const round = 4 * depth
  const rounds = Math.floor(k / round)
  if (rounds > 0) {
    const last = f.let(i32.add(left, 4 * rounds * round))
    f.loop((next) => {
      for (const part of range(depth)) multiply(16 * part, 4, part)
      f.increment(p, 4 * round)
      f.increment(q, 4 * round)
      f.branch(next, i32.ne(p, last))
    })
  }
  const rest = k - rounds * round
  for (let done = 0; done < rest; done += 4) multiply(4 * done, Math.min(4, rest - done), done / 4)

  return sums.map((row) => {
    const whole = row.map((parts) => f.let(balancedSum(parts)))
    const [x = zero(), y = x, z = x, w = x] = whole
    return f.let(sumOfLanes(f, [x, y, z, w]))
  })
}

function balancedSum(parts: readonly Expr<"v128">[]): Expr<"v128"> {
  const [first, ...others] = parts
  if (first === undefined) return f32x4.const(0, 0, 0, 0)
  if (others.length === 0) return first
  const half = Math.ceil(parts.length / 2)
  return f32x4.add(balancedSum(parts.slice(0, half)), balancedSum(parts.slice(half)))
}
