// Programs that a backend must run: what single ops do not show. Memory that values share, state that is written, plans that
// replace each other, steps that fail.

import type { Backend } from "@counterflow/executor"
import { type DType, isCounterflowError, programGuard, symbol } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { data, dropout, fc } from "@counterflow/layers"
import {
  add,
  assign,
  cond,
  equal,
  exp,
  gather,
  mean,
  mul,
  reduceMax,
  reduceSum,
  reshape,
  scale,
  softmaxWithCrossEntropy,
  sub,
  tanh,
  transpose,
  write,
} from "@counterflow/ops"
import { Adam } from "@counterflow/optim"
import { built, expectNumbers, numbers, on, state } from "./backendbuilt.ts"
import { loopsGrow } from "./backendloops.ts"
import { type Case, check, checkClose, checkEqual } from "./case.ts"
import { Random } from "./random.ts"

type Made = () => Backend

/** Every program of the conformance suite. */
export function backendPrograms(makeBackend: Made): Case[] {
  const programs: Record<string, (makeBackend: Made) => Promise<void>> = {
    "a multilayer perceptron trains as on cpu": trains,
    "a value that several operators read": fansOut,
    "views of data, of values and of state": views,
    "state written in place is read before and after": statesInPlace,
    "states that exchange their values": statesExchange,
    "states that branches write": branchesWrite,
    "several fetches, some twice, of data, state and values": fetches,
    "axes of size 0 and 1": smallAxes,
    "every dtype goes in and comes out": dtypesPass,
    "plans of growing and shrinking batches": plansChange,
    "memory that grows in the middle of a step": loopsGrow,
    "a step that fails leaves state as it was": failsCleanly,
    "startup, training and test programs share state": programsShare,
    "executors share nothing": executorsShareNothing,
  }
  return Object.entries(programs).map(([name, run]) => ({ name, run: () => run(makeBackend) }))
}

const nothing = { data: [], shape: [], dtype: "nothing" }

async function trains(makeBackend: Made): Promise<void> {
  const { main, startup, loss } = built((program, first) => {
    program.randomSeed = 5
    first.randomSeed = 9
    const hidden = dropout(fc(data({ name: "x", shape: [6] }), { size: 8, act: "tanh" }), { dropoutProb: 0.25 })
    const loss = mean(
      softmaxWithCrossEntropy(fc(hidden, { size: 3 }), data({ name: "label", shape: [1], dtype: "int64" })),
    )
    new Adam({ learningRate: 0.05 }).minimize(loss)
    return { loss }
  })
  const random = new Random(1)
  const batches = Array.from({ length: 8 }, () => ({
    x: Float32Array.from({ length: 24 }, () => random.between(-1, 1)),
    label: Array.from({ length: 4 }, () => random.integer(0, 2)),
  }))
  const train = (backend: Backend) =>
    on(backend, async (executor) => {
      await executor.run(startup)
      const initial = new Map(executor.scope.entries())
      const losses: number[] = []
      for (const feed of batches) losses.push(...numbers((await executor.run(main, { feed, fetch: [loss] }))[0]))
      return { initial, losses, state: new Map(executor.scope.entries()) }
    })
  const [expected, got] = [await train(cpu()), await train(makeBackend())]
  for (const [name, value] of expected.initial)
    checkEqual(got.initial.get(name) ?? nothing, value, `${name} after the startup program`)
  for (const [name, value] of expected.state)
    checkClose(got.state.get(name) ?? nothing, value, 1e-3, `${name} after ${batches.length} steps`)
  expected.losses.forEach((value, step) => {
    const other = got.losses[step] ?? NaN
    check(Math.abs(other - value) <= 1e-4 * Math.abs(value), () => `loss of step ${step} is ${other}, on cpu ${value}`)
  })
}

async function fansOut(makeBackend: Made): Promise<void> {
  const { main, z } = built(() => {
    const h = tanh(data({ name: "x", shape: [5] }))
    return { z: add(mul(h, exp(h)), sub(mul(h, h), scale(h, { scale: 3 }))) }
  })
  const feed = { x: Float32Array.from({ length: 15 }, (_, i) => Math.sin(i)) }
  const run = (backend: Backend) => on(backend, (executor) => executor.run(main, { feed, fetch: [z] }))
  const [[expected], [got]] = [await run(cpu()), await run(makeBackend())]
  checkClose(got ?? nothing, expected ?? nothing, 1e-5, "tanh(x) read by five operators")
}

async function views(makeBackend: Made): Promise<void> {
  const { main, names } = built((program) => {
    const x = program.globalBlock().createVar({ name: "x", shape: [2, 3], dtype: "float32", isData: true })
    const w = state(program, "w", [6], 1)
    const flat = reshape(x, { shape: [6] })
    const again = reshape(assign(flat), { shape: [3, 2] })
    const turned = transpose(again, { perm: [1, 0] })
    const old = reshape(w, { shape: [2, 3] })
    write(w, add(w, flat))
    return { names: [flat, again, turned, old, add(again, reshape(old, { shape: [3, 2] }))].map(({ name }) => name) }
  })
  await on(makeBackend(), async (executor) => {
    const feed = { x: [1, 2, 3, 4, 5, 6] }
    const [flat, again, turned, old, sum] = await executor.run(main, { feed, fetch: names })
    expectNumbers(flat, feed.x, "a view of data")
    expectNumbers(again, feed.x, "a view of a copy of a view")
    expectNumbers(turned, [1, 3, 5, 2, 4, 6], "a transposed view")
    expectNumbers(old, [1, 1, 1, 1, 1, 1], "a view of state that the step writes")
    expectNumbers(sum, [2, 3, 4, 5, 6, 7], "a sum of views")
    expectNumbers(executor.scope.get("w"), [2, 3, 4, 5, 6, 7], "the state")
    expectNumbers(
      (await executor.run(main, { feed, fetch: [names[3] ?? ""] }))[0],
      [2, 3, 4, 5, 6, 7],
      "the view, a step later",
    )
  })
}

async function statesInPlace(makeBackend: Made): Promise<void> {
  const { main, before, after, late } = built((program) => {
    const x = data({ name: "x", shape: [3], appendBatchSize: false })
    // Nothing reads the old value of w after its update, which may be done in place; of v something does.
    const [w, v] = [state(program, "w", [3], 1), state(program, "v", [3], 1)]
    const before = scale(w, { scale: 10 })
    const after = scale(write(w, add(w, x)), { scale: 100 })
    write(v, add(v, x))
    return { before, after, late: scale(v, { scale: 10 }) }
  })
  await on(makeBackend(), async (executor) => {
    for (const start of [1, 2, 3]) {
      const [old, now, other] = await executor.run(main, { feed: { x: [1, 1, 1] }, fetch: [before, after, late] })
      expectNumbers(old, [10 * start, 10 * start, 10 * start], "what reads the old value, before the update")
      expectNumbers(now, [100 * start + 100, 100 * start + 100, 100 * start + 100], "what reads the new value")
      expectNumbers(other, [10 * start, 10 * start, 10 * start], "what reads the old value, after the update")
    }
    expectNumbers(executor.scope.get("w"), [4, 4, 4], "the state after three steps")
    expectNumbers(executor.scope.get("v"), [4, 4, 4], "the other state after three steps")
  })
}

async function statesExchange(makeBackend: Made): Promise<void> {
  const { main } = built((program) => {
    const [a, b] = [state(program, "a", [2], 1), state(program, "b", [2], 2)]
    write(a, b)
    write(b, a)
    return {}
  })
  await on(makeBackend(), async (executor) => {
    const [a, b] = await executor.run(main, { fetch: ["a", "b"] })
    expectNumbers(a, [2, 2], "a takes b's value")
    expectNumbers(b, [1, 1], "b takes the value that a had")
  })
}

async function branchesWrite(makeBackend: Made): Promise<void> {
  const { main, chosen } = built((program) => {
    const [which, x] = [
      data({ name: "which", shape: [], dtype: "int32", appendBatchSize: false }),
      data({ name: "x", shape: [3], appendBatchSize: false }),
    ]
    // Of w both branches make a new value, which may be done in place; v is exchanged with u, which may not.
    const [w, v, u] = [state(program, "w", [3], 1), state(program, "v", [3], 2), state(program, "u", [3], 3)]
    const chosen = cond(
      equal(which, 0),
      () => {
        write(w, add(w, x))
        return scale(w, { scale: 10 })
      },
      () =>
        cond(
          equal(which, 1),
          () => {
            write(v, u)
            write(u, v)
            return write(w, scale(w, { scale: 2 }))
          },
          () => x,
        ),
    )
    return { chosen }
  })
  await on(makeBackend(), async (executor) => {
    const steps = [
      { which: 0, answer: [10, 10, 10], w: [6, 7, 8], v: 2, u: 3 },
      { which: 1, answer: [12, 14, 16], w: [12, 14, 16], v: 3, u: 2 },
      { which: 2, answer: [5, 6, 7], w: [12, 14, 16], v: 3, u: 2 },
      { which: 1, answer: [24, 28, 32], w: [24, 28, 32], v: 2, u: 3 },
    ]
    for (const { which, answer, w, v, u } of steps) {
      const [found] = await executor.run(main, { feed: { which, x: [5, 6, 7] }, fetch: [chosen] })
      expectNumbers(found, answer, `what branch ${which} answers`)
      expectNumbers(executor.scope.get("w"), w, `the state that branch ${which} may update in place`)
      expectNumbers(executor.scope.get("v"), [v, v, v], `a state that branch ${which} exchanges or leaves`)
      expectNumbers(executor.scope.get("u"), [u, u, u], `the other state that branch ${which} exchanges or leaves`)
    }
  })
}

async function fetches(makeBackend: Made): Promise<void> {
  const { main, h, y } = built((program) => {
    const x = data({ name: "x", shape: [2] })
    const h = scale(x, { scale: 2 })
    exp(h)
    return { h, y: add(h, state(program, "w", [2], 5)) }
  })
  await on(makeBackend(), async (executor) => {
    const found = await executor.run(main, { feed: { x: [1, 2] }, fetch: [y, "x", h, y, "w"] })
    const expected = [
      [7, 9],
      [1, 2],
      [2, 4],
      [7, 9],
      [5, 5],
    ]
    expected.forEach((value, at) => expectNumbers(found[at], value, `fetch ${at}`))
    check(found[0]?.data !== found[3]?.data, () => "results must be the caller's own")
    await executor.run(main, { feed: { x: [3, 4] }, fetch: [y] })
    expectNumbers(found[0], [7, 9], "a result after the next run")
  })
}

async function smallAxes(makeBackend: Made): Promise<void> {
  const { main, z, total, highest } = built(() => {
    const x = data({ name: "x", shape: [3] })
    const z = fc(x, { size: 2, act: "relu" })
    const turned = transpose(mul(z, z), { perm: [1, 0] })
    return { z, total: reduceSum(turned, { axis: 1 }), highest: reduceMax(turned, { axis: 0, keepDim: true }) }
  })
  const fetch = [z, total, highest]
  await on(makeBackend(), async (executor) => {
    for (const [name, shape] of [
      ["fc_0.w_0", [3, 2]],
      ["fc_0.b_0", [2]],
    ] as const) {
      executor.scope.set(name, { data: new Float32Array(shape.reduce((a: number, b) => a * b, 1)).fill(1), shape })
    }
    const [none, zero, empty] = await executor.run(main, { feed: { x: { data: [], shape: [0, 3] } }, fetch })
    expectNumbers(none, [], "a layer of no samples")
    expectNumbers(zero, [0, 0], "a sum of nothing")
    expectNumbers(empty, [], "a maximum for no sample")
    const [one, sum, most] = await executor.run(main, { feed: { x: [1, 2, 3] }, fetch })
    expectNumbers(one, [7, 7], "a layer of one sample")
    expectNumbers(sum, [49, 49], "a sum of one")
    expectNumbers(most, [49], "a maximum")
  })
}

async function dtypesPass(makeBackend: Made): Promise<void> {
  const values: Record<DType, readonly number[]> = {
    float32: [0.5, -0, Infinity],
    float64: [0.1, NaN, -1e300],
    int32: [2 ** 31 - 1, -(2 ** 31), 0],
    int64: [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 7],
    uint8: [0, 255, 128],
    bool: [1, 0, 1],
  }
  const all = Object.entries(values) as [DType, readonly number[]][]
  const { main, copies } = built(() => ({
    copies: all.map(([dtype]) =>
      assign(reshape(data({ name: dtype, shape: [3], dtype, appendBatchSize: false }), { shape: [3, 1] })),
    ),
  }))
  await on(makeBackend(), async (executor) => {
    const found = await executor.run(main, { feed: Object.fromEntries(all), fetch: copies })
    all.forEach(([dtype, expected], at) => {
      checkEqual(
        { shape: found[at]?.shape ?? [], dtype: found[at]?.dtype ?? "nothing", data: numbers(found[at]) },
        { data: expected, shape: [3, 1], dtype },
        dtype,
      )
    })
  })
}

async function plansChange(makeBackend: Made): Promise<void> {
  const { main, z } = built((program) => {
    const x = program
      .globalBlock()
      .createVar({ name: "x", shape: [symbol("batch"), 4], dtype: "float32", isData: true })
    // All terms are positive: how a backend rounds them must not show in what is left of a difference.
    return { z: reduceSum(mul(exp(x), exp(tanh(x))), { axis: 1 }) }
  })
  const feedOf = (batch: number) => ({ x: Float32Array.from({ length: 4 * batch }, (_, i) => Math.cos(i + batch)) })
  const sizes = [2, 50, 1, 300, 2, 50, 1000, 1]
  await on(cpu(), async (reference) => {
    await on(makeBackend(), async (executor) => {
      const early = await executor.compile(main, { feed: { x: [2, 4] }, fetch: [z] })
      let arena = 0
      for (const size of sizes) {
        const [expected] = await reference.run(main, { feed: feedOf(size), fetch: [z] })
        const [got] = await executor.run(main, { feed: feedOf(size), fetch: [z] })
        checkClose(got ?? nothing, expected ?? nothing, 1e-5, `a batch of ${size}`)
        check(executor.memory.arenaBytes >= arena, () => "the arena has shrunk under plans that use it")
        arena = executor.memory.arenaBytes
      }
      const [expected] = await reference.run(main, { feed: feedOf(2), fetch: [z] })
      const [got] = await early.run(feedOf(2))
      checkClose(got ?? nothing, expected ?? nothing, 1e-5, "a step compiled before the arena grew")
    })
  })
}

async function failsCleanly(makeBackend: Made): Promise<void> {
  const { main, picked } = built((program) => {
    const [w, steps] = [state(program, "w", [3], 1), state(program, "steps", [], 0, "int32")]
    const index = data({ name: "index", shape: [2], dtype: "int32", appendBatchSize: false })
    write(w, scale(w, { scale: 2 }))
    const picked = gather(exp(w), index)
    write(steps, add(steps, 1))
    return { picked }
  })
  await on(makeBackend(), async (executor) => {
    await executor.run(main, { feed: { index: [0, 2] }, fetch: [picked] })
    const failed: unknown = await executor
      .run(main, { feed: { index: [0, 3] }, fetch: [picked] })
      .catch((error: unknown) => error)
    check(
      isCounterflowError(failed) && failed.code === "CF_INDEX_RANGE",
      () => `index 3 of 3 rows must fail with CF_INDEX_RANGE, got ${String(failed)}`,
    )
    expectNumbers(executor.scope.get("w"), [2, 2, 2], "w after a failed step")
    expectNumbers(executor.scope.get("steps"), [1], "the count of steps after a failed step")
    await executor.run(main, { feed: { index: [1, 1] }, fetch: [picked] })
    expectNumbers(executor.scope.get("w"), [4, 4, 4], "w after the next step")
  })
}

async function programsShare(makeBackend: Made): Promise<void> {
  const { main, startup, z } = built((program, first) => {
    const w = program.globalBlock().createParameter({ name: "w", shape: [2], dtype: "float32" })
    programGuard(first, () => write(state(first, "w", [2], 0), add(state(first, "three", [2], 3), 1)))
    const z = mul(w, data({ name: "x", shape: [2], appendBatchSize: false }))
    program.within({ role: "optimize" }, () => write(w, sub(w, 1)))
    return { z }
  })
  const test = main.clone({ forTest: true })
  await on(makeBackend(), async (executor) => {
    await executor.run(startup)
    const feed = { x: [1, 10] }
    expectNumbers((await executor.run(test, { feed, fetch: [z] }))[0], [4, 40], "the test program before training")
    const bytes = executor.memory.stateBytes
    await executor.run(main, { feed })
    expectNumbers((await executor.run(test, { feed, fetch: [z] }))[0], [3, 30], "the test program after a step")
    expectNumbers(
      (await executor.run(test, { feed, fetch: [z] }))[0],
      [3, 30],
      "the test program again: it trains nothing",
    )
    check(executor.memory.stateBytes === bytes, () => "the programs do not share their state")
  })
}

async function executorsShareNothing(makeBackend: Made): Promise<void> {
  const { main } = built((program) => {
    const w = state(program, "w", [2], 0)
    write(w, add(w, 1))
    return {}
  })
  const backend = makeBackend()
  await on(backend, async (one) => {
    await on(backend, async (two) => {
      await one.run(main)
      await one.run(main)
      await two.run(main)
      expectNumbers(one.scope.get("w"), [2, 2], "state of the first executor")
      expectNumbers(two.scope.get("w"), [1, 1], "state of the second executor")
    })
    await one.run(main)
    expectNumbers(one.scope.get("w"), [3, 3], "state of the first executor, after the second was closed")
  })
}
