// Between the user's arrays and a backend's storage: the only place where representations change.

import { type DType, fail, type TypedArray } from "@counterflow/ir"
import type { StorageArray } from "./backend.ts"

/** Copies values in. Sources hold values of the variable's dtype already, in any representation of it. */
export function copyIn(to: StorageArray, from: ArrayLike<number | bigint | boolean>): void {
  if (to instanceof BigInt64Array) {
    if (from instanceof BigInt64Array) to.set(from)
    else for (let i = 0; i < to.length; i++) to[i] = BigInt(from[i] ?? 0)
  } else if (isNumbers(from)) {
    to.set(from)
  } else {
    for (let i = 0; i < to.length; i++) to[i] = Number(from[i])
  }
}

/** Copies values out; integers that storage cannot hold exactly are refused. */
export function copyOut(to: TypedArray, from: StorageArray, dtype: DType, name: string): void {
  if (to instanceof BigInt64Array) {
    for (let i = 0; i < to.length; i++) to[i] = exactInteger(from[i] ?? 0, name)
  } else if (from instanceof BigInt64Array) {
    fail("CF_INTERNAL", `${name} is ${dtype} but stored as 64-bit integers`)
  } else {
    to.set(from)
  }
}

function exactInteger(value: number | bigint, name: string): bigint {
  if (typeof value === "bigint" ? value > maximum || value < -maximum : !Number.isSafeInteger(value)) {
    fail("CF_INT_RANGE", `${name} holds ${value}, which lies outside ±(2^53 − 1)`, {
      fix: "compute in float64, or with smaller integers",
    })
  }
  return BigInt(value)
}

const maximum = BigInt(Number.MAX_SAFE_INTEGER)

function isNumbers(values: ArrayLike<number | bigint | boolean>): values is ArrayLike<number> {
  return ArrayBuffer.isView(values) && !(values instanceof BigInt64Array)
}
