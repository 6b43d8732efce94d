// Forward values that are not kept are computed again where the backward part first reads them: their operators are emitted once
// more, back to what is kept, each at most once. Chen et al., Training Deep Nets with Sublinear Memory Cost (2016); Fluid's
// RecomputeOptimizer.

import type { Block, Operator, Variable } from "@counterflow/ir"
import { again, extendCopy, namedLike, reread } from "./again.ts"

/** What a pass keeps of the forward part. */
export interface Keeping {
  /** Whether a value stays in memory until the backward part reads it. */
  isKept(variable: Variable): boolean
  /** The forward part falls into parts that are computed again one by one: 0 is the last, which the backward part meets first. */
  partOf(op: Operator): number
}

/** Behind the names of what is computed again. */
const suffix = "@AGAIN"

export class Repetition {
  readonly #block: Block
  /** Operators at positions below are there already; the others are the pass's own. */
  readonly #size: number
  readonly #keeping: Keeping
  readonly #first: number
  readonly #copies: Map<Variable, Variable> = new Map()
  readonly #made: Map<Operator, Operator> = new Map()
  #segment: number

  constructor(block: Block, keeping: Keeping) {
    this.#block = block
    this.#size = block.ops.length
    this.#keeping = keeping
    this.#first = 1 + block.ops.reduce((last, { segment }) => Math.max(last, segment), 0)
    this.#segment = this.#first
  }

  /** The segment of what is appended now. */
  get segment(): number {
    return this.#segment
  }

  /** The backward part comes to a forward operator. */
  reach(op: Operator | null): void {
    if (op !== null && this.#isThere(op)) {
      this.#segment = Math.max(this.#segment, this.#first + this.#keeping.partOf(op))
    }
  }

  /** Lets a staged operator read what is there, once that has been emitted. */
  reread(op: Operator): void {
    reread(op, this.#block, (variable) => this.#of(variable))
  }

  #isThere(op: Operator): boolean {
    return op.block === this.#block && op.position >= 0 && op.position < this.#size
  }

  /** The operator to emit once more for a variable; null where it, or a copy, is there. */
  #missing(variable: Variable): Operator | null {
    const { producer } = variable
    if (producer === null || !this.#isThere(producer) || this.#copies.has(variable)) return null
    return this.#keeping.isKept(variable) ? null : producer
  }

  #of(variable: Variable): Variable {
    const producer = this.#missing(variable)
    if (producer !== null) for (const op of this.#path(producer)) this.#emit(op)
    return this.#copies.get(variable) ?? variable
  }

  /** Operators, in order, that make what one reads and nobody has made again yet; the operator itself is the last. */
  #path(last: Operator): Operator[] {
    const found = new Set<Operator>()
    const pending = [last]
    for (let op = pending.pop(); op !== undefined; op = pending.pop()) {
      if (found.has(op)) continue
      found.add(op)
      for (const input of op.inputList()) {
        const producer = this.#missing(input)
        if (producer !== null) pending.push(producer)
      }
    }
    return [...found].sort((a, b) => a.position - b.position)
  }

  #emit(op: Operator): void {
    const { program } = this.#block
    const position = { derivedFrom: op, scope: op.scope, stem: null, segment: this.#segment }
    const made = this.#made.get(op)
    if (made !== undefined && extendCopy(op, made, this.#copies, suffix)) return
    this.#made.set(
      op,
      program.within(position, () => again(op, this.#copies, namedLike(suffix))),
    )
    // What is kept is read where it is.
    for (const output of op.outputList()) if (this.#keeping.isKept(output)) this.#copies.delete(output)
  }
}
