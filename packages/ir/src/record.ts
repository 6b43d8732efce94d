// What the IR needs to know of an op's record: its signature and shape rule. The full record (gradient, decomposition,
// documentation) is defined in @counterflow/ops; the IR never looks at those.

import type { DType } from "./dtype.ts"
import type { Shape } from "./dims.ts"
import type { Block } from "./block.ts"

/** "tensor" can carry a gradient, "index" and "state" never do; "?" may be absent, "s" is a list. */
export type InputKind =
  | "tensor"
  | "tensor?"
  | "tensors"
  | "index"
  | "index?"
  | "indices"
  | "state"
  | "state?"
  | "states"

/** Kinds of attributes; a tuple of strings is an enumeration, a trailing "?" allows null. */
export type AttrKind =
  | "number"
  | "number?"
  | "int"
  | "int?"
  | "bool"
  | "string"
  | "string?"
  | "numbers"
  | "ints"
  | "ints?"
  | "dim"
  | "dim?"
  | "dims"
  | "dtype"
  | readonly string[]

export type AttrValue = number | boolean | string | null | object

export type Attrs = Readonly<Record<string, unknown>>

/** The type of a tensor: what shape rules compute with. */
export interface TensorType {
  readonly shape: Shape
  readonly dtype: DType
}

export type TypeBySlot = Readonly<Record<string, TensorType | readonly TensorType[]>>

export interface InferContext {
  /** The sub-blocks of an operator that owns some, by name. */
  readonly blocks: Readonly<Record<string, Block>>
}

export interface OpRecord {
  readonly name: string
  /** Raised when attributes change meaning; a program with a newer one is refused. */
  readonly version: number
  readonly inputs: Readonly<Record<string, InputKind>>
  /** Output names in order; a name written "...ys" is a list. */
  readonly outputs: readonly string[]
  readonly attrs: Readonly<Record<string, AttrKind>>
  /** Input slot of a state → output slot of its new value. */
  readonly writes: Readonly<Record<string, string>>
  /**
   * An output list that hands out the last results of a block, one by one. Gradients add to it; copies for another purpose and
   * plans leave out those that nothing reads. Plans do so with the lists `before` it, too, which hand out the results before these.
   * `opens` names an attribute that may hold a symbol of the operator's own: how often the block runs, where only a run can tell.
   */
  readonly saves?:
    | {
        readonly slot: string
        readonly block: string
        readonly before?: readonly string[] | undefined
        readonly opens?: string | undefined
      }
    | undefined
  /** An output list whose entries are, place by place, the results of that block which ran: all blocks have as many. */
  readonly yields?: string | undefined
  /** The input list of what its blocks, and blocks inside them, read from outside. */
  readonly captures?: string | undefined
  /** Set on the placeholder of an operator read from a file whose record is not attached yet. */
  readonly unresolved?: true
  inferTypes(inputs: Readonly<Record<string, unknown>>, attrs: Attrs, context: InferContext): TypeBySlot
}

export function isList(kind: InputKind): boolean {
  return kind === "tensors" || kind === "indices" || kind === "states"
}

export function isOptional(kind: InputKind): boolean {
  return kind.endsWith("?")
}

/** Whether the inputs of this kind may receive gradients. */
export function isDifferentiable(kind: InputKind): boolean {
  return kind.startsWith("tensor")
}

export interface OutputSlot {
  readonly slot: string
  readonly isList: boolean
}

export function outputSlots(record: OpRecord): OutputSlot[] {
  return record.outputs.map((name) =>
    name.startsWith("...") ? { slot: name.slice(3), isList: true } : { slot: name, isList: false },
  )
}

export type Slots<T> = Readonly<Record<string, readonly T[]>>

/** From uniform lists to the shape rules are written in: one value, `undefined` when absent, or a list. */
export function unwrapInputs<T>(record: OpRecord, slots: Slots<T>): Record<string, T | readonly T[] | undefined> {
  return Object.fromEntries(
    Object.entries(record.inputs).map(([slot, kind]) => [slot, isList(kind) ? (slots[slot] ?? []) : slots[slot]?.[0]]),
  )
}

export function unwrapOutputs<T>(record: OpRecord, slots: Slots<T>): Record<string, T | readonly T[] | undefined> {
  return Object.fromEntries(
    outputSlots(record).map(({ slot, isList: list }) => [slot, list ? (slots[slot] ?? []) : slots[slot]?.[0]]),
  )
}
