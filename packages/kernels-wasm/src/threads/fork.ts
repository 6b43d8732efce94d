// Stages of a step that several threads do together: parts that do not touch each other, each taken by whoever is free. The
// thread that runs the step takes parts like all others and waits at the end only for those that somebody has begun, so a
// thread that is late, asleep or not there at all holds nobody up. Which thread does a part never shows in the result.
//
//   work = plan (32 bits) | stage (16) | parts (8) | next part (8)
//
// A part is taken by raising `next part` if the word is still what it was. The word says all there is to know about a part, so
// a thread that has slept through stages, plans and steps either takes one that is really to be done, or fails to.

import {
  atomicI32,
  atomicI64,
  atomicMemory,
  call,
  type FunctionRef,
  i32,
  i64,
  type ModuleBuilder,
  select,
} from "../assembler/index.ts"
import { words } from "./words.ts"

/** Runs a part of a stage: (part, arena). */
export type StageRef = FunctionRef<readonly ["i32", "i32"], readonly []>

/** The same, by number: (stage, part, arena). */
type RunRef = FunctionRef<readonly ["i32", "i32", "i32"], readonly []>
/** Takes a part of a plan's stage; answers whether to look again. */
type TakeRef = FunctionRef<readonly ["i32"], readonly ["i32"]>
/** Has a stage done, and returns when it is. */
export type ForkRef = FunctionRef<readonly ["i32"], readonly []>

export const maxStages = 2 ** 16
export const maxParts = 2 ** 8 - 1

/**
 * Rounds in which a thread looks for work, or for the end of it, before it sleeps. Each has a fence, which takes some twenty
 * nanoseconds however well the engine has compiled the rest: so these are fifteen microseconds, and one.
 */
const rounds = { look: 700, join: 700, glance: 40 }
/** A thread that has found nothing so often only glances, but for every eighth time. */
const patience = { misses: 4, again: 8 }

const forever = -1n

/** What `fork` is told of a stage. */
export function stageWord(stage: number, parts: number): number {
  return stage * 2 ** 16 + parts * 2 ** 8
}

/** The function that has all parts of a stage done. Exports `help`, in which the other threads live. */
export function emitFork(module: ModuleBuilder, stages: readonly StageRef[]): ForkRef {
  const run = dispatch(module, stages)
  const take = module.function("take", ["i32"], ["i32"], (f, plan) => {
    const work = f.let(atomicI64.load(0, words.work), "work")
    f.if(i32.ne(i32.wrapI64(i64.shrU(work, 32)), plan), () => f.return(0))
    const low = f.let(i32.wrapI64(work), "stage")
    const part = f.let(i32.and(low, 255), "part")
    const parts = f.let(i32.and(i32.shrU(low, 8), 255), "parts")
    f.if(i32.geU(part, parts), () => f.return(0))
    const found = atomicI64.rmwCmpxchg(0, work, i64.add(work, 1), words.work)
    f.if(i64.ne(found, work), () => f.return(1))
    f.run(run, i32.shrU(low, 16), part, atomicI32.load(0, words.arena))
    const done = i32.add(atomicI32.rmwAdd(0, 1, words.done), 1)
    f.if(i32.eq(done, parts), () => f.drop(atomicMemory.notify(0, 1, words.done)))
    f.return(1)
  })
  module.export("help", emitHelp(module, take))
  return module.function("fork", ["i32"], [], (f, stage) => {
    const parts = f.let(i32.and(i32.shrU(stage, 8), 255), "parts")
    f.if(i32.eqz(atomicI32.load(0, words.hasHelp)), () => {
      f.forRange(parts, (part) => f.run(run, i32.shrU(stage, 16), part, atomicI32.load(0, words.arena)))
      f.return()
    })
    const plan = f.let(atomicI32.load(0, words.plan), "plan")
    f.store("i32.atomic", 0, 0, words.done)
    const work = i64.or(i64.shl(i64.extendI32U(plan), 32), i64.extendI32U(stage))
    f.store("i64.atomic", 0, work, words.work)
    f.drop(atomicI32.rmwAdd(0, 1, words.signal))
    f.if(atomicI32.load(0, words.sleepers), () => f.drop(atomicMemory.notify(0, i32.sub(parts, 1), words.signal)))
    f.loop((next) => f.branch(next, call(take, plan)), "take")
    const [done, turn] = [f.local("i32", undefined, "done"), f.local("i32", undefined, "turn")]
    f.loop((again) => {
      f.set(done, atomicI32.load(0, words.done))
      f.if(i32.eq(done, parts), () => {
        f.if(atomicI32.load(0, words.isBroken), () => f.trap())
        f.return()
      })
      f.increment(turn, 1)
      f.fence()
      f.branch(again, i32.ltU(turn, rounds.join))
      f.drop(atomicMemory.wait32(0, done, forever, words.done))
      f.branch(again)
    }, "join")
  })
}

/**
 * Takes part in the steps of one plan; returns when another one runs, or when there is a message that was not received. Between
 * stages it looks for the next one for a while, as long as that pays: where steps pause for longer, or where the thread that
 * runs the step waits for this very core, it had better sleep.
 */
function emitHelp(module: ModuleBuilder, take: TakeRef): FunctionRef {
  return module.function("help", ["i32", "i32"], [], (f, plan, received) => {
    const local = (name: string) => f.local("i32", undefined, name)
    const [seen, turn, misses, last] = [local("seen"), local("turn"), local("misses"), local("last")]
    f.loop((again) => {
      f.set(seen, atomicI32.load(0, words.signal))
      f.set(turn, 0)
      const looks = i32.or(i32.ltU(misses, patience.misses), i32.eqz(i32.remU(misses, patience.again)))
      f.set(last, select(looks, i32.const(rounds.look), i32.const(rounds.glance)))
      f.loop((look) => {
        f.if(i32.ne(atomicI32.load(0, words.mail), received), () => f.return())
        f.if(i32.ne(atomicI32.load(0, words.plan), plan), () => f.return())
        f.if(call(take, plan), () => {
          f.if(turn, () => f.set(misses, 0))
          f.set(turn, 0)
          f.branch(look)
        })
        f.increment(turn, 1)
        f.fence()
        f.branch(look, i32.ltU(turn, last))
      }, "look")
      f.increment(misses, 1)
      // Who signals looks for sleepers afterwards, and who sleeps looks for the signal: one of the two sees the other.
      f.drop(atomicI32.rmwAdd(0, 1, words.sleepers))
      f.drop(atomicMemory.wait32(0, seen, forever, words.signal))
      f.drop(atomicI32.rmwSub(0, 1, words.sleepers))
      f.branch(again)
    }, "help")
  })
}

const stagesPerFunction = 256

/** By number; in two steps where they are many, since engines compile function by function. */
function dispatch(module: ModuleBuilder, stages: readonly StageRef[]): RunRef {
  const groups = Array.from({ length: Math.ceil(stages.length / stagesPerFunction) }, (_, i) =>
    module.function(`stages_${i}`, ["i32", "i32", "i32"], [], (f, stage, part, arena) => {
      const group = stages.slice(i * stagesPerFunction, (i + 1) * stagesPerFunction)
      const cases = group.map((target) => () => f.run(target, part, arena))
      f.switch(i32.remU(stage, stagesPerFunction), cases)
    }),
  )
  const [only] = groups
  if (only !== undefined && groups.length === 1) return only
  return module.function("stages", ["i32", "i32", "i32"], [], (f, stage, part, arena) => {
    const cases = groups.map((target) => () => f.run(target, stage, part, arena))
    f.switch(i32.divU(stage, stagesPerFunction), cases)
  })
}
