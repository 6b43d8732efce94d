// Branches and loops between kernels, as steps: the operators of a sub-block are a function of their own, called from here.

import { type Expr, type FunctionBuilder, i32, type Local, select } from "../../assembler/index.ts"
import { burnFuel, type Fuel, mostTrips, reportRuns } from "../control.ts"
import type { Place, PlacedTensor } from "../signature.ts"
import { addressOf, type Step } from "../step.ts"
import { startWalk, type TapedStack } from "./tape.ts"

/** A sub-block of an operator. */
export interface PlacedBlock {
  readonly params: readonly PlacedTensor[]
  readonly results: readonly PlacedTensor[]
  /** Runs it here. */
  readonly run: () => void
}

export interface Repetition {
  /** Infinity where only a run can tell: as often as `count` and `scanned` say. */
  readonly length: number
  /** An int32: fewer runs. */
  readonly count?: Place | undefined
  readonly reverse: boolean
  /** Where every run finds its number: an int32. */
  readonly index: Place
  /** Of what each run is given its row of: no more runs than any has rows. */
  readonly scanned: readonly TapedStack[]
}

export interface Condition {
  /** A byte: 0 ends the loop. */
  readonly truth: Place
  /** Where every run, and the test before it, find its number, and where that of all runs is left: int32. */
  readonly indices: readonly Place[]
  readonly trips: Place
  /** One run more fails. */
  readonly most: number
}

/** What operators with sub-blocks are made of, besides kernels. */
export interface Flow {
  readonly blocks: Readonly<Record<string, PlacedBlock>>
  /** What `yes` emits runs if the byte at `truth` is not 0, else what `no` emits. */
  readonly branch: (truth: Place, yes: () => void, no: () => void) => void
  /** What `body` emits runs once per number. */
  readonly repeat: (times: Repetition, body: () => void) => void
  /** What `test` emits runs, and as long as it finds the truth, what `body` emits. */
  readonly repeatWhile: (condition: Condition, test: () => void, body: () => void) => void
}

type Steps = readonly Step[]

export function branchStep(truth: Place, yes: Steps, no: Steps): Step {
  return {
    nest: (f, arena, perform) =>
      f.if(
        i32.load8U(addressOf(truth, arena)),
        () => perform(yes),
        () => perform(no),
      ),
  }
}

/** A loop as an operator: `op` is its number, which the step answers where the loop fails or is ended. */
export interface LoopOp {
  readonly op: number
  readonly fuel: Fuel
}

export function repeatStep(
  { length, count, reverse, index, scanned }: Repetition,
  body: Steps,
  { op, fuel }: LoopOp,
): Step {
  return {
    nest: (f, arena, perform) => {
      const walks = scanned.map((stack) => startWalk(f, arena, stack))
      const isEndless = length === Infinity && count === undefined && walks.length === 0
      const most = isEndless ? 0 : Math.min(length, mostTrips)
      const counted = count === undefined ? i32.const(most) : clamped(f, arena, count, most)
      const runs = walks.reduce((runs: Expr<"i32">, { records }) => smaller(f, records, runs), counted)
      f.forRange(runs, (run) => {
        if (length > 1) f.if(run, () => burnFuel(f, fuel, run, op))
        f.store("i32", addressOf(index, arena), reverse ? i32.sub(i32.sub(runs, 1), run) : run)
        for (const walk of walks) walk.advance(reverse)
        perform(body)
      })
    },
  }
}

function clamped(f: FunctionBuilder, arena: Local<"i32">, count: Place, length: number): Local<"i32"> {
  const given = f.let(i32.load(addressOf(count, arena)))
  const positive = f.let(select(i32.gtS(given, 0), given, i32.const(0)))
  return smaller(f, positive, i32.const(length))
}

function smaller(f: FunctionBuilder, a: Expr<"i32">, b: Expr<"i32">): Local<"i32"> {
  return f.let(select(i32.ltS(a, b), a, b))
}

export function whileStep(
  { truth, indices, trips, most }: Condition,
  test: Steps,
  body: Steps,
  { op, fuel }: LoopOp,
): Step {
  return {
    nest: (f, arena, perform) => {
      const run = f.local("i32")
      // The function may come here more than once.
      f.set(run, 0)
      f.block((end) => {
        f.loop((next) => {
          for (const index of indices) f.store("i32", addressOf(index, arena), run)
          perform(test)
          f.branch(end, i32.eqz(i32.load8U(addressOf(truth, arena))))
          f.if(i32.eq(run, most), () => {
            reportRuns(f, most)
            f.return(op)
          })
          f.if(run, () => burnFuel(f, fuel, run, op))
          perform(body)
          f.increment(run, 1)
          f.branch(next)
        })
      })
      f.store("i32", addressOf(trips, arena), run)
    },
  }
}
