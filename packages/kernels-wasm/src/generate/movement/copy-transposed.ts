// Copies in which the contiguous axis of the source is another than that of the target: 4 × 4 blocks are read row by row,
// turned in registers and written row by row. For elements of four bytes, whatever they are.

import { type FunctionBuilder, i32, type Local, v128 } from "../../assembler/index.ts"
import { transpose } from "../../gemm/lanes.ts"
import { walk } from "../space/walk.ts"

export interface TransposedCopy {
  readonly sizes: readonly number[]
  /** In bytes. */
  readonly from: readonly number[]
  readonly to: readonly number[]
}

const bytes = 4
const block = 4

/** The axis along which the source is contiguous, where the target is so along the last one; undefined if it is no such copy. */
export function turnedAxis(elementBytes: number, { sizes, from, to }: TransposedCopy): number | undefined {
  const last = sizes.length - 1
  if (elementBytes !== bytes || to[last] !== bytes || from[last] === bytes || (sizes[last] ?? 0) < block)
    return undefined
  const axis = from.findIndex((step, i) => step === bytes && i !== last && (sizes[i] ?? 0) >= block)
  return axis < 0 ? undefined : axis
}

export function copyTransposed(
  f: FunctionBuilder,
  x: Local<"i32">,
  z: Local<"i32">,
  { sizes, from, to }: TransposedCopy,
  axis: number,
): void {
  const last = sizes.length - 1
  const outer = sizes.flatMap((_, i) => (i === axis || i === last ? [] : [i]))
  const walkers = [
    { pointer: x, steps: outer.map((i) => from[i] ?? 0) },
    { pointer: z, steps: outer.map((i) => to[i] ?? 0) },
  ]
  const [height, width] = [sizes[axis] ?? 1, sizes[last] ?? 1]
  /** From one row of the source to the next, and of the target. */
  const [own, other] = [from[last] ?? 0, to[axis] ?? 0]
  const plane = () => {
    const [source, target] = [f.let(x), f.let(z)]
    const advance = [[source, block * bytes] as const, [target, block * other] as const]
    f.forRange(Math.floor(height / block), () => columns(source, target), { advance })
    const [row, turned] = [source, target]
    for (let rest = height % block; rest > 0; rest--) {
      const [at, to4] = [f.let(row), f.let(turned)]
      f.forRange(width, () => f.store("i32", to4, i32.load(at)), {
        advance: [
          [at, own],
          [to4, bytes],
        ],
      })
      f.increment(row, bytes)
      f.increment(turned, other)
    }
  }
  /** Four columns of the source become four rows of the target. */
  const columns = (source: Local<"i32">, target: Local<"i32">) => {
    const [at, to4] = [f.let(source), f.let(target)]
    const rowsOf = (base: Local<"i32">, step: number) => [0, 1, 2, 3].map((i) => ({ base, offset: i * step }))
    const tile = () => {
      const [a, b, c, d] = rowsOf(at, own).map(({ base, offset }) => v128.load(base, offset, 4))
      if (a === undefined || b === undefined || c === undefined || d === undefined) return
      transpose(f, [a, b, c, d]).forEach((vector, i) => f.store("v128", to4, vector, i * other, 4))
    }
    f.forRange(Math.floor(width / block), tile, {
      advance: [
        [at, block * own],
        [to4, block * bytes],
      ],
    })
    for (let rest = width % block; rest > 0; rest--) {
      const vector = f.let(v128.load(at, 0, 4))
      for (let i = 0; i < block; i++) f.storeLane(32, i, to4, vector, i * other)
      f.increment(at, own)
      f.increment(to4, bytes)
    }
  }
  walk(
    f,
    outer.map((i) => sizes[i] ?? 1),
    walkers,
    plane,
  )
}

/** Writes the four bytes at an address `count` times. */
export function spread(f: FunctionBuilder, to: Local<"i32">, from: Local<"i32">, count: number): void {
  const value = f.let(v128.load32Splat(from))
  const at = f.let(to)
  f.forRange(Math.floor(count / 4), () => f.store("v128", at, value, 0, 4), { advance: [[at, 16]] })
  for (let i = 0; i < count % 4; i++) f.storeLane(32, 0, at, value, 4 * i)
}
