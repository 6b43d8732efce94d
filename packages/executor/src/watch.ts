// What ends a run before its time: a budget, or somebody who aborts it. Only loops can run on without end, so only they ask:
// before every run of a body but the first they burn fuel, and when there is none left they ask for more.

import { CounterflowError, fail } from "@counterflow/ir"

/** What this package needs of an `AbortSignal`, which every host has and none of our types know. */
export interface AbortSignalLike {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: "abort", listener: () => void): void
  removeEventListener(type: "abort", listener: () => void): void
}

/**
 * Who may abort a run: an `AbortSignal`, which acts whenever its own thread is free; or an `Int32Array` on shared memory, whose
 * first element another thread makes other than 0, which acts while a loop runs too.
 */
export type StopSignal = AbortSignalLike | Int32Array

/** What may end a run early. */
export interface RunLimits {
  /** Milliseconds from the start of the run after which no loop goes on; Infinity for no limit. */
  readonly timeBudget: number
  readonly signal?: StopSignal | undefined
}

/** A unit of fuel is the work of so many elements: a trip burns one at least. See `fuelOf`. */
const elementsPerUnit = 1024
/** Units between two looks at the clock, which takes some 50 ns. Where those took long, a look follows every trip. */
const [units, longMs] = [1024, 4]

/** The fuel that a trip of this much work (floating point operations, and elements that are written) burns. */
export function fuelOf(work: number): number {
  return Math.min(Math.max(Math.round(work / elementsPerUnit), 1), units)
}

/** Looks after one run. */
export class Watch {
  readonly #limits: RunLimits
  readonly #start: number = now()
  #last = this.#start

  constructor(limits: RunLimits) {
    this.#limits = limits
  }

  /** How much fuel may be burnt until it is asked again; 0: the run is to end. */
  refuel(): number {
    const { timeBudget, signal } = this.#limits
    const time = now()
    const passed = time - this.#last
    this.#last = time
    if (time - this.#start > timeBudget || isAborted(signal)) return 0
    return passed > longMs ? 1 : units
  }

  /** The error of the loop that ends. */
  stopped(trips: number): CounterflowError {
    const { timeBudget, signal } = this.#limits
    const passed = Math.round(now() - this.#start)
    const where = `after ${trips} ${trips === 1 ? "run" : "runs"} of this loop and ${passed} ms`
    if (isAborted(signal)) {
      return new CounterflowError({
        code: "CF_ABORTED",
        why: `the step was aborted ${where}`,
        cause: reasonOf(signal),
      })
    }
    return new CounterflowError({
      code: "CF_TIME_BUDGET",
      why: `the step has ${timeBudget} ms, and has not ended ${where}`,
      fix: "let the loop end sooner (maxTrips says how often it may run at most), or give the run more: { timeBudget }",
    })
  }
}

/** Milliseconds; every host has this clock. */
function now(): number {
  return (globalThis as object as { readonly performance: { now(): number } }).performance.now()
}

function isAborted(signal: StopSignal | undefined): boolean {
  if (signal === undefined) return false
  return signal instanceof Int32Array ? Atomics.load(signal, 0) !== 0 : signal.aborted
}

function reasonOf(signal: StopSignal | undefined): unknown {
  return signal === undefined || signal instanceof Int32Array ? undefined : signal.reason
}

/** Refuses a run that was aborted before it began. */
export function requireWanted(signal: StopSignal | undefined): void {
  if (!isAborted(signal)) return
  fail("CF_ABORTED", "the run was aborted before it began", { op: "run", cause: reasonOf(signal) })
}

/** Refuses what is no number of milliseconds, and what is no signal. */
export function checkLimits(timeBudget: number | undefined, signal?: StopSignal): void {
  if (timeBudget !== undefined && !(timeBudget > 0)) {
    fail("CF_BAD_ARGUMENT", `timeBudget must be a positive number of milliseconds, got ${timeBudget}`)
  }
  if (signal === undefined || (signal instanceof Int32Array && signal.length > 0)) return
  if (signal instanceof Int32Array || typeof signal.aborted !== "boolean") {
    fail("CF_BAD_ARGUMENT", "signal must be an AbortSignal, or an Int32Array of at least one element")
  }
}
