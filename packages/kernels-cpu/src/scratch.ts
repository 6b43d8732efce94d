// Views of planned scratch memory. A plan measures scratch in elements of a kernel's first output, and the matrix product
// packs into float64 whatever the dtype: here the one is counted in, and viewed as, the other.

import type { HostType, NumberArray } from "./kernel.ts"
import type { Reals } from "./numeric/gemm.ts"

/** Scratch for `reals` elements of the storage of `dtype` and, behind them, `doubles` of float64. */
export function scratchSize({ dtype }: HostType, reals: number, doubles: number): number {
  // Scratch of four-byte elements may begin between two float64: hence one element of slack.
  return dtype === "float32" ? reals + 2 * doubles + 1 : reals + doubles
}

/** The float64 part of scratch, behind its first `reals` elements. */
export function doublesOf(workspace: NumberArray, reals: number, doubles: number): Float64Array {
  const at = workspace.byteOffset + reals * workspace.BYTES_PER_ELEMENT
  return new Float64Array(workspace.buffer, Math.ceil(at / 8) * 8, doubles)
}

/** The elements of a tensor whose dtype is stored as floating point. */
export function realsOf(data: NumberArray): Reals {
  if (data instanceof Float32Array || data instanceof Float64Array) return data
  throw new TypeError(`expected floating point storage, got ${data.constructor.name}`)
}
