// Memory: known before the run, allocated as planned, and flat from then on.

import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { type Backend, Executor } from "@counterflow/executor"
import { cpu } from "@counterflow/kernels-cpu"
import { data, fc } from "@counterflow/layers"
import { legalize, mean, square, sub } from "@counterflow/ops"
import { Adam } from "@counterflow/optim"
import { expect, test } from "vitest"
import { build, refusalOf } from "./building.ts"

function training() {
  return build((_main, startup) => {
    startup.randomSeed = 2
    const hidden = fc(data({ name: "x", shape: [8] }), { size: 16, act: "tanh" })
    const loss = mean(square(sub(fc(hidden, { size: 1 }), data({ name: "y", shape: [1] }))))
    new Adam({ learningRate: 0.001 }).minimize(loss)
    return { loss }
  })
}

/** The reference backend, with every allocation of its memory counted where it is made. */
function counted() {
  const allocated = { arenas: [] as number[], states: [] as number[] }
  const own = cpu()
  const backend: Backend = {
    ...own,
    openMemory: () => {
      const memory = own.openMemory()
      const reserve = memory.reserveArena.bind(memory)
      const allocate = memory.allocateState.bind(memory)
      memory.reserveArena = (bytes) => {
        const before = memory.arenaBytes
        reserve(bytes)
        if (memory.arenaBytes !== before) allocated.arenas.push(memory.arenaBytes)
      }
      memory.allocateState = (dtype, elements) => {
        const region = allocate(dtype, elements)
        allocated.states.push(region.view().byteLength)
        return region
      }
      return memory
    },
  }
  return { backend, allocated }
}

const total = (numbers: readonly number[]) => numbers.reduce((sum, value) => sum + value, 0)

const feedOf = (batch: number) => ({
  x: Float32Array.from({ length: 8 * batch }, (_, i) => Math.sin(i + batch)),
  y: Float32Array.from({ length: batch }, (_, i) => Math.cos(i)),
})

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

function heap(): { used: number; buffers: number } {
  for (let i = 0; i < 3; i++) collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return { used: heapUsed, buffers: arrayBuffers }
}

test("what the plan says is what is allocated", () => {
  const { main, startup, loss } = training()
  const { backend, allocated } = counted()
  const executor = new Executor(backend, { legalize })
  executor.runSync(startup)
  const step = executor.compileSync(main, { feed: { x: [32, 8], y: [32, 1] }, fetch: [loss] })
  expect(step.memory.parameterBytes).toBe(4 * (8 * 16 + 16 + 16 + 1))
  expect(total(allocated.states)).toBe(executor.memory.stateBytes)
  expect(allocated.arenas.at(-1)).toBe(step.memory.arenaBytes)
  expect(executor.memory.arenaBytes).toBe(step.memory.arenaBytes)
  expect(step.memory.peakBytes).toBeLessThanOrEqual(step.memory.arenaBytes)
  const before = { ...executor.memory }
  for (let i = 0; i < 10; i++) step.runSync(feedOf(32))
  expect(executor.memory).toEqual(before)
  expect(allocated.arenas.filter((bytes) => bytes > step.memory.arenaBytes)).toEqual([])
})

test("10,000 steps over 40 batch sizes: memory is flat", () => {
  const { main, startup, loss } = training()
  const { backend, allocated } = counted()
  const executor = new Executor(backend, { legalize })
  executor.runSync(startup)
  const sizes = Array.from({ length: 40 }, (_, i) => 1 + ((i * 17) % 40))
  const feeds = new Map(sizes.map((size) => [size, feedOf(size)]))
  let last = NaN
  const round = (times: number) => {
    for (const size of sizes) {
      for (let i = 0; i < times; i++)
        last = executor.runSync(main, { feed: feeds.get(size) ?? {}, fetch: [loss] })[0]?.item() ?? NaN
    }
  }
  round(5)
  const largest = executor.compileSync(main, { feed: { x: [40, 8], y: [40, 1] }, fetch: [loss] })
  const before = { ...heap(), ...executor.memory, arenas: allocated.arenas.length, states: allocated.states.length }
  expect(before.arenaBytes).toBe(largest.memory.arenaBytes)
  for (let i = 0; i < 9; i++) round(27)
  round(2)
  const after = { ...heap(), ...executor.memory, arenas: allocated.arenas.length, states: allocated.states.length }
  expect(40 * (5 + 9 * 27 + 2)).toBe(10_000)
  expect(Number.isFinite(last)).toBe(true)
  expect([after.arenaBytes, after.stateBytes, after.arenas, after.states]).toEqual([
    before.arenaBytes,
    before.stateBytes,
    before.arenas,
    before.states,
  ])
  expect(after.plans).toBe(16)
  expect(Math.abs(after.buffers - before.buffers)).toBeLessThan(100_000)
  expect(after.used - before.used).toBeLessThan(2_000_000)
}, 60_000)

test("a step allocates nothing but its results, and with `into` none of their numbers either", () => {
  const { main, startup, loss } = training()
  const executor = new Executor(cpu(), { legalize })
  executor.runSync(startup)
  const step = executor.compileSync(main, { feed: { x: [64, 8], y: [64, 1] }, fetch: [loss, "fc_0.tmp_2"] })
  const feed = feedOf(64)
  const into = [new Float32Array(1), new Float32Array(64 * 16)]
  for (let i = 0; i < 2000; i++) step.runSync(feed, { into })
  const before = heap()
  const steps = 1000
  for (let i = 0; i < steps; i++) step.runSync(feed, { into })
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  // Measured before anything is collected: a buffer per step would show, and so would an object per operator.
  expect(arrayBuffers).toBe(before.buffers)
  expect(step.plan.block.ops.length).toBeGreaterThan(80)
  expect((heapUsed - before.used) / steps).toBeLessThan(2048)
  expect(into[1]?.some((value) => value !== 0)).toBe(true)
  for (let i = 0; i < 10; i++) step.runSync(feed)
  // The second result has 4 kB; the first is so small that the host keeps it among its objects.
  expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBe(10 * 4 * 64 * 16)
})

test("programs of one executor share one arena, the largest", () => {
  const { main, startup, loss } = training()
  const { backend, allocated } = counted()
  const executor = new Executor(backend, { legalize })
  executor.runSync(startup)
  const test = main.clone({ forTest: true })
  const steps = [4, 64, 16].flatMap((batch) =>
    [main, test].map((program) =>
      executor.compileSync(program, { feed: { x: [batch, 8], y: [batch, 1] }, fetch: [loss] }),
    ),
  )
  expect(executor.memory.arenaBytes).toBe(Math.max(...steps.map(({ memory }) => memory.arenaBytes)))
  expect(executor.memory.stateBytes).toBe(total(allocated.states))
  // Four bytes more: the startup program counts its draws.
  expect(executor.memory.stateBytes).toBe(Math.max(...steps.map(({ memory }) => memory.stateBytes)) + 4)
})

test("over the limit is refused before anything is allocated", () => {
  const { main, startup, loss } = training()
  const { backend, allocated } = counted()
  const executor = new Executor(backend, { legalize, memoryLimit: 20_000 })
  executor.runSync(startup)
  executor.compileSync(main, { feed: { x: [8, 8], y: [8, 1] }, fetch: [loss] })
  const before = [allocated.arenas.length, allocated.states.length, executor.memory.arenaBytes]
  const refused = refusalOf(() => executor.compileSync(main, { feed: { x: [4000, 8], y: [4000, 1] }, fetch: [loss] }))
  expect(refused.replace(/\d{2,}/g, "N")).toMatchInlineSnapshot(`
    "CounterflowError: CF_MEMORY_LIMIT  the plan needs N bytes, N are allowed
        arena N bytes
        state N bytes
      fix: feed a smaller batch, fetch fewer intermediates, or raise memoryLimit"
  `)
  expect([allocated.arenas.length, allocated.states.length, executor.memory.arenaBytes]).toEqual(before)
})
