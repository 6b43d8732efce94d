// Greatest and least elements of float32, four at a time. Of equal ones the first counts, which tells 0 from −0; a NaN is
// greater and less than all.

import { type Expr, f32, f32x4, i32, i8x16, type Local, select, v128 } from "../../assembler/index.ts"
import type { Lanes } from "../../math/simd/lanes.ts"
import type { Row } from "./source.ts"

export type ExtremeKind = "maximum" | "minimum"

/** Elements that are compared at once: two vectors. */
export const extremes = 8

export class Extremes {
  readonly #lanes: Lanes
  readonly #kind: ExtremeKind
  readonly #best: readonly Local<"v128">[]
  /** Set where a NaN was met. */
  readonly #isNaN: readonly Local<"v128">[]

  constructor(lanes: Lanes, kind: ExtremeKind, count = extremes) {
    const { f } = lanes
    this.#lanes = lanes
    this.#kind = kind
    const vectors = Array.from({ length: Math.ceil(count / 4) })
    this.#best = vectors.map(() => f.let(lanes.float(kind === "maximum" ? -Infinity : Infinity)))
    this.#isNaN = vectors.map(() => f.let(lanes.bits(0)))
  }

  /** Compares element j of the row with the best so far in lane j. */
  add(row: Row, count: number): void {
    const { f } = this.#lanes
    this.#best.forEach((best, i) => {
      if (4 * i >= count) return
      const value = row.vector(4 * i, Math.min(4, count - 4 * i))
      const nan = this.#isNaN[i]
      if (nan !== undefined) f.set(nan, v128.or(nan, f32x4.ne(value, value)))
      f.set(best, this.#better(best, value))
    })
  }

  /** Up to four more elements, none of which counts twice for being compared twice. */
  addRest(row: Row, from: number, count: number): void {
    const { f } = this.#lanes
    const [best, nan] = [this.#best[0], this.#isNaN[0]]
    if (best === undefined || nan === undefined) return
    const loadedVector = row.vector(from, count)
    const lanes = [0, 1, 2, 3].map((lane) => (lane < count ? lane : 0))
    const bytes = lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte))
    const value = count === 4 ? loadedVector : f.let(i8x16.shuffle(bytes, loadedVector, loadedVector))
    f.set(nan, v128.or(nan, f32x4.ne(value, value)))
    f.set(best, this.#better(best, value))
  }

  /** Stores the best of all lanes. `first` finds the sign of the first zero: it is asked only where the best is one. */
  storeBest(z: Local<"i32">, firstZero: () => Expr<"f32">): void {
    const { f } = this.#lanes
    const vector = f.let(
      this.#best.reduce<Expr<"v128">>(
        (a, b) => (a === b ? a : this.#better(a, b)),
        this.#best[0] ?? this.#lanes.float(0),
      ),
    )
    const lane = (i: number) => f.let(f32x4.extractLane(i, vector))
    const [a, b, c, d] = [lane(0), lane(1), lane(2), lane(3)]
    const [left, right] = [f.let(this.#betterOne(a, b)), f.let(this.#betterOne(c, d))]
    const best = f.let(this.#betterOne(left, right))
    f.if(f32.eq(best, 0), () => f.set(best, firstZero()))
    const met = this.#isNaN.reduce<Expr<"v128">>((x, y) => (x === y ? x : v128.or(x, y)), this.#isNaN[0] ?? vector)
    f.if(v128.anyTrue(met), () => f.set(best, NaN))
    f.store("f32", z, best)
  }

  /** The best of each lane, NaN where one was met. */
  results(): readonly Local<"v128">[] {
    return this.#best.map((best, i) => {
      const nan = this.#isNaN[i]
      return nan === undefined ? best : this.#lanes.f.let(v128.bitselect(this.#lanes.float(NaN), best, nan))
    })
  }

  /** The first operand where neither is better. */
  #better(x: Expr<"v128">, y: Expr<"v128">): Expr<"v128"> {
    return this.#kind === "maximum" ? f32x4.pmax(x, y) : f32x4.pmin(x, y)
  }

  #betterOne(x: Local<"f32">, y: Local<"f32">): Expr<"f32"> {
    return select(this.#kind === "maximum" ? f32.lt(x, y) : f32.lt(y, x), y, x)
  }
}

/** Sets `found` to the first zero among some elements, unless it is one by now; 1 is none. */
export function noteZero({ f }: Lanes, found: Local<"f32">, vector: Local<"v128">, count: number): void {
  f.if(f32.ne(found, 0), () => {
    for (let lane = count - 1; lane >= 0; lane--) {
      const value = f.let(f32x4.extractLane(lane, vector))
      f.set(found, select(i32.eqz(f32.ne(value, 0)), value, found))
    }
  })
}
