// Which operators of the forward part to compute again. At a given price of computing, a minimum cut of the joint graph says it:
// a value that the backward part needs is kept, which costs its bytes, or its operator is computed again, which costs its work,
// and then what that reads is needed as well. This is the cut of PyTorch's AOTAutograd (He and Yu, Transcending Runtime-Memory
// Tradeoffs in Checkpointing by being Fusion Aware, MLSys 2023), with a price on work in the place of its list of operators that
// must not be repeated.
//
// The cut counts the bytes that are kept, not those that come back all at once when much is computed again. So it is also made
// with the forward part divided at its narrowest places, what crosses them being kept, as in Chen et al. (2016); and the memory
// of each division is estimated by following the run.

import { Network } from "./cut.ts"
import type { Joint } from "./joint.ts"
import { type Estimate, estimate } from "./liveness.ts"

/** A way to compute a joint graph. */
export interface Partition extends Estimate {
  /** By operator of the forward part. */
  readonly isAgain: readonly boolean[]
  /** Where the forward part is divided: the numbers of the operators in front of the gaps, rising. */
  readonly places: readonly number[]
}

/** Work that saves one byte, for the cuts that are tried: from what costs next to nothing to everything. */
const prices = [4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, Infinity]

/** The partition that keeps everything, and those that cuts find. */
export function partitions(joint: Joint): Partition[] {
  const nothing = Array.from({ length: joint.forward }, () => false)
  const found: Partition[] = [{ isAgain: nothing, places: [], ...estimate(joint, nothing) }]
  const seen = new Set([nothing.join()])
  const count = Math.ceil(Math.sqrt(joint.forward))
  const narrow = narrowPlaces(joint, count)
  for (const step of [1, 2, 4]) {
    const places = narrow.filter((_, i) => (narrow.length - 1 - i) % step === 0)
    for (const price of prices) {
      const isAgain = cut(joint, price, places)
      const key = isAgain.join()
      if (seen.has(key)) continue
      seen.add(key)
      found.push({ isAgain, places: narrow, ...estimate(joint, isAgain) })
    }
  }
  return found
}

/** Between one that is too large and one that fits: computes again, of what only the second does, as few of the first operators. */
export function refined(joint: Joint, cheap: Partition, fitting: Partition, bytes: number): Partition {
  let [low, high] = [0, joint.forward]
  let best = fitting
  while (high - low > 1) {
    const middle = (low + high) >> 1
    const isAgain = fitting.isAgain.map((again, index) => (index < middle ? again : cheap.isAgain[index] === true))
    const tried = { isAgain, places: fitting.places, ...estimate(joint, isAgain) }
    if (tried.peak <= bytes) {
      high = middle
      if (tried.cost < best.cost) best = tried
    } else low = middle
  }
  return best
}

/** What to compute again if a byte is worth this much work, and everything that crosses these places is kept. */
function cut({ ops, forward, bytes, makers }: Joint, price: number, places: readonly number[]): boolean[] {
  const [source, sink] = [0, 1]
  const operator = (index: number) => 2 + index
  const value = (id: number) => 2 + forward + id
  const network = new Network(2 + forward + bytes.length)
  const last = places.at(-1) ?? forward - 1
  const crossing = crossings({ ops, forward, makers }, places)
  for (let index = 0; index < forward; index++) {
    const { op, inputs, outputs, cost } = ops[index]!
    // What follows the last place is needed at once. Loops hand out more than the forward part reads once they are differentiated.
    const isFixed = index > last || crossing.has(index) || op.record.saves !== undefined
    network.connect(source, operator(index), isFixed ? Infinity : cost / price)
    for (const id of outputs) network.connect(operator(index), value(id), bytes[id]!)
    for (const id of inputs) network.connect(value(id), operator(index), Infinity)
  }
  for (const { inputs } of ops.slice(forward)) {
    for (const id of inputs) if (makers[id]! < forward) network.connect(value(id), sink, Infinity)
  }
  const isAtSource = network.cut(source, sink)
  return Array.from({ length: forward }, (_, index) => isAtSource[operator(index)] === false)
}

/** Operators whose results are read behind a place they stand in front of. */
function crossings({ ops, forward, makers }: Pick<Joint, "ops" | "forward" | "makers">, places: readonly number[]) {
  const parts = partNumbers(forward, places)
  const found = new Set<number>()
  for (let index = 0; index < forward; index++) {
    for (const id of ops[index]!.inputs) if (parts[makers[id]!] !== parts[index]) found.add(makers[id]!)
  }
  return found
}

/** By operator of the forward part, how many places lie in front of it. */
function partNumbers(forward: number, places: readonly number[]): number[] {
  let part = 0
  return Array.from({ length: forward }, (_, index) => {
    const own = part
    if (places[part] === index) part++
    return own
  })
}

/** A place in each of `count` equal shares of the bytes that few bytes cross, where that is not much more than nearby. */
function narrowPlaces({ ops, forward, bytes }: Joint, count: number): number[] {
  const last = bytes.map(() => -1)
  for (let index = 0; index < forward; index++) for (const id of ops[index]!.inputs) last[id] = index
  const change = new Float64Array(forward)
  let total = 0
  const made = Array.from({ length: forward }, (_, index) => {
    for (const id of ops[index]!.outputs) {
      total += bytes[id]!
      if (last[id]! <= index) continue
      change[index]! += bytes[id]!
      change[last[id]!]! -= bytes[id]!
    }
    return total
  })
  let width = 0
  const widths = Array.from({ length: forward }, (_, index) => (width += change[index]!))
  const narrowest: number[] = []
  for (let index = 0; index < forward; index++) {
    const share = Math.min(count - 1, Math.floor((count * made[index]!) / (total + 1)))
    const best = narrowest[share]
    // Of equal ones the later, behind views and the like.
    if (best === undefined || widths[index]! <= widths[best]!) narrowest[share] = index
  }
  const places = narrowest.filter((index) => index !== undefined)
  return places.filter((index, i) => {
    return [places[i - 1], places[i + 1]].every((other) => other === undefined || widths[index]! <= 2 * widths[other]!)
  })
}
