// Stages over shared memory: every part of every stage is done exactly once before the step goes on, whoever does it, however
// many threads there are, and whether they have come yet or not.

import { afterEach, describe, expect, test } from "vitest"
import { atomicI32, type FunctionBuilder, i32, ModuleBuilder } from "../../src/assembler/index.ts"
import type { HostMemory } from "../../src/host.ts"
import { emitFork, stageWord } from "../../src/threads/fork.ts"
import { Team, type TeamPlan } from "../../src/threads/team.ts"
import { sharedControlBytes, words } from "../../src/threads/words.ts"

const arena = 1024
/** Where threads leave word that they were here. */
const visited = 512 * 1024

const teams: Team[] = []

afterEach(() => {
  for (const team of teams.splice(0)) team.close()
})

function open(threads: number): { memory: HostMemory; team: Team } {
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 2 ** 16, shared: true })
  const team = new Team(memory, threads)
  teams.push(team)
  return { memory, team }
}

interface Opened {
  readonly plan: TeamPlan
  readonly counters: Int32Array
  step(): number
}

/**
 * A step of stages with so many parts each, one after another. Part p of stage s raises its own counter by 1 if all counters
 * of the stage before stand one higher than its own, and by a thousand if not. Then it goes on for `rounds` rounds.
 */
function load({ memory, team }: ReturnType<typeof open>, parts: readonly number[], rounds: number): Opened {
  const module = new ModuleBuilder()
  module.importMemory("host", "memory", { minPages: 1, maxPages: 2 ** 16, isShared: true })
  const starts = parts.map((_, s) => parts.slice(0, s).reduce((sum, count) => sum + count, 0))
  const stages = parts.map((_, s) =>
    module.function(`stage_${s}`, ["i32", "i32"], [], (f, part, base) => {
      const own = f.let(i32.add(base, i32.mul(part, 4)), "own")
      const at = 4 * (starts[s] ?? 0)
      const amount = f.let(i32.const(1), "amount")
      const expected = f.let(i32.add(i32.load(own, at), 1), "expected")
      for (let before = 0; s > 0 && before < (parts[s - 1] ?? 0); before++) {
        const isEarly = i32.ne(i32.load(base, 4 * ((starts[s - 1] ?? 0) + before)), expected)
        f.if(isEarly, () => f.set(amount, 1000))
      }
      const x = f.let(expected, "x")
      f.forRange(rounds, (i) => f.set(x, i32.xor(i32.add(x, i), i32.shl(x, 1))))
      f.drop(atomicI32.rmwXor(visited, x))
      f.store("i32", own, i32.add(i32.load(own, at), amount), at)
    }),
  )
  const fork = emitFork(module, stages)
  const step = module.function("step", ["i32"], ["i32"], (f) => {
    for (const [s, count] of parts.entries()) f.run(fork, stageWord(s, count))
    f.return(0)
  })
  module.export("step", step)
  const bytes = module.finish()
  expect(WebAssembly.validate(bytes)).toBe(true)
  const compiled = new WebAssembly.Module(bytes)
  const { exports } = new WebAssembly.Instance(compiled, { host: { memory: memory as WebAssembly.Memory } })
  const run = exports["step"] as (arena: number) => number
  const plan = team.load(compiled)
  const total = parts.reduce((sum, count) => sum + count, 0)
  const counters = new Int32Array(memory.buffer, arena, total)
  return {
    plan,
    counters,
    step: () => {
      plan.prepare(arena)
      return run(arena)
    },
  }
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** All parts of the control area, for looking at. */
function control(memory: HostMemory): (address: number) => number {
  const all = new Int32Array(memory.buffer, 0, sharedControlBytes / 4)
  return (address) => Atomics.load(all, address / 4)
}

describe.each([1, 2, 3, 4])("%i threads", (threads) => {
  test("do every part once, in the order of the stages", async () => {
    const parts = [2, 8, 1, 3, 255, 2]
    const opened = load(open(threads), parts, 40)
    for (let i = 0; i < 200; i++) opened.step()
    // By now the workers have started, in the midst of things or not.
    await pause(60)
    for (let i = 0; i < 800; i++) opened.step()
    expect(new Set(opened.counters)).toEqual(new Set([1000]))
  })

  test("know which of several plans runs", async () => {
    const place = open(threads)
    const first = load(place, [4, 2, 4], 300)
    const second = load(place, [4, 2, 4], 10)
    for (let i = 0; i < 200; i++) {
      first.step()
      second.step()
      if (i % 50 === 0) await pause(10)
    }
    second.plan.close()
    for (let i = 0; i < 100; i++) first.step()
    const third = load(place, [4, 2, 4], 10)
    for (let i = 0; i < 100; i++) (i % 2 === 0 ? third : first).step()
    await pause(20)
    for (let i = 0; i < 100; i++) (i % 2 === 0 ? third : first).step()
    expect(new Set(first.counters)).toEqual(new Set([700]))
  })
})

/** Two parts that wait for each other, for a few seconds at most; then `last` of the second, which a worker takes. */
function meeting({ memory, team }: ReturnType<typeof open>, last: (f: FunctionBuilder) => void): () => void {
  const module = new ModuleBuilder()
  module.importMemory("host", "memory", { minPages: 1, maxPages: 2 ** 16, isShared: true })
  const stage = module.function("stage_0", ["i32", "i32"], [], (f, part, base) => {
    f.drop(atomicI32.rmwAdd(base, 1))
    const round = f.local("i32")
    f.loop((again) => {
      f.increment(round, 1)
      f.branch(again, i32.and(i32.ltU(atomicI32.load(base), 2), i32.ltU(round, 2 ** 32 - 1)))
    })
    f.store("i32", i32.add(base, i32.mul(part, 4)), atomicI32.load(base), 4)
    f.if(part, () => last(f))
  })
  const fork = emitFork(module, [stage])
  const step = module.function("step", [], [], (f) => f.run(fork, stageWord(0, 2)))
  module.export("step", step)
  const compiled = new WebAssembly.Module(module.finish())
  const { exports } = new WebAssembly.Instance(compiled, { host: { memory: memory as WebAssembly.Memory } })
  team.load(compiled).prepare(arena)
  return exports["step"] as () => void
}

test("a worker takes a part while the caller does another, even if it starts only now", () => {
  const place = open(2)
  meeting(place, () => {})()
  expect(new Int32Array(place.memory.buffer, arena, 3)).toEqual(Int32Array.of(2, 2, 2))
})

test("a worker that fails where none can ends the step", () => {
  const step = meeting(open(2), (f) => f.trap())
  expect(step).toThrow(WebAssembly.RuntimeError)
})

test("threads that have nothing to do sleep", async () => {
  const place = open(4)
  const opened = load(place, [8], 10)
  const look = control(place.memory)
  await pause(100)
  for (let i = 0; i < 20; i++) opened.step()
  let asleep = 0
  for (let i = 0; i < 100 && asleep < 3; i++) {
    await pause(10)
    asleep = look(words.sleepers)
  }
  expect(asleep).toBe(3)
})

test("a stage is dispatched right however many there are", async () => {
  const parts = Array.from({ length: 700 }, (_, i) => 1 + (i % 3))
  const opened = load(open(2), parts, 1)
  await pause(60)
  for (let i = 0; i < 20; i++) opened.step()
  expect(new Set(opened.counters)).toEqual(new Set([20]))
})
