// Plans by identity: program, mutation counter, fetches, feed shapes. Least recently used go first, and free what they hold.
// No string keys: a lookup compares a few numbers and names.

import type { LoweredProgram, Program } from "@counterflow/ir"
import { sameSizes, type Step } from "./step.ts"

interface CachedPlan {
  readonly program: Program
  readonly mutations: number
  readonly fetches: readonly string[]
  readonly shapes: ReadonlyMap<string, readonly number[]>
  readonly step: Step
}

interface CachedLowering {
  readonly mutations: number
  readonly fetches: readonly string[]
  readonly lowered: LoweredProgram
}

interface CachedResolution {
  readonly mutations: number
  readonly resolved: Program
}

const loweringsKept = 4

export class PlanCache {
  /** Most recently used last. */
  readonly #plans: CachedPlan[] = []
  readonly #lowerings: WeakMap<Program, CachedLowering[]> = new WeakMap()
  readonly #resolutions: WeakMap<Program, CachedResolution> = new WeakMap()
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#plans.length
  }

  find(program: Program, fetches: readonly string[], shapes: ReadonlyMap<string, readonly number[]>): Step | undefined {
    for (let index = this.#plans.length - 1; index >= 0; index--) {
      const plan = this.#plans[index]
      if (plan === undefined || plan.program !== program || plan.mutations !== program.mutations) continue
      if (!sameNames(plan.fetches, fetches) || !sameShapes(plan.shapes, shapes)) continue
      if (index < this.#plans.length - 1) {
        this.#plans.splice(index, 1)
        this.#plans.push(plan)
      }
      return plan.step
    }
    return undefined
  }

  add(program: Program, fetches: readonly string[], shapes: ReadonlyMap<string, readonly number[]>, step: Step): void {
    this.#plans.push({ program, mutations: program.mutations, fetches, shapes, step })
    while (this.#plans.length > this.#limit) this.#plans.shift()?.step.close()
  }

  /** Lowering does not depend on shapes, so a new shape costs the later phases only. */
  lowered(program: Program, fetches: readonly string[], make: () => LoweredProgram): LoweredProgram {
    const kept = (this.#lowerings.get(program) ?? []).filter(({ mutations }) => mutations === program.mutations)
    const known = kept.find((entry) => sameNames(entry.fetches, fetches))
    if (known !== undefined) return known.lowered
    const lowered = make()
    this.#lowerings.set(program, [...kept.slice(1 - loweringsKept), { mutations: program.mutations, fetches, lowered }])
    return lowered
  }

  /** A program read from a file, with records attached. */
  resolved(program: Program, make: () => Program): Program {
    const known = this.#resolutions.get(program)
    if (known !== undefined && known.mutations === program.mutations) return known.resolved
    const resolved = make()
    this.#resolutions.set(program, { mutations: program.mutations, resolved })
    return resolved
  }

  clear(): void {
    for (const { step } of this.#plans.splice(0)) step.close()
  }
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index])
}

function sameShapes(a: ReadonlyMap<string, readonly number[]>, b: ReadonlyMap<string, readonly number[]>): boolean {
  if (a.size !== b.size) return false
  for (const [name, shape] of a) {
    const other = b.get(name)
    if (other === undefined || !sameSizes(shape, other)) return false
  }
  return true
}
