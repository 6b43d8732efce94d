// Phase 5: loops over the same elements become one loop with several results, where one reads what the other makes, or both
// read the same tensor: everything is read once and what only they need is never stored. So an update of Adam is one pass.

import type { Scalar, VarId } from "@counterflow/ir"
import { withoutUnread } from "./4-unread.ts"
import { partsOf, sameNumbers, sameStrides, substitution } from "./5-expression.ts"
import { countReaders } from "./5-readers.ts"
import {
  allOps,
  type BoundBlock,
  type BoundOp,
  type BoundProgram,
  type BoundVar,
  idsOf,
  isTogether,
  scalarsOf,
} from "./bound.ts"

/** A loop that is larger runs out of registers and gives back what it saved. */
const limits = { nodes: 64, functions: 3, inputs: 8, outputs: 4 }
/** Loops farther apart are left alone: moving them together would keep too much memory alive. */
const reach = 32
/** Values with more readers are not followed. */
const crowd = 16

/**
 * The same program with fewer, larger loops.
 *
 * @example
 * ```ts
 * const joined = joinLoops(fuseElementwise(bound))
 * console.log(joined.block.ops.map(({ outputs }) => Object.keys(outputs).length))
 * ```
 */
export function joinLoops(program: BoundProgram): BoundProgram {
  const readers = countReaders(program)
  const joined = (block: BoundBlock): BoundBlock => {
    const ops = block.ops.map((op): BoundOp => {
      const own = Object.entries(op.blocks)
      if (own.length === 0) return op
      return { ...op, blocks: Object.fromEntries(own.map(([name, inner]) => [name, joined(inner)])) }
    })
    return { ...block, ops: new Joining(ops, program.vars, readers).run() }
  }
  return withoutUnread({ ...program, block: joined(program.block) })
}

/** Operators of a block that are one by now, at one place. */
interface Group {
  readonly op: BoundOp
  at: number
  readonly members: readonly number[]
}

class Joining {
  readonly #ops: readonly BoundOp[]
  readonly #vars: readonly BoundVar[]
  readonly #readers: ReadonlyMap<VarId, number>
  /** By the original number of an operator. */
  readonly #groups: Group[]
  readonly #places: (BoundOp | null)[]
  readonly #makers = new Map<VarId, number>()
  readonly #readBy = new Map<VarId, number[]>()
  /** How many operators before each one can fail. */
  readonly #failing: number[] = []

  constructor(ops: readonly BoundOp[], vars: readonly BoundVar[], readers: ReadonlyMap<VarId, number>) {
    this.#ops = ops
    this.#vars = vars
    this.#readers = readers
    this.#groups = ops.map((op, at) => ({ op, at, members: [at] }))
    this.#places = [...ops]
    let failing = 0
    ops.forEach((op, at) => {
      this.#failing.push(failing)
      if (canFail(op)) failing++
      for (const id of idsOf(op.outputs)) this.#makers.set(id, at)
      const read = new Set(idsOf(op.inputs))
      for (const block of Object.values(op.blocks)) {
        for (const id of block.results) read.add(id)
        for (const inner of allOps(block)) for (const id of idsOf(inner.inputs)) read.add(id)
      }
      for (const id of read) {
        const known = this.#readBy.get(id)
        if (known === undefined) this.#readBy.set(id, [at])
        else known.push(at)
      }
    })
  }

  run(): BoundOp[] {
    /** The last loop that has read a value element by element. */
    const latest = new Map<VarId, number>()
    this.#ops.forEach((op, at) => {
      if (!isLoop(op)) return
      const whole = Object.entries(op.inputs).flatMap(([slot, [id]]) =>
        id === undefined || op.reads?.[slot] !== undefined ? [] : [id],
      )
      const beside = whole.flatMap((id) => [this.#makers.get(id), latest.get(id)])
      for (const other of new Set(beside)) if (other !== undefined) this.#tryJoin(other, at)
      for (const id of whole) latest.set(id, at)
    })
    return this.#places.filter((op) => op !== null)
  }

  #tryJoin(one: number, other: number): void {
    const [a, b] = [this.#groups[one], this.#groups[other]]
    if (a === undefined || b === undefined || a === b || !isLoop(a.op) || !isLoop(b.op)) return
    const [first, second] = a.at < b.at ? [a, b] : [b, a]
    if (second.at - first.at > reach || !isTogether(a.op, b.op) || !this.#fit(first.op, second.op)) return
    const place = this.#placeFor(first, second)
    if (place === undefined) return
    const op = this.#joined(first.op, second.op)
    if (op === undefined) return
    const group: Group = { op, at: place, members: [...first.members, ...second.members] }
    this.#places[first.at] = null
    this.#places[second.at] = null
    this.#places[place] = op
    for (const member of group.members) this.#groups[member] = group
  }

  /** Loops of one shape, over elements of which vectors hold the same number. */
  #fit(a: BoundOp, b: BoundOp): boolean {
    const [x, y] = [a, b].map((op) => this.#vars[idsOf(op.outputs)[0] ?? -1])
    if (x === undefined || y === undefined || x.elements !== y.elements) return false
    const isFlat = a.reads === undefined && b.reads === undefined
    return (isFlat || sameNumbers(x.shape, y.shape)) && this.#isNarrow(a) === this.#isNarrow(b)
  }

  #isNarrow(op: BoundOp): boolean {
    return [...idsOf(op.inputs), ...idsOf(op.outputs)].every((id) => {
      const dtype = this.#vars[id]?.dtype
      return dtype !== "float64" && dtype !== "int64"
    })
  }

  /** Where both can stand: at the second, if nobody between reads the first; at the first, if all that the second reads is there. */
  #placeFor(first: Group, second: Group): number | undefined {
    const own = new Set([...first.members, ...second.members])
    const isFree = idsOf(first.op.outputs).every((id) => {
      const readers = this.#readBy.get(id) ?? []
      if (readers.length > crowd) return false
      return readers.every((reader) => own.has(reader) || (this.#groups[reader]?.at ?? 0) > second.at)
    })
    if (isFree) return second.at
    const isThere = idsOf(second.op.inputs).every((id) => {
      const maker = this.#makers.get(id)
      return maker === undefined || own.has(maker) || (this.#groups[maker]?.at ?? 0) < first.at
    })
    // State is written in place only behind all that can fail.
    return isThere && this.#failing[first.at] === this.#failing[second.at] ? first.at : undefined
  }

  #joined(first: BoundOp, second: BoundOp): BoundOp | undefined {
    const slots = new Map<string, { readonly id: VarId; readonly strides: readonly number[] | null }>()
    const made = new Map<VarId, Scalar>()
    const leaf = (id: VarId, strides: readonly number[] | null): Scalar => {
      const known = [...slots].find(([, other]) => other.id === id && sameStrides(other.strides, strides))
      const slot = known?.[0] ?? `x${slots.size}`
      slots.set(slot, { id, strides })
      return { op: "input", slot }
    }
    for (const op of [first, second]) {
      const names = new Map<string, Scalar>()
      for (const [slot, [id = -1]] of Object.entries(op.inputs)) {
        const strides = op.reads?.[slot] ?? null
        const own = made.get(id)
        // Read with strides, an element may be needed before it is there.
        if (own !== undefined && strides !== null) return undefined
        names.set(slot, own ?? leaf(id, strides))
      }
      const put = substitution(names)
      for (const [slot, scalar] of Object.entries(scalarsOf(op) ?? {})) {
        const id = op.outputs[slot]?.[0]
        if (id !== undefined) made.set(id, put(scalar))
      }
    }
    const stored = [...made].filter(([id]) => !this.#isInner(id, first, second))
    const parts = partsOf(stored.map(([, scalar]) => scalar))
    const functions = [...parts].filter(({ op }) => slow.has(op)).length
    if (parts.size > limits.nodes || functions > limits.functions) return undefined
    if (slots.size > limits.inputs || stored.length > limits.outputs) return undefined
    const reads = [...slots].flatMap(([slot, { strides }]) => (strides === null ? [] : [[slot, strides] as const]))
    const { reads: _reads, ...rest } = second
    const { scalar: _scalar, scalars: _scalars, ...facts } = second.facts
    const [single] = stored
    return {
      ...rest,
      type: `${first.type} & ${second.type}`,
      inputs: Object.fromEntries([...slots].map(([slot, { id }]) => [slot, [id]])),
      outputs: Object.fromEntries(stored.map(([id], i) => [`y${i}`, [id]])),
      listOutputs: [],
      ...(reads.length === 0 ? {} : { reads: Object.fromEntries(reads) }),
      facts: {
        ...facts,
        flops: first.facts.flops + second.facts.flops,
        ...(stored.length === 1 && single !== undefined
          ? { scalar: single[1] }
          : { scalars: Object.fromEntries(stored.map(([, scalar], i) => [`y${i}`, scalar])) }),
      },
    }
  }

  /** Whether all that reads a value is in the loop itself. */
  #isInner(id: VarId, first: BoundOp, second: BoundOp): boolean {
    if (!idsOf(first.outputs).includes(id)) return false
    const known = this.#makers.get(id)
    const readers = this.#readBy.get(id) ?? []
    const group = known === undefined ? undefined : this.#groups[known]
    const isOwn = (reader: number) => this.#groups[reader]?.op === second || this.#groups[reader] === group
    return (this.#readers.get(id) ?? 0) === readers.length && readers.every(isOwn)
  }
}

/** Functions that take many instructions and registers. */
const slow: ReadonlySet<Scalar["op"]> = new Set(["exp", "log", "log1p", "sin", "cos", "tanh", "erf", "pow"])

function isLoop(op: BoundOp): boolean {
  return op.facts.kind === "elementwise" && scalarsOf(op) !== undefined && !canFail(op)
}

function canFail(op: BoundOp): boolean {
  return op.facts.canFail || Object.values(op.blocks).some((block) => block.ops.some(canFail))
}
