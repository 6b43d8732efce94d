// The Executor: runs programs on a backend. Checks feeds and fetches, compiles one plan per program, fetches and shapes, keeps
// the last few, and serves runs in call order.

import type { Plan } from "@counterflow/compiler"
import {
  attachRecords,
  describeValue,
  type DType,
  fail,
  type LoweredProgram,
  nearest,
  type OpRecord,
  Program,
  Variable,
} from "@counterflow/ir"
import type { Backend, Memory } from "./backend.ts"
import { type Feeds, type ReadFeed, readFeed } from "./feed.ts"
import { shapeOfFlat } from "./flatfeed.ts"
import { PlanCache } from "./plancache.ts"
import { Planner, type PlannerOptions } from "./planner.ts"
import { RunQueue } from "./queue.ts"
import { Scope } from "./scope.ts"
import { type LimitOptions, refuseUnknown, requireGoing, Step } from "./step.ts"
import type { Tensor } from "./tensor.ts"
import { checkLimits } from "./watch.ts"

/** Prunes and lowers a program for some fetches; `legalize` of @counterflow/ops, injected so that it is no dependency here. */
export type Legalize = (
  program: Program,
  options: { fetches: readonly string[]; keep: ReadonlySet<string> },
) => LoweredProgram

export interface ExecutorOptions extends PlannerOptions {
  legalize: Legalize
  /** Records for programs read from files. */
  registry?: Readonly<Record<string, OpRecord>>
  /** How many plans are kept (least recently used go first). */
  maxPlans?: number
  /**
   * Milliseconds after which no loop of a run goes on; a run may say otherwise. Without it there is no limit, except that a run
   * with a `whileLoop` that has no `maxTrips` gets 60,000: nobody could tell whether it ever ends. Infinity takes that away too.
   */
  timeBudget?: number
}

/** A variable, or its name. A variable of the program this one is a clone of stands for the variable of its name. */
export type Fetch = Variable | string

export interface RunOptions<F extends readonly Fetch[] = readonly Fetch[]> extends LimitOptions {
  feed?: Feeds
  fetch?: F
}

/** One tensor per fetch, in order. */
export type Fetched<F extends readonly Fetch[]> = { -readonly [K in keyof F]: Tensor }

export interface CompileOptions<F extends readonly Fetch[] = readonly Fetch[]> {
  feed?: FeedShapes
  fetch?: F
}

/** For `compile`: the shape of every feed, as sizes or as { shape }. */
export type FeedShapes = Readonly<
  Record<string, readonly number[] | { readonly shape: readonly number[]; readonly dtype?: DType }>
>

/**
 * Runs programs on a backend: one scope for state by name, one arena that all plans share, the last plans kept. Programs that
 * are run on one Executor share state by name, as a training program and its test clone do.
 *
 * @example
 * ```ts
 * const exe = new Executor(cpu(), { legalize: ops.legalize })
 * await exe.run(startup)
 * const [l] = await exe.run(main, { feed, fetch: [loss] })
 * console.log(l.item())
 * exe.close()
 * ```
 */
export class Executor {
  /** Parameters and all other state, by name. */
  readonly scope: Scope
  readonly #backend: Backend
  readonly #options: ExecutorOptions
  readonly #memory: Memory
  readonly #plans: PlanCache
  readonly #planner: Planner
  readonly #queue: RunQueue

  /** Throws CF_BAD_ARGUMENT for options out of range. Opens the backend's memory, which `close` frees. */
  constructor(backend: Backend, options: ExecutorOptions) {
    const { maxPlans = 16, memoryLimit, timeBudget } = options
    checkLimits(timeBudget)
    if (!Number.isSafeInteger(maxPlans) || maxPlans < 1)
      fail("CF_BAD_ARGUMENT", `maxPlans must be a positive integer, got ${maxPlans}`)
    if (memoryLimit !== undefined && !(memoryLimit > 0))
      fail("CF_BAD_ARGUMENT", `memoryLimit must be positive, got ${memoryLimit}`)
    this.#backend = backend
    this.#options = options
    this.#memory = backend.openMemory()
    this.scope = new Scope(this.#memory)
    this.#planner = new Planner(backend, this.#memory, this.scope, options)
    this.#plans = new PlanCache(maxPlans)
    const closed = { why: "the executor was closed", fix: "make a new one" }
    this.#queue = new RunQueue({ backend: backend.name, canRunSync: backend.canRunSync, closed, timeBudget })
  }

  /** The name of the backend. */
  get backend(): string {
    return this.#backend.name
  }

  /** Bytes really allocated (for the tape: as many as a step has needed at most), and how many plans are held. */
  get memory(): { arenaBytes: number; stateBytes: number; tapeBytes: number; plans: number } {
    const { arenaBytes, stateBytes, tapeBytes = 0 } = this.#memory
    return { arenaBytes, stateBytes, tapeBytes, plans: this.#plans.size }
  }

  /**
   * Runs a program: what the fetches need and everything that leads to a state write. Runs are served in call order; the feed is
   * read when the run starts. Answers one tensor per fetch, in order, which the caller owns; without fetches it is a step all
   * the same.
   *
   * Feeds are checked completely before anything runs: CF_FEED_MISSING, CF_FEED_UNKNOWN, CF_FEED_SHAPE, CF_FEED_DTYPE,
   * CF_INT_RANGE, CF_SYMBOL_CONFLICT; fetches: CF_FETCH_UNKNOWN; state: CF_STATE_MISSING, CF_STATE_MISMATCH. A run that fails,
   * for an index out of range too (CF_INDEX_RANGE), leaves all state as it was. So does one that is ended before its time: loops
   * stop after `timeBudget` milliseconds (CF_TIME_BUDGET), and a `signal` aborts (CF_ABORTED).
   *
   * @example
   * ```ts
   * const [l, w] = await exe.run(main, { feed: { x: [[1, 2], [3, 4]], y: [5, 6] }, fetch: [loss, "fc_0.w_0"] })
   * console.log(l.item(), w.toArray())
   * ```
   */
  run<const F extends readonly Fetch[] = []>(program: Program, options: RunOptions<F> = {}): Promise<Fetched<F>> {
    return this.#queue.enqueue(() => {
      const { step, feeds } = this.#prepare<F>(program, options)
      return step.executeAsync(feeds, options)
    })
  }

  /** Like `run`, now. Throws CF_ASYNC_ONLY where the backend cannot, CF_BUSY while asynchronous runs are queued. */
  runSync<const F extends readonly Fetch[] = []>(program: Program, options: RunOptions<F> = {}): Fetched<F> {
    this.#queue.requireIdle()
    const { step, feeds } = this.#prepare<F>(program, options)
    return step.execute(feeds, options)
  }

  /**
   * Compiles a program for these feed shapes. The step's memory, FLOPs and plan are known before its first run. Throws
   * CF_KERNEL_MISSING for an op the backend cannot run and CF_MEMORY_LIMIT for a plan that needs too much.
   *
   * @example
   * ```ts
   * const step = await exe.compile(main, { feed: { x: [2, 2], y: [2, 1] }, fetch: [loss] })
   * console.log(step.memory.peakBytes, step.flops)
   * const [l] = step.runSync({ x: [1, 2, 3, 4], y: [5, 6] })
   * ```
   */
  compile<const F extends readonly Fetch[] = []>(
    program: Program,
    options: CompileOptions<F> = {},
  ): Promise<Step<Fetched<F>>> {
    return this.#queue.enqueue(() => this.compileSync(program, options))
  }

  compileSync<const F extends readonly Fetch[] = []>(
    program: Program,
    options: CompileOptions<F> = {},
  ): Step<Fetched<F>> {
    this.#queue.requireOpen()
    const resolved = this.#resolve(program)
    const fetches = fetchNames(resolved, options.fetch ?? [])
    const data = dataVariables(resolved)
    const shapes = new Map<string, readonly number[]>()
    for (const [name, given] of Object.entries(options.feed ?? {})) {
      if (!data.has(name)) refuseUnknown(name, data.keys())
      shapes.set(name, shapeGiven(name, given))
    }
    const plan = this.#compile(resolved, fetches, shapes)
    return this.#load(plan) as Step<Fetched<F>>
  }

  /** Frees everything. What was fetched stays the caller's. */
  close(): void {
    if (this.#queue.isClosed) return
    this.#queue.close()
    this.#plans.clear()
    this.#memory.close()
  }

  #prepare<F extends readonly Fetch[]>(
    program: Program,
    options: RunOptions<F>,
  ): { step: Step<Fetched<F>>; feeds: Map<string, ReadFeed> } {
    const { feed = {}, fetch } = options
    this.#queue.requireOpen()
    requireGoing(options)
    const resolved = this.#resolve(program)
    const fetches = fetchNames(resolved, fetch ?? [])
    const { feeds, shapes } = readFeeds(resolved, feed)
    const known = this.#plans.find(resolved, fetches, shapes)
    if (known !== undefined) return { step: known as Step<Fetched<F>>, feeds }
    const step = this.#load(this.#compile(resolved, fetches, shapes))
    this.#plans.add(resolved, fetches, shapes, step)
    return { step: step as Step<Fetched<F>>, feeds }
  }

  #resolve(program: Program): Program {
    if (!(program instanceof Program)) {
      return fail("CF_BAD_ARGUMENT", `a Program is needed, got ${describeValue(program)}`, { op: "run" })
    }
    const { registry } = this.#options
    if (registry === undefined || program.isResolved) return program
    return this.#plans.resolved(program, () => attachRecords(program, (name) => registry[name], Object.keys(registry)))
  }

  #lower(program: Program, fetches: readonly string[]): LoweredProgram {
    return this.#plans.lowered(program, fetches, () =>
      this.#options.legalize(program, { fetches, keep: new Set(this.#backend.keeps) }),
    )
  }

  #compile(program: Program, fetches: readonly string[], shapes: ReadonlyMap<string, readonly number[]>): Plan {
    return this.#planner.plan(program, this.#lower(program, fetches), fetches, shapes)
  }

  #load(plan: Plan): Step {
    const states = new Map(
      plan.states.flatMap((id) => {
        const variable = plan.vars[id]
        return variable === undefined ? [] : [[id, this.scope.region(variable)] as const]
      }),
    )
    this.#memory.reserveArena(plan.memory.arenaBytes)
    return new Step(plan, this.#backend.load(plan, this.#memory, states), states, this.scope, this.#queue)
  }
}

function dataVariables(program: Program): Map<string, Variable> {
  return new Map([...program.globalBlock().vars].filter(([, variable]) => variable.isData))
}

/** Reads all feeds; those that bring a shape bind symbols first, so that flat ones can follow. */
function readFeeds(
  program: Program,
  feed: Feeds,
): { feeds: Map<string, ReadFeed>; shapes: Map<string, readonly number[]> } {
  const data = dataVariables(program)
  const feeds = new Map<string, ReadFeed>()
  const shapes = new Map<string, readonly number[]>()
  const symbols = new Map<string, number>()
  const learn = (variable: Variable, shape: readonly number[]) => {
    shapes.set(variable.name, shape)
    // A feed of another rank tells no sizes: it is refused for itself, not for what it would make of others.
    if (shape.length !== variable.shape.length) return
    variable.shape.forEach((dim, axis) => {
      const size = shape[axis]
      if (typeof dim !== "number" && size !== undefined && !symbols.has(dim.key)) symbols.set(dim.key, size)
    })
  }
  for (const [name, value] of Object.entries(feed)) {
    const variable = data.get(name) ?? refuseUnknown(name, data.keys())
    const read = readFeed(variable, value)
    feeds.set(name, read)
    if (read.shape !== null) learn(variable, read.shape)
  }
  for (const [name, read] of feeds) {
    const variable = data.get(name)
    if (variable !== undefined && read.shape === null)
      learn(variable, shapeOfFlat(variable, read.values.length, symbols))
  }
  return { feeds, shapes }
}

function shapeGiven(name: string, given: unknown): readonly number[] {
  const shape = Array.isArray(given) ? given : (given as { shape?: unknown } | null)?.shape
  if (Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0)) return shape as number[]
  return fail("CF_FEED_SHAPE", `the shape of feed ${name} must be a list of sizes, got ${JSON.stringify(given)}`, {
    op: "compile",
    fix: `compile(program, { feed: { ${name}: [64, 13] } })`,
  })
}

/** Names of fetches. A variable of another program (the one this is a clone of) stands for the variable of its name. */
function fetchNames(program: Program, fetch: readonly Fetch[]): string[] {
  if (!Array.isArray(fetch))
    fail("CF_FETCH_UNKNOWN", `fetch must be a list, got ${describeValue(fetch)}`, { fix: "fetch: [loss]" })
  return fetch.map((entry: unknown) => {
    if (typeof entry !== "string" && !(entry instanceof Variable)) {
      return fail("CF_FETCH_UNKNOWN", `a fetch must be a Variable or a name, got ${describeValue(entry)}`)
    }
    const name = typeof entry === "string" ? entry : entry.name
    const found = program.globalBlock().vars.get(name)
    if (found !== undefined) return name
    const suggestion = nearest(name, program.globalBlock().vars.keys())
    return fail("CF_FETCH_UNKNOWN", `the program has no variable "${name}" to fetch`, {
      fix: suggestion === undefined ? "fetch a variable of this program" : `did you mean "${suggestion}"?`,
    })
  })
}
