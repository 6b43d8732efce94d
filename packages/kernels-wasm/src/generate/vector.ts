// Rows of elements, four at a time: loads and stores of float32 as they lie, of bools as masks, and the loop with its rest.
// The rest runs through the same instructions, so a result does not depend on where in a row it stands.

import type { DType } from "@counterflow/ir"
import { type Expr, FunctionBuilder, i16x8, i32, i32x4, i8x16, type Local, v128 } from "../assembler/index.ts"
import { loadLanes, storeLanes } from "../gemm/lanes.ts"
import type { Lanes } from "../math/simd/lanes.ts"

/** The first `lanes` elements at an address. */
export function loadVector(f: FunctionBuilder, dtype: DType, address: Local<"i32">, lanes: number): Expr<"v128"> {
  if (dtype !== "bool") return loadLanes(address, 0, lanes)
  let bytes = lanes === 4 ? v128.load32Zero(address, 0, 1) : i32x4.splat(i32.const(0))
  if (lanes < 4) for (let lane = 0; lane < lanes; lane++) bytes = v128.load8Lane(lane, address, bytes, lane)
  return maskOf(f, bytes)
}

/** The element at an address, in all lanes. */
export function splatVector(f: FunctionBuilder, dtype: DType, address: Local<"i32">): Expr<"v128"> {
  return dtype === "bool" ? maskOf(f, v128.load8Splat(address)) : v128.load32Splat(address)
}

/** A mask of the first four bytes: −1 for those that are not 0. */
function maskOf(f: FunctionBuilder, bytes: Expr<"v128">): Expr<"v128"> {
  const wide = f.let(i32x4.extendLowI16x8U(i16x8.extendLowI8x16U(bytes)))
  return i32x4.ne(wide, i32x4.splat(i32.const(0)))
}

export function storeVector(
  f: FunctionBuilder,
  dtype: DType,
  address: Local<"i32">,
  value: Local<"v128">,
  lanes: number,
): void {
  if (dtype !== "bool") return storeLanes(f, address, value, 0, lanes)
  const words = i16x8.narrowI32x4S(value, value)
  const bytes = f.let(i8x16.abs(i8x16.narrowI16x8S(words, words)))
  if (lanes === 4) f.storeLane(32, 0, address, bytes, 0, 1)
  else for (let lane = 0; lane < lanes; lane++) f.storeLane(8, lane, address, bytes, lane)
}

/**
 * Writes `build` into f, its constants in front. What it builds is written twice, first on trial, to learn which constants it
 * asks for.
 */
export function withConstants(f: FunctionBuilder, build: (lanes: Lanes) => void): void {
  const needed = new Map<number, Local<"v128">>()
  const trial = new FunctionBuilder([])
  const note = (bits: number) => {
    const known = needed.get(bits) ?? trial.local("v128")
    needed.set(bits, known)
    return known
  }
  build({ f: trial, float: (value) => note(bitsOf(value)), bits: note })
  const made = new Map([...needed.keys()].map((bits) => [bits, f.let(i32x4.splat(i32.const(bits)))]))
  const get = (bits: number) => made.get(bits) ?? f.let(i32x4.splat(i32.const(bits)))
  build({ f, float: (value) => get(bitsOf(value)), bits: get })
}

const view = new DataView(new ArrayBuffer(4))

function bitsOf(value: number): number {
  view.setFloat32(0, value)
  return view.getInt32(0)
}
