// Whether backends run a program right. What is right is kernels-cpu in float64; how far a float32 result may be from it is
// measured, not guessed: every operator's result is moved at random by the error that its description allows, and what the
// program's results then vary by is what they may differ by. An integer that varies is not decided by the program.

import { passNames } from "@counterflow/compiler"
import { type Backend, Executor, type ExecutorOptions } from "@counterflow/executor"
import { type DType, isFloat, parseProgram, type Program, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { type AnyRegistry, type Description, legalize, resolve } from "@counterflow/ops"
import { checkEqual, type Values } from "./case.ts"
import { float64Copy, type Float64Copy, shiftedCopy, toFloat64 } from "./float64.ts"
import { isRefusal } from "./fuzzgenerate.ts"
import { build, type Built, type Recipe } from "./fuzzrecipe.ts"
import type { Value } from "./point.ts"
import { Random } from "./random.ts"

/** A backend to be judged. */
export interface Tested {
  readonly name: string
  readonly backend: Backend
  readonly options?: Partial<ExecutorOptions>
  /** Gets the float64 copy of the program instead of the program. */
  readonly float64?: boolean
  /** The name of another, before it in the list, that gives the same bits. */
  readonly sameBitsAs?: string
}

export interface Finding {
  /** Which backend, or "build" for a program that could not be made. */
  readonly where: string
  readonly kind: "fails" | "differs" | "has other bits" | "does not repeat" | "changes in a file"
  readonly what: string
}

/** What was compared. */
export interface Tally {
  programs: number
  operators: number
  refused: number
  elements: number
  undecided: number
}

/** One run's results by name: fetches, then state that was written. */
type Results = ReadonlyMap<string, Values>

interface Expected {
  readonly results: Results
  /** By result: how far a float32 result may be off, −1 for elements that are not decided. */
  readonly allowed: ReadonlyMap<string, Float64Array>
}

/** By what fed values are moved: a few roundings, so that an op that cancels inside is not asked for digits it cannot have. */
const roundingError = 1e-6
/** What a result may be off in any case, relative to its largest element: as descriptions say unless they say otherwise. */
const usualError = 1e-5
/** How often the program is run with its results moved. */
const samples = 3
/** How much more than the samples showed is allowed. */
const safety = 4
/** float64 has 29 bits more; sums may be ordered differently all the same. */
const float64Part = 1e-6

export class Judge {
  readonly #tolerances: ReadonlyMap<string, number>
  readonly #registry: AnyRegistry
  readonly #tested: readonly Tested[]
  readonly #executors: Map<string, Executor> = new Map()
  readonly tally: Tally = { programs: 0, operators: 0, refused: 0, elements: 0, undecided: 0 }
  readonly #cpu: Backend = cpu()
  #programs = 0

  constructor(descriptions: readonly Description[], tested: readonly Tested[]) {
    this.#tolerances = new Map(descriptions.map(({ op, tolerance }) => [op.name, tolerance]))
    this.#registry = Object.fromEntries(descriptions.map(({ op }) => [op.name, op]))
    this.#tested = tested
  }

  close(): void {
    for (const executor of this.#executors.values()) executor.close()
    this.#executors.clear()
  }

  /**
   * What is wrong; null if nothing is, or if the program is refused for a good reason. With `where` of a finding, only what it
   * takes to make that one again.
   */
  async judge(recipe: Recipe, where?: string): Promise<Finding | null> {
    // State is never freed: executors are made anew now and then, and shared until then, as plans share memory.
    if (++this.#programs % 40 === 0) this.close()
    const prefix = `p${this.#programs}_`
    let built: Built
    try {
      built = build(recipe, prefix)
    } catch (error) {
      if (!isRefusal(error)) return { where: "build", kind: "fails", what: String(error) }
      this.tally.refused++
      return null
    }
    const inFile = this.#roundTrip(built.program)
    if (inFile !== null) return inFile
    const own = { name: "cpu", backend: this.#cpu }
    const [results, broken] = await attempt(own.name, () => this.#run(own, built, recipe.runs))
    if (results === null) return broken.what.startsWith("CF_INDEX_RANGE") ? null : broken
    // Fetching more makes more run, so that state may differ: these values are for their sizes only.
    const everything = await this.#run(this.#plain("in float32"), built, recipe.runs, true)
    const expected = await this.#expect(built, recipe, everything)
    this.tally.programs++
    this.tally.operators += [...built.program.operators()].length
    const onCpu = this.#compare("cpu", results, expected, 1)
    return onCpu ?? this.#judgeAll(built, recipe.runs, expected, where)
  }

  async #judgeAll(built: Built, runs: number, expected: Expected, where?: string): Promise<Finding | null> {
    const all = new Map<string, Results>()
    const twin = this.#tested.find(({ name }) => name === where)?.sameBitsAs
    for (const tested of this.#tested) {
      if (where !== undefined && tested.name !== where && tested.name !== twin) continue
      const { name } = tested
      if (tested.float64 === true && this.#draws(built.program)) continue
      const [results, broken] = await attempt(name, () => this.#run(tested, built, runs))
      if (results === null) return broken
      const part = tested.float64 === true && isAllFloat64(built.program) ? float64Part : 1
      const finding = this.#compare(name, results, expected, part)
      if (finding !== null) return finding
      all.set(name, results)
      const same = all.get(tested.sameBitsAs ?? "")
      if (same !== undefined) {
        const [, other] = await attempt(name, () => checkBits(results, same))
        if (other !== null) return { ...other, kind: "has other bits" }
      }
      const [again, brokenAgain] = await attempt(name, () => this.#run(tested, built, runs))
      if (again === null) return brokenAgain
      const [, changed] = await attempt(name, () => checkBits(again, results))
      if (changed !== null) return { ...changed, kind: "does not repeat" }
    }
    return null
  }

  #roundTrip(program: Program): Finding | null {
    try {
      verify(program)
      const text = String(program)
      const again = String(resolve(parseProgram(text), this.#registry))
      return again === text ? null : { where: "text", kind: "changes in a file", what: again }
    } catch (error) {
      return { where: "text", kind: "fails", what: String(error) }
    }
  }

  /** The reference: what a pass does wrong would be wrong on every backend alike, so it does without. */
  #plain(how: string): Tested {
    return { name: `cpu ${how}`, backend: this.#cpu, options: { passes: { off: passNames } } }
  }

  #draws(program: Program): boolean {
    return [...program.operators()].some(({ record }) => "stream" in record.attrs)
  }

  /** `everything` fetches what is moved as well: its size is needed. */
  async #run(tested: Tested, built: Built, runs: number, everything = false): Promise<Results> {
    const wide = tested.float64 === true
    const program = wide ? toFloat64(built.program) : built.program
    const startup = wide ? toFloat64(built.startup) : built.startup
    const states = wide ? widened(built.states) : built.states
    const more = everything ? this.#moved(built.program) : []
    const fetch = [...new Set([...built.fetch, ...more].map(({ name }) => name))]
    return this.#steps(tested, { program, startup, states, fetch, feed: built.feed, runs })
  }

  async #steps(
    tested: Tested,
    run: {
      program: Program
      startup: Program
      states: ReadonlyMap<string, Value>
      fetch: readonly (string | Variable)[]
      feed: Built["feed"]
      runs: number
      /** Of the fetches. */
      names?: readonly string[]
    },
  ): Promise<Results> {
    const { program, startup, states, fetch, feed, runs } = run
    const executor = this.#executor(tested)
    if ([...startup.operators()].length > 0) await executor.run(startup)
    for (const [name, value] of states) executor.scope.set(name, value)
    let results: readonly Values[] = []
    for (let step = 0; step < runs; step++) results = await executor.run(program, { feed, fetch })
    const names = run.names ?? fetch.map(String)
    const written = [...program.operators()].flatMap((op) => op.writes.map(({ state }) => state.name))
    return new Map([
      ...names.map((name, at) => [name, results[at] ?? nothing] as const),
      ...written.map((name) => [name, executor.scope.get(name)] as const),
    ])
  }

  #executor({ name, backend, options }: Tested): Executor {
    const known = this.#executors.get(name)
    if (known !== undefined) return known
    const made = new Executor(backend, { legalize, maxPlans: 4, ...options })
    this.#executors.set(name, made)
    return made
  }

  /** Floats that operators make, with an error of their own. */
  #moved(program: Program): Variable[] {
    return [...program.operators()].flatMap((op) => {
      if (op.role === "optimize" || (this.#tolerances.get(op.type) ?? 0) === 0) return []
      return op.outputList().filter(({ dtype }) => isFloat(dtype))
    })
  }

  async #expect(built: Built, recipe: Recipe, reference: Results): Promise<Expected> {
    const moved = new Set(this.#moved(built.program))
    const draws = this.#draws(built.program)
    const copy = draws ? shiftedCopy(built.program, moved) : float64Copy(built.program, moved)
    const random = new Random(1)
    const exact = await this.#moving(copy, built, recipe.runs, reference, draws, () => 0)
    const others: Results[] = []
    for (let sample = 0; sample < samples; sample++) {
      const factor = () => random.between(0.25, 1) * (random.next() < 0.5 ? -1 : 1)
      others.push(await this.#moving(copy, built, recipe.runs, reference, draws, factor))
    }
    const allowed = new Map([...exact].map(([name, value]) => [name, allowance(value, others, name)]))
    return { results: exact, allowed }
  }

  /** Runs a copy with its values moved by a part of their errors. */
  async #moving(
    { program, variables, shifts }: Float64Copy,
    built: Built,
    runs: number,
    reference: Results,
    keepsDtype: boolean,
    factor: () => number,
  ): Promise<Results> {
    const dtype = keepsDtype ? "float32" : "float64"
    const feed: Record<string, Value> = {}
    const rounded = ({ data, shape, dtype: own }: Value): Value => {
      if (own !== "float32") return { data, shape, dtype: own }
      return {
        data: Array.from(data, (value: number | bigint) => Number(value) * (1 + roundingError * factor())),
        shape,
        dtype,
      }
    }
    for (const [name, value] of Object.entries(built.feed)) feed[name] = rounded(value)
    for (const [variable, { by }] of shifts) {
      const { data, shape } = reference.get(variable.name) ?? nothing
      const error = (this.#tolerances.get(variable.producer?.type ?? "") ?? 0) * largest(data)
      feed[by.name] = { data: Array.from({ length: data.length }, () => error * factor()), shape, dtype }
    }
    const states = new Map([...built.states].map(([name, value]) => [name, rounded(value)] as const))
    const names = [...new Set(built.fetch)]
    const fetch = names.map((variable) => variables.get(variable) ?? variable)
    const startup = keepsDtype ? built.startup : toFloat64(built.startup)
    const tested = this.#plain(keepsDtype ? "in float32" : "in float64")
    return this.#steps(tested, { program, startup, states, fetch, feed, runs, names: names.map(({ name }) => name) })
  }

  #compare(where: string, got: Results, { results, allowed }: Expected, part: number): Finding | null {
    for (const [name, expected] of results) {
      const value = got.get(name) ?? nothing
      const what = (why: string): Finding => ({ where, kind: "differs", what: `${name}: ${why}` })
      if (value.shape.join() !== expected.shape.join() || value.data.length !== expected.data.length) {
        return what(`shape [${value.shape.join(", ")}], expected [${expected.shape.join(", ")}]`)
      }
      const tolerance = allowed.get(name)
      for (let i = 0; i < expected.data.length; i++) {
        const bound = tolerance?.[i] ?? 0
        if (bound < 0 || (bound > 0 && !Number.isFinite(bound))) {
          this.tally.undecided++
          continue
        }
        this.tally.elements++
        const [a, b] = [Number(value.data[i]), Number(expected.data[i])]
        if (Object.is(a, b) || Math.abs(a - b) <= bound * part) continue
        return what(`element ${i} is ${a}, expected ${b} within ${(bound * part).toExponential(1)}`)
      }
    }
    return null
  }
}

async function checkBits(got: Results, expected: Results): Promise<void> {
  for (const [name, result] of expected) checkEqual(got.get(name) ?? nothing, result, name)
}

/** Whether nothing in the float64 copy is float32: a few ops answer that whatever they are given, and are as exact as that. */
function isAllFloat64(program: Program): boolean {
  return [...toFloat64(program).variables.values()].every(({ dtype }) => dtype !== "float32")
}

/** Per element: what the samples differ by, at most, anywhere in the tensor, and more. Integers must not differ at all. */
function allowance({ data, dtype }: Values, samples: readonly Results[], name: string): Float64Array {
  const bounds = new Float64Array(data.length)
  const others = samples.map((results) => (results.get(name) ?? nothing).data)
  if (!isFloat(dtype as DType)) {
    return bounds.map((_, i) => (others.every((other) => Number(other[i]) === Number(data[i])) ? 0 : -1))
  }
  let spread = 0
  const isDecided = (i: number) => [data, ...others].every((each) => Number.isFinite(Number(each[i])))
  for (let i = 0; i < data.length; i++) {
    if (isDecided(i))
      for (const other of others) spread = Math.max(spread, Math.abs(Number(other[i]) - Number(data[i])))
  }
  // Numbers below the smallest normal ones of float32 keep few digits.
  const bound = safety * spread + usualError * largest(data) + 1e-37
  return bounds.map((_, i) => (isDecided(i) ? bound : -1))
}

const nothing: Values & Value = { data: [], shape: [], dtype: "float32" }

/** Of what is finite. */
function largest(data: ArrayLike<number | bigint>): number {
  let most = 0
  for (let i = 0; i < data.length; i++) {
    const size = Math.abs(Number(data[i]))
    if (Number.isFinite(size)) most = Math.max(most, size)
  }
  return most
}

function widened(states: ReadonlyMap<string, Value>): ReadonlyMap<string, Value> {
  const wide = ({ data, shape, dtype }: Value): Value => ({
    data,
    shape,
    dtype: dtype === "float32" ? "float64" : dtype,
  })
  return new Map([...states].map(([name, value]) => [name, wide(value)]))
}

async function attempt<T>(where: string, body: () => Promise<T>): Promise<[T, null] | [null, Finding]> {
  try {
    return [await body(), null]
  } catch (error) {
    return [null, { where, kind: "fails", what: error instanceof Error ? error.message : String(error) }]
  }
}
