// Rows of elements, four at a time: loads and stores of float32 as they lie, of bools as masks, and the loop with its rest.
// The rest runs through the same instructions, so a result does not depend on where in a row it stands.

import type { DType } from "@counterflow/ir"
import {
  type Expr,
  FunctionBuilder,
  i16x8,
  i32,
  i32x4,
  i8x16,
  type Local,
  type ModuleBuilder,
  v128,
} from "../../assembler/index.ts"
import { loadLanes, storeLanes } from "../../gemm/lanes.ts"
import type { Lanes } from "../../math/simd/lanes.ts"

/** Up to four elements, from one behind an address on. */
export function loadVector(
  f: FunctionBuilder,
  dtype: DType,
  address: Local<"i32">,
  lanes: number,
  from = 0,
): Expr<"v128"> {
  if (!isByte(dtype)) return loadLanes(address, 4 * from, lanes)
  let bytes = lanes === 4 ? v128.load32Zero(address, from, 1) : i32x4.splat(i32.const(0))
  if (lanes < 4) for (let lane = 0; lane < lanes; lane++) bytes = v128.load8Lane(lane, address, bytes, from + lane)
  return widened(f, dtype, bytes)
}

/** The element at an address, in all lanes. */
export function splatVector(f: FunctionBuilder, dtype: DType, address: Local<"i32">): Expr<"v128"> {
  return isByte(dtype) ? widened(f, dtype, v128.load8Splat(address)) : v128.load32Splat(address)
}

function isByte(dtype: DType): boolean {
  return dtype === "bool" || dtype === "uint8"
}

/** The first four bytes in lanes of their own: as numbers, or as a mask that is −1 for those that are not 0. */
function widened(f: FunctionBuilder, dtype: DType, bytes: Expr<"v128">): Expr<"v128"> {
  const wide = f.let(i32x4.extendLowI16x8U(i16x8.extendLowI8x16U(bytes)))
  return dtype === "bool" ? i32x4.ne(wide, i32x4.splat(i32.const(0))) : wide
}

export function storeVector(
  f: FunctionBuilder,
  dtype: DType,
  address: Local<"i32">,
  value: Local<"v128">,
  lanes: number,
): void {
  if (!isByte(dtype)) return storeLanes(f, address, value, 0, lanes)
  const words = i16x8.narrowI32x4S(value, value)
  const bytes = f.let(dtype === "bool" ? i8x16.abs(i8x16.narrowI16x8S(words, words)) : i8x16.narrowI16x8U(words, words))
  if (lanes === 4) f.storeLane(32, 0, address, bytes, 0, 1)
  else for (let lane = 0; lane < lanes; lane++) f.storeLane(8, lane, address, bytes, lane)
}

/** Writes `build` into f, the constants that it asks for in front. */
export function withConstants(f: FunctionBuilder, build: (lanes: Lanes) => void, module?: ModuleBuilder): void {
  const made = new Map<number, Local<"v128">>()
  const ahead = f.ahead()
  const bits = (value: number): Local<"v128"> => {
    let local = made.get(value)
    if (local === undefined) {
      local = f.local("v128")
      made.set(value, local)
      const constant = local
      ahead(() => f.set(constant, i32x4.splat(i32.const(value))))
    }
    return local
  }
  build({ f, float: (value) => bits(bitsOf(value)), bits, module })
}

const view = new DataView(new ArrayBuffer(4))

/** The bits of a float32. */
export function bitsOf(value: number): number {
  view.setFloat32(0, value)
  return view.getInt32(0)
}
