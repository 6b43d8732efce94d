// Sums of float32, in float64, two partial sums to a vector. The order of additions is fixed by the shape:
//
//   along a contiguous axis   eight partial sums, sum j of the elements j, j + 8, … of each run; then sums 0 to 7 as
//                             ((0 + 2) + (4 + 6)) + ((1 + 3) + (5 + 7))
//   side by side              eight results, each in index order

import { f32, f32x4, f64, f64x2, type FunctionBuilder, type Local, v128 } from "../assembler/index.ts"
import { walk } from "./walk.ts"

interface Axes {
  readonly sizes: readonly number[]
  /** In bytes. */
  readonly steps: readonly number[]
}

/** How many sums are made at once. */
export const sums = 8

/** Stores at z the sum of the elements at x along `axes`, of which the last is contiguous. */
export function sumAlong(f: FunctionBuilder, x: Local<"i32">, z: Local<"i32">, axes: Axes): void {
  const partial = partialSums(f)
  const length = axes.sizes.at(-1) ?? 1
  const pointer = f.let(x)
  walk(f, axes.sizes.slice(0, -1), [{ pointer, steps: axes.steps.slice(0, -1) }], () => {
    const at = f.let(pointer)
    f.forRange(Math.floor(length / sums), () => addPairs(f, partial, at), { advance: [[at, 4 * sums]] })
    const pairs = Math.floor((length % sums) / 2)
    addPairs(f, partial.slice(0, pairs), at)
    const last = partial[pairs]
    if (length % 2 === 1 && last !== undefined)
      f.set(last, f64x2.add(last, f64x2.promoteLowF32x4(v128.load32Zero(at, 8 * pairs))))
  })
  const [a, b, c, d] = partial
  if (a === undefined || b === undefined || c === undefined || d === undefined) return
  const total = f.let(f64x2.add(f64x2.add(a, b), f64x2.add(c, d)))
  f.store("f32", z, f32.demoteF64(f64.add(f64x2.extractLane(0, total), f64x2.extractLane(1, total))))
}

/** Stores at z eight sums side by side: of the elements at x, and at the seven places behind it. */
export function sumSide(f: FunctionBuilder, x: Local<"i32">, z: Local<"i32">, axes: Axes): void {
  const partial = partialSums(f)
  const pointer = f.let(x)
  walk(f, axes.sizes, [{ pointer, steps: axes.steps }], () => addPairs(f, partial, pointer))
  partial.forEach((pair, i) => f.storeLane(64, 0, z, f32x4.demoteF64x2Zero(pair), 8 * i, 4))
}

function partialSums(f: FunctionBuilder): readonly Local<"v128">[] {
  return Array.from({ length: sums / 2 }, () => f.let(f64x2.splat(f64.const(0))))
}

function addPairs(f: FunctionBuilder, partial: readonly Local<"v128">[], at: Local<"i32">): void {
  for (const [i, pair] of partial.entries())
    f.set(pair, f64x2.add(pair, f64x2.promoteLowF32x4(v128.load64Zero(at, 8 * i, 4))))
}
