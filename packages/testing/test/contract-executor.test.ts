// What an executor promises beyond numbers: order, fetches of anything, steps that fail, backends that must wait.

import { type Backend, Executor } from "@counterflow/executor"
import { isCounterflowError, type Program, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { data, fc } from "@counterflow/layers"
import {
  add,
  exp,
  gather,
  legalize,
  mean,
  mul,
  scale,
  softmaxWithCrossEntropy,
  square,
  sub,
  tanh,
  uniform,
  write,
} from "@counterflow/ops"
import { Momentum } from "@counterflow/optim"
import { describe, expect, test } from "vitest"
import { build, parameter, rejectionOf, refusalOf } from "./building.ts"

function make(backend: Backend = cpu(), options: { maxPlans?: number } = {}) {
  return new Executor(backend, { legalize, ...options })
}

/** w ← w + x, answering the old value. */
function counter() {
  return build((program) => {
    const w = parameter(program, "w", [1], { initialValue: 0 })
    const old = scale(w, { scale: 1 })
    write(w, add(w, data({ name: "x", shape: [1], appendBatchSize: false })))
    return { old }
  })
}

describe("order", () => {
  test("concurrent runs are served in call order, each seeing what the one before committed", async () => {
    const { main, old } = counter()
    const executor = make()
    const first = [1, 10, 100, 1000].map((x) => executor.run(main, { feed: { x: [x] }, fetch: [old, "w"] }))
    const step = await executor.compile(main, { feed: { x: [1] }, fetch: ["w"] })
    const later = [10_000, 100_000].map((x) => step.run({ x: [x] }))
    const values = [...(await Promise.all(first)), ...(await Promise.all(later))]
    expect(values.map((results) => results.map((value) => value.item()))).toEqual([
      [0, 1],
      [1, 11],
      [11, 111],
      [111, 1111],
      [11111],
      [111111],
    ])
  })

  test("a run that fails does not stop those behind it", async () => {
    const { main } = counter()
    const executor = make()
    const [one, two, three] = [
      executor.run(main, { feed: { x: [1] } }),
      executor.run(main, { feed: { x: [1, 2] } }),
      executor.run(main, { feed: { x: [5] }, fetch: ["w"] }),
    ]
    await one
    expect(await rejectionOf(two)).toContain("CF_FEED_SHAPE")
    expect((await three)[0]?.item()).toBe(6)
  })

  test("a feed is read when its run starts", async () => {
    const { main } = counter()
    const executor = make()
    const x = new Float32Array([1])
    const first = executor.run(main, { feed: { x }, fetch: ["w"] })
    const second = executor.run(main, { feed: { x }, fetch: ["w"] })
    void first.then(() => {
      x[0] = 50
    })
    expect([(await first)[0]?.item(), (await second)[0]?.item()]).toEqual([1, 51])
  })

  test("a synchronous run is refused while others wait", async () => {
    const { main } = counter()
    const executor = make()
    const waiting = executor.run(main, { feed: { x: [1] } })
    expect(refusalOf(() => executor.runSync(main, { feed: { x: [1] } }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BUSY  runSync: 1 asynchronous runs are queued
        fix: await them first, or use run"
    `)
    await waiting
    expect(executor.runSync(main, { feed: { x: [1] }, fetch: ["w"] })[0]?.item()).toBe(2)
  })

  test("closing refuses what is queued and what comes later; results stay the caller's", async () => {
    const { main } = counter()
    const executor = make()
    const step = await executor.compile(main, { feed: { x: [1] } })
    const [kept] = await executor.run(main, { feed: { x: [3] }, fetch: ["w"] })
    const queued = executor.run(main, { feed: { x: [1] } })
    executor.close()
    expect(await rejectionOf(queued)).toMatchInlineSnapshot(`
      "CounterflowError: CF_CLOSED  the executor was closed
        fix: make a new one"
    `)
    for (const call of [
      () => executor.runSync(main, { feed: { x: [1] } }),
      () => executor.compileSync(main, { feed: { x: [1] } }),
      () => step.runSync({ x: [1] }),
    ]) {
      expect(refusalOf(call)).toContain("CF_CLOSED")
    }
    expect(await rejectionOf(executor.run(main, { feed: { x: [1] } }))).toContain("CF_CLOSED")
    expect(kept?.toArray()).toEqual([3])
    executor.close()
  })

  test("a backend that must wait is waited for", async () => {
    const events: string[] = []
    const slow = (): Backend => {
      const own = cpu()
      return {
        ...own,
        canRunSync: false,
        load: (plan, memory, states) => {
          const loaded = own.load(plan, memory, states)
          const run = async () => {
            events.push("start")
            await Promise.resolve()
            loaded.runSync()
            events.push("end")
          }
          const runSync = () => {
            throw new Error("this backend cannot run without waiting")
          }
          return { view: (id) => loaded.view(id), close: () => loaded.close(), runSync, run }
        },
      }
    }
    const { main } = counter()
    const executor = make(slow())
    const values = await Promise.all([1, 2, 3].map((x) => executor.run(main, { feed: { x: [x] }, fetch: ["w"] })))
    expect(values.map(([w]) => w?.item())).toEqual([1, 3, 6])
    expect(events).toEqual(["start", "end", "start", "end", "start", "end"])
    expect(refusalOf(() => executor.runSync(main, { feed: { x: [1] } }))).toContain("CF_ASYNC_ONLY")
  })
})

function classifier() {
  return build((main, startup) => {
    startup.randomSeed = 4
    const x = data({ name: "x", shape: [5] })
    const label = data({ name: "label", shape: [1], dtype: "int64" })
    const logits = fc(fc(x, { size: 6, act: "relu" }), { size: 3 })
    const loss = mean(softmaxWithCrossEntropy(logits, label))
    new Momentum({ learningRate: 0.1, momentum: 0.9 }).minimize(loss)
    return { loss, logits }
  })
}

const feed = { x: Float32Array.from({ length: 20 }, (_, i) => Math.sin(2 * i)), label: [0, 2, 1, 2] }

describe("fetches", () => {
  test("every variable of a training program, alone and all together: nothing is optimised away", () => {
    const { main, startup } = classifier()
    const executor = make(cpu(), { maxPlans: 200 })
    executor.runSync(startup)
    const start = [...executor.scope.entries()]
    const reset = () => {
      for (const [name, value] of start) executor.scope.set(name, value)
    }
    const names = [...main.globalBlock().vars.keys()]
    const all = executor.runSync(main, { feed, fetch: names })
    expect(names.length).toBeGreaterThan(50)
    names.forEach((name, at) => {
      reset()
      const [alone] = executor.runSync(main, { feed, fetch: [name] })
      expect([name, alone?.toString()]).toEqual([name, all[at]?.toString()])
    })
  })

  test("fetching changes no weight: a step with all fetches equals a step with none", () => {
    const { main, startup } = classifier()
    const weights = (fetch: string[]) => {
      const executor = make()
      executor.runSync(startup)
      for (let i = 0; i < 3; i++) executor.runSync(main, { feed, fetch })
      return [...executor.scope.entries()].map(([name, value]) => [name, value.toString()])
    }
    expect(weights([...main.globalBlock().vars.keys()])).toEqual(weights([]))
  })

  test("variables of the program a clone was made of stand for the clone's; results belong to the caller", () => {
    const { main, startup, logits } = classifier()
    const clone = main.clone({ forTest: true })
    const executor = make()
    executor.runSync(startup)
    const [one] = executor.runSync(clone, { feed: { x: feed.x }, fetch: [logits] })
    const before = one?.toString()
    executor.runSync(clone, { feed: { x: feed.x.map((value) => -value) }, fetch: [logits] })
    expect(one?.toString()).toBe(before)
  })

  test("a fetched state is the committed value", () => {
    const { main, old } = counter()
    const [before, after] = make().runSync(main, { feed: { x: [7] }, fetch: [old, "w"] })
    expect([before?.item(), after?.item()]).toEqual([0, 7])
  })
})

describe("a step that fails", () => {
  function failing() {
    return build((program) => {
      const w = parameter(program, "w", [3], { initialValue: 1 })
      const early = write(w, scale(w, { scale: 2 }))
      const picked = gather(exp(early), data({ name: "index", shape: [2], dtype: "int32", appendBatchSize: false }))
      const v = parameter(program, "v", [2, 1], { initialValue: 5 })
      write(v, add(v, uniform({ shape: [2, 1], program })))
      return { picked }
    })
  }

  test("leaves every state as it was, the count of draws too, and says which operator of which line failed", () => {
    const { main, picked } = failing()
    const executor = make()
    executor.runSync(main, { feed: { index: [0, 1] }, fetch: [picked] })
    const before = [...executor.scope.entries()].map(([name, value]) => [name, value.toString()])
    expect(new Set(before.map(([name]) => name))).toEqual(new Set(["random_step", "v", "w"]))
    expect(refusalOf(() => executor.runSync(main, { feed: { index: [2, 3] }, fetch: [picked] })))
      .toMatchInlineSnapshot(`
      "CounterflowError: CF_INDEX_RANGE  gather: index 3 lies outside axis 0 of size 3
          x = exp_0.tmp_0 float32[3]
          index = reshape_4 int32[2, 1]
        this gather was built at LINE
        fix: use places from 0 to 2; negative ones do not count from the end"
    `)
    expect([...executor.scope.entries()].map(([name, value]) => [name, value.toString()])).toEqual(before)
    // The next step is the one that would have been.
    const other = make()
    other.runSync(main, { feed: { index: [0, 1] } })
    for (const each of [executor, other]) each.runSync(main, { feed: { index: [1, 2] } })
    expect([...executor.scope.entries()].map(String)).toEqual([...other.scope.entries()].map(String))
  })

  test("and so does a result that cannot be handed out: an integer beyond 2^53", () => {
    const { main, big } = build((program) => {
      const w = parameter(program, "w", [2], { initialValue: 1 })
      const big = mul(data({ name: "i", shape: [1], dtype: "int64", appendBatchSize: false }), 1_000_000)
      write(w, scale(w, { scale: 2 }))
      return { big }
    })
    const executor = make()
    executor.runSync(main, { feed: { i: [1] }, fetch: [big] })
    expect(refusalOf(() => executor.runSync(main, { feed: { i: [2 ** 40] }, fetch: [big] }))).toContain("CF_INT_RANGE")
    expect(executor.scope.get("w").toArray()).toEqual([2, 2])
  })

  test("a kernel from outside may throw what it likes", () => {
    const { main } = build((program) => {
      const w = parameter(program, "w", [2], { initialValue: 1 })
      write(w, tanh(mul(w, 2)))
      return {}
    })
    const thrown = new TypeError("the kernel broke")
    const broken = () => () => {
      throw thrown
    }
    const executor = make(cpu({ kernels: { tanh: broken } }))
    let caught: unknown = null
    try {
      executor.runSync(main)
    } catch (error) {
      caught = error
    }
    expect(isCounterflowError(caught)).toBe(false)
    expect(caught).toBe(thrown)
    expect(executor.scope.get("w").toArray()).toEqual([1, 1])
  })
})

describe("plans", () => {
  test("the least recently used go first, and what they held is freed", () => {
    const { main } = counter()
    const closed: number[] = []
    const counting = (): Backend => {
      const own = cpu()
      return {
        ...own,
        load: (plan, memory, states) => {
          const loaded = own.load(plan, memory, states)
          const close = () => {
            closed.push(plan.fetches.length)
            loaded.close()
          }
          return { view: (id) => loaded.view(id), runSync: () => loaded.runSync(), close }
        },
      }
    }
    const executor = make(counting(), { maxPlans: 2 })
    const fetch = (count: number) =>
      executor.runSync(main, { feed: { x: [1] }, fetch: Array.from({ length: count }, () => "w") })
    for (const count of [1, 2, 1, 3, 1]) fetch(count)
    expect(closed).toEqual([2])
    expect(executor.memory.plans).toBe(2)
    executor.close()
    expect(closed[0]).toBe(2)
    expect(new Set(closed)).toEqual(new Set([1, 2, 3]))
  })

  test("a changed program is compiled anew", () => {
    const { main, old } = counter()
    const executor = make()
    executor.runSync(main, { feed: { x: [1] }, fetch: [old] })
    let extra: Variable | null = null
    extendProgram(main, () => {
      extra = square(sub(old, 3))
    })
    const [value] = executor.runSync(main, { feed: { x: [1] }, fetch: [extra ?? old] })
    expect(value?.item()).toBe(4)
    expect(executor.memory.plans).toBe(2)
  })
})

function extendProgram(program: Program, body: () => void): void {
  program.transaction(body)
}
