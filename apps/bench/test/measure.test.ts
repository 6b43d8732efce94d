// The order of the measurements, and what becomes of peers that fail, with peers that keep a diary instead of processes.

import { describe, expect, test } from "vitest"
import { coreCount } from "../src/machine.ts"
import { type Contestant, foreignCores, measure, type Settings } from "../src/measure.ts"
import type { Runner } from "../src/process.ts"
import type { Replies, Request } from "../src/protocol.ts"

const settings: Settings = { repetitions: 3, target: 8, setUpLimit: 1000, onceOver: 100, patience: 0 }

interface Manner {
  /** Milliseconds that a step is said to take. */
  readonly step?: number
  /** The n-th request, from 0, that fails. */
  readonly failsAt?: number
}

/** A peer that answers at once what it is made to, and writes down what it is asked. */
function diarist(name: string, diary: string[], { step = 2, failsAt = Infinity }: Manner = {}): Contestant {
  let count = 0
  const reply = (request: Request): Replies[Request["op"]] => {
    switch (request.op) {
      case "start":
        return { version: `${name} 1` }
      case "setUp":
        return { check: 7, note: null }
      case "run":
        return { milliseconds: step * request.steps, processorMilliseconds: step * request.steps }
      case "memory":
        return { bytes: 1000 }
    }
  }
  const runner: Runner = {
    ask: <R extends Request>(request: R) => {
      diary.push(`${name} ${request.op === "run" ? `run ${request.steps}` : request.op}`)
      const answer = count++ === failsAt ? { failure: `${name} fails\n    at a place` } : reply(request)
      return Promise.resolve(answer as Replies[R["op"]])
    },
    end: () => {
      diary.push(`${name} end`)
    },
  }
  return { name, start: () => runner }
}

describe("measuring", () => {
  test("repetition r of every peer comes before repetition r + 1 of any", async () => {
    const diary: string[] = []
    await measure("mlp.64", [diarist("a", diary), diarist("b", diary, { step: 4 })], settings)
    // The first step, then twice the target at ever more steps: a takes 2 ms a step, b 4.
    expect(diary.slice(0, 12)).toEqual([
      ...["start", "setUp", "run 1", "run 2", "run 4", "run 4"].map((entry) => `a ${entry}`),
      ...["start", "setUp", "run 1", "run 2", "run 2"].map((entry) => `b ${entry}`),
      "a run 4",
    ])
    const repetitions = ["a run 4", "b run 2", "a run 4", "b run 2", "a run 4", "b run 2"]
    expect(diary.slice(11)).toEqual([...repetitions, "a memory", "a end", "b memory", "b end"])
  })

  test("samples are of one step, and as many for everybody", async () => {
    const rows = await measure("gpt", [diarist("a", []), diarist("b", [], { step: 4 })], settings)
    expect(rows.map(({ samples }) => samples)).toEqual([
      [2, 2, 2],
      [4, 4, 4],
    ])
    expect(rows[0]).toMatchObject({
      workload: "gpt",
      peer: "a",
      version: "a 1",
      check: 7,
      steps: 4,
      first: 2,
      memory: 1000,
    })
  })

  test.each([
    ["its start", 0],
    ["its set-up", 1],
    ["its first step", 2],
    ["a repetition", 6],
  ])("a peer that fails at %s is listed with its words, and the others go on", async (_when, failsAt) => {
    const diary: string[] = []
    const contestants = [diarist("a", diary), diarist("b", diary, { failsAt }), diarist("c", diary)]
    const [a, b, c] = await measure("mlp.64", contestants, settings)
    expect(b).toMatchObject({ failure: "b fails", samples: [] })
    expect([a?.samples, c?.samples]).toEqual([
      [2, 2, 2],
      [2, 2, 2],
    ])
    const ending = diary.indexOf("b end")
    expect(diary.slice(ending + 1).filter((entry) => entry.startsWith("b ") && entry !== "b end")).toEqual([])
  })

  test("a step over the limit is the only one, and says so", async () => {
    const diary: string[] = []
    const [slow] = await measure("mlp.64", [diarist("a", diary, { step: 200 })], settings)
    expect(slow).toMatchObject({ samples: [200], note: "one step only", failure: null })
    expect(diary).toEqual(["a start", "a setUp", "a run 1", "a memory", "a end"])
  })

  test("steps too short for the clock end the warm-up all the same", async () => {
    const [fast] = await measure("mlp.64", [diarist("a", [], { step: 0 })], { ...settings, target: 0.1 })
    expect(fast?.samples).toEqual([0, 0, 0])
  })

  test("a noisy repetition is tried again while there is patience", async () => {
    const waits: number[] = []
    const wait = (milliseconds: number) => {
      waits.push(milliseconds)
      return Promise.resolve()
    }
    // It says to have used no processor at all, in 1 µs: whatever ran meanwhile was somebody else's work.
    const noisy: Contestant = {
      name: "a",
      start: () => ({
        ask: <R extends Request>(request: R) => {
          if (request.op === "run") burn(60 * coreCount())
          const replies: Replies = {
            start: { version: "a 1" },
            setUp: { check: 1, note: null },
            run: { milliseconds: 0.001, processorMilliseconds: 0 },
            memory: { bytes: 1 },
          }
          return Promise.resolve(replies[request.op] as Replies[R["op"]])
        },
        end: () => undefined,
      }),
    }
    const quick = { ...settings, repetitions: 1, target: 0.001 }
    const [row] = await measure("mlp.64", [noisy], { ...quick, patience: 700 }, wait)
    expect(waits).toEqual([500, 500])
    expect(row?.foreign).toBeGreaterThan(0.25)
    waits.length = 0
    await measure("mlp.64", [noisy], quick, wait)
    expect(waits).toEqual([])
  })
})

test.each([
  // One tick of each core may be rounding.
  [20, 5, 2, 0],
  [520, 500, 2, 1],
  [145, 500, 2, 0.25],
  [900, 10, 2, 2],
  [-30, 500, 2, 0],
])("%d ms of others' work in %d ms on %d cores are %d cores", (others, milliseconds, cores, expected) => {
  expect(foreignCores(others, milliseconds, cores)).toBe(expected)
})

/** Keeps a core busy, so that the system's clocks, which tick in 10 ms, have something to tell. */
function burn(milliseconds: number): void {
  const start = performance.now()
  while (performance.now() - start < milliseconds);
}
