// From sums in registers to C: scale, add to what C holds, apply the epilogue, write. Rows of the left operand are rows
// of C, or columns of it where a product is computed as its transpose; then 4×4 blocks are turned before they are
// written.

import { type Expr, f32, f32x4, type FunctionBuilder, i32, i32x4, type Local } from "../assembler/index.ts"
import { loadLanes, storeLanes, transpose } from "./lanes.ts"

/** What happens to each entry of C before it is written; for a bias or an activation. */
export interface Epilogue {
  /** Two epilogues with one key are the same. */
  readonly key: string
  /** Addresses that the function takes behind its own. */
  readonly operands: number
  /** 32 bits each that `apply` wants to find in all lanes of a local, outside of hot loops. */
  readonly constants?: readonly number[]
  /** The new value of up to four neighbours of one row: `lanes` of them count. */
  readonly apply: (f: FunctionBuilder, at: EpiloguePoint) => Expr<"v128">
}

/** Parameters that a tile function takes for it: the numbers of its first lines, and the operands. */
export function finishParams(epilogue: Epilogue | undefined): number {
  return epilogue === undefined ? 0 : 2 + epilogue.operands
}

export interface EpiloguePoint {
  readonly acc: Local<"v128">
  readonly row: Expr<"i32">
  /** Of the first lane. */
  readonly column: Expr<"i32">
  /** The same in two parts: the first entry of the tile, and how far this one is from it. */
  readonly tile: { readonly row: Expr<"i32">; readonly column: Expr<"i32"> }
  readonly offset: { readonly row: number; readonly column: number }
  readonly lanes: number
  readonly operands: readonly Local<"i32">[]
  /** By their bits. */
  readonly constants: ReadonlyMap<number, Local<"v128">>
}

export interface StoreSpec {
  /** Bytes between rows of C. */
  readonly rowStep: number
  /** The left operand runs along the columns of C. */
  readonly isTransposed: boolean
  readonly alpha: number
  /** Add to what C holds. */
  readonly adds: boolean
}

/** Bytes in C from one line of the left and of the right operand to the next. */
export function stepsInC({ isTransposed, rowStep }: StoreSpec): { readonly left: number; readonly right: number } {
  return isTransposed ? { left: 4, right: rowStep } : { left: rowStep, right: 4 }
}

/** Where a tile lies in C. The indices exist only where an epilogue reads them. */
export interface TilePlace {
  readonly address: Local<"i32">
  readonly left: Local<"i32"> | undefined
  readonly right: Local<"i32"> | undefined
}

export interface Finish {
  readonly epilogue: Epilogue
  readonly operands: readonly Local<"i32">[]
}

/** With its constants in locals. */
export interface ReadyFinish extends Finish {
  readonly constants: ReadonlyMap<number, Local<"v128">>
}

/**
 * What a function does at the end. Its constants are set here: behind the loop that sums, where they take no registers
 * from it, and in front of what is stored.
 */
export function finishOf(
  f: FunctionBuilder,
  epilogue: Epilogue | undefined,
  operands: readonly Local<"i32">[],
): ReadyFinish | undefined {
  if (epilogue === undefined) return undefined
  const constants = (epilogue.constants ?? []).map((bits) => [bits, f.let(i32x4.splat(i32.const(bits)))] as const)
  return { epilogue, operands, constants: new Map(constants) }
}

/** Writes a tile: sums[i][j] holds row i of the left operand with four lines of the right one, `lanes` in the last. */
export function storeTile(
  f: FunctionBuilder,
  spec: StoreSpec,
  at: TilePlace,
  sums: readonly (readonly Local<"v128">[])[],
  lanes: number,
  finish?: ReadyFinish,
): void {
  const { rowStep, isTransposed } = spec
  const lanesOf = (j: number, row: readonly unknown[]) => (j === row.length - 1 ? lanes : 4)
  const write = (value: Local<"v128">, row: number, column: number, count: number) =>
    storeEntries(f, spec, at, value, row, column, row * rowStep + 4 * column, count, finish)

  if (!isTransposed) {
    sums.forEach((row, i) => row.forEach((value, j) => write(value, i, 4 * j, lanesOf(j, row))))
    return
  }
  for (let i = 0; i < sums.length; i += 4) {
    const four = sums.slice(i, i + 4)
    const [first = []] = four
    first.forEach((value, j) => {
      const [x = value, y = value, z = value, w = value] = four.map((row) => row[j] ?? value)
      const turned = transpose(f, [x, y, z, w]).slice(0, lanesOf(j, first))
      turned.forEach((column, lane) => write(column, 4 * j + lane, i, four.length))
    })
  }
}

function storeEntries(
  f: FunctionBuilder,
  { alpha, adds, isTransposed }: StoreSpec,
  { address, left, right }: TilePlace,
  value: Local<"v128">,
  row: number,
  column: number,
  offset: number,
  lanes: number,
  finish: ReadyFinish | undefined,
): void {
  if (alpha !== 1) f.set(value, f32x4.mul(value, f32x4.splat(f32.const(alpha))))
  if (adds) f.set(value, f32x4.add(loadLanes(address, offset, lanes), value))
  if (finish !== undefined) {
    const { epilogue, operands, constants } = finish
    const [rows, columns] = isTransposed ? [right, left] : [left, right]
    const tile = { row: rows ?? i32.const(0), column: columns ?? i32.const(0) }
    const at = { row: i32.add(tile.row, row), column: i32.add(tile.column, column) }
    const point = { acc: value, ...at, tile, offset: { row, column }, lanes, operands, constants }
    f.set(value, epilogue.apply(f, point))
  }
  storeLanes(f, address, value, offset, lanes)
}
