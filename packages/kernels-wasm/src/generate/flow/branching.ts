// Generators of operators with sub-blocks: which block runs, how often, and where its results go. Everything that is carried,
// sliced or stacked lies at constant places; only the row of a stack depends on the number of the run, which lies in memory.

import { fail } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import { i32, select } from "../../assembler/index.ts"
import { mostTrips } from "../control.ts"
import { copyRun, emitWhole } from "../movement/copy.ts"
import { bytesOf } from "../expression/element.ts"
import type { Flow, PlacedBlock } from "./flow.ts"
import type { Kernel } from "../kernel.ts"
import { type Emit, type Generators, isSamePlace, type Place, type PlacedTensor } from "../signature.ts"
import { addToStacks, beginStacks, tapedStacks } from "./tape.ts"

export const branching = {
  cond: ({ inputs: { condition }, outputs: { zs }, flow }, emit) => {
    const { branch, blocks } = flowOf(flow)
    const handOut = (name: string) => () => {
      const block = blockOf(blocks, name)
      block.run()
      copyAll(block.results, zs, emit)
    }
    branch(condition.place, handOut("yes"), handOut("no"))
  },

  scan: ({ inputs: { init, xs, count }, outputs: { carry, ys, saved }, attrs: { length, reverse }, flow }, emit) => {
    const { repeat, blocks } = flowOf(flow)
    const body = blockOf(blocks, "body")
    const [index, ...params] = body.params
    if (index === undefined) return fail("CF_INTERNAL", "the body of a scan has no index")
    const [carried, slices] = [params.slice(0, init.length), params.slice(init.length)]
    const [next, stacked] = [body.results.slice(0, init.length), body.results.slice(init.length)]
    const stacks = [...ys, ...saved]
    const [scanned, taped] = [tapedStacks(xs, slices), tapedStacks(stacks, stacked)]
    copyAll(init, carried, emit)
    beginStacks(taped, emit)
    repeat({ length, count: count?.place, reverse, index: index.place, scanned }, () => {
      slices.forEach((slice, i) => copyRow(xs[i]!, slice, slice, index.place, emit))
      body.run()
      stacks.forEach((stack, i) => copyRow(stacked[i]!, stack, stacked[i]!, index.place, emit))
      addToStacks(taped, reverse, emit)
      copyAll(next, carried, emit)
    })
    if (count !== undefined) stacks.forEach((stack, i) => clearRest(stack, stacked[i]!, count.place, emit))
    copyAll(carried, carry, emit)
  },

  whileLoop: ({ inputs: { init }, outputs: { carry, trips, saved }, attrs: { maxTrips }, flow }, emit) => {
    const { repeatWhile, blocks } = flowOf(flow)
    const [condition, body] = [blockOf(blocks, "condition"), blockOf(blocks, "body")]
    const [index, ...carried] = body.params
    const [testIndex, ...given] = condition.params
    const [truth] = condition.results
    if (index === undefined || testIndex === undefined || truth === undefined)
      return fail("CF_INTERNAL", "a loop has no index, or no condition")
    const [next, stacked] = [body.results.slice(0, init.length), body.results.slice(init.length)]
    const taped = tapedStacks(saved, stacked)
    copyAll(init, carried, emit)
    beginStacks(taped, emit)
    repeatWhile(
      { truth: truth.place, indices: [testIndex.place, index.place], trips: trips.place, most: maxTrips ?? mostTrips },
      () => {
        copyAll(carried, given, emit)
        condition.run()
      },
      () => {
        body.run()
        saved.forEach((stack, i) => copyRow(stacked[i]!, stack, stacked[i]!, index.place, emit))
        addToStacks(taped, false, emit)
        copyAll(next, carried, emit)
      },
    )
    saved.forEach((stack, i) => clearRest(stack, stacked[i]!, trips.place, emit))
    copyAll(carried, carry, emit)
  },
} satisfies Generators<Registry>

function flowOf(flow: Flow | undefined): Flow {
  return flow ?? fail("CF_INTERNAL", "an operator with sub-blocks was emitted without them")
}

function blockOf(blocks: Flow["blocks"], name: string): PlacedBlock {
  return blocks[name] ?? fail("CF_INTERNAL", `there is no block ${name}`)
}

function copyAll(from: readonly PlacedTensor[], to: readonly PlacedTensor[], emit: Emit): void {
  to.forEach((target, i) => {
    if (!isSamePlace(from[i]!, target)) emitWhole(from[i]!, target, emit)
  })
}

interface RowSpec {
  readonly bytes: number
  /** From one row to the next, 0 where there is one only. */
  readonly from: number
  readonly to: number
}

const copyRowKernel: Kernel<"x" | "z" | "index", RowSpec> = {
  name: "copyRow",
  build: ({ f }, { x, z, index }, { bytes, from, to }) => {
    const row = f.let(i32.load(index))
    if (from > 0) f.increment(x, i32.mul(row, from))
    if (to > 0) f.increment(z, i32.mul(row, to))
    copyRun(f, z, x, bytes)
  },
}

/** Between a row, of which `one` is like, and the row of a stack that the number at `index` says. */
function copyRow(x: PlacedTensor, z: PlacedTensor, one: PlacedTensor, index: Place, emit: Emit): void {
  const bytes = one.elements * bytesOf(one.dtype)
  const { row } = x === one ? z : x
  if (row !== undefined || bytes === 0 || x.elements === 0 || z.elements === 0) return
  const spec = { bytes, from: x === one ? 0 : bytes, to: z === one ? 0 : bytes }
  emit.run(copyRowKernel, { x: x.place, z: z.place, index }, spec)
}

const clearRestKernel: Kernel<"z" | "count", { readonly row: number; readonly length: number }> = {
  name: "clearRest",
  build: ({ f }, { z, count }, { row, length }) => {
    const given = f.let(i32.load(count))
    const positive = f.let(select(i32.gtS(given, 0), given, i32.const(0)))
    const first = f.let(select(i32.ltS(positive, length), positive, i32.const(length)))
    f.fill(i32.add(z, i32.mul(first, row)), 0, i32.mul(i32.sub(length, first), row))
  },
}

/** Zeros where a stack has more rows than there were runs. */
function clearRest(stack: PlacedTensor, one: PlacedTensor, count: Place, emit: Emit): void {
  if (stack.row !== undefined || stack.elements === 0) return
  const row = one.elements * bytesOf(one.dtype)
  emit.run(clearRestKernel, { z: stack.place, count }, { row, length: stack.shape[0] ?? 0 })
}
