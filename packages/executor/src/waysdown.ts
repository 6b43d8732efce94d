// What a plan that needs too much memory could be instead: more micro-batches, recomputation, a smaller batch, each with its figure.
// Those that suffice come first, the cheapest of them before.

import { type Bindings, formatBytes, type Plan } from "@counterflow/compiler"
import { type Program, symbolsOf } from "@counterflow/ir"
import { needed, type OverBudget, type Savings, type WaysDown } from "./overbudget.ts"

interface Way {
  readonly text: string
  readonly bytes: number
  /** More operations, as a part of those of the plan. */
  readonly cost: number
}

/** For an Executor's options: plans the program for a few other sizes. */
export const waysDown: WaysDown = (problem) => {
  const { program, bindings, limit } = problem
  const ways = allWays(problem).sort((a, b) => Number(a.bytes > limit) - Number(b.bytes > limit) || a.cost - b.cost)
  const lines = [
    ...ways.map(({ text, bytes }) => `${text}${bytes > limit ? ", still too much" : ""}`),
    ...(batchSymbol(program, bindings) === null ? [fixedBatch] : []),
  ]
  return { lines, suffices: ways.some(({ bytes }) => bytes <= limit) }
}

const fixedBatch =
  "a smaller batch, or micro-batches: build the program with the batch as a symbol, to hear what they need"

function allWays(problem: OverBudget): Way[] {
  const { program, plan, bindings, savings } = problem
  const trains = isTraining(program)
  const recomputation = savings === null || !trains ? [] : [recompute(plan, savings)]
  const name = batchSymbol(program, bindings)
  const sizes = name === null ? null : new Sizes(problem, name)
  if (sizes === null) return recomputation
  return [...(trains ? accumulate(problem, sizes) : []), ...recomputation, ...smaller(problem, sizes)]
}

function isTraining(program: Program): boolean {
  return [...program.operators()].some(({ role }) => role === "backward")
}

function recompute(plan: Plan, { savedBytes, extraFlops }: Savings): Way {
  const [bytes, cost] = [needed(plan) - savedBytes, extraFlops / Math.max(plan.flops, 1)]
  const price = `saves ${formatBytes(savedBytes)} for ${Math.ceil(100 * cost)} % more operations`
  return { text: `recompute activations: about ${formatBytes(bytes)}, ${price}`, bytes, cost }
}

/** The smallest number of micro-batches that suffices. What a loop over them holds besides: the whole feed, and gradients. */
function accumulate({ program, plan, limit, bytesOf }: OverBudget, sizes: Sizes): Way[] {
  const trained = plan.writes.filter((id) => plan.vars[id]?.isParameter)
  // Gradients twice: the sums that go round, and what comes out of the loop.
  const held = 2 * bytesOf(trained) + bytesOf(plan.feeds)
  const counts = divisors(sizes.units).filter((count) => count > 1)
  const estimate = (count: number) => sizes.bytes(sizes.units / count) + held
  const last = counts.at(-1)
  if (last === undefined) return []
  let [low, high] = [0, counts.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (estimate(counts[middle]!) <= limit) high = middle
    else low = middle + 1
  }
  const [count, bytes] = [counts[low] ?? last, estimate(counts[low] ?? last)]
  const isOne = [...program.variables.values()].every(({ insteadOf }) => insteadOf === null)
  const how = isOne ? `accumulate gradients, microBatches(${count})` : `${count} times as many micro-batches`
  return [{ text: `${how}: about ${formatBytes(bytes)}`, bytes, cost: 0 }]
}

/** The largest batch that suffices, as far as a few plans tell. */
function smaller({ plan, limit }: OverBudget, sizes: Sizes): Way[] {
  const { units } = sizes
  if (units === 1) return []
  const least = sizes.bytes(1)
  let [low, lowBytes, high, highBytes] = [1, least, units, needed(plan)]
  for (let tries = 0; least <= limit && high - low > 1 && tries < 8; tries++) {
    const guess = low + ((limit - lowBytes) / Math.max(highBytes - lowBytes, 1)) * (high - low)
    const next = Math.min(Math.max(Math.floor(guess), low + 1), high - 1)
    const bytes = sizes.bytes(next)
    if (bytes <= limit) [low, lowBytes] = [next, bytes]
    else [high, highBytes] = [next, bytes]
  }
  const text = `a ${sizes.name} of ${low * sizes.unit} instead of ${units * sizes.unit}: ${formatBytes(lowBytes)}`
  return [{ text, bytes: lowBytes, cost: Infinity }]
}

/** What the program needs with other sizes of its batch. A size is a multiple of the least one that divides it and can be planned. */
class Sizes {
  readonly name: string
  readonly unit: number
  readonly units: number
  readonly #problem: OverBudget
  readonly #known: Map<number, number> = new Map()

  constructor(problem: OverBudget, name: string) {
    this.name = name
    this.#problem = problem
    const size = problem.bindings.get(name) ?? 1
    this.unit = 1
    this.unit = divisors(size).find((each) => Number.isFinite(this.bytes(each))) ?? size
    this.units = size / this.unit
    this.#known.clear()
  }

  bytes(units: number): number {
    const known = this.#known.get(units)
    if (known !== undefined) return known
    const bytes = this.#planned(units * this.unit)
    this.#known.set(units, bytes)
    return bytes
  }

  #planned(size: number): number {
    const { planFor, bindings } = this.#problem
    try {
      return needed(planFor(new Map([...bindings, [this.name, size]])))
    } catch {
      return Infinity
    }
  }
}

/** `batch`, or the one symbol that leads the shapes of data. */
function batchSymbol(program: Program, bindings: Bindings): string | null {
  if (bindings.has("batch")) return "batch"
  const data = [...program.globalBlock().vars.values()].filter(({ isData }) => isData)
  const leading = new Set(data.flatMap(({ shape: [first] }) => (first === undefined ? [] : symbolsOf(first))))
  const [name, ...others] = [...leading].filter((each) => bindings.has(each))
  return name === undefined || others.length > 0 ? null : name
}

function divisors(n: number): number[] {
  const small = Array.from({ length: Math.floor(Math.sqrt(n)) }, (_, i) => i + 1).filter((d) => n % d === 0)
  return [...new Set([...small, ...small.toReversed().map((d) => n / d)])]
}
