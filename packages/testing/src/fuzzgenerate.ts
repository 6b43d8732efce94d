// Random programs. Ops come from the catalogue by their own samples: a sample gets other sizes and flags, and its inputs are
// taken from what the program has already, as it is or behind an operator that gives it the right shape or range. Every
// operator is run when it is added, so that values stay moderate and keep their distance from kinks and ties, as samples ask.

import { type DType, isCounterflowError, isFloat } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import type { Description, Op } from "@counterflow/ops"
import {
  build,
  type Id,
  optimizerNames,
  OutputCount,
  type Recipe,
  type RecipeInput,
  type RecipeStep,
} from "./fuzzrecipe.ts"
import { linksTo } from "./fuzzlinks.ts"
import {
  type Application,
  applicationOf,
  drawSizes,
  drawValues,
  fits,
  holdsPlaces,
  reshapedTo,
  resized,
  type Sizes,
  varied,
  type Wanted,
} from "./fuzzsample.ts"
import { Random } from "./random.ts"
import { Runner } from "./runner.ts"

/** A value that the program has, with what it holds on kernels-cpu. */
export interface Known {
  readonly id: Id
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly values: readonly number[]
}

export interface GenerateOptions {
  readonly descriptions: readonly Description[]
  /** Operators of the forward part, at most. */
  readonly size?: number
}

/** Codes with which rules, engine and kernels refuse what a random program may well ask. */
const refusals: ReadonlySet<string> = new Set([
  "CF_SHAPE_MISMATCH",
  "CF_DTYPE_MISMATCH",
  "CF_BAD_ATTRIBUTE",
  "CF_BAD_ARGUMENT",
  "CF_NO_GRADIENT",
  "CF_NOT_A_LOSS",
  "CF_INDEX_RANGE",
])

export function isRefusal(error: unknown): boolean {
  return isCounterflowError(error) && refusals.has(error.code)
}

/** The largest that a value may be. */
const limits = { float: 1e3, integer: 2 ** 20 } as const

/** How many operators a program has in its forward part, and how many elements a value. */
interface Extent {
  readonly operators: number
  readonly elements: number
  readonly isLarge: boolean
}

/** One program in so many is short and of large values. */
const largeEvery = 8

export class Generator {
  readonly #descriptions: readonly Description[]
  readonly #byKind: readonly (readonly Description[])[]
  readonly #size: number
  readonly #runner: Runner = new Runner(cpu())

  constructor({ descriptions, size = 10 }: GenerateOptions) {
    // What no sample shows cannot be applied, and blocks of operators are not made at random.
    this.#descriptions = descriptions.filter(({ op, samples }) => samples.length > 0 && op.facts.kind !== "control")
    this.#size = size
    const kinds = new Map<string, Description[]>()
    for (const each of this.#descriptions) {
      const kind = each.op.facts.kind === "opaque" ? `opaque ${each.op.kind}` : each.op.facts.kind
      kinds.set(kind, [...(kinds.get(kind) ?? []), each])
    }
    this.#byKind = [...kinds.values()]
  }

  /** The names of the ops that programs are made of. */
  get ops(): string[] {
    return this.#descriptions.map(({ op }) => op.name)
  }

  close(): void {
    this.#runner.close()
  }

  /** The program of a seed; `note` hears of errors that no rule should throw. */
  recipe(seed: number, note: (what: string, recipe: Recipe) => void): Recipe {
    const random = new Random(seed)
    const isLarge = random.next() < 1 / largeEvery
    const extent = { isLarge, operators: isLarge ? 4 : this.#size, elements: isLarge ? 40_000 : 1500 }
    return new Growing(random, extent, this.#pick, this.#runner, this.#byOpName, note).grow()
  }

  /** Half the time from all, else from a kind of its own: there are many elementwise ops, and few products. */
  readonly #pick = (random: Random): Description => {
    const list = random.next() < 0.5 ? this.#descriptions : one(this.#byKind, random)
    return one(list, random)
  }

  readonly #byOpName = (name: string): Op | undefined => this.#descriptions.find(({ op }) => op.name === name)?.op
}

class Growing {
  readonly #random: Random
  readonly #extent: Extent
  readonly #pick: (random: Random) => Description
  readonly #runner: Runner
  readonly #opOf: (name: string) => Op | undefined
  readonly #note: (what: string, recipe: Recipe) => void
  readonly #inputs: RecipeInput[] = []
  readonly #steps: RecipeStep[] = []
  readonly #known: Map<Id, Known> = new Map()
  #ids = 0

  constructor(
    random: Random,
    extent: Extent,
    pick: (random: Random) => Description,
    runner: Runner,
    opOf: (name: string) => Op | undefined,
    note: (what: string, recipe: Recipe) => void,
  ) {
    this.#random = random
    this.#extent = extent
    this.#pick = pick
    this.#runner = runner
    this.#opOf = opOf
    this.#note = note
  }

  grow(): Recipe {
    const size = this.#extent.operators
    const wanted = this.#random.integer(1, size)
    for (let attempt = 0; attempt < 4 * size && this.#steps.length < wanted; attempt++) {
      this.#apply(this.#pick(this.#random))
    }
    const used = new Set(this.#steps.flatMap(({ inputs }) => Object.values(inputs).flat()))
    const results = this.#steps.flatMap(({ outputs }) => outputs)
    const ends = results.filter((id) => !used.has(id) && this.#chance(0.85))
    const others = [...this.#known.keys()].filter((id) => this.#chance(ends.includes(id) ? 0.05 : 0.15))
    const backward = this.#chance(0.6) ? this.#backward() : null
    const fetches = [...ends, ...others]
    const sizes = [...new Set(this.#inputs.flatMap(({ shape }) => shape))].filter((length) => length > 1)
    return {
      inputs: this.#inputs,
      steps: this.#steps,
      fetches: fetches.length > 0 || backward !== null ? fetches : results.slice(-1),
      backward,
      open: this.#chance(0.3) ? sizes.filter(() => this.#chance(0.6)) : [],
      runs: backward?.kind === "minimize" && this.#chance(0.5) ? 2 : 1,
    }
  }

  #chance(probability: number): boolean {
    return this.#random.next() < probability
  }

  #apply(description: Description): void {
    for (let attempt = 0; attempt < 6; attempt++) {
      const plain = applicationOf(description, one(description.samples, this.#random))
      const wanted = attempt === 5 ? plain : varied(this.#otherSizes(plain), this.#random)
      const isSmall = wanted.inputs.every(({ shape }) => count(shape) <= this.#extent.elements)
      if (isSmall && this.#append(wanted)) return
    }
  }

  /** Sizes of a value that exists, or drawn ones. */
  #otherSizes(plain: Application): Application {
    const model = this.#chance(0.7) ? this.#recent(() => true) : undefined
    if (model === undefined) return resized(plain, drawSizes(plain, this.#random, this.#extent.isLarge))
    const stretched = reshapedTo(plain, model.shape)
    if (stretched !== null) return stretched
    const like = plain.inputs.find(({ shape, among }) => among === null && shape.length === model.shape.length)
    const sizes = like === undefined ? null : correspondence(like.shape, model.shape, holdsPlaces(plain))
    return resized(plain, sizes ?? drawSizes(plain, this.#random, this.#extent.isLarge))
  }

  /** A value that exists, later ones rather than early ones. */
  #recent(accepts: (known: Known) => boolean): Known | undefined {
    const list = [...this.#known.values()].filter(accepts)
    return list[Math.floor(list.length * Math.sqrt(this.#random.next()))]
  }

  #append({ op, attrs, inputs }: Application): boolean {
    const before = { inputs: this.#inputs.length, steps: this.#steps.length, ids: this.#ids }
    const slots: Record<string, Id[]> = {}
    for (const wanted of inputs) (slots[wanted.slot] ??= []).push(this.#provide(wanted))
    const own = "stream" in op.attrs ? { ...attrs, stream: this.#ids + 1 } : attrs
    if (this.#add(op, slots, own)) return true
    // What was made for it alone goes as well.
    this.#inputs.length = before.inputs
    this.#steps.length = before.steps
    for (const id of this.#known.keys()) if (id >= before.ids) this.#known.delete(id)
    return false
  }

  #provide(wanted: Wanted): Id {
    if (!wanted.kind.startsWith("state")) {
      const isSame = (known: Known) => {
        const isState = wanted.isWritten && this.#input(known.id)?.role === "parameter"
        return !isState && known.dtype === wanted.dtype && known.shape.join() === wanted.shape.join()
      }
      const existing = this.#chance(0.75) ? this.#recent((k) => isSame(k) && fits(k.values, wanted)) : undefined
      if (existing !== undefined) return existing.id
      const linked = this.#chance(0.65) ? this.#link(wanted) : null
      if (linked !== null) return linked
    }
    return this.#declare(wanted, drawValues(wanted, this.#random))
  }

  /** A value that exists, behind an operator or two. */
  #link(wanted: Wanted): Id | null {
    const from = this.#recent(({ dtype, id }) => dtype === wanted.dtype && !this.#isState(id))
    if (from === undefined) return null
    const before = { steps: this.#steps.length, ids: this.#ids }
    let now = from
    for (const { name, attrs } of linksTo(from, wanted, this.#random)) {
      const op = this.#opOf(name)
      const made = op === undefined ? null : this.#add(op, { [Object.keys(op.inputs)[0] ?? "x"]: [now.id] }, attrs)
      const next = made === null ? undefined : this.#known.get(this.#ids - 1)
      if (next === undefined) break
      now = next
    }
    if (now !== from && now.shape.join() === wanted.shape.join() && fits(now.values, wanted)) return now.id
    this.#steps.length = before.steps
    for (const id of this.#known.keys()) if (id >= before.ids) this.#known.delete(id)
    return null
  }

  #isState(id: Id): boolean {
    return this.#input(id)?.role === "state"
  }

  #input(id: Id): RecipeInput | undefined {
    return this.#inputs.find((input) => input.id === id)
  }

  #declare(wanted: Wanted, values: readonly number[]): Id {
    const { kind, dtype, shape, isWritten } = wanted
    const id = this.#ids++
    const isParameter = dtype === "float32" && kind.startsWith("tensor") && !isWritten && this.#chance(0.35)
    const role = kind.startsWith("state") ? "state" : isParameter ? "parameter" : "data"
    this.#inputs.push({ id, role, dtype, shape, values })
    this.#known.set(id, { id, dtype, shape, values })
    return id
  }

  /** Adds an operator unless its rule refuses it or its values get out of hand. */
  #add(op: Op, inputs: Readonly<Record<string, readonly Id[]>>, attrs: Readonly<Record<string, unknown>>): boolean {
    const given = [...new Set(Object.values(inputs).flat())].map((id): RecipeInput => {
      const known = this.#known.get(id)
      if (known === undefined) throw new Error(`value ${id} is unknown`)
      return { ...known, role: this.#input(id)?.role === "state" ? "state" : "data" }
    })
    const alone = (outputs: readonly Id[]): Recipe => {
      const step = { op, inputs, attrs, outputs }
      return { inputs: given, steps: [step], fetches: outputs, backward: null, open: [], runs: 1 }
    }
    return this.#tryOut(alone, op.outputs.length)
  }

  #tryOut(recipeOf: (outputs: readonly Id[]) => Recipe, outputs: number): boolean {
    const recipe = recipeOf(Array.from({ length: outputs }, (_, at) => this.#ids + at))
    try {
      const { program, feed, states, fetch } = build(recipe, this.#runner.prefix().prefix)
      for (const [name, value] of states) this.#runner.executor.scope.set(name, value)
      const results = this.#runner.executor.runSync(program, { feed, fetch })
      const values = results.map(({ data }) => Array.from({ length: data.length }, (_, i) => Number(data[i])))
      if (!results.every(({ dtype }, at) => this.#isModerate(values[at] ?? [], dtype))) return false
      this.#steps.push(...recipe.steps)
      results.forEach(({ dtype, shape }, at) => {
        const id = this.#ids++
        this.#known.set(id, { id, dtype, shape, values: values[at] ?? [] })
      })
      return true
    } catch (error) {
      if (error instanceof OutputCount) return this.#tryOut(recipeOf, error.count)
      if (!isRefusal(error)) this.#note(String(error), recipe)
      return false
    }
  }

  #isModerate(values: readonly number[], dtype: DType): boolean {
    if (values.length > this.#extent.elements) return false
    const most = isFloat(dtype) ? limits.float : limits.integer
    return values.every((value) => Math.abs(value) <= most)
  }

  /** A sum of weighted values: no element of a gradient is like another. */
  #backward(): Recipe["backward"] {
    const [mul, reduceSum, sum] = ["mul", "reduceSum", "sum"].map(this.#opOf)
    if (mul === undefined || reduceSum === undefined || sum === undefined) return null
    const made = new Set(this.#steps.flatMap(({ outputs }) => outputs))
    const floats = [...this.#known.values()].filter(({ id, dtype }) => made.has(id) && dtype === "float32")
    const terms: Id[] = []
    for (const { shape, id } of this.#random
      .order(floats.length)
      .slice(0, 3)
      .map((at) => floats[at]!)) {
      const weights = Array.from(this.#random.factors(count(shape)), Math.fround)
      const factor = this.#declare({ ...scalar, kind: "index", shape }, weights)
      if (!this.#add(mul, { x: [id], y: [factor] }, {})) continue
      const axis = shape.map((_, at) => at)
      if (this.#add(reduceSum, { x: [this.#ids - 1] }, { axis, keepDim: false })) terms.push(this.#ids - 1)
    }
    if (terms.length === 0 || !this.#add(sum, { xs: terms }, {})) return null
    const target = this.#ids - 1
    const reached = ancestors(this.#steps, target)
    const isTrained = this.#inputs.some(({ id, role }) => role === "parameter" && reached.has(id))
    if (isTrained && this.#chance(0.5))
      return { kind: "minimize", target, optimizer: one(optimizerNames, this.#random) }
    const wrt = [...reached].filter((id) => this.#known.get(id)?.dtype === "float32" && !this.#isState(id))
    const chosen = this.#random
      .order(wrt.length)
      .slice(0, 4)
      .map((at) => wrt[at]!)
    if (chosen.length === 0) return null
    return { kind: "gradients", target, wrt: chosen, order: this.#chance(0.25) ? 2 : 1 }
  }
}

const scalar: Wanted = {
  slot: "",
  kind: "tensor",
  dtype: "float32",
  shape: [],
  domain: { low: 0, high: 1 },
  among: null,
  isWritten: false,
}

function ancestors(steps: readonly RecipeStep[], target: Id): Set<Id> {
  const reached = new Set([target])
  for (const { inputs, outputs } of steps.toReversed()) {
    if (outputs.some((id) => reached.has(id))) for (const id of Object.values(inputs).flat()) reached.add(id)
  }
  reached.delete(target)
  return reached
}

/** Sizes of a sample's shape → those of a shape of the same rank; null if one size would become two. */
function correspondence(from: readonly number[], to: readonly number[], mayOnlyGrow: boolean): Sizes | null {
  const sizes = new Map<number, number>()
  for (const [axis, size] of from.entries()) {
    const other = to[axis] ?? 0
    if ((sizes.get(size) ?? other) !== other || (mayOnlyGrow && other < size)) return null
    sizes.set(size, other)
  }
  return sizes
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

function one<T>(list: readonly T[], random: Random): T {
  const chosen = list[random.integer(0, list.length - 1)]
  if (chosen === undefined) throw new Error("nothing to choose from")
  return chosen
}
