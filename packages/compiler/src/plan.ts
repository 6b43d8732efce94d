// The executable plan: what a backend loads. Says everything before anything runs: kernels, order, offsets, bytes, FLOPs.

import { fail, formatShape, type LoweredProgram, type VarId } from "@counterflow/ir"
import { type Bindings, bindProgram } from "./3-bind.ts"
import type { Absorbing } from "./5-absorb.ts"
import type { Viewing } from "./5-operands.ts"
import { type MemoryModel, type MemoryPlan, planMemory } from "./7-memory.ts"
import { bytesPerTrip } from "./7-tape.ts"
import {
  allOps,
  type BoundBlock,
  type BoundOp,
  type BoundProgram,
  type BoundRow,
  type BoundVar,
  idsOf,
} from "./bound.ts"
import { type PassOptions, runPasses } from "./passes.ts"

/** Bytes, known before anything runs. */
export interface PlanMemory {
  /** Most bytes of values alive at one time. */
  readonly peakBytes: number
  /** Bytes of the arena this plan needs: at least the peak, more where gaps cannot be closed. */
  readonly arenaBytes: number
  readonly parameterBytes: number
  /** All state the plan touches, parameters included. */
  readonly stateBytes: number
  /**
   * What one run of each loop without `maxTrips` adds to the tape, for gradients: memory beside the arena, and the only one that
   * depends on how a step goes. 0 where no such loop is differentiated.
   */
  readonly bytesPerTrip: number
}

/** An executable plan. */
export interface Plan {
  readonly vars: readonly BoundVar[]
  readonly block: BoundBlock
  readonly layout: MemoryPlan
  readonly fetches: readonly VarId[]
  /** Data variables that must be fed. */
  readonly feeds: readonly VarId[]
  /** State the plan reads or writes. */
  readonly states: readonly VarId[]
  /** State that must have a value before the run. */
  readonly reads: readonly VarId[]
  /** What the driver copies into state after the last operator; values computed in place are not listed. */
  readonly commits: readonly { readonly state: VarId; readonly value: VarId }[]
  /** All state that a committed step gives a new value. */
  readonly writes: readonly VarId[]
  readonly memory: PlanMemory
  /** Most bytes that the tape may take in a step: what the limit leaves; Infinity without one. */
  readonly tapeLimit: number
  /** Floating point operations of one run. */
  readonly flops: number
  /** Whether there is a loop of which nobody knows how often it runs at most. */
  readonly mayBeEndless: boolean
  /** One line per feed, operator, commit and fetch, each with its places. */
  toString(): string
}

export interface PlanRequest extends Absorbing, Viewing {
  /** Names of what will be read after each run. */
  readonly fetches: readonly string[]
  readonly bindings: Bindings
  readonly model: MemoryModel
  /** Whether elementwise chains become one operator, read with strides where they broadcast. */
  readonly fuses?: boolean | undefined
  /** Passes to leave out, and who looks at what they make. */
  readonly passes?: PassOptions | undefined
  /** Refuse plans whose arena and state are larger. */
  readonly memoryLimit?: number | undefined
}

/**
 * The plan of a lowered program for one binding of its symbols: binds, runs the passes, places. Throws what
 * `bindProgram` throws, and CF_MEMORY_LIMIT where arena and state need more bytes than allowed.
 *
 * @example
 * ```ts
 * const plan = compile(lowered, { fetches: [loss.name], bindings: new Map([["batch", 64]]), model: memoryModel })
 * console.log(plan.memory.peakBytes, plan.flops)
 * ```
 */
export function compile(lowered: LoweredProgram, request: PlanRequest): Plan {
  const { model, fuses = false, absorbs, computes, views, passes = {} } = request
  const context = { model, fuses, absorbs, computes, views }
  const bound = runPasses(bindProgram(lowered, request.fetches, request.bindings), context, passes)
  const layout = planMemory(bound, model)
  const touched = touchedBy(bound)
  const states = [...touched].filter((id) => bound.vars[id]?.kind === "state")
  const bytesOf = (ids: readonly VarId[]) => ids.reduce((total, id) => total + bytes(bound, model, id), 0)
  const { arenaBytes, peakBytes } = layout
  const memory = {
    peakBytes,
    arenaBytes,
    parameterBytes: bytesOf(states.filter((id) => bound.vars[id]?.isParameter)),
    stateBytes: bytesOf(states),
    bytesPerTrip: bytesPerTrip(bound, (row) => model.bytes(row)),
  }
  if (request.memoryLimit !== undefined && memory.arenaBytes + memory.stateBytes > request.memoryLimit)
    refuse(memory, request.memoryLimit)
  const read = readBy(bound)
  const plan = {
    vars: bound.vars,
    block: bound.block,
    layout,
    fetches: bound.fetches,
    feeds: [...read].filter((id) => bound.vars[id]?.kind === "data"),
    states,
    reads: states.filter((id) => read.has(id)),
    commits: bound.commits.filter(({ state }) => !layout.inPlace.has(state)),
    writes: bound.commits.map(({ state }) => state),
    memory,
    tapeLimit: (request.memoryLimit ?? Infinity) - memory.arenaBytes - memory.stateBytes,
    flops: flopsOf(bound.block),
    mayBeEndless: [...allOps(bound.block)].some(({ facts }) => facts.mayBeEndless === true),
  }
  return { ...plan, toString: () => printPlan(plan) }
}

/** What one run of a block takes, as far as it is known: floating point operations, and elements that are written. */
export function workOf({ ops }: BoundBlock, vars: readonly BoundVar[]): number {
  const written = (op: BoundOp) => idsOf(op.outputs).reduce((sum, id) => sum + (vars[id]?.elements ?? 0), 0)
  return ops.reduce((total, op) => {
    const inner = Object.values(op.blocks).reduce((sum, block) => sum + workOf(block, vars), 0)
    return total + op.facts.flops + written(op) + inner
  }, 0)
}

function flopsOf({ ops }: BoundBlock): number {
  return ops.reduce((total, { facts, blocks }) => {
    const inner = Object.values(blocks).reduce((sum, block) => sum + flopsOf(block), 0)
    return total + facts.flops + (facts.repeats ?? 1) * inner
  }, 0)
}

function bytes(bound: BoundProgram, model: MemoryModel, id: VarId): number {
  const variable = bound.vars[id]
  return variable === undefined ? 0 : model.bytes(variable)
}

function touchedBy(bound: BoundProgram): Set<VarId> {
  const ids = new Set<VarId>()
  for (const op of allOps(bound.block)) {
    for (const id of idsOf(op.inputs)) ids.add(id)
    for (const id of idsOf(op.outputs)) ids.add(id)
  }
  for (const { state } of bound.commits) ids.add(state)
  for (const id of bound.fetches) ids.add(id)
  return ids
}

function readBy(bound: BoundProgram): Set<VarId> {
  const ids = new Set<VarId>()
  const written = new Set<VarId>()
  for (const op of allOps(bound.block)) {
    for (const id of idsOf(op.inputs)) ids.add(id)
    for (const block of Object.values(op.blocks)) for (const id of block.results) ids.add(id)
  }
  for (const { state, value } of bound.commits) {
    written.add(state)
    ids.add(value)
  }
  for (const id of bound.fetches) if (!written.has(id)) ids.add(id)
  return ids
}

function refuse({ arenaBytes, stateBytes }: PlanMemory, limit: number): never {
  return fail("CF_MEMORY_LIMIT", `the plan needs ${arenaBytes + stateBytes} bytes, ${limit} are allowed`, {
    notes: [`arena ${arenaBytes} bytes`, `state ${stateBytes} bytes`],
    fix: "feed a smaller batch, fetch fewer intermediates, or raise memoryLimit",
  })
}

function printPlan(plan: Omit<Plan, "toString">): string {
  const { memory, layout, vars } = plan
  const place = (id: VarId) => {
    const placement = layout.placements[id]
    if (placement === null || placement === undefined) return "unused"
    return placement.region === "state" ? `state ${vars[placement.state]?.name}` : `arena+${placement.offset}`
  }
  const typeOf = ({ dtype, shape }: BoundRow) => `${dtype}${formatShape(shape)}`
  const show = (id: VarId) => {
    const { name, row, ...variable } = vars[id] ?? fail("CF_INTERNAL", `the plan has no variable ${id}`)
    return `${name} ${row === undefined ? typeOf(variable) : `tape of ${typeOf(row)}`} @${place(id)}`
  }
  const lines = [
    `plan: ${plan.block.ops.length} operators, ${plan.flops} FLOPs, peak ${memory.peakBytes} B, arena ${memory.arenaBytes} B, ` +
      `state ${memory.stateBytes} B (parameters ${memory.parameterBytes} B)` +
      (memory.bytesPerTrip === 0 ? "" : `, tape ${memory.bytesPerTrip} B per trip`),
    ...plan.feeds.map((id) => `feed   ${show(id)}`),
    ...printBlock(plan.block, show, ""),
    ...plan.commits.map(({ state, value }) => `commit ${vars[state]?.name} ← ${vars[value]?.name}`),
    ...[...layout.inPlace].map((id) => `commit ${vars[id]?.name} in place`),
    ...plan.fetches.map((id) => `fetch  ${show(id)}`),
  ]
  return lines.join("\n")
}

function printBlock(block: BoundBlock, show: (id: VarId) => string, indent: string): string[] {
  return block.ops.flatMap((op: BoundOp) => [
    `${indent}${op.type.padEnd(14)} ${idsOf(op.outputs).map(show).join(", ")} ← ${idsOf(op.inputs).map(show).join(", ")}`,
    ...Object.entries(op.blocks).flatMap(([name, inner]) => [
      `${indent}  ${name}:`,
      ...printBlock(inner, show, `${indent}    `),
    ]),
  ])
}
