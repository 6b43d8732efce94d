// Phase 7: where every value lives. Values share one arena whenever their lifetimes do not meet; state has addresses of its
// own; views share the bytes of what they view; a new state value is written in place where nothing can tell.
//
// Offsets: greedy by size (Pisarchyk & Lee, Efficient Memory Management for Deep Neural Net Inference, 2020, algorithm 2):
// the largest buffers are placed first, each at the lowest gap among those that live at the same time.

import type { VarId } from "@counterflow/ir"
import { statesInPlace } from "./7-inplace.ts"
import { sharedRoots } from "./7-overwrite.ts"
import {
  allOps,
  type BoundBlock,
  type BoundOp,
  type BoundProgram,
  type BoundRow,
  type BoundVar,
  idsOf,
  readBy,
} from "./bound.ts"

/** Where one value lives. */
export interface Placement {
  /** "state": at the permanent address of the state variable `id`; "arena": at `offset` bytes. */
  readonly region: "arena" | "state"
  readonly offset: number
  readonly state: VarId
  readonly bytes: number
}

/** Where everything lives: what `planMemory` decides. */
export interface MemoryPlan {
  /** By variable id; null for what no operator touches. */
  readonly placements: readonly (Placement | null)[]
  /** Scratch memory of operators that asked for some, as arena offsets. */
  readonly workspaces: ReadonlyMap<BoundOp, { readonly offset: number; readonly bytes: number }>
  readonly arenaBytes: number
  /** Most bytes of the arena that are alive at one time: no plan can need less. */
  readonly peakBytes: number
  /** State written in place: these commits need no copy. */
  readonly inPlace: ReadonlySet<VarId>
  /** What shares the arena, and when. */
  readonly tenants: readonly Tenant[]
  /** Of each operator, the first and the last tick of the clock by which tenants come and go. */
  readonly spans: ReadonlyMap<BoundOp, readonly [number, number]>
}

/** A value that has bytes of its own in the arena, or scratch memory of an operator, from a tick to a tick. */
export interface Tenant {
  readonly id: VarId | BoundOp
  readonly bytes: number
  readonly start: number
  readonly end: number
}

/** What placing needs to know of a backend. */
export interface MemoryModel {
  /** Bytes of a variable, or of a row of one, as it is stored. */
  bytes(variable: BoundRow): number
  /** Scratch memory of an operator while it runs. */
  workspaceBytes(op: BoundOp, vars: readonly BoundVar[]): number
  /** Whether a new state value may be computed where the old one lies. */
  readonly updatesInPlace: boolean
}

const alignment = 16

interface Buffer extends Tenant {
  offset: number
}

/**
 * Gives every value of a program its place. Values that live at the same time never share bytes, views lie on what they view, and
 * fetched or committed values live until the end. Offsets are multiples of 16 bytes.
 *
 * @example
 * ```ts
 * const { arenaBytes, peakBytes } = planMemory(bound, memoryModel)
 * console.log(arenaBytes >= peakBytes)
 * ```
 */
export function planMemory(program: BoundProgram, model: MemoryModel): MemoryPlan {
  const { vars } = program
  const { buffers, root, inPlace, spans } = buffersOf(program, model)
  const arenaBytes = assignOffsets(buffers)
  const byId = new Map(buffers.map((buffer) => [buffer.id, buffer]))
  const placements = vars.map((variable, id): Placement | null => {
    const source = root.get(id) ?? id
    const bytes = model.bytes(variable)
    const state = inPlace.get(source) ?? (vars[source]?.kind === "state" ? source : undefined)
    if (state !== undefined) return { region: "state", offset: 0, state, bytes }
    const buffer = byId.get(source)
    return buffer === undefined ? null : { region: "arena", offset: buffer.offset, state: -1, bytes }
  })
  const workspaces = new Map<BoundOp, { offset: number; bytes: number }>()
  for (const { id, offset, bytes } of buffers) if (typeof id !== "number") workspaces.set(id, { offset, bytes })
  const written = new Set(inPlace.values())
  return {
    placements,
    workspaces,
    arenaBytes,
    peakBytes: peakOf(buffers).bytes,
    inPlace: written,
    tenants: buffers,
    spans,
  }
}

/** What needs memory and when: values that are neither views nor state, and scratch memory. */
function buffersOf(program: BoundProgram, model: MemoryModel) {
  const { vars, block } = program
  const root = sharedRoots(program, aliasRoots(program))
  const { touched, first, last, spans } = lifetimes(program, root)
  const inPlace = model.updatesInPlace ? statesInPlace(program, root) : new Map<VarId, VarId>()
  const buffers: Buffer[] = []
  for (const id of touched) {
    const variable = vars[id]
    if (variable === undefined || variable.kind === "state" || inPlace.has(id)) continue
    buffers.push({ id, bytes: storedBytes(variable, model), start: first[id] ?? 0, end: last[id] ?? 0, offset: 0 })
  }
  for (const op of allOps(block)) {
    const bytes = aligned(model.workspaceBytes(op, vars))
    const [start = 0, end = 0] = spans.get(op) ?? []
    if (bytes > 0) buffers.push({ id: op, bytes, start, end, offset: 0 })
  }
  return { buffers, root, inPlace, spans }
}

/** Bytes of a variable with what lies between it and the next. */
export function storedBytes(variable: BoundVar, model: MemoryModel): number {
  return aligned(model.bytes(variable))
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment
}

/** The variable whose bytes a view shows. Results of sub-blocks and views of state that is written stay copies. */
export function aliasRoots(program: BoundProgram): Map<VarId, VarId> {
  const roots = new Map<VarId, VarId>()
  const written = new Set(program.commits.map(({ state }) => state))
  const blocks = [...allOps(program.block)].flatMap((op) => Object.values(op.blocks))
  const params = new Set(blocks.flatMap((block) => block.params))
  const results = new Set(blocks.flatMap((block) => block.results))
  for (const op of allOps(program.block)) {
    const source = op.facts.aliases === undefined ? undefined : op.inputs[op.facts.aliases]?.[0]
    const target = idsOf(op.outputs)[0]
    if (source === undefined || target === undefined) continue
    const root = roots.get(source) ?? source
    // A result on a parameter's bytes would change when the next run's parameters are written.
    if (!written.has(root) && !(params.has(root) && results.has(target))) roots.set(target, root)
  }
  return roots
}

/** When each buffer is first written and last read, in steps of a clock that runs through sub-blocks as well. */
function lifetimes(program: BoundProgram, root: ReadonlyMap<VarId, VarId>) {
  const first = new Int32Array(program.vars.length).fill(-1)
  const last = new Int32Array(program.vars.length).fill(-1)
  /** In the order in which they are first touched. */
  const touched: VarId[] = []
  const spans = new Map<BoundOp, readonly [number, number]>()
  let clock = 0
  const touch = (id: VarId, time: number) => {
    const source = root.get(id) ?? id
    if (first[source] === -1) {
      first[source] = time
      touched.push(source)
    }
    if (time > last[source]!) last[source] = time
  }
  const walk = (block: BoundBlock) => {
    for (const op of block.ops) {
      const start = ++clock
      const inner = Object.values(op.blocks)
      for (const slot in op.inputs) for (const id of op.inputs[slot] ?? []) touch(id, start)
      for (const slot in op.outputs) for (const id of op.outputs[slot] ?? []) touch(id, start)
      for (const each of inner) walk(each)
      const end = inner.length === 0 ? start : ++clock
      spans.set(op, [start, end])
      if (inner.length === 0) continue
      // Captures are read and outputs written until the last inner operator is done; parameters are written before every run.
      for (const id of [...idsOf(op.inputs), ...idsOf(op.outputs)]) touch(id, end)
      for (const each of inner) {
        for (const id of each.results) touch(id, end)
        for (const id of each.params) {
          touch(id, end)
          const source = root.get(id) ?? id
          first[source] = Math.min(first[source]!, start)
        }
      }
      // So are other outer values read, which common subexpressions let a block read: it may run again.
      for (const id of readBy(op)) if (first[root.get(id) ?? id]! < start) touch(id, end)
    }
  }
  const used = new Set(program.fetches)
  for (const op of allOps(program.block)) for (const id of idsOf(op.inputs)) used.add(id)
  program.vars.forEach((variable, id) => {
    if (variable.kind === "data" && used.has(id)) touch(id, 0)
  })
  walk(program.block)
  const end = ++clock
  for (const id of [...program.fetches, ...program.commits.map(({ value }) => value)]) touch(id, end)
  return { touched, first, last, spans }
}

function assignOffsets(buffers: readonly Buffer[]): number {
  const placed = new Shelf(buffers.length)
  let arenaBytes = 0
  for (const buffer of [...buffers].sort((a, b) => b.bytes - a.bytes || a.start - b.start)) {
    buffer.offset = placed.put(buffer)
    arenaBytes = Math.max(arenaBytes, buffer.offset + buffer.bytes)
  }
  return arenaBytes
}

/** Placed buffers, sorted by offset. A search looks at all, so they lie in plain arrays: 20,000 take a fraction of a second. */
class Shelf {
  readonly #starts: Int32Array
  readonly #ends: Int32Array
  readonly #offsets: Float64Array
  readonly #tops: Float64Array
  #count = 0

  constructor(limit: number) {
    this.#starts = new Int32Array(limit)
    this.#ends = new Int32Array(limit)
    this.#offsets = new Float64Array(limit)
    this.#tops = new Float64Array(limit)
  }

  /** Places a buffer in the first gap that is wide enough, among buffers alive at the same time, and answers where. */
  put({ start, end, bytes }: Buffer): number {
    const [starts, ends, offsets, tops, count] = [this.#starts, this.#ends, this.#offsets, this.#tops, this.#count]
    let offset = 0
    for (let i = 0; i < count; i++) {
      if (starts[i]! > end || ends[i]! < start) continue
      if (offsets[i]! - offset >= bytes) break
      if (tops[i]! > offset) offset = tops[i]!
    }
    let at = count
    while (at > 0 && offsets[at - 1]! > offset) at--
    for (const column of [starts, ends, offsets, tops]) column.copyWithin(at + 1, at, count)
    starts[at] = start
    ends[at] = end
    offsets[at] = offset
    tops[at] = offset + bytes
    this.#count++
    return offset
  }
}

/** Most bytes alive at one time, and the first tick at which they are. */
export function peakOf(tenants: readonly Tenant[]): { bytes: number; time: number } {
  const changes = tenants.flatMap(({ start, end, bytes }) => [
    { time: start, bytes },
    { time: end + 1, bytes: -bytes },
  ])
  changes.sort((a, b) => a.time - b.time || a.bytes - b.bytes)
  const peak = { bytes: 0, time: 0 }
  let alive = 0
  for (const { time, bytes } of changes) {
    alive += bytes
    if (alive > peak.bytes) Object.assign(peak, { bytes: alive, time })
  }
  return peak
}
