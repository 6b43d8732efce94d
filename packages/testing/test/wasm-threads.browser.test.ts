// Threads in a page that is cross-origin isolated: its own thread may not wait, so a worker leads while the page stays free;
// and in a worker of a page, which may wait.

import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { isCounterflowError, Program, programGuard } from "@counterflow/ir"
import { wasm } from "@counterflow/kernels-wasm"
import { data } from "@counterflow/layers"
import { add, assign, fillConstant, legalize, less, matmul, scale, sub, tanh, whileLoop, write } from "@counterflow/ops"
import { afterEach, expect, test } from "vitest"
import type { Answer } from "./threads-in-worker.ts"
import { lenet, mlp, type Network, Training } from "./training.ts"

const trainings: Training[] = []

afterEach(() => {
  for (const { executor } of trainings.splice(0)) executor.close()
})

function training(network: Network, threads: number): Training {
  const made = new Training(wasm({ threads }), network)
  trainings.push(made)
  return made
}

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (isCounterflowError(error)) return error.code
    throw error
  }
  return "none"
}

function codeOfError(error: unknown): string {
  return isCounterflowError(error) ? error.code : String(error)
}

/** All state, for comparing. */
function stateOf(of: Training): Record<string, number[]> {
  return Object.fromEntries([...of.state()].map(([name, { data }]) => [name, Array.from(data, Number)]))
}

test("the page is cross-origin isolated, and threads are offered", () => {
  expect(crossOriginIsolated).toBe(true)
  expect(wasm({ threads: 3 }).threads).toBe(3)
  expect(wasm({ threads: "auto" }).threads).toBeLessThanOrEqual(navigator.hardwareConcurrency)
})

test.each([
  ["an MLP", mlp, 64],
  ["LeNet", lenet, 32],
] as const)(
  "%s trains on 2 and 3 threads as on one, bit for bit",
  async (_name, make, batch) => {
    const network = make()
    const [one, two, three] = [training(network, 1), training(network, 2), training(network, 3)]
    for (let i = 0; i < 20; i++) {
      const size = i === 12 ? 2 * batch : batch
      const expected = await one.run(size)
      expect([await two.run(size), await three.run(size)]).toEqual([expected, expected])
    }
    expect(stateOf(two)).toEqual(stateOf(one))
    expect(stateOf(three)).toEqual(stateOf(one))
  },
  120_000,
)

test("memory that grows while a worker runs the step: the same bits, and what the page sees is there", async () => {
  const main = new Program()
  const fetch = programGuard(main, new Program(), () => {
    const runs = main.globalBlock().createVar({ name: "runs", shape: [], dtype: "int32", isData: true })
    const x = main.globalBlock().createVar({ name: "x", shape: [128, 128], dtype: "float32", isData: true })
    x.stopGradient = false
    const w = main.globalBlock().createParameter({ name: "w", shape: [128, 128], dtype: "float32", initialValue: 0.01 })
    const zero = fillConstant({ shape: [], value: 0, dtype: "int32" })
    const [, y] = whileLoop(
      (i) => less(i, runs),
      (i, h) => [add(i, 1), tanh(matmul(h, w))],
      [zero, x],
    )
    const [dx, dw] = gradients(y, [x, w])
    write(w, sub(w, scale(dw!, { scale: 1e-4 })))
    return [y, dx!, dw!]
  })
  const executors = [1, 2].map((threads) => new Executor(wasm({ threads }), { legalize }))
  const x = Float32Array.from({ length: 128 * 128 }, (_, i) => Math.sin(i))
  for (const runs of [2, 40, 3, 90, 1, 90]) {
    const [one, two] = await Promise.all(
      executors.map(async (executor) => {
        const values = await executor.run(main, { feed: { x, runs }, fetch })
        return [...values, executor.scope.get("w")].map(({ data }) => data)
      }),
    )
    expect(two).toEqual(one)
    // Until the worker is ready the page runs steps itself.
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  expect(executors[1]?.memory.tapeBytes).toBeGreaterThan(90 * 4 * 128 * 128)
  for (const executor of executors) executor.close()
}, 60_000)

test("while a worker runs the step the page goes on, but may not look at state", async () => {
  const network = mlp()
  const [one, many] = [training(network, 1), training(network, 2)]
  const codes: string[] = []
  for (let i = 0; i < 200 && !codes.includes("CF_BUSY"); i++) {
    const expected = one.step(64)
    const running = many.run(64)
    let isDone = false
    void running.then(() => {
      isDone = true
    })
    // Until the worker is ready the page runs steps itself, and then is done before anything else comes to pass.
    while (!isDone) {
      codes.push(codeOf(() => many.executor.scope.get("fc_0.w_0")))
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
    expect(await running).toBe(expected)
  }
  expect(codes).toContain("CF_BUSY")
  expect(many.step(64)).toBe(one.step(64))
  expect(await many.run(64)).toBe(one.step(64))
  expect(stateOf(many)).toEqual(stateOf(one))
}, 60_000)

test("closing while a worker runs the step ends the run", async () => {
  const network = mlp()
  let code = ""
  for (let i = 0; i < 20 && code === ""; i++) {
    const many = training(network, 2)
    await many.run(64)
    await new Promise((resolve) => setTimeout(resolve, 50 + 20 * i))
    const running = many.run(64)
    for (let j = 0; j < 8; j++) await Promise.resolve()
    many.executor.close()
    code = await running.then(
      () => "",
      (error: unknown) => (isCounterflowError(error) ? error.code : String(error)),
    )
  }
  expect(code).toBe("CF_CLOSED")
}, 60_000)

test("a signal of the page ends a loop in the worker that runs the step, and so does the time", async () => {
  const [main, startup] = [new Program(), new Program()]
  const y = programGuard(main, startup, () => {
    const x = data({ name: "x", shape: [256, 256], appendBatchSize: false })
    const [, y] = whileLoop(
      (i) => less(-1, i),
      (i, y) => [assign(i), scale(matmul(y, y), { scale: 0 })],
      [fillConstant({ shape: [], value: 0, dtype: "int32" }), x],
    )
    return y
  })
  const executor = new Executor(wasm({ threads: 2 }), { legalize, timeBudget: 100 })
  const feed = { x: new Float32Array(256 * 256) }
  const codes = new Set<string>()
  // Until the worker is ready the page runs steps itself, where only the time ends them.
  for (let i = 0; i < 40 && !codes.has("CF_ABORTED"); i++) {
    const controller = new AbortController()
    setTimeout(() => controller.abort("enough"), 20)
    const { signal } = controller
    const failed = executor.run(main, { feed, fetch: [y], signal, timeBudget: i < 39 ? 200 : 5000 })
    codes.add(await failed.then(() => "none", codeOfError))
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  expect(codes).toContain("CF_ABORTED")
  expect(await executor.run(main, { feed, fetch: [y] }).then(() => "none", codeOfError)).toBe("CF_TIME_BUDGET")
  const word = new Int32Array(new SharedArrayBuffer(4))
  setTimeout(() => Atomics.store(word, 0, 1), 20)
  const failed = executor.run(main, { feed, fetch: [y], signal: word, timeBudget: 5000 })
  expect(await failed.then(() => "none", codeOfError)).toBe("CF_ABORTED")
  executor.close()
}, 60_000)

test("in a worker a step waits for others where it is", async () => {
  const worker = new Worker(new URL("threads-in-worker.ts", import.meta.url), { type: "module" })
  const answer = await new Promise<Answer>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<Answer>) => resolve(data)
    worker.onerror = ({ message }) => reject(new Error(message))
    worker.postMessage("begin")
  })
  worker.terminate()
  expect(answer.threads).toBe(2)
  expect(answer.many).toEqual(answer.one)
  expect(answer.one).toHaveLength(20)
}, 60_000)
