// What a step needs is said before it runs; and what needs too much is refused with ways that need less, each of which does what
// it says.

import { microBatches } from "@counterflow/autodiff"
import { memoryReport, type Plan } from "@counterflow/compiler"
import { type Backend, Executor, type ExecutorOptions, type Savings, waysDown } from "@counterflow/executor"
import { isCounterflowError, Program, programGuard } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { data, fc } from "@counterflow/layers"
import { legalize, mean, square } from "@counterflow/ops"
import { SGD } from "@counterflow/optim"
import { expect, test } from "vitest"

/** A deep and narrow network: most of what it needs are activations. */
function deep({ count = 1, trains = true, batch = true } = {}) {
  const [main, startup] = [new Program(), new Program()]
  const loss = programGuard(main, startup, () => {
    let h = batch ? data({ name: "x", shape: [16] }) : data({ name: "x", shape: [64, 16], appendBatchSize: false })
    for (let i = 0; i < 5; i++) h = fc(h, { size: 16, act: "tanh" })
    const loss = mean(square(h))
    if (trains) new SGD({ learningRate: 0.01 }).minimize(loss, { backward: microBatches(count) })
    return loss
  })
  return { main, startup, loss }
}

type Net = ReturnType<typeof deep>

function executorOf(backend: Backend, { startup }: Net, options: Omit<ExecutorOptions, "legalize"> = {}) {
  const executor = new Executor(backend, { legalize, waysDown, ...options })
  executor.runSync(startup)
  return executor
}

function bytesOf(backend: Backend, net: Net, batch: number): number {
  const executor = executorOf(backend, net)
  const { memory } = executor.compileSync(net.main, { feed: { x: [batch, 16] }, fetch: [net.loss] })
  executor.close()
  return memory.arenaBytes + memory.stateBytes
}

async function refusal(body: () => unknown): Promise<string> {
  try {
    await body()
  } catch (error) {
    if (isCounterflowError(error)) return error.message
    throw error
  }
  return "nothing was refused"
}

test.each([
  ["cpu", cpu()],
  ["wasm", wasm()],
] as const)(
  "the ways down do what they say, on %s",
  async (_, backend) => {
    const [net, batch] = [deep(), 512]
    const memoryLimit = Math.floor(0.4 * bytesOf(backend, net, batch))
    const executor = executorOf(backend, net, { memoryLimit })
    const before = executor.memory
    const text = await refusal(() =>
      executor.runSync(net.main, { feed: { x: new Float32Array(batch * 16) }, fetch: [net.loss] }),
    )
    expect(executor.memory).toEqual(before)
    expect(text).toMatch(
      /^CF_MEMORY_LIMIT {2}the plan needs \d+ bytes, \d+ are allowed\n {4}arena \d+ bytes\n {4}state/,
    )
    const [, count, figure] = /microBatches\((\d+)\): about ([\d.]+) kB\n/.exec(text) ?? []
    const inParts = bytesOf(backend, deep({ count: Number(count) }), batch)
    expect(inParts).toBeLessThanOrEqual(memoryLimit)
    // The figures are estimates, a little above what it will be: half as many might just suffice, a quarter not.
    expect(bytesOf(backend, deep({ count: Number(count) / 4 }), batch)).toBeGreaterThan(memoryLimit)
    expect(Math.abs(Number(figure) * 1000 - inParts)).toBeLessThan(0.1 * inParts)
    const [, least] = /a batch of (\d+) instead of 512: [\d.]+ kB\n/.exec(text) ?? []
    expect(bytesOf(backend, net, Number(least))).toBeLessThanOrEqual(memoryLimit)
    expect(bytesOf(backend, net, Number(least) + 1)).toBeGreaterThan(memoryLimit)
    executor.close()
  },
  30_000,
)

test("what suffices comes first, the cheapest of it before", async () => {
  const net = deep()
  const savings: (Savings | null)[] = [
    { savedBytes: 250_000, extraFlops: 1_000_000 },
    { savedBytes: 1000, extraFlops: 5 },
    null,
  ]
  const executor = executorOf(cpu(), net, {
    memoryLimit: 200_000,
    advise: () => savings.shift() ?? null,
  })
  const request = { feed: { x: [512, 16] }, fetch: [net.loss] } as const
  const { memory, flops } = deepStep(net, 512)
  expect(memory.arenaBytes + memory.stateBytes).toBeGreaterThan(300_000)
  const notes = async (body: () => unknown) => (await refusal(body)).split("\n").slice(3)
  const first = await notes(() => executor.compile(net.main, request))
  expect(first.map((line) => line.replace(/\d[\d.]*/g, "N"))).toMatchInlineSnapshot(`
    [
      "    accumulate gradients, microBatches(N): about N kB",
      "    recompute activations: about N kB, saves N kB for N % more operations",
      "    a batch of N instead of N: N kB",
      "  fix: take one of these ways, or raise memoryLimit",
    ]
  `)
  expect(first.join()).toContain(`for ${Math.ceil((100 * 1_000_000) / flops)} % more operations`)
  const second = await notes(() => executor.run(net.main, { feed: { x: new Float32Array(512 * 16) } }))
  expect(second.map((line) => line.replace(/\d[\d.]*/g, "N"))).toMatchInlineSnapshot(`
    [
      "    accumulate gradients, microBatches(N): about N kB",
      "    a batch of N instead of N: N kB",
      "    recompute activations: about N kB, saves N kB for N % more operations, still too much",
      "  fix: take one of these ways, or raise memoryLimit",
    ]
  `)
  expect((await notes(() => executor.compileSync(net.main, request))).join()).not.toContain("recompute")
  executor.close()
})

function deepStep(net: Net, batch: number) {
  const executor = executorOf(cpu(), net)
  const step = executor.compileSync(net.main, { feed: { x: [batch, 16] }, fetch: [net.loss] })
  executor.close()
  return step
}

test("what does not apply is not named", async () => {
  const named = async (net: Net, batch: number, memoryLimit: number) => {
    const executor = new Executor(cpu(), { legalize, waysDown, memoryLimit, advise: () => null })
    const request = { feed: { x: [batch, 16] }, fetch: [net.loss] }
    const text = await refusal(() => executor.compile(net.main, request))
    executor.close()
    return text.replace(/\d[\d.]*/g, "N")
  }
  expect(await named(deep({ trains: false }), 512, 50_000)).toMatchInlineSnapshot(`
    "CF_MEMORY_LIMIT  the plan needs N bytes, N are allowed
        arena N bytes
        state N bytes
        a batch of N instead of N: N kB
      fix: take one of these ways, or raise memoryLimit"
  `)
  expect(await named(deep({ batch: false }), 64, 20_000)).toMatchInlineSnapshot(`
    "CF_MEMORY_LIMIT  the plan needs N bytes, N are allowed
        arena N bytes
        state N bytes
        a smaller batch, or micro-batches: build the program with the batch as a symbol, to hear what they need
      fix: feed a smaller batch, fetch fewer intermediates, or raise memoryLimit"
  `)
  // Four micro-batches need multiples of four, and more of them save more.
  expect(await named(deep({ count: 4 }), 512, 110_000)).toMatchInlineSnapshot(`
    "CF_MEMORY_LIMIT  the plan needs N bytes, N are allowed
        arena N bytes
        state N bytes
        N times as many micro-batches: about N kB
        a batch of N instead of N: N kB
      fix: take one of these ways, or raise memoryLimit"
  `)
  expect(await named(deep(), 512, 20_000)).toMatchInlineSnapshot(`
    "CF_MEMORY_LIMIT  the plan needs N bytes, N are allowed
        arena N bytes
        state N bytes
        a batch of N instead of N: N kB
        accumulate gradients, microBatches(N): about N kB, still too much
      fix: take one of these ways, or raise memoryLimit"
  `)
})

test("what the backend's memory cannot hold is refused like what the user forbids, before anything is allocated", async () => {
  const net = deep()
  const executor = executorOf(wasm(), net)
  const before = executor.memory
  const request = { feed: { x: [10_000_000, 16] }, fetch: [net.loss] }
  const text = await refusal(() => executor.compileSync(net.main, request))
  expect(text).toMatch(/ bytes, 42949\d+ are all that the backend has\n/)
  expect(text).toMatch(/microBatches\(2\): about [\d.]+ GB\n +a batch of \d+ instead of 10000000: 4\.\d+ GB\n.*\n?$/)
  expect(executor.memory).toEqual(before)
  executor.close()
})

test("a new plan is shown before anything is allocated for it, and says what it needs memory for", () => {
  const net = deep()
  const plans: Plan[] = []
  const arenas: number[] = []
  const executor = new Executor(wasm(), {
    legalize,
    planned: (plan) => {
      plans.push(plan)
      arenas.push(executor.memory.arenaBytes)
    },
  })
  executor.runSync(net.startup)
  const x = new Float32Array(512 * 16)
  for (let i = 0; i < 3; i++) executor.runSync(net.main, { feed: { x }, fetch: [net.loss] })
  expect(plans.length).toBe(2)
  expect(arenas[1]).toBeLessThan(plans[1]!.memory.arenaBytes)
  const text = memoryReport(plans[1]!).replace(/\S+\.ts:\d+:\d+/g, "…")
  expect(text).toMatchInlineSnapshot(`
    "one step needs 268 kB
      parameters                     5.44 kB
      other state                        4 B
      arena                           262 kB
        kept for the backward part    164 kB
        in use                       65.5 kB
        feeds                        32.8 kB
    the arena is fullest during mul, built at …; largest then
       32.8 kB  x float32[512, 16]
       32.8 kB  fc_0.tmp_2 float32[512, 16] of flattenMatmul, built at …
       32.8 kB  fc_1.tmp_2 float32[512, 16] of flattenMatmul, built at …"
  `)
  executor.close()
  const inParts = deepStep(deep({ count: 8 }), 512)
  expect(memoryReport(inParts.plan).replace(/\S+\.ts:\d+:\d+/g, "…")).toMatchInlineSnapshot(`
    "one step needs 84.9 kB
      parameters         5.44 kB
      other state            4 B
      arena              79.4 kB
        feeds            32.8 kB
        kept for later   27.1 kB
        scratch memory   10.3 kB
        in use           9.22 kB
    the arena is fullest during matmul, built at …; largest then
       32.8 kB  x float32[512, 16]
       10.3 kB  scratch memory of matmul, built at …
       4.10 kB  scan.slice_0 float32[64, 16]"
  `)
})
