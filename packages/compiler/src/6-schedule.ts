// Phase 6: an order that needs less memory. Programs come in the order in which they were built: the forward part, the backward
// part, the updates; so all gradients live until the last is there. Three moves make that better:
//
//   early   what leads to few commits only (the update of one parameter) runs as soon as it can
//   eager   so does what frees at least as much as it makes
//   late    what makes more than it frees (a constant, a broadcast, the gradient of a weight) runs when it is first needed
//
// The new order is taken only if it needs less memory. O(edges) per move; the same program always gets the same order.

import { type Graph, graphOf, peakOfOrder } from "./6-graph.ts"
import { type MemoryModel, planMemory } from "./7-memory.ts"
import type { BoundOp, BoundProgram } from "./bound.ts"

/**
 * The same program with the operators of its outermost block in an order that needs less memory, if one is found.
 *
 * @example
 * ```ts
 * console.log(planMemory(schedule(bound, memoryModel), memoryModel).peakBytes)
 * ```
 */
export function schedule(program: BoundProgram, model: MemoryModel): BoundProgram {
  const { ops } = program.block
  const graph = graphOf(program, model)
  const built = ops.map((_, position) => position)
  const peakBuilt = peakOfOrder(graph, built)
  let best = { order: built, peak: peakBuilt }
  const soon = early(graph, built)
  for (const order of [built, soon, eager(graph, soon, peakBuilt)].map((each) => late(graph, each))) {
    const peak = peakOfOrder(graph, order)
    if (peak < best.peak) best = { order, peak }
  }
  if (best.order === built) return program
  const block = { ...program.block, ops: best.order.map((position) => ops[position] as BoundOp) }
  const scheduled = { ...program, block }
  // A little that is won at the peak can be lost again to gaps between what is placed.
  if (best.peak > peakBuilt * surelyLower) {
    const isLarge = ops.length > 5000
    if (isLarge || planMemory(scheduled, model).arenaBytes > planMemory(program, model).arenaBytes) return program
  }
  return scheduled
}

/** Part of the peak below which the arena is smaller as well: gaps take a few percent at most. */
const surelyLower = 0.9

/** A parameter has a few values that are committed together: itself and what its optimizer keeps. */
const commitsTogether = 6

/** Moves what leads to the commits of one parameter right behind what it needs. */
function early(graph: Graph, order: readonly number[]): number[] {
  const isTail = tails(graph, order)
  // Each operator is sorted by the last one that does not move and that it has to follow.
  const anchors = new Float64Array(graph.size)
  order.forEach((position, index) => {
    const before = graph.before[position] ?? []
    let anchor = isTail[position] === true ? -1 : index
    if (anchor < 0) for (const other of before) anchor = Math.max(anchor, anchors[other] ?? 0)
    anchors[position] = anchor
  })
  return [...order].sort((a, b) => (anchors[a] ?? 0) - (anchors[b] ?? 0))
}

/** Which operators lead to commits, but only to a few. */
function tails({ before, commits, size }: Graph, order: readonly number[]): boolean[] {
  // Commits that can be reached, or null for many.
  const reached: (readonly number[] | null)[] = Array.from({ length: size }, () => [])
  for (let index = order.length - 1; index >= 0; index--) {
    const position = order[index] ?? 0
    const own = union(reached[position] ?? null, commits.get(position) ?? [])
    reached[position] = own
    for (const other of before[position] ?? []) reached[other] = union(reached[other] ?? null, own)
  }
  return reached.map((found) => found !== null && found.length > 0)
}

function union(a: readonly number[] | null, b: readonly number[] | null): readonly number[] | null {
  if (a === null || b === null) return null
  if (b.length === 0 || a === b) return a
  if (a.length === 0) return b
  const all = [...new Set([...a, ...b])]
  return all.length > commitsTogether ? null : all
}

/** Runs what frees at least as much as it makes as soon as it can; all else stays in order. */
function eager(graph: Graph, order: readonly number[], peak: number): number[] {
  const { touched, made, before, behind, bytes, kept } = graph
  // What makes next to nothing may run at once as well: others wait for it.
  const little = peak / 256
  const [left, missing] = [new Int32Array(bytes.length), before.map((others) => others.length)]
  const users = new Map<number, number[]>()
  for (const position of order) {
    for (const id of touched[position] ?? []) {
      left[id]!++
      const list = users.get(id)
      if (list === undefined) users.set(id, [position])
      else list.push(position)
    }
  }
  const done = new Uint8Array(graph.size)
  const result: number[] = []
  const isFreeing = (position: number) => {
    let grown = 0
    for (const id of made[position] ?? []) grown += bytes[id] ?? 0
    for (const id of touched[position] ?? []) if (left[id] === 1 && !kept.has(id)) grown -= bytes[id] ?? 0
    return grown <= little
  }
  for (const next of order) {
    const pending = [next]
    for (let position = pending.pop(); position !== undefined; position = pending.pop()) {
      if (done[position] === 1 || (position !== next && !isFreeing(position))) continue
      done[position] = 1
      result.push(position)
      const candidates: number[] = []
      for (const reader of behind[position] ?? []) {
        missing[reader]!--
        candidates.push(reader)
      }
      // Whoever is left alone with a buffer would free it.
      for (const id of touched[position] ?? []) if (--left[id]! === 1) candidates.push(...(users.get(id) ?? []))
      candidates.sort((a, b) => b - a)
      for (const each of candidates) if (done[each] === 0 && missing[each] === 0) pending.push(each)
    }
  }
  return result
}

/** Moves what is better made later in front of what first needs it. */
function late(graph: Graph, order: readonly number[]): number[] {
  const isLate = lateOnes(graph, order)
  const done = new Uint8Array(graph.size)
  const result: number[] = []
  for (const goal of order) {
    if (isLate[goal] === 1) continue
    const pending = [goal]
    while (pending.length > 0) {
      const position = pending.at(-1) as number
      if (done[position] === 2) pending.pop()
      else if (done[position] === 1) {
        pending.pop()
        done[position] = 2
        result.push(position)
      } else {
        done[position] = 1
        // In the order that there is, the first on top.
        const missing = (graph.before[position] ?? []).filter((other) => done[other] === 0)
        for (const other of missing.reverse()) pending.push(other)
      }
    }
  }
  return result
}

/** Operators whose results would take more bytes, for as long as they could wait, than what they read would. */
function lateOnes(graph: Graph, order: readonly number[]): Uint8Array {
  const { touched, made, behind, bytes, kept } = graph
  const isLate = new Uint8Array(graph.size)
  const index = new Float64Array(graph.size)
  order.forEach((position, at) => (index[position] = at))
  const [last, second] = lastUses(graph, order)
  for (let at = order.length - 1; at >= 0; at--) {
    const position = order[at] ?? 0
    let until = Infinity
    for (const reader of behind[position] ?? []) until = Math.min(until, index[reader] ?? 0)
    if (until === Infinity) continue
    let gain = 0
    for (const id of made[position] ?? []) gain += (bytes[id] ?? 0) * (until - at)
    for (const id of touched[position] ?? []) {
      if (made[position]?.includes(id) === true || kept.has(id)) continue
      const used = last[id] === at ? Math.max(at, second[id] ?? -1) : (last[id] ?? at)
      gain -= (bytes[id] ?? 0) * Math.max(0, until - used)
    }
    // A view makes nothing: it goes where it is read, and lets what it views do so.
    if (gain < 0 || (gain === 0 && made[position]?.length !== 0)) continue
    isLate[position] = 1
    index[position] = until
  }
  return isLate
}

/** Where each buffer is used last, and where last but one. */
function lastUses({ touched, bytes }: Graph, order: readonly number[]): [Int32Array, Int32Array] {
  const [last, second] = [new Int32Array(bytes.length).fill(-1), new Int32Array(bytes.length).fill(-1)]
  order.forEach((position, at) => {
    for (const id of touched[position] ?? []) {
      second[id] = last[id] ?? -1
      last[id] = at
    }
  })
  return [last, second]
}
