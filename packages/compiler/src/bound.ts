// A LoweredProgram with its symbols bound: every shape and attribute is a number. What phases 4 to 7 work on.

import type { DType, FactKind, Origin, Scalar, VarId } from "@counterflow/ir"

export interface BoundVar {
  readonly name: string
  readonly shape: readonly number[]
  readonly elements: number
  readonly dtype: DType
  readonly kind: "data" | "state" | "value"
  readonly isParameter: boolean
  readonly initialValue?: number
}

export interface BoundFacts {
  readonly kind: FactKind
  readonly scalar?: Scalar
  readonly flops: number
  readonly aliases?: string
  /** The input slot that the only output repeats, broadcast to its shape. */
  readonly stretches?: string
  /** The value of every element of the only output. */
  readonly constant?: number
  readonly canFail: boolean
}

/** Elements from one index to the next, per axis of the output. */
export type Strides = readonly number[]

export type VarSlots = Readonly<Record<string, readonly VarId[]>>

export interface BoundOp {
  readonly type: string
  readonly inputs: VarSlots
  readonly outputs: VarSlots
  /** Slots that hold lists, whatever their length. */
  readonly listInputs: readonly string[]
  readonly listOutputs: readonly string[]
  readonly attrs: Readonly<Record<string, unknown>>
  /** Inputs of an elementwise operator that are read with strides of their own instead of element by element. */
  readonly reads?: Readonly<Record<string, Strides>>
  /**
   * What happens to every element of the only output before it is stored. In it the slot "" is the element that the operator
   * itself makes; the other slots are further entries of `inputs`, read element by element or as `reads` says.
   */
  readonly epilogue?: Scalar
  readonly facts: BoundFacts
  readonly blocks: Readonly<Record<string, BoundBlock>>
  readonly origin: Origin
}

export interface BoundBlock {
  readonly ops: readonly BoundOp[]
  readonly results: readonly VarId[]
}

export interface BoundCommit {
  readonly state: VarId
  readonly value: VarId
}

export interface BoundProgram {
  readonly vars: readonly BoundVar[]
  readonly block: BoundBlock
  readonly fetches: readonly VarId[]
  readonly commits: readonly BoundCommit[]
}

export function idsOf(slots: VarSlots): VarId[] {
  return Object.values(slots).flat()
}

/** Every operator of a block and of the blocks inside it, owners before what they own. */
export function* allOps(block: BoundBlock): Generator<BoundOp> {
  for (const op of block.ops) {
    yield op
    for (const inner of Object.values(op.blocks)) yield* allOps(inner)
  }
}
