// What an elementwise kernel is told: expressions, dtypes and steps; no sizes but those of inner axes.

import type { DType, Scalar } from "@counterflow/ir"
import type { Local } from "../../assembler/index.ts"

export interface ElementwiseSpec {
  /** Sizes of all axes but the first: it is told by the parameter n. */
  readonly inner: readonly number[]
  /** Input i lies at `x{i}`; steps in bytes, the first axis included. */
  readonly inputs: readonly { readonly slot: string; readonly dtype: DType; readonly steps: readonly number[] }[]
  /** Output i lies at `y{i}`. */
  readonly outputs: readonly { readonly scalar: Scalar; readonly dtype: DType; readonly steps: readonly number[] }[]
}

export interface KernelTensor {
  readonly dtype: DType
  readonly steps: readonly number[]
  readonly pointer: Local<"i32">
}

/** The tensors of a spec with their pointers. */
export function placed<T extends { readonly dtype: DType; readonly steps: readonly number[] }>(
  tensors: readonly T[],
  at: Readonly<Record<string, Local<"i32">>>,
  name: string,
): (T & KernelTensor)[] {
  return tensors.flatMap((tensor, i) => {
    const pointer = at[`${name}${i}`]
    return pointer === undefined ? [] : [{ ...tensor, pointer }]
  })
}
