// A compiled step: one plan, loaded. Running it copies feeds in, runs, commits, copies results out, and allocates only those.

import type { BoundVar, Plan, PlanMemory } from "@counterflow/compiler"
import { allocate, fail, nearest, type TypedArray, type VarId } from "@counterflow/ir"
import type { LoadedPlan, StateRegion } from "./backend.ts"
import { copyIn, copyOut } from "./convert.ts"
import { type Feeds, type FeedValue, type ReadFeed, readFeed, shapeOfRead } from "./feed.ts"
import type { RunQueue } from "./queue.ts"
import type { Scope } from "./scope.ts"
import { Tensor } from "./tensor.ts"
import { checkLimits, requireWanted, type RunLimits, type StopSignal } from "./watch.ts"

/** What may end a run before its time: see the options of an Executor for what is usual. */
export interface LimitOptions {
  /**
   * Milliseconds after which no loop of the run goes on: it stops with CF_TIME_BUDGET, and state is as it was. Infinity for no
   * limit. What is no loop runs to its end.
   */
  timeBudget?: number | undefined
  /**
   * Aborts the run, with CF_ABORTED, whose `cause` is the signal's reason; state is as it was. An AbortSignal acts before the run
   * begins, and within where the run leaves this thread free: on the main thread of a page, where `run` works with threads. An
   * Int32Array on a SharedArrayBuffer acts within every loop, as soon as another thread makes its first element other than 0.
   */
  signal?: StopSignal | undefined
}

/** Options of one run of a step. */
export interface StepOptions extends LimitOptions {
  /** Arrays that take the results instead of new ones, in the order of the fetches. */
  into?: readonly TypedArray[]
}

/** What running takes of a plan: all but the operators. A step that was saved has no more. */
export interface StepPlan extends Pick<
  Plan,
  "feeds" | "fetches" | "states" | "reads" | "commits" | "writes" | "memory" | "flops" | "mayBeEndless"
> {
  readonly vars: readonly StepVar[]
}

export type StepVar = Pick<BoundVar, "name" | "shape" | "elements" | "dtype" | "kind">

interface Feed {
  readonly id: VarId
  readonly variable: StepVar
}

/**
 * A program compiled for fixed sizes: what `Executor.compile` answers. It runs as often as wanted, allocates nothing but its
 * results, and stays valid when other programs are compiled. `R` is one tensor per fetch; `P` says how much is known of the plan.
 *
 * @example
 * ```ts
 * const step = await exe.compile(main, { feed: { x: [2, 2], y: [2, 1] }, fetch: [loss] })
 * const into = [new Float32Array(1)]
 * for (let i = 0; i < 3; i++) step.runSync({ x: [1, 2, 3, 4], y: [5, 6] }, { into })
 * console.log(into[0])
 * step.close()
 * ```
 */
export class Step<R extends readonly Tensor[] = Tensor[], P extends StepPlan = Plan> {
  /** Kernels, order and places; `plan.toString()` is a listing. */
  readonly plan: P
  /** @internal what the backend made of the plan */
  readonly loaded: LoadedPlan
  readonly #states: ReadonlyMap<VarId, StateRegion>
  readonly #scope: Scope
  readonly #queue: RunQueue
  readonly #feeds: readonly Feed[]
  /** Every data variable of the program: known names, whether this plan needs them or not. */
  readonly #known: ReadonlySet<string>
  #isReady = false
  #isClosed = false
  #hasCommitted = false

  constructor(plan: P, loaded: LoadedPlan, states: ReadonlyMap<VarId, StateRegion>, scope: Scope, queue: RunQueue) {
    this.plan = plan
    this.loaded = loaded
    this.#states = states
    this.#scope = scope
    this.#queue = queue
    this.#known = new Set(plan.vars.flatMap(({ kind, name }) => (kind === "data" ? [name] : [])))
    this.#feeds = plan.feeds.flatMap((id) => {
      const variable = plan.vars[id]
      return variable === undefined ? [] : [{ id, variable }]
    })
  }

  /** Bytes, known before the first run. */
  get memory(): PlanMemory {
    return this.plan.memory
  }

  /** Floating point operations of one run. */
  get flops(): number {
    return this.plan.flops
  }

  /**
   * Runs now. Throws CF_ASYNC_ONLY where the backend cannot, CF_BUSY while asynchronous runs are queued, CF_FEED_SHAPE for feeds of
   * other sizes than the step was compiled for, CF_CLOSED after `close`, and what `Executor.run` throws.
   */
  runSync(feeds: Feeds = noFeeds, options: StepOptions = noOptions): R {
    this.#queue.requireIdle()
    requireGoing(options)
    this.#take(feeds)
    return this.#runSync(options)
  }

  /** Runs after all runs called before. The feed is read when its run starts. */
  run(feeds: Feeds = noFeeds, options: StepOptions = noOptions): Promise<R> {
    return this.#queue.enqueue(() => {
      requireGoing(options)
      this.#take(feeds)
      return this.#run(options)
    })
  }

  /** @internal with feeds that were read and checked */
  execute(feeds: ReadonlyMap<string, ReadFeed>, options: LimitOptions): R {
    this.#fill(feeds)
    return this.#runSync(options)
  }

  /** @internal */
  executeAsync(feeds: ReadonlyMap<string, ReadFeed>, options: LimitOptions): Promise<R> | R {
    this.#fill(feeds)
    return this.#run(options)
  }

  /** Frees what the plan holds; state stays. */
  close(): void {
    this.#isClosed = true
    this.loaded.close()
  }

  /** Feeds as the user gives them. An array that holds exactly what is stored is copied without a further look. */
  #take(feeds: Feeds): void {
    if (this.#isClosed) fail("CF_CLOSED", "the step was closed", { fix: "compile it again" })
    for (const name in feeds) if (!this.#known.has(name)) refuseUnknown(name, this.#known)
    for (const feed of this.#feeds) {
      const value = feeds[feed.variable.name]
      if (value === undefined) return refuseMissing(feed.variable.name)
      if (isStored(value, feed.variable)) copyIn(this.loaded.view(feed.id), value)
      else this.#takeAny(feed, value)
    }
  }

  #takeAny({ id, variable }: Feed, value: FeedValue): void {
    const { name, shape } = variable
    const read = readFeed(variable, value)
    const given = shapeOfRead(variable, read)
    if (!sameSizes(given, shape)) {
      fail(
        "CF_FEED_SHAPE",
        `this step was compiled for ${name} of shape [${shape.join(", ")}], got [${given.join(", ")}]`,
        {
          fix: "compile a step for this shape, or use exe.run, which compiles one plan per shape",
        },
      )
    }
    copyIn(this.loaded.view(id), read.values)
  }

  #fill(feeds: ReadonlyMap<string, ReadFeed>): void {
    for (const { id, variable } of this.#feeds) {
      const feed = feeds.get(variable.name)
      if (feed !== undefined) copyIn(this.loaded.view(id), feed.values)
    }
  }

  #runSync(options: StepOptions): R {
    const { into } = options
    this.#requireState()
    if (into !== undefined) this.#checkInto(into)
    this.loaded.runSync(this.#limits(options))
    return this.#finish(into)
  }

  #run(options: StepOptions): Promise<R> | R {
    if (this.loaded.run === undefined) return this.#runSync(options)
    this.#requireState()
    const { into } = options
    if (into !== undefined) this.#checkInto(into)
    return this.loaded.run(this.#limits(options)).then(() => this.#finish(into))
  }

  /** Undefined where nothing can end a run early, so that it need not look. */
  #limits({ timeBudget = this.#queue.timeBudget, signal }: LimitOptions): RunLimits | undefined {
    const usual = this.plan.mayBeEndless ? usualTimeBudget : Infinity
    const budget = timeBudget ?? usual
    return budget === Infinity && signal === undefined ? undefined : { timeBudget: budget, signal }
  }

  /** Everything the plan reads must have a value; once it has, it keeps one. */
  #requireState(): void {
    if (this.#isReady) return
    for (const id of this.plan.reads) {
      const name = this.plan.vars[id]?.name ?? ""
      if (!this.#scope.has(name)) {
        fail("CF_STATE_MISSING", `${name} has no value yet`, { fix: "run the startup program first, or load weights" })
      }
    }
    this.#isReady = true
  }

  /** Results that are no state come first: what cannot be handed out fails the step, and a failed step commits nothing. */
  #finish(into: readonly TypedArray[] | undefined): R {
    const { plan } = this
    const results = plan.fetches.map((id, index) => (this.#states.has(id) ? null : this.#result(id, index, into)))
    for (const { state, value } of plan.commits) {
      const view = this.#states.get(state)?.view()
      if (view !== undefined) copyIn(view, this.loaded.view(value))
    }
    if (!this.#hasCommitted) for (const id of plan.writes) this.#scope.markSet(plan.vars[id]?.name ?? "")
    this.#hasCommitted = true
    const all: readonly Tensor[] = results.map(
      (result, index) => result ?? this.#result(plan.fetches[index] ?? -1, index, into),
    )
    return all as R
  }

  #result(id: VarId, index: number, into: readonly TypedArray[] | undefined): Tensor {
    const variable = this.plan.vars[id]
    if (variable === undefined) return fail("CF_INTERNAL", "a plan fetches a variable it does not have")
    const data = into?.[index] ?? allocate(variable.dtype, variable.elements)
    copyOut(data, this.#states.get(id)?.view() ?? this.loaded.view(id), variable.dtype, variable.name)
    return new Tensor(data, variable.shape, variable.dtype)
  }

  #checkInto(into: readonly TypedArray[]): void {
    this.plan.fetches.forEach((id, index) => {
      const variable = this.plan.vars[id]
      const array = into[index]
      if (variable === undefined) return
      const fits =
        array !== undefined &&
        array.constructor === allocate(variable.dtype, 0).constructor &&
        array.length === variable.elements
      if (!fits) {
        fail(
          "CF_BAD_ARGUMENT",
          `into[${index}] must be an array of ${variable.elements} ${variable.dtype} elements for ${variable.name}`,
          {
            op: "step.run",
          },
        )
      }
    })
  }
}

/** Milliseconds for loops of which nobody knows that they end, where nobody says otherwise. */
const usualTimeBudget = 60_000

/** @internal refuses limits that are none, and runs that are not wanted any more */
export function requireGoing({ timeBudget, signal }: LimitOptions): void {
  checkLimits(timeBudget, signal)
  requireWanted(signal)
}

const noFeeds: Feeds = {}
const noOptions: StepOptions = {}

/** Arrays whose every value is a value of the variable. (int64 and bool have values of their arrays that are none.) */
function isStored(
  value: FeedValue,
  { dtype, elements }: StepVar,
): value is Float32Array | Float64Array | Int32Array | Uint8Array {
  switch (dtype) {
    case "float32":
      return value instanceof Float32Array && value.length === elements
    case "float64":
      return value instanceof Float64Array && value.length === elements
    case "int32":
      return value instanceof Int32Array && value.length === elements
    case "uint8":
      return value instanceof Uint8Array && value.length === elements
    case "int64":
    case "bool":
      return false
  }
}

export function sameSizes(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis])
}

export function refuseUnknown(name: string, known: Iterable<string>): never {
  const names = [...known]
  const suggestion = nearest(name, names)
  return fail("CF_FEED_UNKNOWN", `the program has no data variable "${name}"`, {
    fix:
      suggestion === undefined
        ? `its data variables are ${names.join(", ") || "none"}`
        : `did you mean "${suggestion}"?`,
  })
}

export function refuseMissing(name: string): never {
  return fail("CF_FEED_MISSING", `${name} is needed by this run and was not fed`, {
    fix: `feed ${name}; to predict without labels and without training, run main.clone({ forTest: true })`,
  })
}
