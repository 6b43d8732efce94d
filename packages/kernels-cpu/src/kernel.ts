// What a CPU kernel is: a function that is given buffers and shapes once, when a plan is loaded, and answers the function
// that every step runs. It allocates nothing while running and checks nothing that the shape rule has proved.

import type { BoundRow } from "@counterflow/compiler"
import type { DType } from "@counterflow/ir"
import type {
  AnyRegistry,
  AttrSignature,
  BoundAttrsOf,
  InputSignature,
  InputsOf,
  Op,
  OutputSignature,
  OutputsOf,
} from "@counterflow/ops"
import type { Tape } from "./tape.ts"

/** How dtypes are stored here: int64 as integers in float64 (exact within ±(2^53 − 1)), bool as 0 and 1. */
export type NumberArray = Float32Array | Float64Array | Int32Array | Uint8Array

export interface HostTensor {
  readonly data: NumberArray
  readonly shape: readonly number[]
  readonly dtype: DType
  /** Of what loops save of their runs, where nobody knows beforehand how many there are: `data` says where it lies. */
  readonly stack?: HostStack
}

export interface HostStack {
  readonly tape: Tape
  readonly row: BoundRow
}

/** Whether two tensors lie on the same bytes: then one is there when the other is. */
export function isSamePlace({ data: a }: HostTensor, { data: b }: HostTensor): boolean {
  return a.buffer === b.buffer && a.byteOffset === b.byteOffset
}

/** A sub-block of a control-flow operator. */
export interface HostBlock {
  /** A loop says how many runs there were before, so that it can be ended where it takes too long. */
  run(trip?: number): void
  /** To be written before every run. */
  readonly params: readonly HostTensor[]
  readonly results: readonly HostTensor[]
}

export interface CallOf<I extends InputSignature, O extends OutputSignature, A extends AttrSignature> {
  readonly inputs: InputsOf<I, HostTensor>
  readonly outputs: OutputsOf<O, HostTensor>
  readonly attrs: BoundAttrsOf<A>
  /** As many elements (of the first output's storage) as the kernel asked for. */
  readonly workspace: NumberArray
  readonly blocks: Readonly<Record<string, HostBlock>>
}

export interface TypesOf<I extends InputSignature, O extends OutputSignature, A extends AttrSignature> {
  readonly inputs: InputsOf<I, HostType>
  readonly outputs: OutputsOf<O, HostType>
  readonly attrs: BoundAttrsOf<A>
}

export interface HostType {
  readonly shape: readonly number[]
  readonly dtype: DType
}

/** A kernel with planned scratch memory. */
export interface WorkspaceKernel<Call, Types> {
  /** Elements of scratch, of the storage of the first output. */
  readonly workspace: (types: Types) => number
  readonly bind: (call: Call) => () => void
}

/** A kernel: `bind(call)` prepares strides and views, what it answers runs every step. */
export type Kernel<Call, Types> = ((call: Call) => () => void) | WorkspaceKernel<Call, Types>

export type KernelOf<R> =
  R extends Op<string, infer I, infer O, infer A, infer _K> ? Kernel<CallOf<I, O, A>, TypesOf<I, O, A>> : never

type PrimitiveName<R extends AnyRegistry> = {
  [K in keyof R]: R[K] extends { readonly kind: "primitive" } ? K : never
}[keyof R]

/** The kernels a complete CPU backend needs: one per primitive that has no scalar expression. A missing one does not compile. */
export type CpuTable<R extends AnyRegistry> = { readonly [K in PrimitiveName<R>]: KernelOf<R[K]> }

/** Part of a table: what one file of kernels holds. */
export type CpuKernels<R extends AnyRegistry> = Partial<CpuTable<R>>

/** A kernel as the driver calls it, its signature forgotten. */
export type AnyKernel = Kernel<AnyCall, AnyTypes>

export interface AnyCall {
  readonly inputs: Readonly<Record<string, HostTensor | readonly HostTensor[] | undefined>>
  readonly outputs: Readonly<Record<string, HostTensor | readonly HostTensor[] | undefined>>
  readonly attrs: Readonly<Record<string, unknown>>
  readonly workspace: NumberArray
  readonly blocks: Readonly<Record<string, HostBlock>>
}

export interface AnyTypes {
  readonly inputs: Readonly<Record<string, HostType | readonly HostType[] | undefined>>
  readonly outputs: Readonly<Record<string, HostType | readonly HostType[] | undefined>>
  readonly attrs: Readonly<Record<string, unknown>>
}
