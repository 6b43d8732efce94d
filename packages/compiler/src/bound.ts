// A LoweredProgram with its symbols bound: every shape and attribute is a number. What phases 4 to 7 work on.

import type { Carries, DType, FactKind, Origin, Scalar, VarId } from "@counterflow/ir"

/** What one run of a loop adds to a stack of its runs. */
export interface BoundRow {
  readonly shape: readonly number[]
  readonly elements: number
  readonly dtype: DType
}

export interface BoundVar {
  readonly name: string
  readonly shape: readonly number[]
  readonly elements: number
  readonly dtype: DType
  readonly kind: "data" | "state" | "value"
  readonly isParameter: boolean
  readonly initialValue?: number
  /** Whether each of its elements, int32, says where a stack lies on the tape: one with as many rows as a loop will have run. */
  readonly isPlace?: boolean
  /** Of a variable that is the place of one stack: a row of that. (Others hold many, one for each run of an outer loop.) */
  readonly row?: BoundRow
}

export interface BoundFacts {
  readonly kind: FactKind
  /** The value at a point of the only output, of an elementwise operator. */
  readonly scalar?: Scalar
  /** By output slot, where one loop makes several: all of one shape. They share their parts, and read what `inputs` names. */
  readonly scalars?: Readonly<Record<string, Scalar>>
  readonly flops: number
  readonly aliases?: string
  /** The input slot that the only output repeats, broadcast to its shape. */
  readonly stretches?: string
  /** Of an operator that reorders axes: axis i of the only output is axis permutes[i] of the only input. */
  readonly permutes?: readonly number[]
  /** The value of every element of the only output. */
  readonly constant?: number
  /** How often its sub-blocks run: once unless said. */
  readonly repeats?: number
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
  readonly canFail: boolean
}

/** Elements from one index to the next, per axis of the output. */
export type Strides = readonly number[]

/** How an operator sees a tensor that lies otherwise: elements from one index to the next, per axis of `shape`. */
export interface View {
  readonly shape: readonly number[]
  readonly strides: Strides
}

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
  /**
   * An input that does not lie in memory: each of its elements is computed when it is read. The other inputs are those of the
   * expression, read element by element or as `reads` says.
   */
  readonly prologue?: Prologue
  /** Inputs and outputs, by slot, that the operator reads and writes where they lie, though it sees them otherwise. */
  readonly views?: Readonly<Record<string, View>>
  readonly facts: BoundFacts
  readonly blocks: Readonly<Record<string, BoundBlock>>
  /** Part of a recomputation: see `LoweredOp`. */
  readonly segment?: number
  readonly origin: Origin
}

export interface Prologue {
  /** The input slot, which `inputs` lacks. */
  readonly slot: string
  /** The variable whose shape and dtype that input has. It has no place. */
  readonly value: VarId
  readonly scalar: Scalar
}

export interface BoundBlock {
  readonly ops: readonly BoundOp[]
  /** What the owner of a sub-block writes before every run of it. */
  readonly params: readonly VarId[]
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

/** The expressions of an elementwise operator by output slot; undefined for any other. */
export function scalarsOf({ facts, outputs }: BoundOp): Readonly<Record<string, Scalar>> | undefined {
  if (facts.scalars !== undefined) return facts.scalars
  const [slot] = Object.keys(outputs)
  return facts.scalar === undefined || slot === undefined ? undefined : { [slot]: facts.scalar }
}

export function idsOf(slots: VarSlots): VarId[] {
  const ids: VarId[] = []
  for (const slot in slots) for (const id of slots[slot] ?? []) ids.push(id)
  return ids
}

/** Whether both belong to one segment of a recomputation, or to none: else they share nothing and keep their order. */
export function isTogether(a: BoundOp, b: BoundOp): boolean {
  return a.segment === b.segment
}

/** Every operator of a block and of the blocks inside it, owners before what they own. */
export function* allOps(block: BoundBlock): Generator<BoundOp> {
  for (const op of block.ops) {
    yield op
    for (const inner of Object.values(op.blocks)) yield* allOps(inner)
  }
}

/** What an operator reads, and what its blocks and those inside them read and hand out. */
export function readBy(op: BoundOp): VarId[] {
  const read = idsOf(op.inputs)
  for (const { ops, results } of Object.values(op.blocks)) {
    for (const inner of ops) for (const id of readBy(inner)) read.push(id)
    for (const id of results) read.push(id)
  }
  return read
}

/** Whether an operator, or one in its blocks, may refuse what it reads. */
export function canFail(op: BoundOp): boolean {
  if (op.facts.canFail) return true
  for (const name in op.blocks) if (op.blocks[name]?.ops.some(canFail) === true) return true
  return false
}

/** Whether a step may end within an operator: where it may refuse what it reads, and in loops, which may take too long. */
export function mayStop(op: BoundOp): boolean {
  if (op.facts.canFail || op.facts.repeats !== undefined) return true
  for (const name in op.blocks) if (op.blocks[name]?.ops.some(mayStop) === true) return true
  return false
}
