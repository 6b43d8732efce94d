// Runs of float32 at addresses that need not be aligned, four at a time: copied, added up, cleared, gathered with a step.
// Nothing past the last element is read or written. The pointers stay as they are.

import { f32, f32x4, type FunctionBuilder, type Local, v128, type Expr } from "../assembler/index.ts"
import { loadLanes, storeLanes } from "../gemm/lanes.ts"
import { floatShuffle } from "./lanes.ts"

type Pointer = Local<"i32">

/** Vectors in one round of a loop: more loads at once would not find registers. */
const unrolled = 4

/** Runs `body` for each vector of a run, with its offset from the pointers, which a loop moves, and its lanes. */
function eachVector(
  f: FunctionBuilder,
  count: number,
  pointers: readonly (readonly [Pointer, number])[],
  body: (pointers: readonly Pointer[], vector: number, lanes: number) => void,
): void {
  const round = 4 * unrolled
  const rounds = count > 2 * round ? Math.floor(count / round) : 0
  const own = rounds > 0 ? pointers.map(([pointer]) => f.let(pointer)) : pointers.map(([pointer]) => pointer)
  if (rounds > 0) {
    const advance = own.map((pointer, i) => [pointer, round * (pointers[i]?.[1] ?? 4)] as const)
    f.forRange(
      rounds,
      () => {
        for (let vector = 0; vector < unrolled; vector++) body(own, vector, 4)
      },
      { advance },
    )
  }
  const rest = count - rounds * round
  for (let done = 0; done < rest; done += 4) body(own, done / 4, Math.min(4, rest - done))
}

/** to[i] = from[i · step] */
export function copyFloats(f: FunctionBuilder, to: Pointer, from: Pointer, count: number, step = 1): void {
  const pointers = [[to, 4] as const, [from, 4 * step] as const]
  eachVector(f, count, pointers, ([target = to, source = from], vector, lanes) => {
    storeLanes(f, target, f.let(loadSpaced(source, 16 * step * vector, lanes, step)), 16 * vector, lanes)
  })
}

/** to[i] = value */
export function fillFloats(f: FunctionBuilder, to: Pointer, value: Local<"v128">, count: number): void {
  eachVector(f, count, [[to, 4]], ([target = to], vector, lanes) => {
    storeLanes(f, target, value, 16 * vector, lanes)
  })
}

/** to[i · step] += from[i] */
export function addFloats(f: FunctionBuilder, to: Pointer, from: Pointer, count: number, step = 1): void {
  const pointers = [[to, 4 * step] as const, [from, 4] as const]
  eachVector(f, count, pointers, ([target = to, source = from], vector, lanes) => {
    if (step === 1) {
      const sum = f32x4.add(loadLanes(target, 16 * vector, lanes), loadLanes(source, 16 * vector, lanes))
      return storeLanes(f, target, f.let(sum), 16 * vector, lanes)
    }
    for (let lane = 0; lane < lanes; lane++) {
      const at = 4 * step * (4 * vector + lane)
      f.store("f32", target, f32.add(f32.load(target, at), f32.load(source, 4 * (4 * vector + lane))), at)
    }
  })
}

/** Four elements that lie `step` elements apart. */
export function loadSpaced(source: Pointer, offset: number, lanes: number, step: number): Expr<"v128"> {
  if (step === 1) return loadLanes(source, offset, lanes)
  // Elements 0 to 3, then 3 to 6: nothing behind the last one wanted is touched.
  if (step === 2 && lanes === 4) {
    return floatShuffle([0, 2, 5, 7], v128.load(source, offset, 4), v128.load(source, offset + 12, 4))
  }
  let vector = v128.load32Zero(source, offset)
  for (let lane = 1; lane < lanes; lane++) vector = v128.load32Lane(lane, source, vector, offset + 4 * step * lane)
  return vector
}
