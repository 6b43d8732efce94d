// Kernels of ops with sub-blocks: which block runs, how often, and where its results go.

import { fail } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import { type CpuKernels, type HostBlock, type HostTensor, isSamePlace } from "../kernel.ts"
import { ReadStacks, WrittenStacks } from "./stacks.ts"

export const control = {
  cond: ({ inputs: { condition }, outputs: { zs }, blocks: { yes, no } }) => {
    const [onYes, onNo] = [handOut(yes, zs), handOut(no, zs)]
    return () => (condition.data[0] === 0 ? onNo() : onYes())
  },

  scan: ({ inputs: { init, xs, count }, outputs: { carry, ys, saved }, attrs, blocks: { body } }) =>
    body === undefined ? () => {} : bindScan(body, init, xs, carry, [...ys, ...saved], { ...attrs, count }),

  whileLoop: ({
    inputs: { init },
    outputs: { carry, trips, saved },
    attrs: { maxTrips },
    blocks: { condition, body },
  }) =>
    condition === undefined || body === undefined
      ? () => {}
      : bindWhile(condition, body, init, carry, trips, saved, maxTrips),
} satisfies CpuKernels<Registry>

/** Runs a block and copies its results, but for those that are there already: state that a branch hands through or updates. */
function handOut(block: HostBlock | undefined, zs: readonly HostTensor[]): () => void {
  const results = block?.results ?? []
  const isThere = (a: HostTensor["data"], b: HostTensor["data"]) =>
    a.buffer === b.buffer && a.byteOffset === b.byteOffset
  const moved = zs.flatMap(({ data: to }, i) => {
    const from = results[i]!.data
    return isThere(from, to) ? [] : [{ from, to }]
  })
  return () => {
    block?.run()
    for (let i = 0; i < moved.length; i++) moved[i]!.to.set(moved[i]!.from)
  }
}

/** Runs a body once per place of what is scanned, of which only the first `count` may be there. */
function bindScan(
  body: HostBlock,
  init: readonly HostTensor[],
  xs: readonly HostTensor[],
  carry: readonly HostTensor[],
  stacks: readonly HostTensor[],
  { length, reverse, count }: { length: number; reverse: boolean; count: HostTensor | undefined },
): () => void {
  const [index, ...params] = body.params
  const [carried, slices] = [params.slice(0, init.length), params.slice(init.length)]
  const [next, stacked] = [body.results.slice(0, init.length), body.results.slice(init.length)]
  const [scanned, made] = [new ReadStacks(xs, slices), new WrittenStacks(stacks, stacked)]
  return () => {
    const runs = scanned.begin(count === undefined ? length : Math.min(Math.max(count.data[0]!, 0), length))
    copyAll(init, carried)
    made.begin()
    for (let run = 0; run < runs; run++) {
      const place = reverse ? runs - 1 - run : run
      if (index !== undefined) index.data[0] = place
      scanned.next(place, reverse)
      body.run(run)
      made.push(place, reverse)
      copyAll(next, carried)
    }
    made.end(runs)
    copyAll(carried, carry)
  }
}

/** Runs a body while a condition holds, and counts. */
function bindWhile(
  condition: HostBlock,
  body: HostBlock,
  init: readonly HostTensor[],
  carry: readonly HostTensor[],
  trips: HostTensor,
  stacks: readonly HostTensor[],
  maxTrips: number | null,
): () => void {
  const [index, ...carried] = body.params
  const [next, stacked] = [body.results.slice(0, init.length), body.results.slice(init.length)]
  const [testIndex, ...given] = condition.params
  const [truth] = condition.results
  const most = maxTrips ?? mostTrips
  const made = new WrittenStacks(stacks, stacked)
  return () => {
    copyAll(init, carried)
    made.begin()
    let run = 0
    for (; ; run++) {
      if (testIndex !== undefined) testIndex.data[0] = run
      copyAll(carried, given)
      condition.run()
      if (truth?.data[0] === 0) break
      if (run === most) refuseTrip(most, maxTrips === null)
      if (index !== undefined) index.data[0] = run
      body.run(run)
      made.push(run, false)
      copyAll(next, carried)
    }
    made.end(run)
    trips.data[0] = run
    copyAll(carried, carry)
  }
}

/** More runs than an int32 counts are an endless loop. */
const mostTrips = 2 ** 31 - 1

function refuseTrip(most: number, isEndless: boolean): never {
  return fail("CF_LOOP_LIMIT", `its condition still holds after ${most} runs`, {
    fix: isEndless
      ? "let the body change what the condition reads"
      : "raise maxTrips, or let the condition end the loop",
  })
}

function copyAll(from: readonly HostTensor[], to: readonly HostTensor[]): void {
  for (let i = 0; i < to.length; i++) if (!isSamePlace(from[i]!, to[i]!)) to[i]!.data.set(from[i]!.data)
}
