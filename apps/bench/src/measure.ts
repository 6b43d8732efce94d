// One workload, all peers: each in a process of its own, all alive at once but only one at work, repetition r of every peer
// before repetition r + 1 of any, so that a drift of the machine's speed hits all alike.

import { busyMilliseconds, coreCount } from "./machine.ts"
import { isFailure } from "./protocol.ts"
import type { Runner } from "./process.ts"

export interface Settings {
  readonly repetitions: number
  /** How long one repetition is to take; short steps are repeated within it. */
  readonly target: number
  /** A peer whose set-up takes longer has failed. */
  readonly setUpLimit: number
  /** A first step that takes longer than this is the only one. */
  readonly onceOver: number
  /** How long a workload may wait, in all, for the machine to be quiet. */
  readonly patience: number
}

export interface Contestant {
  readonly name: string
  start(): Runner
}

/** What one peer did on one workload. Times are milliseconds of one step. */
export interface Row {
  readonly workload: string
  readonly peer: string
  version: string | null
  samples: number[]
  /** Steps in a repetition. */
  steps: number
  setUp: number | null
  first: number | null
  check: number | null
  note: string | null
  /** Why there are no samples, in the peer's words. */
  failure: string | null
  /** The most cores that other programs used during a repetition that was kept. */
  foreign: number
  /** Processor time over wall time: above 1, threads are at work, or the compiler and the garbage collector. */
  processor: number
  /** Resident memory at the end. */
  memory: number | null
  /** The most bytes of values at one time, as planned by those that plan. */
  planned: number | null
}

/** Other work above this many cores makes a repetition worth repeating. */
const quiet = 0.25
const tries = 4
/** A repetition as long as this is not tried again. */
const longRepetition = 3000

export async function measure(
  workload: string,
  contestants: readonly Contestant[],
  settings: Settings,
  wait: (milliseconds: number) => Promise<void> = sleep,
): Promise<Row[]> {
  const entries: Entry[] = []
  for (const contestant of contestants) {
    const entry = { row: emptyRow(workload, contestant.name), runner: contestant.start() }
    entries.push(entry)
    await attempt(entry, () => prepare(entry, settings))
  }
  const patience = { left: settings.patience }
  for (let repetition = 0; repetition < settings.repetitions; repetition++) {
    for (const entry of entries) {
      if (!isOut(entry.row)) await attempt(entry, () => repeat(entry, patience, wait))
    }
  }
  for (const entry of entries) {
    const reply = entry.row.failure === null ? await entry.runner.ask({ op: "memory" }) : null
    if (reply !== null && !isFailure(reply)) entry.row.memory = reply.bytes
    entry.runner.end()
  }
  return entries.map(({ row }) => row)
}

interface Entry {
  readonly row: Row
  readonly runner: Runner
}

function emptyRow(workload: string, peer: string): Row {
  return {
    workload,
    peer,
    version: null,
    samples: [],
    steps: 1,
    setUp: null,
    first: null,
    check: null,
    note: null,
    failure: null,
    foreign: 0,
    processor: 0,
    memory: null,
    planned: null,
  }
}

/** Failed, or so slow that one step was all. */
function isOut({ failure, steps }: Row): boolean {
  return failure !== null || steps === 0
}

/** A peer that fails is out; the others go on. */
async function attempt(entry: Entry, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    entry.row.failure = firstLine(error instanceof Error ? error.message : String(error))
    entry.row.samples = []
    entry.runner.end()
  }
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? text
}

/** A reply, or the peer's failure as an error. */
function granted<R extends object>(reply: R | { readonly failure: string }): R {
  if (isFailure(reply)) throw new Error(reply.failure)
  return reply
}

async function prepare({ row, runner }: Entry, { setUpLimit, onceOver, target }: Settings): Promise<void> {
  row.version = granted(await runner.ask({ op: "start" })).version
  const start = performance.now()
  const {
    check,
    note,
    peakBytes = null,
  } = granted(await runner.ask({ op: "setUp", workload: row.workload }, setUpLimit))
  row.setUp = performance.now() - start
  row.check = check
  row.note = note
  row.planned = peakBytes
  const { milliseconds, processorMilliseconds } = granted(await runner.ask({ op: "run", steps: 1 }))
  row.first = milliseconds
  if (milliseconds > onceOver) {
    row.samples = [milliseconds]
    row.processor = processorMilliseconds / milliseconds
    row.steps = 0
    row.note = [note, "one step only"].filter((text) => text !== null).join("; ")
    return
  }
  row.steps = await warmUp(runner, milliseconds, target)
}

/** Runs for two targets, more steps at a time, so that just-in-time compilers are done; answers the steps of a repetition. */
async function warmUp(runner: Runner, first: number, target: number): Promise<number> {
  let perStep = first
  let steps = 1
  for (let spent = 0; spent < 2 * target;) {
    steps = Math.max(1, Math.min(steps * 2, Math.ceil(target / perStep)))
    const { milliseconds } = granted(await runner.ask({ op: "run", steps }))
    // A clock too coarse for one step must not end in a loop.
    spent += Math.max(milliseconds, 0.01)
    perStep = Math.max(milliseconds / steps, 1e-6)
  }
  return Math.max(1, Math.round(target / perStep))
}

/** One repetition, the quietest of a few tries. */
async function repeat(
  { row, runner }: Entry,
  patience: { left: number },
  wait: (milliseconds: number) => Promise<void>,
): Promise<void> {
  let best: { milliseconds: number; processor: number; foreign: number } | null = null
  for (let n = 0; n < tries; n++) {
    const busy = busyMilliseconds()
    const { milliseconds, processorMilliseconds } = granted(await runner.ask({ op: "run", steps: row.steps }))
    const foreign = foreignCores(busyMilliseconds() - busy - processorMilliseconds, milliseconds)
    if (best === null || foreign < best.foreign) {
      best = { milliseconds, processor: processorMilliseconds / milliseconds, foreign }
    }
    if (best.foreign < quiet || patience.left <= 0 || milliseconds > longRepetition) break
    await wait(pause)
    patience.left -= pause + milliseconds
  }
  if (best === null) return
  row.samples.push(best.milliseconds / row.steps)
  row.foreign = Math.max(row.foreign, best.foreign)
  row.processor = Math.max(row.processor, best.processor)
}

const pause = 500

/**
 * The system counts its cores' time in ticks of 10 ms, so in a short repetition one tick looks like many cores: what the ticks
 * could have made up is taken off, and there are no more cores than there are.
 */
export function foreignCores(othersMilliseconds: number, milliseconds: number, cores: number = coreCount()): number {
  return Math.min(cores, Math.max(0, othersMilliseconds - tick * cores) / milliseconds)
}

const tick = 10

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
