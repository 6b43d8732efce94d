// Kernels that are JavaScript: the way in for ops from outside. They have the form of kernels of the CPU backend, so one kernel
// serves both. Generated code calls out to them, on views of its memory.

import type { DType } from "@counterflow/ir"
import type { BoundAttrsOf, InputsOf, Op, OutputsOf } from "@counterflow/ops"
import type { bindCallout } from "../callout.ts"
import type { TensorShape } from "./signature.ts"

/** int64 comes as integers in float64 (exact within ±(2^53 − 1)), in copies; everything else as it lies in memory. */
export type NumberArray = Float32Array | Float64Array | Int32Array | Uint8Array

export interface HostTensor {
  readonly data: NumberArray
  readonly shape: readonly number[]
  readonly dtype: DType
}

/** A sub-block of a control-flow operator. */
export interface HostBlock {
  /** A loop says how many runs there were before, so that it can be ended where it takes too long. */
  run(trip?: number): void
  /** To be written before every run. */
  readonly params: readonly HostTensor[]
  readonly results: readonly HostTensor[]
}

type Slots<T> = Readonly<Record<string, T | readonly T[] | undefined>>

interface Surroundings {
  /** As many elements (of the first output's storage) as the kernel asked for. */
  readonly workspace: NumberArray
  readonly blocks: Readonly<Record<string, HostBlock>>
}

/** A call, its op's signature forgotten. */
export interface AnyHostCall extends Surroundings {
  readonly inputs: Slots<HostTensor>
  readonly outputs: Slots<HostTensor>
  readonly attrs: Readonly<Record<string, unknown>>
}

export interface AnyHostTypes {
  readonly inputs: Slots<TensorShape>
  readonly outputs: Slots<TensorShape>
  readonly attrs: Readonly<Record<string, unknown>>
}

type SignatureOf<R extends Op, T> =
  R extends Op<string, infer I, infer O, infer A, infer _K>
    ? { readonly inputs: InputsOf<I, T>; readonly outputs: OutputsOf<O, T>; readonly attrs: BoundAttrsOf<A> }
    : never

/** What a kernel of the op is given, typed by its signature. */
export type HostCallOf<R extends Op> = SignatureOf<R, HostTensor> & Surroundings

/** Prepares strides and the like, and answers what runs every step. Bound anew whenever memory moves. */
export type HostBind<Call> = (call: Call) => () => void

type HostTypesOf<R extends Op> = SignatureOf<R, { readonly shape: readonly number[]; readonly dtype: DType }>

export type HostKernelOf<R extends Op> =
  | HostBind<HostCallOf<R>>
  | { readonly bind: HostBind<HostCallOf<R>>; readonly workspace: (types: HostTypesOf<R>) => number }

/** A kernel as the backend calls it; whoever does knows from the plan what its op's signature says. */
export class HostKernel {
  readonly bind: HostBind<never>
  readonly workspace: (types: never) => number
  /** How generated code calls it: what a backend without such kernels need not load. */
  readonly connect: typeof bindCallout

  constructor(bind: HostBind<never>, workspace: (types: never) => number, connect: typeof bindCallout) {
    this.bind = bind
    this.workspace = workspace
    this.connect = connect
  }
}
