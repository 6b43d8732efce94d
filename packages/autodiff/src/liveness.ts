// How much memory a joint graph needs at its worst moment, if some of the forward part is computed again where the backward part
// reads it. An estimate: a loop over elements whose result only another one reads is taken to be fused with it, as compilers do;
// views take nothing, and scratch memory and gaps between buffers are left out.

import type { Joint } from "./joint.ts"

/** Loops do not grow beyond so many operators. */
const fusedAtMost = 12

export interface Estimate {
  /** Bytes of values alive at the worst moment. */
  readonly peak: number
  /** What is spent on computing again. */
  readonly cost: number
  readonly flops: number
}

/** `isAgain` tells, by operator of the forward part, whether it is computed again instead of keeping what it makes. */
export function estimate(joint: Joint, isAgain: readonly boolean[]): Estimate {
  return new Run(joint, isAgain).estimate()
}

class Run {
  readonly #joint: Joint
  readonly #isAgain: readonly boolean[]
  /** Operators as they run, the second computation of one by its number as well. */
  readonly #order: number[] = []
  /** By step: the buffers it reads, and those it makes. */
  readonly #reads: number[][] = []
  readonly #makes: number[][] = []
  /** By value: the buffer that holds it now. A second computation takes buffers of its own. */
  readonly #buffers: number[]
  readonly #bytes: number[] = []
  readonly #emitted: boolean[]
  #cost = 0
  #flops = 0

  constructor(joint: Joint, isAgain: readonly boolean[]) {
    this.#joint = joint
    this.#isAgain = isAgain
    this.#buffers = joint.bytes.map(() => -1)
    this.#emitted = joint.ops.map(() => false)
  }

  estimate(): Estimate {
    const { ops, forward, makers } = this.#joint
    for (let index = 0; index < ops.length; index++) {
      if (index >= forward) {
        for (const value of ops[index]!.inputs) if (this.#isAgain[makers[value]!] === true) this.#emit(makers[value]!)
      }
      this.#step(index)
    }
    return { peak: this.#peak(), cost: this.#cost, flops: this.#flops }
  }

  /** Computes an operator again, with all before it that is missing. */
  #emit(last: number): void {
    if (this.#emitted[last] === true) return
    const found = new Set<number>()
    const pending = [last]
    for (let index = pending.pop(); index !== undefined; index = pending.pop()) {
      if (this.#emitted[index] === true) continue
      this.#emitted[index] = true
      found.add(index)
      for (const value of this.#joint.ops[index]!.inputs) {
        const maker = this.#joint.makers[value]!
        if (this.#isAgain[maker] === true) pending.push(maker)
      }
    }
    for (const index of [...found].sort((a, b) => a - b)) {
      this.#cost += this.#joint.ops[index]!.cost
      this.#flops += this.#joint.ops[index]!.flops
      this.#step(index)
    }
  }

  #step(index: number): void {
    const { inputs, outputs, aliases } = this.#joint.ops[index]!
    const viewed = aliases === null ? -1 : this.#buffers[aliases]!
    this.#order.push(index)
    this.#reads.push(viewed >= 0 ? [] : inputs.map((value) => this.#buffers[value]!))
    this.#makes.push(
      outputs.flatMap((value) => {
        this.#buffers[value] = viewed >= 0 ? viewed : this.#bytes.push(this.#joint.bytes[value]!) - 1
        return viewed >= 0 ? [] : [this.#buffers[value]!]
      }),
    )
  }

  #peak(): number {
    const { ops, forward } = this.#joint
    const readers = this.#bytes.map(() => 0)
    for (const read of this.#reads) for (const buffer of new Set(read)) readers[buffer]!++
    const steps = this.#order.length
    const firstBackward = this.#order.findIndex((index) => index >= forward)
    const isBackward = (step: number) => firstBackward >= 0 && step >= firstBackward
    const last = this.#bytes.map(() => -1)
    const reader = this.#bytes.map(() => -1)
    const isFused = this.#bytes.map(() => false)
    const time = this.#order.map((_, step) => step)
    const members = this.#order.map(() => 1)
    for (let step = steps - 1; step >= 0; step--) {
      const [made, ...others] = this.#makes[step]!
      const isPointwise = ops[this.#order[step]!]!.isPointwise
      if (isPointwise && made !== undefined && others.length === 0 && readers[made] === 1) {
        const by = reader[made]!
        const end = time[by]!
        const isLike = ops[this.#order[by]!]!.isPointwise && isBackward(by) === isBackward(step)
        if (isLike && (members[end]! += 1) <= fusedAtMost) {
          isFused[made] = true
          time[step] = end
        }
      }
      for (const buffer of this.#reads[step]!) {
        reader[buffer] = step
        last[buffer] = Math.max(last[buffer]!, time[step]!)
      }
    }
    const change = new Float64Array(steps + 1)
    for (let step = 0; step < steps; step++) {
      for (const buffer of this.#makes[step]!) {
        if (isFused[buffer] === true) continue
        change[step]! += this.#bytes[buffer]!
        change[Math.max(step, last[buffer]!) + 1]! -= this.#bytes[buffer]!
      }
    }
    let [alive, peak] = [0, 0]
    for (const bytes of change) peak = Math.max(peak, (alive += bytes))
    return peak
  }
}
