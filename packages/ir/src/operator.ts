// Operators: a record applied to variables, with frozen attributes, a role, and links back to where it came from.

import type { Block } from "./block.ts"
import type { Attrs, OpRecord, Slots } from "./record.ts"
import type { Equality } from "./constraints.ts"
import type { Site } from "./site.ts"
import type { Variable } from "./variable.ts"

/** The part of the program an operator belongs to. */
export const roles = ["forward", "backward", "optimize", "schedule"] as const
export type Role = (typeof roles)[number]

/** State `state` takes the value of the operator's output `slot` when the step is committed. */
export interface StateWrite {
  readonly state: Variable
  readonly slot: string
  /** The place in an output list; 0 unless said. */
  readonly index?: number | undefined
}

export interface OperatorInit {
  record: OpRecord
  inputs: Slots<Variable>
  attrs: Attrs
  blocks: Readonly<Record<string, Block>>
  writes: readonly StateWrite[]
  role: Role
  derivedFrom: Operator | null
  segment?: number
  scope: string
  site: Site
  /** What the shape rule needed and could not decide. */
  equalities: readonly Equality[]
}

export class Operator {
  readonly block: Block
  readonly record: OpRecord
  /** Index in its block. */
  position = -1
  readonly attrs: Attrs
  readonly blocks: Readonly<Record<string, Block>>
  readonly role: Role
  /**
   * Where a backward part computes forward values again: 0 elsewhere. Operators of a segment run when those of all lower ones have,
   * and share no value with an operator that computes the same outside of it.
   */
  readonly segment: number
  /** Name scope, for people and pictures: "encoder/layer_0". */
  readonly scope: string
  readonly site: Site
  /** Equalities of dimensions that are checked when symbols are bound. */
  readonly equalities: readonly Equality[]
  #inputs: Slots<Variable>
  #outputs: Slots<Variable>
  #writes: readonly StateWrite[]
  #derivedFrom: Operator | null
  #isLoss = false

  /** Use `appendOperator`. */
  constructor(block: Block, init: OperatorInit, outputs: Slots<Variable>) {
    this.block = block
    this.record = init.record
    this.#inputs = Object.freeze(init.inputs)
    this.#outputs = Object.freeze(outputs)
    this.attrs = Object.freeze(init.attrs)
    this.blocks = Object.freeze(init.blocks)
    this.#writes = Object.freeze(init.writes)
    this.role = init.role
    this.#derivedFrom = init.derivedFrom
    this.segment = init.segment ?? 0
    this.scope = init.scope
    this.site = init.site
    this.equalities = init.equalities
    for (const output of this.outputList()) output.producer = this
    for (const inner of Object.values(init.blocks)) this.#own(inner)
    const { opens } = init.record.saves ?? {}
    if (opens !== undefined) block.program.openSymbol(init.attrs[opens])
  }

  #own(inner: Block): void {
    const before = inner.owner
    inner.owner = this
    this.block.program.changed(() => {
      inner.owner = before
    })
  }

  /** The forward operator whose gradient rule emitted this one, or that this one repeats. */
  get derivedFrom(): Operator | null {
    return this.#derivedFrom
  }

  get type(): string {
    return this.record.name
  }

  /** Whether `appendBackward` was asked to differentiate this operator's output. */
  get isLoss(): boolean {
    return this.#isLoss
  }

  set isLoss(value: boolean) {
    const before = this.#isLoss
    if (before === value) return
    this.#isLoss = value
    this.block.program.changed(() => {
      this.#isLoss = before
    })
  }

  get inputs(): Slots<Variable> {
    return this.#inputs
  }

  get outputs(): Slots<Variable> {
    return this.#outputs
  }

  get writes(): readonly StateWrite[] {
    return this.#writes
  }

  /** The value that a write takes. */
  written({ slot, index = 0 }: StateWrite): Variable | undefined {
    return this.#outputs[slot]?.[index]
  }

  /** @internal of an operator in a sub-block: the owner of the block writes in its place */
  handOverWrites(): readonly StateWrite[] {
    const before = this.#writes
    this.#writes = Object.freeze([])
    this.block.program.changed(() => {
      this.#writes = before
    })
    return before
  }

  /** @internal adds variables to an output list: see `extendOutputs` */
  extend(slot: string, outputs: readonly Variable[]): void {
    const before = this.#outputs
    this.#outputs = Object.freeze({ ...before, [slot]: [...(before[slot] ?? []), ...outputs] })
    for (const output of outputs) output.producer = this
    this.block.program.changed(() => {
      this.#outputs = before
    })
  }

  /** @internal of an operator that no plan has seen yet: read other variables */
  mapInputs(now: (variable: Variable) => Variable): void {
    this.#inputs = Object.freeze(
      Object.fromEntries(Object.entries(this.#inputs).map(([slot, variables]) => [slot, variables.map(now)])),
    )
  }

  /** @internal of an operator that is still staged: read `to` where it reads `from` */
  replaceInput(from: Variable, to: Variable): void {
    this.mapInputs((variable) => (variable === from ? to : variable))
  }

  /** @internal for copies and readers, where the forward operator may be made later */
  linkTo(forward: Operator | null): void {
    this.#derivedFrom = forward
  }

  inputList(): Variable[] {
    return Object.values(this.#inputs).flat()
  }

  outputList(): Variable[] {
    return Object.values(this.#outputs).flat()
  }

  toString(): string {
    const names = (variables: Variable[]) => variables.map((variable) => variable.name).join(", ")
    return `${names(this.outputList())} = ${this.type}(${names(this.inputList())})`
  }
}
