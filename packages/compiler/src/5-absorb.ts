// Phase 5: operators that are no loops over elements take over the elementwise ones beside them, where the backend offers it.
// What follows a matrix product becomes its epilogue: it is applied to every element before that is stored. What a reduction
// folds becomes its prologue: it is computed as it is read. Only values that nobody else reads are taken over.

import type { Scalar, VarId } from "@counterflow/ir"
import { withoutUnread } from "./4-unread.ts"
import { partsOf, restride, sameNumbers, substitution } from "./5-expression.ts"
import { countReaders } from "./5-readers.ts"
import {
  type BoundBlock,
  type BoundOp,
  type BoundProgram,
  type BoundVar,
  idsOf,
  isTogether,
  type Strides,
} from "./bound.ts"

/** What a backend can take over. */
export interface Absorbing {
  /** Whether it applies an epilogue to what this operator makes. */
  absorbs?: ((op: BoundOp, vars: readonly BoundVar[]) => boolean) | undefined
  /** Whether it computes the input of this operator as it reads it. */
  computes?: ((op: BoundOp, vars: readonly BoundVar[]) => boolean) | undefined
}

/** Registers are shared with what the operator itself does. */
const limits = { nodes: 32, inputs: 5 }
/** Farther than so many operators apart, moving one keeps too much memory alive. */
const reach = 32

/**
 * The same program with epilogues and prologues.
 *
 * @example
 * ```ts
 * const absorbed = absorbElementwise(fuseElementwise(bound), { absorbs: ({ type }) => type === "matmul" })
 * console.log(absorbed.block.ops.filter(({ epilogue }) => epilogue !== undefined).length)
 * ```
 */
export function absorbElementwise(program: BoundProgram, backend: Absorbing): BoundProgram {
  if (backend.absorbs === undefined && backend.computes === undefined) return program
  return withoutUnread({ ...program, block: new Absorption(program, backend).block(program.block) })
}

/** An elementwise operator as something to take over. */
interface Loop {
  readonly op: BoundOp
  readonly scalar: Scalar
  readonly output: VarId
}

class Absorption {
  readonly #vars: readonly BoundVar[]
  readonly #backend: Absorbing
  readonly #readers: ReadonlyMap<VarId, number>
  /** State is best updated by a loop, which can do it in place. */
  readonly #committed: ReadonlySet<VarId>
  /** Of the block at hand: operators by position, and where values are made. */
  #places: BoundOp[][] = []
  #made = new Map<VarId, number>()

  constructor(program: BoundProgram, backend: Absorbing) {
    this.#vars = program.vars
    this.#backend = backend
    this.#readers = countReaders(program)
    this.#committed = new Set(program.commits.map(({ value }) => value))
  }

  block({ ops, ...block }: BoundBlock): BoundBlock {
    const outer = [this.#places, this.#made] as const
    this.#places = ops.map((op) => [op])
    this.#made = new Map()
    ops.forEach((op, at) => {
      for (const id of idsOf(op.outputs)) this.#made.set(id, at)
      const own = Object.entries(op.blocks)
      if (own.length === 0) return this.#visit(op, at)
      this.#places[at] = [{ ...op, blocks: Object.fromEntries(own.map(([name, inner]) => [name, this.block(inner)])) }]
    })
    const flat = this.#places.flat()
    ;[this.#places, this.#made] = outer
    return { ...block, ops: flat }
  }

  #visit(op: BoundOp, at: number): void {
    const loop = this.#loop(op)
    if (loop !== undefined) this.#follow(loop, at)
    else if (this.#backend.computes?.(op, this.#vars) === true) this.#precede(op, at)
  }

  #loop(op: BoundOp | undefined): Loop | undefined {
    const [output] = op === undefined ? [] : idsOf(op.outputs)
    if (op?.facts.scalar === undefined || output === undefined) return undefined
    return { op, scalar: op.facts.scalar, output }
  }

  /** The operator that makes a value which only one other reads, and the views between. */
  #onlySource(id: VarId, reader: BoundOp): { op: BoundOp; at: number; value: VarId; views: BoundOp[] } | undefined {
    const views: BoundOp[] = []
    for (let value = id; this.#readers.get(value) === 1;) {
      const at = this.#made.get(value)
      const op = at === undefined ? undefined : this.#places[at]?.find(({ outputs }) => idsOf(outputs).includes(value))
      if (op === undefined || at === undefined || !isTogether(op, reader)) return undefined
      const source = op.facts.aliases === undefined ? undefined : op.inputs[op.facts.aliases]?.[0]
      if (source === undefined) return { op, at, value, views }
      views.unshift(op)
      value = source
    }
    return undefined
  }

  /** A loop over what an operator made becomes the epilogue of that operator. */
  #follow(loop: Loop, at: number): void {
    const { op, output } = loop
    if (this.#vars[output]?.dtype !== "float32" || this.#committed.has(output)) return
    if (partsOf([loop.scalar]).size > limits.nodes || Object.keys(op.inputs).length > limits.inputs) return
    const found = Object.entries(op.inputs).flatMap(([slot, [id]]) => {
      const source = id === undefined || op.reads?.[slot] !== undefined ? undefined : this.#onlySource(id, op)
      return source === undefined || !this.#takes(source.op) ? [] : [{ slot, ...source }]
    })
    // The last one: all else that the loop reads is there by then, or so it is likelier.
    const last = found.toSorted((a, b) => b.at - a.at)[0]
    if (last === undefined || at - last.at > reach) return
    const changed = this.#withEpilogue(loop, last.op, last.slot, last.value)
    if (changed === undefined) return
    const moved = this.#endingIn(output, changed, last.views)
    const isThere = Object.entries(op.inputs).every(([slot, [id = -1]]) => {
      return slot === last.slot || (this.#made.get(id) ?? -1) < last.at
    })
    if (!isThere && last.op.facts.canFail) return
    const target = isThere ? last.at : at
    const gone = new Set([last.op, ...last.views, op])
    for (const place of new Set([
      last.at,
      at,
      ...last.views.map((view) => this.#made.get(idsOf(view.outputs)[0] ?? -1) ?? at),
    ]))
      this.#places[place] = this.#places[place]?.filter((each) => !gone.has(each)) ?? []
    this.#places[target]?.push(...moved)
    for (const each of moved) for (const id of idsOf(each.outputs)) this.#made.set(id, target)
  }

  #takes(op: BoundOp): boolean {
    const outputs = idsOf(op.outputs)
    if (op.epilogue !== undefined || outputs.length !== 1 || op.facts.scalar !== undefined) return false
    return this.#vars[outputs[0] ?? -1]?.dtype === "float32" && this.#backend.absorbs?.(op, this.#vars) === true
  }

  #withEpilogue({ op, scalar, output }: Loop, source: BoundOp, own: string, value: VarId): BoundOp | undefined {
    const [from, to] = [this.#vars[output]?.shape ?? [], this.#vars[value]?.shape ?? []]
    const names = new Map<string, Scalar>([[own, { op: "input", slot: "" }]])
    const inputs: Record<string, readonly VarId[]> = { ...source.inputs }
    const reads: Record<string, Strides> = { ...source.reads }
    for (const [slot, ids] of Object.entries(op.inputs)) {
      if (slot === own) continue
      const dtype = this.#vars[ids[0] ?? -1]?.dtype
      if (dtype !== "float32" && dtype !== "bool") return undefined
      const strides = op.reads?.[slot]
      const moved = strides === undefined ? undefined : restride(from, strides, to)
      if (moved === null) return undefined
      const name = `epilogue${names.size - 1}`
      names.set(slot, { op: "input", slot: name })
      inputs[name] = ids
      if (moved !== undefined) reads[name] = moved
    }
    return {
      ...source,
      inputs,
      ...(Object.keys(reads).length === 0 ? {} : { reads }),
      epilogue: substitution(names)(scalar),
      facts: { ...source.facts, flops: source.facts.flops + op.facts.flops },
    }
  }

  /** The operator and the views behind it, the last of which makes `output`. */
  #endingIn(output: VarId, op: BoundOp, views: readonly BoundOp[]): BoundOp[] {
    const [made = -1] = idsOf(op.outputs)
    if (views.length === 0 && !sameNumbers(this.#vars[made]?.shape ?? [], this.#vars[output]?.shape ?? []))
      return [op, viewOf(made, output, op)]
    const ops = [op, ...views]
    const end = ops.length - 1
    return ops.map((each, i) => {
      if (i < end) return each
      const [slot = ""] = Object.keys(each.outputs)
      return { ...each, outputs: { ...each.outputs, [slot]: [output] } }
    })
  }

  /** A loop whose result an operator folds becomes the prologue of that operator. */
  #precede(op: BoundOp, at: number): void {
    const [slot, ...others] = Object.keys(op.inputs)
    const id = slot === undefined ? undefined : op.inputs[slot]?.[0]
    if (slot === undefined || id === undefined || others.length > 0 || op.prologue !== undefined) return
    const source = this.#onlySource(id, op)
    const loop = this.#loop(source?.op)
    const [variable, made] = [this.#vars[id], this.#vars[loop?.output ?? -1]]
    if (loop === undefined || source === undefined || variable === undefined || made === undefined) return
    if (at - source.at > reach || partsOf([loop.scalar]).size > limits.nodes) return
    const reads: Record<string, Strides> = {}
    const inputs: Record<string, readonly VarId[]> = {}
    const names = new Map<string, Scalar>()
    for (const [own, [read = -1]] of Object.entries(loop.op.inputs)) {
      const name = `prologue${names.size}`
      names.set(own, { op: "input", slot: name })
      inputs[name] = [read]
      const dtype = this.#vars[read]?.dtype
      // Wider elements are not computed beside float32.
      if (dtype === undefined || dtype === "float64" || dtype === "int64") return
      const strides = loop.op.reads?.[own]
      if (strides === undefined) continue
      const moved = sameNumbers(made.shape, variable.shape) ? strides : restride(made.shape, strides, variable.shape)
      if (moved === null) return
      reads[name] = moved
    }
    const { reads: _reads, ...rest } = op
    const changed = {
      ...rest,
      inputs,
      listInputs: [],
      ...(Object.keys(reads).length === 0 ? {} : { reads }),
      prologue: { slot, value: id, scalar: substitution(names)(loop.scalar) },
      facts: { ...op.facts, flops: op.facts.flops + loop.op.facts.flops },
    }
    this.#places[at] = [changed]
    this.#places[source.at] = this.#places[source.at]?.filter((each) => each !== source.op) ?? []
  }
}

/** The loop that was taken over read the same elements in another shape: what is left of it is a view. */
function viewOf(source: VarId, output: VarId, { origin, segment }: BoundOp): BoundOp {
  return {
    type: "view",
    inputs: { x: [source] },
    outputs: { z: [output] },
    listInputs: [],
    listOutputs: [],
    attrs: {},
    facts: { kind: "view", aliases: "x", scalar: { op: "input", slot: "x" }, flops: 0, canFail: false },
    blocks: {},
    ...(segment === undefined ? {} : { segment }),
    origin,
  }
}
