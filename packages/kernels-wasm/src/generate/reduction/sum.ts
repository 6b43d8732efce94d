// Sums of float32, in float64, two partial sums to a vector. The order of additions is fixed by the shape:
//
//   along a contiguous axis   eight partial sums, sum j of the elements j, j + 8, … of each run; then sums 0 to 7 as
//                             ((0 + 2) + (4 + 6)) + ((1 + 3) + (5 + 7))
//   side by side              up to eight results, each in index order

import {
  type Expr,
  f32,
  f32x4,
  f64,
  f64x2,
  type FunctionBuilder,
  i8x16,
  type Local,
  v128,
} from "../../assembler/index.ts"
import type { Row } from "./source.ts"

/** How many sums are made at once. */
export const sums = 8

export class Sums {
  readonly #f: FunctionBuilder
  readonly #partial: readonly Local<"v128">[]

  constructor(f: FunctionBuilder, count = sums) {
    this.#f = f
    this.#partial = Array.from({ length: Math.ceil(count / 2) }, () => f.let(f64x2.splat(f64.const(0))))
  }

  /** Adds element j of the row to sum j, for the first elements of it. */
  add(row: Row, count: number): void {
    const { plain } = row
    for (let from = 0; from < count; from += 4) {
      const here = Math.min(4, count - from)
      const vector = plain === undefined ? row.vector(from, here) : undefined
      for (let lane = 0; lane < here; lane += 2) {
        const isPair = here - lane > 1
        const pair = vector === undefined ? loaded(plain, from + lane, isPair) : partOf(vector, lane, isPair)
        const sum = this.#partial[(from + lane) / 2]
        if (sum !== undefined && pair !== undefined) this.#f.set(sum, f64x2.add(sum, pair))
      }
    }
  }

  /** Stores the sum of all sums; as it is, if it is but a part of one. */
  storeTotal(z: Local<"i32">, isPartial: boolean): void {
    const [a, b, c, d] = this.#partial
    if (a === undefined || b === undefined || c === undefined || d === undefined) return
    const total = this.#f.let(f64x2.add(f64x2.add(a, b), f64x2.add(c, d)))
    const value = f64.add(f64x2.extractLane(0, total), f64x2.extractLane(1, total))
    if (isPartial) this.#f.store("f64", z, value)
    else this.#f.store("f32", z, f32.demoteF64(value))
  }

  /** Stores this many sums side by side. */
  store(z: Local<"i32">, count: number): void {
    this.#partial.forEach((pair, i) => {
      const value = f32x4.demoteF64x2Zero(pair)
      if (count - 2 * i > 1) this.#f.storeLane(64, 0, z, value, 8 * i, 4)
      else this.#f.storeLane(32, 0, z, value, 8 * i)
    })
  }
}

/** Two elements of memory, or one and a zero. */
function loaded(at: Local<"i32"> | undefined, from: number, isPair: boolean): Expr<"v128"> | undefined {
  if (at === undefined) return undefined
  return f64x2.promoteLowF32x4(isPair ? v128.load64Zero(at, 4 * from, 4) : v128.load32Zero(at, 4 * from))
}

/** Two lanes, or one and a zero. */
function partOf(vector: Local<"v128">, lane: number, isPair: boolean): Expr<"v128"> {
  const low =
    lane === 0 ? vector : i8x16.shuffle([8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7], vector, vector)
  const pair = f64x2.promoteLowF32x4(low)
  return isPair ? pair : f64x2.replaceLane(1, pair, f64.const(0))
}
