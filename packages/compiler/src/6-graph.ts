// What scheduling looks at: which operator must come before which, and what each needs, makes and frees, in bytes. Operators are
// their positions in the program; buffers are variables with the views of them.

import type { VarId } from "@counterflow/ir"
import { statesInPlace } from "./7-inplace.ts"
import { aliasRoots, type MemoryModel, storedBytes } from "./7-memory.ts"
import { allOps, type BoundOp, type BoundProgram, idsOf, mayStop, readBy } from "./bound.ts"

export interface Graph {
  readonly size: number
  /** Operators that must run before. */
  readonly before: readonly (readonly number[])[]
  /** Operators that must run behind. */
  readonly behind: readonly (readonly number[])[]
  /** Buffers that an operator reads or writes, each once. */
  readonly touched: readonly (readonly VarId[])[]
  /** Buffers that an operator is the first to write. */
  readonly made: readonly (readonly VarId[])[]
  /** Bytes by buffer; 0 for state and for what is computed where state lies. */
  readonly bytes: Float64Array
  /** Bytes that only this operator needs: scratch memory, and what its blocks compute. */
  readonly scratch: readonly number[]
  /** Buffers that are read when all is done. */
  readonly kept: ReadonlySet<VarId>
  /** Buffers that are there from the start. */
  readonly given: readonly VarId[]
  /** Positions of the commits that take a value of an operator. */
  readonly commits: ReadonlyMap<number, readonly number[]>
}

/** The graph of the outermost block. States that are computed in place remain so in every order that it allows. */
export function graphOf(program: BoundProgram, model: MemoryModel): Graph {
  const { vars, block } = program
  const { ops } = block
  const root = aliasRoots(program)
  const bufferOf = (id: VarId) => root.get(id) ?? id
  const inPlace = model.updatesInPlace ? statesInPlace(program, root) : new Map<VarId, VarId>()
  const producer = new Map<VarId, number>()
  const stateReaders = new Map<VarId, number[]>()
  const before: number[][] = []
  const behind: number[][] = ops.map(() => [])
  const [touched, made, scratch]: [VarId[][], VarId[][], number[]] = [[], [], []]
  const states = new Set(inPlace.values())
  const bytes = Float64Array.from(vars, (variable, id) =>
    variable.kind === "state" || inPlace.has(id) ? 0 : storedBytes(variable, model),
  )
  let failing = -1
  const segments = new Segments()
  ops.forEach((op, position) => {
    const read = new Set(readBy(op))
    const earlier = new Set<number>()
    for (const id of read) {
      const maker = producer.get(id)
      if (maker !== undefined) earlier.add(maker)
      const source = bufferOf(id)
      if (states.has(source)) listAt(stateReaders, source).push(position)
    }
    const outputs = idsOf(op.outputs)
    for (const id of outputs) {
      producer.set(id, position)
      const state = inPlace.get(id)
      if (state === undefined) continue
      // A new value in place of the old one: behind all that read the old one or may fail.
      for (const reader of stateReaders.get(state) ?? []) if (reader !== position) earlier.add(reader)
      if (failing >= 0) earlier.add(failing)
    }
    if (mayStop(op)) {
      if (failing >= 0) earlier.add(failing)
      failing = position
    }
    for (const other of segments.before(op, position)) earlier.add(other)
    before.push([...earlier])
    for (const other of earlier) behind[other]?.push(position)
    const buffers = new Set<VarId>()
    for (const id of read) buffers.add(bufferOf(id))
    for (const id of outputs) buffers.add(bufferOf(id))
    touched.push([...buffers])
    made.push(outputs.filter((id) => bufferOf(id) === id))
    scratch.push(scratchOf(op, program, model, bytes))
  })
  const commits = new Map<number, number[]>()
  program.commits.forEach(({ value }, index) => {
    const maker = producer.get(value)
    if (maker !== undefined) listAt(commits, maker).push(index)
  })
  const given = new Set(touched.flat().filter((id) => vars[id]?.kind === "data"))
  const kept = new Set([...program.fetches, ...program.commits.map(({ value }) => value)].map(bufferOf))
  return { size: ops.length, before, behind, touched, made, bytes, scratch, kept, given: [...given], commits }
}

/** The segments of a recomputation run one behind the other. The first operator of each is the gate between it and the last. */
class Segments {
  #segment = 0
  #members: number[] = []

  before({ segment = 0 }: BoundOp, position: number): readonly number[] {
    if (segment < this.#segment || segment === 0) return []
    if (segment === this.#segment) {
      this.#members.push(position)
      return this.#members.slice(0, 1)
    }
    const last = this.#members
    this.#segment = segment
    this.#members = [position]
    return last
  }
}

function scratchOf(op: BoundOp, { vars }: BoundProgram, model: MemoryModel, bytes: Float64Array): number {
  let total = model.workspaceBytes(op, vars)
  for (const block of Object.values(op.blocks)) {
    for (const inner of allOps(block)) {
      total += model.workspaceBytes(inner, vars)
      for (const id of idsOf(inner.outputs)) total += bytes[id] ?? 0
    }
  }
  return total
}

function listAt<K>(lists: Map<K, number[]>, key: K): number[] {
  let list = lists.get(key)
  if (list === undefined) lists.set(key, (list = []))
  return list
}

/** Most bytes alive at one time if the operators run in this order. */
export function peakOfOrder(graph: Graph, order: readonly number[]): number {
  const { touched, made, bytes, scratch, kept, given } = graph
  const left = new Int32Array(bytes.length)
  for (const ids of touched) for (const id of ids) left[id]!++
  let alive = given.reduce((total, id) => total + (bytes[id] ?? 0), 0)
  let peak = alive
  for (const position of order) {
    for (const id of made[position] ?? []) alive += bytes[id] ?? 0
    peak = Math.max(peak, alive + (scratch[position] ?? 0))
    for (const id of touched[position] ?? []) if (--left[id]! === 0 && !kept.has(id)) alive -= bytes[id] ?? 0
  }
  return peak
}
