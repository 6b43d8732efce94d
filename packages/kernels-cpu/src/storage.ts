// How dtypes are stored by the CPU backend.

import type { DType } from "@counterflow/ir"

/** int64 lives in float64: integers within ±(2^53 − 1) are exact there, and kernels stay plain arithmetic. */
export const storageOf = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: Float64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Record<DType, unknown>
