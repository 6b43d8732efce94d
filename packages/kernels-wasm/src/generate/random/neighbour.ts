// The neighbour below a float, as a bit pattern.

import type { DType } from "@counterflow/ir"

const view = new DataView(new ArrayBuffer(8))

/** The largest number of the dtype, float32 or float64, that is strictly below the finite x. */
export function below(x: number, dtype: DType): number {
  if (dtype === "float32") {
    const nearest = Math.fround(x)
    if (nearest < x) return nearest
    if (nearest === 0) return -(2 ** -149)
    view.setFloat32(0, nearest)
    // Sign and magnitude: towards −∞ is one pattern down for positive numbers, one up for negative ones.
    view.setInt32(0, view.getInt32(0) + (nearest > 0 ? -1 : 1))
    return view.getFloat32(0)
  }
  if (x === 0) return -Number.MIN_VALUE
  view.setFloat64(0, x)
  view.setBigInt64(0, view.getBigInt64(0) + (x > 0 ? -1n : 1n))
  return view.getFloat64(0)
}
