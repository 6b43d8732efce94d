// Variables: assigned once, typed, linked. A parameter is a persistable variable that an optimizer may train.

import type { Block } from "./block.ts"
import type { Shape } from "./dims.ts"
import { formatShape } from "./dims.ts"
import type { DType } from "./dtype.ts"
import type { Operator, Role } from "./operator.ts"
import type { Program } from "./program.ts"
import type { Site } from "./site.ts"

export interface VariableInit {
  shape: Shape
  dtype: DType
  persistable?: boolean | undefined
  stopGradient?: boolean | undefined
  /** A data variable: its value is fed. */
  isData?: boolean | undefined
  /** The value that every element of a persistable variable has before anything wrote it. */
  initialValue?: number | undefined
}

export class Variable {
  readonly block: Block
  readonly shape: Shape
  readonly dtype: DType
  readonly persistable: boolean
  readonly isData: boolean
  readonly initialValue: number | undefined
  readonly site: Site
  /** The part of the program that created the variable. */
  readonly role: Role
  /** The operator that assigns it; null for data and state. */
  producer: Operator | null = null
  /** The variable this one is a gradient of. */
  gradientOf: Variable | null = null
  /**
   * The variable whose value this one is: what comes later in the program, fetches and commits included, takes this one for it.
   * So a training part may compute a value in another way than the forward part, which stays as it was written.
   */
  insteadOf: Variable | null = null
  #name: string | null
  #stopGradient: boolean

  /** Use `block.createVar`. */
  constructor(block: Block, name: string | null, init: VariableInit, site: Site, role: Role) {
    this.block = block
    this.#name = name
    this.shape = Object.freeze([...init.shape])
    this.dtype = init.dtype
    this.persistable = init.persistable ?? false
    this.isData = init.isData ?? false
    this.initialValue = init.initialValue
    this.#stopGradient = init.stopGradient ?? this.isData
    this.site = site
    this.role = role
  }

  get program(): Program {
    return this.block.program
  }

  /** Unique in its program, for people. A variable that a gradient rule has just made is named when the rule returns. */
  get name(): string {
    return this.#name ?? `(unnamed ${this.producer?.type ?? "variable"})`
  }

  get isNamed(): boolean {
    return this.#name !== null
  }

  /** @internal once, when a staged operator is appended */
  rename(name: string): void {
    this.#name = name
  }

  /** Whether gradients stop here. Data variables start with true, everything else with false, as in Fluid. */
  get stopGradient(): boolean {
    return this.#stopGradient
  }

  set stopGradient(value: boolean) {
    const before = this.#stopGradient
    if (before === value) return
    this.#stopGradient = value
    this.program.changed(() => {
      this.#stopGradient = before
    })
  }

  /** "float32[batch, 13]" */
  get type(): string {
    return `${this.dtype}${formatShape(this.shape)}`
  }

  toString(): string {
    return `${this.name} ${this.type}`
  }
}

/** A penalty on a parameter, as plain data: the optimizer appends the operators. */
export interface Regularizer {
  readonly kind: "l1" | "l2"
  readonly coefficient: number
}

export interface ParameterInit extends VariableInit {
  trainable?: boolean | undefined
  learningRate?: number | undefined
  regularizer?: Regularizer | null | undefined
  /** What filled it, for people: "xavierUniform(-0.1, 0.1)". The operator itself is in the startup program. */
  initializer?: string | undefined
}

export class Parameter extends Variable {
  /** A factor on the optimizer's learning rate. */
  readonly learningRate: number
  readonly regularizer: Regularizer | null
  readonly initializer: string
  #trainable: boolean

  constructor(block: Block, name: string, init: ParameterInit, site: Site, role: Role) {
    super(block, name, { ...init, persistable: true, isData: false }, site, role)
    this.#trainable = init.trainable ?? true
    this.learningRate = init.learningRate ?? 1
    this.regularizer = init.regularizer ?? null
    this.initializer = init.initializer ?? ""
  }

  get trainable(): boolean {
    return this.#trainable
  }

  set trainable(value: boolean) {
    const before = this.#trainable
    if (before === value) return
    this.#trainable = value
    this.program.changed(() => {
      this.#trainable = before
    })
  }
}
