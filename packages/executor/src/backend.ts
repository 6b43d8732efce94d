// The plug-in contract. A backend turns a plan into something that runs, over memory of its own; the driver in this package
// does everything else: names, checks, feeds, fetches, state, caching, order.

import type { BoundOp, BoundVar, Plan } from "@counterflow/compiler"
import type { DType, VarId } from "@counterflow/ir"
import type { RunLimits } from "./watch.ts"

/** Numbers as a backend stores them; which array a dtype has is the backend's affair. */
export type StorageArray = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array

/** Kernels by op name; what an entry is, only the backend knows. */
export type KernelTable<Entry> = Readonly<Record<string, Entry>>

/** What can run plans. `Entry` is what its kernels are. */
export interface Backend<Entry = unknown> {
  readonly name: string
  readonly kernels: KernelTable<Entry>
  /** Composites it runs whole. */
  readonly keeps: readonly string[]
  /** Whether plans can run without waiting. */
  readonly canRunSync: boolean
  /** Whether it runs elementwise operators of any expression, with strided reads: then chains are fused for it. */
  readonly fuses?: boolean
  /** Whether it applies an expression to what this operator makes, before it is stored: then what follows may become that. */
  absorbs?(op: BoundOp, vars: readonly BoundVar[]): boolean
  /** Whether it computes the only input of this operator from an expression, as it reads it, instead of reading a tensor. */
  computes?(op: BoundOp, vars: readonly BoundVar[]): boolean
  /** Whether it runs this operator on tensors that lie as `op.views` says. */
  views?(op: BoundOp, vars: readonly BoundVar[]): boolean
  /** Whether new state may be computed where the old one lies. */
  readonly updatesInPlace: boolean
  /** Whether it can run this operator; elementwise ones may need no kernel. */
  supports(op: BoundOp): boolean
  /** What helps where it cannot, for the error, if it knows better than to write a kernel. */
  wayOut?(op: BoundOp): string | undefined
  /** Bytes of one stored element. */
  storage(dtype: DType): number
  /** Scratch memory an operator wants, in bytes. */
  workspaceBytes(op: BoundOp, vars: readonly BoundVar[]): number
  /** Fresh memory for one executor. */
  openMemory(): Memory
  /** A plan made ready to run. `states` says where each state variable of the plan lives. */
  load(plan: Plan, memory: Memory, states: ReadonlyMap<VarId, StateRegion>): LoadedPlan
}

/** Where one state variable lives, for as long as its executor does. */
export interface StateRegion {
  readonly bytes: number
  /** Its elements as stored. Ask anew after anything was compiled: memory may have grown. */
  view(): StorageArray
}

/** All memory of one executor: an arena that every plan shares, and state. Counts what it has really allocated. */
export interface Memory {
  readonly arenaBytes: number
  readonly stateBytes: number
  /** Most bytes that both together may have, where there is such a bound. */
  readonly limitBytes?: number
  /** Most bytes that the tape of a step has taken so far: see `PlanMemory.bytesPerTrip`. */
  readonly tapeBytes?: number
  /** Makes the arena at least this large; plans loaded before keep working. */
  reserveArena(bytes: number): void
  allocateState(dtype: DType, elements: number): StateRegion
  close(): void
}

/** A plan over memory, ready to run. */
export interface LoadedPlan {
  /** The stored elements of a fed, fetched or committed variable. Stays valid until memory grows, then ask again. */
  view(id: VarId): StorageArray
  /**
   * Runs every operator. On failure the error names the operator, and state is as it was. With limits, loops ask a `Watch` of
   * these limits now and then whether to go on.
   */
  runSync(limits?: RunLimits): void
  /** Like `runSync`; there only where this plan must be waited for. */
  run?(limits?: RunLimits): Promise<void>
  close(): void
}
