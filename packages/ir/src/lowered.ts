// The LoweredProgram: what `legalize` makes of a Program and all that compilers and backends see. Primitives only (and the
// composites a backend keeps), flat lists, ids instead of links; shapes still symbolic. Plain data: it has a JSON form.

import type { Dim, Shape } from "./dims.ts"
import type { DType } from "./dtype.ts"
import type { Role } from "./operator.ts"
import type { Scalar } from "./scalar.ts"

/** What a compiler may know of an operator without knowing its name. */
export type FactKind = "elementwise" | "reduce" | "view" | "contract" | "gather" | "random" | "control" | "opaque"

/** How a loop hands on what it carries: slots of inputs and outputs, and the block. */
export interface Carries {
  readonly inputs: string
  readonly block: string
  readonly outputs: string
}

export interface OpFacts {
  readonly kind: FactKind
  /** The value at a point, of an elementwise operator. */
  readonly scalar?: Scalar
  /** Floating point operations of one execution. */
  readonly flops: Dim
  /** The input slot whose elements, in the same order, the only output has: no copy is needed. */
  readonly aliases?: string
  /** The input slot that the only output repeats, broadcast to its shape. */
  readonly stretches?: string
  /** Of an operator that reorders axes: axis i of the only output is axis permutes[i] of the only input. */
  readonly permutes?: readonly number[]
  /** The value of every element of the only output. */
  readonly constant?: Dim
  /** How often its sub-blocks run: once unless said. */
  readonly repeats?: Dim
  /** The output list that hands out, place by place, the results of the one sub-block that runs. */
  readonly yields?: string
  /** Whether nobody knows how often its sub-blocks run at most. */
  readonly mayBeEndless?: boolean
  /**
   * Of a loop: the variables of this input slot are carried. The k-th of them, and then what this block hands out as its k-th
   * result, is parameter k + 1 of all blocks, and in the end the k-th output of this slot. What else the block hands out is used
   * before its carries are handed on.
   */
  readonly carries?: Carries
  /** The input on whose bytes the only output may lie if nothing reads it later: a kernel leaves there what it does not write. */
  readonly overwrites?: string
  /** The symbol that says how often its blocks run, which only a run can tell. */
  readonly opens?: Dim
  /** Whether the kernel may refuse its inputs' values. */
  readonly canFail: boolean
}

/** Index into `LoweredProgram.vars`. */
export type VarId = number

export interface LoweredVar {
  readonly name: string
  readonly shape: Shape
  readonly dtype: DType
  /** Fed, kept between steps, or computed. */
  readonly kind: "data" | "state" | "value"
  readonly isParameter: boolean
  /** Of state: the value of every element before anything wrote it. */
  readonly initialValue?: number
}

/** Where an operator came from: for errors, profiles and pictures. */
export interface Origin {
  /** The user's operator, before decomposition. */
  readonly type: string
  readonly role: Role
  readonly scope: string
  /** The user's line; formatted only when asked for. */
  readonly site: { toString(): string }
}

export interface LoweredOp {
  readonly type: string
  readonly inputs: Readonly<Record<string, readonly VarId[]>>
  readonly outputs: Readonly<Record<string, readonly VarId[]>>
  /** Slots that hold lists, whatever their length. */
  readonly listInputs: readonly string[]
  readonly listOutputs: readonly string[]
  /** Dims in attributes are still symbolic; the bind phase makes numbers of them. */
  readonly attrs: Readonly<Record<string, unknown>>
  readonly facts: OpFacts
  readonly blocks: Readonly<Record<string, LoweredBlock>>
  /** Part of a recomputation: runs behind all lower ones, and shares nothing with the rest. Not there for all else. */
  readonly segment?: number
  readonly origin: Origin
}

export interface LoweredBlock {
  readonly ops: readonly LoweredOp[]
  /** What the owner of a sub-block writes before every run of it. */
  readonly params: readonly VarId[]
  /** What a sub-block hands to its owner; the fetches of the global block come with the plan request. */
  readonly results: readonly VarId[]
}

export interface Commit {
  readonly state: VarId
  readonly value: VarId
}

export interface LoweredConstraint {
  readonly left: Dim
  readonly right: Dim
  /** What the shape rule says of it. */
  readonly why?: (() => string) | undefined
  readonly origin: Origin
}

export interface LoweredProgram {
  readonly version: 1
  readonly vars: readonly LoweredVar[]
  readonly block: LoweredBlock
  /** Every name of the source program that is still there → its variable (two names may share one). */
  readonly names: ReadonlyMap<string, VarId>
  /** State and the value it takes when the step is committed. */
  readonly commits: readonly Commit[]
  readonly constraints: readonly LoweredConstraint[]
}
