// Phase 7: where every value lives. Values share one arena whenever their lifetimes do not meet; state has addresses of its
// own; views share the bytes of what they view; a new state value is written in place where nothing can tell.
//
// Offsets: greedy by size (Pisarchyk & Lee, Efficient Memory Management for Deep Neural Net Inference, 2020, algorithm 2):
// the largest buffers are placed first, each at the lowest gap among those that live at the same time.

import type { VarId } from "@counterflow/ir"
import { allOps, type BoundBlock, type BoundOp, type BoundProgram, type BoundVar, idsOf } from "./bound.ts"

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
}

/** What placing needs to know of a backend. */
export interface MemoryModel {
  /** Bytes of a variable as it is stored. */
  bytes(variable: BoundVar): number
  /** Scratch memory of an operator while it runs. */
  workspaceBytes(op: BoundOp, vars: readonly BoundVar[]): number
  /** Whether a new state value may be computed where the old one lies. */
  readonly updatesInPlace: boolean
}

const alignment = 16

interface Buffer {
  readonly id: VarId | BoundOp
  readonly bytes: number
  readonly start: number
  end: number
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
  const { vars, block } = program
  const root = aliasRoots(program)
  const { first, last, spans } = lifetimes(program, root)
  const inPlace = model.updatesInPlace ? statesInPlace(program, root, last) : new Map<VarId, VarId>()
  const buffers: Buffer[] = []
  const bufferOf = new Map<VarId, Buffer>()
  for (const [id, start] of first) {
    const variable = vars[id]
    if (variable === undefined || variable.kind === "state" || inPlace.has(id)) continue
    const buffer = { id, bytes: aligned(model.bytes(variable)), start, end: last.get(id) ?? start, offset: 0 }
    buffers.push(buffer)
    bufferOf.set(id, buffer)
  }
  const workspaceBuffers = new Map<BoundOp, Buffer>()
  for (const op of allOps(block)) {
    const bytes = aligned(model.workspaceBytes(op, vars))
    const [start = 0, end = 0] = spans.get(op) ?? []
    if (bytes === 0) continue
    const buffer = { id: op, bytes, start, end, offset: 0 }
    buffers.push(buffer)
    workspaceBuffers.set(op, buffer)
  }
  const arenaBytes = assignOffsets(buffers)
  const placements = vars.map((variable, id): Placement | null => {
    const source = root.get(id) ?? id
    const bytes = model.bytes(variable)
    const state = inPlace.get(source) ?? (vars[source]?.kind === "state" ? source : undefined)
    if (state !== undefined) return { region: "state", offset: 0, state, bytes }
    const buffer = bufferOf.get(source)
    return buffer === undefined ? null : { region: "arena", offset: buffer.offset, state: -1, bytes }
  })
  const workspaces = new Map([...workspaceBuffers].map(([op, { offset, bytes }]) => [op, { offset, bytes }]))
  return { placements, workspaces, arenaBytes, peakBytes: peakOf(buffers), inPlace: new Set(inPlace.values()) }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment
}

/** The variable whose bytes a view shows. Results of sub-blocks and views of state that is written stay copies. */
function aliasRoots(program: BoundProgram): Map<VarId, VarId> {
  const roots = new Map<VarId, VarId>()
  const written = new Set(program.commits.map(({ state }) => state))
  for (const op of allOps(program.block)) {
    const source = op.facts.aliases === undefined ? undefined : op.inputs[op.facts.aliases]?.[0]
    const target = idsOf(op.outputs)[0]
    if (source === undefined || target === undefined) continue
    const root = roots.get(source) ?? source
    if (!written.has(root)) roots.set(target, root)
  }
  return roots
}

/** When each buffer is first written and last read, in steps of a clock that runs through sub-blocks as well. */
function lifetimes(program: BoundProgram, root: ReadonlyMap<VarId, VarId>) {
  const first = new Map<VarId, number>()
  const last = new Map<VarId, number>()
  const spans = new Map<BoundOp, [number, number]>()
  let clock = 0
  const touch = (id: VarId, time: number) => {
    const source = root.get(id) ?? id
    if (!first.has(source)) first.set(source, time)
    last.set(source, Math.max(last.get(source) ?? time, time))
  }
  const walk = (block: BoundBlock) => {
    for (const op of block.ops) {
      const start = ++clock
      for (const id of idsOf(op.inputs)) touch(id, start)
      for (const id of idsOf(op.outputs)) touch(id, start)
      for (const inner of Object.values(op.blocks)) walk(inner)
      const end = ++clock
      // Captures are read and outputs written until the last inner operator is done.
      for (const id of [...idsOf(op.inputs), ...idsOf(op.outputs)]) touch(id, end)
      for (const inner of Object.values(op.blocks)) {
        for (const id of inner.results) touch(id, end)
        // So are other outer values, which common subexpressions let a block read: it may run again.
        for (const id of [...allOps(inner)].flatMap((each) => idsOf(each.inputs))) {
          if ((first.get(root.get(id) ?? id) ?? start) < start) touch(id, end)
        }
      }
      spans.set(op, [start, end])
    }
  }
  program.vars.forEach((variable, id) => {
    if (variable.kind === "data" && isUsed(program, id)) touch(id, 0)
  })
  walk(program.block)
  const end = ++clock
  for (const id of [...program.fetches, ...program.commits.map(({ value }) => value)]) touch(id, end)
  return { first, last, spans }
}

function isUsed(program: BoundProgram, id: VarId): boolean {
  if (program.fetches.includes(id)) return true
  for (const op of allOps(program.block)) if (idsOf(op.inputs).includes(id)) return true
  return false
}

/**
 * New state values that may lie where the old ones are: made by an elementwise operator, after the last other reader of the old
 * value, with nothing left that can fail (a failed step commits nothing).
 */
function statesInPlace(
  program: BoundProgram,
  root: ReadonlyMap<VarId, VarId>,
  _last: ReadonlyMap<VarId, number>,
): Map<VarId, VarId> {
  const { ops } = program.block
  // An int64 result beyond 2^53 is refused when it is handed out, after the last operator.
  if (program.fetches.some((id) => program.vars[id]?.dtype === "int64")) return new Map()
  const failing = ops.findLastIndex((op) => canFail(op))
  const lastReader = new Map<VarId, number>()
  const producer = new Map<VarId, number>()
  ops.forEach((op, index) => {
    const inner = Object.values(op.blocks).flatMap((block) => [...allOps(block)].flatMap((each) => idsOf(each.inputs)))
    for (const id of [...idsOf(op.inputs), ...inner]) lastReader.set(root.get(id) ?? id, index)
    for (const id of idsOf(op.outputs)) producer.set(id, index)
  })
  const values = program.commits.map(({ value }) => value)
  return new Map(
    program.commits.flatMap(({ state, value }): [VarId, VarId][] => {
      const at = producer.get(value)
      const isShared = values.filter((other) => other === value).length > 1 || program.fetches.includes(state)
      if (at === undefined || isShared || root.has(value) || at <= failing) return []
      const op = ops[at]
      if (op?.facts.kind !== "elementwise" || (lastReader.get(state) ?? -1) > at) return []
      // Read with strides, an element may be needed again after it was written.
      if (Object.keys(op.reads ?? {}).some((slot) => op.inputs[slot]?.includes(state))) return []
      return [[value, state]]
    }),
  )
}

function canFail(op: BoundOp): boolean {
  return (
    op.facts.canFail ||
    Object.values(op.blocks).some((block) => [...allOps(block)].some((inner) => inner.facts.canFail))
  )
}

function assignOffsets(buffers: Buffer[]): number {
  const placed: Buffer[] = []
  let arenaBytes = 0
  for (const buffer of [...buffers].sort((a, b) => b.bytes - a.bytes || a.start - b.start)) {
    let offset = 0
    // `placed` is kept sorted by offset: the first gap that is wide enough, among buffers alive at the same time.
    for (const other of placed) {
      if (other.start > buffer.end || other.end < buffer.start) continue
      if (other.offset - offset >= buffer.bytes) break
      offset = Math.max(offset, other.offset + other.bytes)
    }
    buffer.offset = offset
    arenaBytes = Math.max(arenaBytes, offset + buffer.bytes)
    const index = placed.findIndex((other) => other.offset > offset)
    placed.splice(index === -1 ? placed.length : index, 0, buffer)
  }
  return arenaBytes
}

function peakOf(buffers: readonly Buffer[]): number {
  const changes = buffers.flatMap(({ start, end, bytes }) => [
    { time: start, bytes },
    { time: end + 1, bytes: -bytes },
  ])
  changes.sort((a, b) => a.time - b.time || a.bytes - b.bytes)
  let [alive, peak] = [0, 0]
  for (const { bytes } of changes) {
    alive += bytes
    peak = Math.max(peak, alive)
  }
  return peak
}
