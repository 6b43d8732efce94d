// Steps that were saved and loaded, beside those of the executor that compiled them: the same results, state and errors.

import { type Backend, Executor, type Tensor } from "@counterflow/executor"
import { symbol, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { hostKernel, saveSteps, wasm } from "@counterflow/kernels-wasm"
import { type LoadedSteps, loadSteps } from "@counterflow/kernels-wasm/saved"
import {
  add,
  cast,
  emit,
  gather,
  greater,
  legalize,
  mul,
  noGrad,
  primitive,
  reduceSum,
  scale,
  whileLoop,
  write,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { build, input, refusalOf, rejectionOf } from "./building.ts"
import { lenet, mlp } from "./passes-programs.ts"
import { compiled, models } from "./saved-models.ts"

type Bits = readonly [string, ArrayBufferLike][]

function bitsOf(tensors: Iterable<readonly [string, Tensor]>): Bits {
  return [...tensors]
    .map(([name, { data }]): [string, ArrayBufferLike] => [name, data.buffer])
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
}

const make = (backend: Backend = wasm()) => new Executor(backend, { legalize })

describe("a training that is saved and loaded", () => {
  test.each(Object.entries(models))("%s: the same bits over many steps", (_name, model) => {
    const { feed, ...network } = model()
    const executor = make()
    const { begin, train } = compiled({ feed, ...network }, executor)
    const steps = loadSteps(saveSteps({ begin, train }))
    const loaded = steps.step("train")
    expect([loaded.memory, loaded.flops]).toEqual([train.memory, train.flops])
    expect(steps.memory.arenaBytes).toBe(executor.memory.arenaBytes)
    begin.runSync()
    steps.step("begin").runSync()
    for (let i = 0; i < 5; i++) {
      const [got, expected] = [loaded, train].map((step) => step.runSync(feed).map(({ data }) => data))
      expect(got).toEqual(expected)
    }
    expect(bitsOf(steps.scope.entries())).toEqual(bitsOf(executor.scope.entries()))
  })

  test("goes on from the values that were saved with it", () => {
    const model = mlp()
    const executor = make()
    const { begin, train } = compiled(model, executor)
    begin.runSync()
    for (let i = 0; i < 3; i++) train.runSync(model.feed)
    const steps = loadSteps(saveSteps({ train }, { scope: executor.scope }))
    expect(steps.scope.get("fc_0.w_0").data).toEqual(executor.scope.get("fc_0.w_0").data)
    for (let i = 0; i < 3; i++) expect(steps.step("train").runSync(model.feed)).toEqual(train.runSync(model.feed))
  })

  test("has the same bits where it was compiled for threads", () => {
    const model = lenet()
    const steps = loadSteps(saveSteps(compiled(model, make(wasm({ threads: 2 })))))
    const one = compiled(model, make())
    for (const step of [steps.step("begin"), one.begin]) step.runSync()
    for (let i = 0; i < 2; i++) expect(steps.step("train").runSync(model.feed)).toEqual(one.train.runSync(model.feed))
  })

  test("shares state with a test step, and is set and read by name", async () => {
    const { main, startup, fetches, feed } = lenet()
    const executor = make()
    const { begin, train } = compiled({ main, startup, fetches, feed }, executor)
    const { train: test } = compiled({ main: main.clone({ forTest: true }), startup, fetches, feed }, executor)
    const steps = loadSteps(saveSteps({ begin, train, test }).buffer)
    await steps.step("begin").run()
    const [before] = await steps.step("test").run(feed)
    const [trained] = await steps.step("train").run(feed)
    const [after] = await steps.step("test").run(feed)
    expect(trained?.data).toEqual(before?.data)
    expect(after?.item()).toBeLessThan(before?.item() ?? 0)
    steps.scope.set("fc_1.b_0", [100, 0, 0, 0, 0])
    expect(steps.step("test").runSync(feed)[0]?.item()).toBeGreaterThan(50)
  })
})

/** Integers, bools, a fetch of state, and two states that take each other's value, which the driver copies. */
function exchanging() {
  const built = build((program) => {
    const state = (name: string, dtype: Variable["dtype"], initialValue: number) =>
      program.globalBlock().createVar({ name, shape: [2], dtype, persistable: true, initialValue })
    const [a, b] = [state("a", "int64", 7), state("b", "int64", -(2 ** 40))]
    const flags = state("flags", "bool", 1)
    const x = input(program, "x", [2], "uint8")
    input(program, "unused", [2])
    const sum = add(cast(x, { dtype: "int64" }), a)
    write(flags, greater(cast(x, { dtype: "float64" }), 4))
    write(a, b)
    write(b, a)
    return { sum, flags }
  })
  const executor = make()
  const step = executor.compileSync(built.main, { feed: { x: [2] }, fetch: [built.sum, built.flags, "b"] })
  return { executor, step }
}

/** What can fail: a row that may not be there, and a loop that may not end; and a state that both would change. */
function failing() {
  const built = build((program) => {
    const count = program
      .globalBlock()
      .createVar({ name: "count", shape: [], dtype: "float32", persistable: true, initialValue: 1 })
    const [x, index] = [input(program, "x", [3, 2]), input(program, "index", [2], "int32")]
    const picked = reduceSum(gather(x, index))
    const [last] = whileLoop(
      (value) => greater(value, 1),
      (value) => [scale(value, { scale: 0.5 })],
      [picked],
      { maxTrips: 4 },
    )
    write(count, add(count, 1))
    return { last }
  })
  const executor = make()
  const step = executor.compileSync(built.main, { feed: { x: [3, 2], index: [2] }, fetch: [built.last] })
  return { executor, step }
}

describe("a loaded step", () => {
  test("has every dtype, and commits what the driver copies", () => {
    const { executor, step } = exchanging()
    const steps = loadSteps(saveSteps({ step }))
    expect(step.plan.commits.length).toBeGreaterThan(0)
    for (let i = 0; i < 3; i++) {
      const [got, expected] = [steps.step("step"), step].map((each) => each.runSync({ x: [i, 5] }))
      expect(got?.map(String)).toEqual(expected?.map(String))
    }
    expect(bitsOf(steps.scope.entries())).toEqual(bitsOf(executor.scope.entries()))
  })

  test("refuses the feeds that the step refused, in the same words", () => {
    const { step } = exchanging()
    const loaded = loadSteps(saveSteps({ step })).step("step")
    const feeds = [
      {},
      { x: [1, 2], y: [1] },
      { x: [1, 2], unusd: [1, 2] },
      { x: [1, 2, 3] },
      { x: [[1, 2]] },
      { x: [1, 256] },
      { x: Float32Array.of(1, 2) },
    ]
    for (const feed of feeds) {
      const refused = refusalOf(() => step.runSync(feed))
      expect(refused).toMatch(/CF_(FEED|INT)_/)
      expect(refusalOf(() => loaded.runSync(feed))).toBe(refused)
    }
    expect(refusalOf(() => loaded.runSync({ x: [1, 2] }, { into: [] }))).toContain("CF_BAD_ARGUMENT")
  })

  test("names the operator that failed and its line, and leaves state as it was", () => {
    const { executor, step } = failing()
    const steps = loadSteps(saveSteps({ step }))
    const x = [1, 2, 3, 4, 500, 600]
    for (const index of [
      [0, 3],
      [0, -1],
      [2, 2],
    ]) {
      const refused = refusalOf(() => step.runSync({ x, index }))
      expect(refused).toMatch(/CF_(INDEX_RANGE|LOOP_LIMIT) .*\n( {4}.*\n)*.* was built at LINE/)
      expect(refusalOf(() => steps.step("step").runSync({ x, index }))).toBe(refused)
    }
    const [got, expected] = [steps.step("step"), step].map((each) => each.runSync({ x, index: [0, 1] }))
    expect(got?.map(String)).toEqual(expected?.map(String))
    expect([steps, executor].map(({ scope }) => scope.get("count").item())).toEqual([2, 2])
  })

  test("wants state that nobody has given a value", () => {
    const { train } = compiled(mlp(), make())
    const loaded = loadSteps(saveSteps({ train })).step("train")
    expect(refusalOf(() => loaded.runSync(mlp().feed))).toMatchInlineSnapshot(`
      "CounterflowError: CF_STATE_MISSING  fc_0.w_0 has no value yet
        fix: run the startup program first, or load weights"
    `)
  })

  test("is asked for by its name, runs in call order, and ends with its file", async () => {
    const { step } = exchanging()
    const steps: LoadedSteps = loadSteps(saveSteps({ step }))
    expect([steps.names, steps.step("step") === steps.step("step")]).toEqual([["step"], true])
    expect(refusalOf(() => steps.step("stop"))).toMatchInlineSnapshot(`
      "CounterflowError: CF_UNKNOWN_NAME  loadSteps: the file holds no step "stop"
        fix: did you mean "step"?"
    `)
    const runs = [steps.step("step").run({ x: [1, 2] }), steps.step("step").run({ x: [1, 2] })]
    expect(refusalOf(() => steps.step("step").runSync({ x: [1, 2] }))).toContain("CF_BUSY")
    expect((await Promise.all(runs)).map(([sum]) => String(sum))).toEqual([
      "int64[2] [8,9]",
      "int64[2] [-1099511627775,-1099511627774]",
    ])
    const last = steps.step("step")
    steps.close()
    steps.close()
    expect(refusalOf(() => steps.step("step"))).toContain("CF_CLOSED")
    expect(await rejectionOf(last.run({ x: [1, 2] }))).toContain("CF_CLOSED")
  })
})

describe("what cannot be saved", () => {
  const twiceOp = primitive({
    name: "vendor.twice",
    inputs: { x: "tensor" },
    outputs: ["z"],
    attrs: {},
    infer: ({ x }) => ({ z: x }),
    grad: noGrad("it is not needed here"),
    facts: { kind: "opaque" },
  })

  const doubled = (x: Variable): Variable => emit(twiceOp, { x }, {}, doubled).z

  test("a kernel in JavaScript", () => {
    const { main, z } = build((program) => ({ z: doubled(input(program, "x", [symbol("n")])) }))
    const twice = hostKernel<typeof twiceOp>(({ inputs: { x }, outputs: { z } }) => () => {
      z.data.set(Array.from(x.data, (value) => 2 * value))
    })
    const executor = new Executor(wasm({ kernels: { "vendor.twice": twice } }), { legalize })
    const step = executor.compileSync(main, { feed: { x: [2] }, fetch: [z] })
    expect(step.runSync({ x: [1, 2] })[0].toArray()).toEqual([2, 4])
    expect(refusalOf(() => saveSteps({ step }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_KERNEL_MISSING  saveSteps: the step "step" runs vendor.twice by a kernel in JavaScript, which no file can hold
        this vendor.twice was built at LINE
        fix: give the op a decomposition, or an expression if it is elementwise"
    `)
  })

  test("a step of another backend, or none at all", () => {
    const { train } = compiled(mlp(), make(cpu()))
    expect(refusalOf(() => saveSteps({ train }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  saveSteps: the step "train" was not compiled by an Executor on the backend wasm
        fix: saveSteps({ train: await new Executor(wasm()).compile(main, …) })"
    `)
    expect(refusalOf(() => saveSteps({}))).toContain("CF_BAD_ARGUMENT")
  })

  test("steps that disagree about state", () => {
    const step = (shape: readonly number[]) => {
      const { main } = build((program) => {
        const w = program
          .globalBlock()
          .createVar({ name: "w", shape, dtype: "float32", persistable: true, initialValue: 1 })
        write(w, mul(w, 2))
        return {}
      })
      return make().compileSync(main)
    }
    expect(refusalOf(() => saveSteps({ one: step([2]), other: step([3]) }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_STATE_MISMATCH  saveSteps: "w" is float32[2] for the step "one" and float32[3] for "other"
        fix: steps of one file share state by name: save "other" in a file of its own"
    `)
  })
})
