// Linear memory under whole programs: what the plan says is what is reserved, and it stays flat over many plans and steps.

import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { type Backend, Executor } from "@counterflow/executor"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
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

const feedOf = (batch: number) => ({
  x: Float32Array.from({ length: 8 * batch }, (_, i) => Math.sin(i + batch)),
  y: Float32Array.from({ length: batch }, (_, i) => Math.cos(i)),
})

/** The backend, with the buffer of its last memory. */
function watched(): { backend: Backend; bytes: () => number } {
  const own = wasm()
  let region = { view: (): ArrayBufferView => new Uint8Array(0) }
  const backend: Backend = {
    ...own,
    openMemory: () => {
      const memory = own.openMemory()
      region = memory.allocateState("uint8", 0)
      return memory
    },
  }
  return { backend, bytes: () => region.view().buffer.byteLength }
}

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

function heap(): number {
  for (let i = 0; i < 3; i++) collect()
  return process.memoryUsage().heapUsed
}

test("arena and state are what the plan says, and the parameters of an optimizer lie side by side", async () => {
  const { main, startup, loss } = training()
  const executor = new Executor(wasm(), { legalize })
  await executor.run(startup)
  const step = await executor.compile(main, { feed: { x: [32, 8], y: [32, 1] }, fetch: [loss] })
  const { arenaBytes, stateBytes } = step.memory
  // The startup program's own step counter is state as well, of another plan.
  expect(executor.memory).toMatchObject({ arenaBytes, stateBytes: stateBytes + 4 })
  const parameters = ["fc_0.w_0", "fc_0.b_0", "fc_1.w_0", "fc_1.b_0"].map((name) => {
    const view = executor.scope
      .region({ name, shape: step.plan.vars.find((variable) => variable.name === name)?.shape ?? [], dtype: "float32" })
      .view()
    return { from: view.byteOffset, to: view.byteOffset + view.byteLength }
  })
  parameters.slice(1).forEach(({ from }, i) => expect(from - (parameters[i]?.to ?? 0)).toBeLessThan(16))
  expect(executor.memory.stateBytes).toBe(stateBytes + 4)
})

test("3,000 steps over 40 batch sizes: memory is flat, and losses are those of cpu", () => {
  const { main, startup, loss } = training()
  const { backend, bytes } = watched()
  const executor = new Executor(backend, { legalize, maxPlans: 16 })
  const reference = new Executor(cpu(), { legalize, maxPlans: 40 })
  for (const each of [executor, reference]) each.runSync(startup)
  const sizes = Array.from({ length: 40 }, (_, i) => 1 + ((i * 17) % 40))
  const feeds = new Map(sizes.map((size) => [size, feedOf(size)]))
  const round = (on: Executor, times: number) => {
    let last = NaN
    for (const size of sizes) {
      for (let i = 0; i < times; i++)
        last = on.runSync(main, { feed: feeds.get(size) ?? {}, fetch: [loss] })[0]?.item() ?? NaN
    }
    return last
  }
  const first = round(executor, 15)
  expect(Math.abs(first - round(reference, 15))).toBeLessThan(1e-4 * Math.abs(first))
  const largest = executor.compileSync(main, { feed: { x: [40, 8], y: [40, 1] }, fetch: [loss] })
  const before = { ...executor.memory, bytes: bytes(), heap: heap() }
  expect(before.arenaBytes).toBe(largest.memory.arenaBytes)
  for (let i = 0; i < 4; i++) round(executor, 15)
  const after = { ...executor.memory, bytes: bytes(), heap: heap() }
  expect({ ...after, heap: 0 }).toEqual({ ...before, heap: 0 })
  expect(after.bytes).toBeLessThan(before.arenaBytes + before.stateBytes + 2 * 2 ** 16)
  expect(after.heap - before.heap).toBeLessThan(2_000_000)
}, 60_000)

test("over the limit that the user set: refused before anything runs, and what was compiled goes on", () => {
  const { main, startup, loss } = training()
  const executor = new Executor(wasm(), { legalize, memoryLimit: 40_000 })
  executor.runSync(startup)
  const small = executor.compileSync(main, { feed: { x: [4, 8], y: [4, 1] }, fetch: [loss] })
  const before = executor.scope.get("fc_0.w_0").toArray()
  expect(refusalOf(() => executor.runSync(main, { feed: feedOf(10_000), fetch: [loss] }))).toMatch(
    /^CounterflowError: CF_MEMORY_LIMIT {2}the plan needs \d+ bytes, 40000 are allowed/,
  )
  expect(executor.scope.get("fc_0.w_0").toArray()).toEqual(before)
  expect(Number.isFinite(small.runSync(feedOf(4))[0].item())).toBe(true)
})

test("a step runs without making garbage of its own", () => {
  const { main, startup, loss } = training()
  const executor = new Executor(wasm(), { legalize })
  executor.runSync(startup)
  const step = executor.compileSync(main, { feed: { x: [64, 8], y: [64, 1] }, fetch: [loss] })
  const [feed, into] = [feedOf(64), [new Float32Array(1)]]
  const steps = (count: number) => {
    for (let i = 0; i < count; i++) step.runSync(feed, { into })
  }
  /** The engine's own work comes and goes with some hundred kilobytes: what is there in the quietest of a few moments. */
  const settled = () => {
    const moments = Array.from({ length: 5 }, () => {
      steps(500)
      return heap()
    })
    return Math.min(...moments)
  }
  const before = settled()
  const { heapUsed } = process.memoryUsage()
  steps(1000)
  // A result and its list: a tensor over `into` and an array per step, some hundred bytes.
  expect((process.memoryUsage().heapUsed - heapUsed) / 1000).toBeLessThan(3000)
  expect(settled() - before).toBeLessThan(200_000)
})
