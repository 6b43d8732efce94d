// The Program: blocks, unique names, the current block and role, and transactions that undo everything on failure.
// Every change goes through `changed`, which bumps the mutation counter and, inside a transaction, records its undo.

import { Block } from "./block.ts"
import { copyProgram } from "./copy.ts"
import { type Dim, DimExpr, symbol } from "./dims.ts"
import { fail } from "./errors.ts"
import { programToJson, type ProgramJson } from "./json.ts"
import { needsOf } from "./needs.ts"
import type { Operator, Role } from "./operator.ts"
import { fullText } from "./print.ts"
import { readProgram } from "./reader.ts"
import { openUntilReturn } from "./site.ts"
import { Parameter, Variable } from "./variable.ts"

interface Position {
  block: Block
  role: Role
  derivedFrom: Operator | null
  /** See `Operator.segment`. */
  segment: number
  scope: string
  /** "fc_0" while the layer fc_0 builds its operators. */
  stem: string | null
  /** Makes the number by which draws of one run of the loops around here differ from those of another; null outside of loops. */
  trip: (() => Variable) | null
}

export class Program {
  readonly blocks: Block[] = []
  /** Every named variable of every block. */
  readonly variables: Map<string, Variable> = new Map()
  /** How often each prefix of a unique name was given out; training parts count apart, so that they never shift names. */
  readonly nameCounts: Map<string, number> = new Map()
  readonly trainingNameCounts: Map<string, number> = new Map()
  #position: Position
  #mutations = 0
  #undo: (() => void)[] | null = null
  #randomSeed = 0
  #streams = 0
  #freshSymbols = 0
  readonly #openSymbols = new Set<string>()

  constructor() {
    const global = new Block(this, 0, null)
    this.blocks.push(global)
    this.#position = {
      block: global,
      role: "forward",
      derivedFrom: null,
      segment: 0,
      scope: "",
      stem: null,
      trip: null,
    }
  }

  globalBlock(): Block {
    return this.block(0)
  }

  block(index: number): Block {
    return (
      this.blocks[index] ?? fail("CF_BAD_ARGUMENT", `the program has no block ${index}, only ${this.blocks.length}`)
    )
  }

  currentBlock(): Block {
    return this.#position.block
  }

  get role(): Role {
    return this.#position.role
  }

  get derivedFrom(): Operator | null {
    return this.#position.derivedFrom
  }

  get segment(): number {
    return this.#position.segment
  }

  get scope(): string {
    return this.#position.scope
  }

  get stem(): string | null {
    return this.#position.stem
  }

  get trip(): (() => Variable) | null {
    return this.#position.trip
  }

  /** Rises with every change; plans are cached by it. */
  get mutations(): number {
    return this.#mutations
  }

  /** The key of every draw of this program that has no seed of its own. */
  get randomSeed(): number {
    return this.#randomSeed
  }

  set randomSeed(seed: number) {
    if (!Number.isSafeInteger(seed)) fail("CF_BAD_ARGUMENT", `randomSeed must be a safe integer, got ${seed}`)
    const before = this.#randomSeed
    this.#randomSeed = seed
    this.changed(() => {
      this.#randomSeed = before
    })
  }

  /** How many streams of random numbers were given out. */
  get streams(): number {
    return this.#streams
  }

  /** A stream number that no other draw of the program has. */
  takeStream(): number {
    const stream = this.#streams++
    this.changed(() => {
      this.#streams = stream
    })
    return stream
  }

  /** @internal for readers and copies */
  setStreams(count: number): void {
    this.#streams = count
  }

  /** A symbol for an unknown size that no other dimension shares. */
  freshSymbol(stem = "dim"): Dim {
    const index = this.#freshSymbols++
    this.changed(() => {
      this.#freshSymbols = index
    })
    return symbol(`${stem}_${index}`)
  }

  /** Whether a size is known only while a step runs: how often a loop has run. */
  isOpen(dim: Dim | undefined): boolean {
    return dim instanceof DimExpr && this.#openSymbols.has(dim.key)
  }

  /** @internal for operators that are made */
  openSymbol(dim: unknown): void {
    if (!(dim instanceof DimExpr) || this.#openSymbols.has(dim.key)) return
    this.#openSymbols.add(dim.key)
    this.changed(() => {
      this.#openSymbols.delete(dim.key)
    })
  }

  get freshSymbols(): number {
    return this.#freshSymbols
  }

  /** @internal for readers and copies */
  setFreshSymbols(count: number): void {
    this.#freshSymbols = count
  }

  /** Every operator of every block. */
  *operators(): Generator<Operator> {
    for (const block of this.blocks) yield* block.ops
  }

  /** Whether every operator has its record: a program read from a file gets them by `resolve`. */
  get isResolved(): boolean {
    return this.blocks.every((block) => block.ops.every((op) => op.record.unresolved !== true))
  }

  /** All parameters in creation order. */
  allParameters(): Parameter[] {
    return [...this.globalBlock().vars.values()].filter((variable) => variable instanceof Parameter)
  }

  /** `fc_0`, `fc_1`, … counted per program; never a name that is taken. */
  uniqueName(prefix: string): string {
    const counts = this.role === "forward" ? this.nameCounts : this.trainingNameCounts
    const before = counts.get(prefix)
    let index = before ?? 0
    while (this.variables.has(`${prefix}_${index}`)) index++
    counts.set(prefix, index + 1)
    this.changed(() => {
      if (before === undefined) counts.delete(prefix)
      else counts.set(prefix, before)
    })
    return `${prefix}_${index}`
  }

  createBlock(parent: Block = this.currentBlock()): Block {
    const block = new Block(this, this.blocks.length, parent)
    this.blocks.push(block)
    this.changed(() => {
      this.blocks.pop()
    })
    return block
  }

  /** Runs `body` while operators go to `block`, or have a role, a scope or a name stem. */
  within<T>(position: Partial<Position>, body: () => T): T {
    const outer = this.#position
    this.#position = { ...outer, ...position }
    try {
      return body()
    } finally {
      this.#position = outer
    }
  }

  /** All or nothing: when `body` throws, the program is what it was before. Transactions nest. */
  transaction<T>(body: () => T): T {
    const outer = this.#undo
    const undo: (() => void)[] = []
    this.#undo = undo
    try {
      const result = body()
      for (const revert of undo) outer?.push(revert)
      return result
    } catch (error) {
      this.#undo = null
      for (const revert of undo.reverse()) revert()
      throw error
    } finally {
      this.#undo = outer
      this.#mutations++
    }
  }

  /** Starts recording, for one public function: see `site`. */
  #open(): (failed: boolean) => void {
    const undo: (() => void)[] = []
    this.#undo = undo
    return (failed) => {
      this.#undo = null
      if (failed) for (const revert of undo.reverse()) revert()
    }
  }

  /** Runs `body` and undoes all it did to the program: for expansions that nobody should see. The mutation counter stays. */
  scratch<T>(body: () => T): T {
    const mutations = this.#mutations
    const outer = this.#undo
    const undo: (() => void)[] = []
    this.#undo = undo
    try {
      return body()
    } finally {
      this.#undo = null
      for (const revert of undo.reverse()) revert()
      this.#undo = outer
      this.#mutations = mutations
    }
  }

  /** @internal every mutation calls this, with the way back */
  changed(undo: () => void): void {
    this.#mutations++
    if (this.#undo === null) openUntilReturn(this, () => this.#open())
    this.#undo?.push(undo)
  }

  /**
   * A copy that shares nothing. With `forTest`: without backward, schedule and update operators (but for those that a
   * forward one reads, as a penalty on a gradient does), with `isTest` set where an operator has it (and its state writes
   * dropped), equal whether taken before or after `minimize`.
   */
  clone(options: { forTest?: boolean } = {}): Program {
    if (options.forTest !== true) return copyProgram(this, new Program())
    const keepVar = ({ role }: Variable) => role === "forward"
    const forward = [...this.operators()].filter((op) => op.role === "forward")
    return copyProgram(this, new Program(), { needs: needsOf(forward, [], keepVar), keepVar, forTest: true })
  }

  /** A copy with only the operators that the targets need. State writes are dropped. */
  prune(targets: Variable | string | readonly (Variable | string)[]): Program {
    const list: readonly (Variable | string)[] =
      typeof targets === "string" || targets instanceof Variable ? [targets] : targets
    // As with fetches, a variable of the program this is a clone of stands for the variable of its name.
    const variables = list.map((target) => this.globalBlock().var(typeof target === "string" ? target : target.name))
    const keepVar = (variable: Variable) => variables.includes(variable)
    return copyProgram(this, new Program(), { needs: needsOf([], variables, keepVar), keepVar, dropWrites: true })
  }

  toString(): string {
    return fullText(this)
  }

  toJSON(): ProgramJson {
    return programToJson(this)
  }

  /** Reads the versioned JSON form (an object or its text). Records are attached by `resolve` of @counterflow/ops. */
  static fromJSON(json: unknown): Program {
    return readProgram(json, new Program())
  }
}
