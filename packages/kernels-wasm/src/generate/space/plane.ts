// Planes of sums: images are summed in f64, one plane at a time in scratch, and rounded when a plane is complete.

import type { DType } from "@counterflow/ir"
import { f64, type FunctionBuilder, i32, type Local } from "../../assembler/index.ts"
import { realOf } from "../expression/element.ts"

/** Rows and columns. */
export type Pair = readonly [number, number]

/** Bytes of the sums of one plane of images [n, c, h, w]. */
export function planeBytes([, , height = 0, width = 0]: readonly number[]): number {
  return 8 * height * width
}

/** sums[place] += value */
export function addToPlane(f: FunctionBuilder, sums: Local<"i32">, place: Local<"i32">, value: Local<"f64">): void {
  const at = f.let(i32.add(sums, i32.shl(place, 3)))
  f.store("f64", at, f64.add(f64.load(at), value))
}

/** Rounds a plane of sums into a tensor. */
export function roundPlane(
  f: FunctionBuilder,
  sums: Local<"i32">,
  to: Local<"i32">,
  elements: number,
  dtype: DType,
): void {
  const element = realOf(dtype)
  const [from, target] = [f.let(sums), f.let(to)]
  const advance = [[from, 8] as const, [target, element.bytes] as const]
  f.forRange(elements, () => element.store(f, target, f64.load(from)), { advance })
}
