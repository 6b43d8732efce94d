// Steps on several threads: the same bits as on one, whatever happens between steps, and results that are the caller's own.

import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Executor, type Tensor } from "@counterflow/executor"
import { explainPlan, wasm } from "@counterflow/kernels-wasm"
import { gather, legalize, matmul, reduceSum, write } from "@counterflow/ops"
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import { build, input, parameter, refusalOf } from "./building.ts"
import { lenet, mlp, type Network, Training } from "./training.ts"

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

const trainings: Training[] = []

afterAll(() => {
  for (const { executor } of trainings.splice(0)) executor.close()
})

function training(network: Network, threads: number): Training {
  const made = new Training(wasm({ threads }), network)
  trainings.push(made)
  return made
}

/** The bits of tensors, by name. */
function bitsOf(tensors: ReadonlyMap<string, Tensor>): Record<string, Uint8Array> {
  return Object.fromEntries(
    [...tensors].map(([name, { data }]) => [name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]),
  )
}

function expectSameState(got: Training, expected: Training): void {
  const [a, b] = [bitsOf(got.state()), bitsOf(expected.state())]
  expect(Object.keys(a)).toEqual(Object.keys(b))
  const different = Object.keys(a).filter(
    (name) => Buffer.compare(a[name] ?? Buffer.of(), b[name] ?? Buffer.of()) !== 0,
  )
  expect(different).toEqual([])
}

describe.each([
  ["an MLP", mlp, 64],
  ["LeNet", lenet, 32],
] as const)("%s", (_name, make, batch) => {
  const network = make()
  // Plans for other batches make the arena larger, so that it moves or memory grows, and all workers are told of them.
  const batches = [...Array<number>(6).fill(batch), 2 * batch, ...Array<number>(6).fill(batch), 3 * batch, batch / 2]
  const rounds = [...batches, ...Array<number>(5).fill(batch)]
  const reference = { losses: [] as number[], training: training(network, 1) }

  beforeAll(() => {
    reference.losses = rounds.map((size) => reference.training.step(size))
  }, 60_000)

  test.each([2, 3, 4])(
    "trains on %i threads as on one, bit for bit, while workers come and memory grows",
    async (threads) => {
      const many = training(network, threads)
      const losses: number[] = []
      for (const size of rounds) {
        losses.push(many.step(size))
        if (losses.length === 4) await pause(50)
      }
      expect(losses).toEqual(reference.losses)
      expectSameState(many, reference.training)
      many.executor.close()
    },
    60_000,
  )

  test("lets others help", () => {
    const { executor } = training(network, 2)
    const feed = { x: [batch, ...network.image], label: [batch, 1] }
    const { plan } = executor.compileSync(network.main, { feed, fetch: [network.loss] })
    const explained = explainPlan(plan, { threads: 2 })
    expect(explained.stages).toBeGreaterThan(0)
    expect(WebAssembly.validate(explained.bytes)).toBe(true)
    expect(explainPlan(plan).stages).toBe(0)
  })
})

test("two executors at once, each with its workers", () => {
  const network = mlp()
  const [one, two, three] = [training(network, 1), training(network, 2), training(network, 3)]
  for (let i = 0; i < 20; i++) {
    const expected = one.step(64)
    expect([two.step(64), three.step(64)]).toEqual([expected, expected])
  }
  expectSameState(two, one)
  expectSameState(three, one)
})

test("asynchronous runs, too", async () => {
  const network = mlp()
  const [one, many] = [training(network, 1), training(network, 2)]
  const losses = (of: Training) => Promise.all(Array.from({ length: 20 }, () => of.run(64)))
  expect(await losses(many)).toEqual(await losses(one))
  expectSameState(many, one)
})

/** A product that is large enough to be shared, then a row of it that may not be there. */
function picking() {
  return build((program) => {
    const x = input(program, "x", [256, 256])
    const index = input(program, "index", [1], "int32")
    const count = parameter(program, "count", [], { initialValue: 0 })
    const z = matmul(x, x)
    const picked = reduceSum(gather(matmul(z, x), index))
    write(count, picked)
    return { z, picked }
  })
}

test("a step that fails leaves state as it was, and the next one is right", async () => {
  const { main, picked } = picking()
  const [one, many] = [1, 3].map((threads) => new Executor(wasm({ threads }), { legalize })) as [Executor, Executor]
  const x = Float32Array.from({ length: 256 * 256 }, (_, i) => ((i * 29) % 101) / 101)
  const run = (executor: Executor, index: number) =>
    executor.runSync(main, { feed: { x, index: [index] }, fetch: [picked] })[0].item()
  for (let i = 0; i < 30; i++) {
    expect(run(many, i)).toBe(run(one, i))
    const before = many.scope.get("count").item()
    expect(refusalOf(() => run(many, 300 + i))).toBe(refusalOf(() => run(one, 300 + i)))
    expect(refusalOf(() => run(many, 300 + i))).toContain("CF_INDEX_RANGE")
    expect(many.scope.get("count").item()).toBe(before)
    if (i % 10 === 0) await pause(20)
  }
  for (const executor of [one, many]) executor.close()
})

test("what is fetched lies in ordinary memory and stays when the executor is closed", () => {
  const { main, z, picked } = picking()
  const executor = new Executor(wasm({ threads: 2 }), { legalize })
  const x = new Float32Array(256 * 256).fill(1)
  const fetched = executor.runSync(main, { feed: { x, index: [0] }, fetch: [z, picked, "count"] })
  const all = [...fetched, executor.scope.get("count")]
  executor.close()
  expect(all.map(({ data }) => data.buffer instanceof ArrayBuffer)).toEqual([true, true, true, true])
  expect(all.map(({ data }) => data[0])).toEqual([256, 256 ** 3, 256 ** 3, 256 ** 3])
})

describe("workers", () => {
  test("do not keep the process alive, and end with their executor", async () => {
    const held = () => process.getActiveResourcesInfo().filter((name) => /worker|messageport/i.test(name)).length
    const network = mlp()
    for (let i = 0; i < 6; i++) {
      // What was closed has ended soon after.
      await expect.poll(held).toBe(0)
      const many = training(network, 4)
      many.step(64)
      if (i % 2 === 0) await pause(20)
      expect(held()).toBe(0)
      many.executor.close()
      expect(refusalOf(() => many.executor.runSync(network.main))).toContain("CF_CLOSED")
    }
  }, 30_000)

  const Own = Object.getOwnPropertyDescriptor(globalThis, "Worker")

  afterEach(() => {
    if (Own === undefined) Reflect.deleteProperty(globalThis, "Worker")
    else Object.defineProperty(globalThis, "Worker", Own)
  })

  test("come with the first plan that has work for them; one that never does anything holds nobody up", () => {
    let [made, ended, posted] = [0, 0, 0]
    class Idle {
      constructor() {
        made++
      }
      postMessage(): void {
        posted++
      }
      terminate(): void {
        ended++
      }
    }
    const network = mlp()
    const rounds = [0, 1, 2]
    const one = training(network, 1)
    Object.assign(globalThis, { Worker: Idle })
    const { main, z } = build((program) => ({ z: reduceSum(input(program, "x", [3])) }))
    const small = new Executor(wasm({ threads: 4 }), { legalize })
    expect(small.runSync(main, { feed: { x: [1, 2, 4] }, fetch: [z] })[0].item()).toBe(7)
    expect(made).toBe(0)
    const many = training(network, 4)
    expect(rounds.map(() => many.step(64))).toEqual(rounds.map(() => one.step(64)))
    expect([made, ended]).toEqual([3, 0])
    const before = posted
    many.step(32)
    expect([made, posted - before]).toEqual([3, 3])
    many.executor.close()
    expect(ended).toBe(3)
  })

  test("end with an executor that nobody closes", async () => {
    let [made, ended] = [0, 0]
    class Idle {
      constructor() {
        made++
      }
      postMessage(): void {}
      terminate(): void {
        ended++
      }
    }
    Object.assign(globalThis, { Worker: Idle })
    setFlagsFromString("--expose-gc")
    const collect = runInNewContext("gc") as () => void
    const network = mlp()
    const train = () => new Training(wasm({ threads: 3 }), network).step(64)
    expect(train()).toBeGreaterThan(0)
    expect(made).toBe(2)
    await expect
      .poll(() => {
        collect()
        return ended
      })
      .toBe(2)
  })

  test("that a host refuses are done without", () => {
    const network = mlp()
    const one = training(network, 1)
    Object.assign(globalThis, {
      Worker: class {
        constructor() {
          throw new Error("the content security policy forbids it")
        }
      },
    })
    const many = training(network, 4)
    for (let i = 0; i < 3; i++) expect(many.step(64)).toBe(one.step(64))
  })
})

describe("options", () => {
  test("one thread unless asked; as many as cores; a number", () => {
    expect(wasm().threads).toBe(1)
    expect(wasm({ threads: 3 }).threads).toBe(3)
    expect(wasm({ threads: "auto" }).threads).toBeGreaterThanOrEqual(1)
    expect(wasm({ threads: "auto" }).threads).toBeLessThanOrEqual(8)
  })

  test.each([0, -1, 1.5, NaN, 9, Infinity])("%d threads are refused", (threads) => {
    expect(refusalOf(() => wasm({ threads }))).toContain("CF_BAD_ARGUMENT")
  })
})

describe("a host that cannot share memory", () => {
  const own = Object.getOwnPropertyDescriptor(globalThis, "SharedArrayBuffer")

  afterEach(() => {
    if (own !== undefined) Object.defineProperty(globalThis, "SharedArrayBuffer", own)
    Reflect.deleteProperty(globalThis, "crossOriginIsolated")
  })

  test.each(["no SharedArrayBuffer", "a page that is not isolated"])("%s: one thread, the same results", (what) => {
    const network = mlp()
    const expected = training(network, 2).step(64)
    if (what === "no SharedArrayBuffer") Reflect.deleteProperty(globalThis, "SharedArrayBuffer")
    else Object.assign(globalThis, { crossOriginIsolated: false })
    expect(wasm({ threads: 4 }).threads).toBe(1)
    expect(training(network, 4).step(64)).toBe(expected)
  })
})
