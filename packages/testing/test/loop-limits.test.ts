// Runs that end before their time: a budget, a signal, and what is left as it was. An op from outside says when it is time, so
// nothing here depends on a clock but the budgets themselves.

import { gradients } from "@counterflow/autodiff"
import { type Backend, Executor, type RunLimits } from "@counterflow/executor"
import { type CounterflowError, isCounterflowError, type Variable } from "@counterflow/ir"
import { cpu, type KernelOf } from "@counterflow/kernels-cpu"
import { hostKernel, saveSteps, wasm } from "@counterflow/kernels-wasm"
import { loadSteps } from "@counterflow/kernels-wasm/saved"
import {
  add,
  cond,
  emit,
  fillConstant,
  legalize,
  less,
  primitive,
  reduceSum,
  scale,
  scan,
  sin,
  whileLoop,
  write,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { build, input, parameter, refusalOf, rejectionOf } from "./building.ts"

/** The identity, which raises a word when it has run so often: forwards, or in its gradient. */
function alarm(x: Variable, attrs: { forward: number; backward: number }): Variable {
  return emit(alarmOp, { x }, attrs, alarm).z
}

const alarmOp = primitive({
  name: "test.alarm",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { forward: "int", backward: "int" },
  infer: ({ x }) => ({ z: x }),
  grad: (_inputs, _outputs, { z: dz }, { backward }) => ({ x: alarm(dz, { forward: backward, backward: 0 }) }),
  facts: { kind: "opaque" },
})

const alarming = (word: Int32Array): Record<string, () => Backend> => {
  const kernel: KernelOf<typeof alarmOp> = ({ inputs: { x }, outputs: { z }, attrs: { forward } }) => {
    let runs = 0
    return () => {
      z.data.set(x.data)
      if (++runs === forward) Atomics.store(word, 0, 1)
    }
  }
  const kernels = {
    "test.alarm": hostKernel<typeof alarmOp>(kernel as Parameters<typeof hostKernel<typeof alarmOp>>[0]),
  }
  return {
    cpu: () => cpu({ kernels: { "test.alarm": kernel } }),
    wasm: () => wasm({ kernels }),
    "wasm of two threads": () => wasm({ kernels, threads: 2 }),
  }
}

const int = (value: number, like: Variable) => fillConstant({ shape: [], value, dtype: "int32", program: like.program })

/** As often as said, but nobody knows before. */
function times(count: number, x: Variable, body: (x: Variable) => Variable, maxTrips?: number): Variable {
  const [, y] = whileLoop(
    (i) => less(i, count),
    (i, y) => [add(i, 1), body(y)],
    [int(0, x), x],
    maxTrips === undefined ? {} : { maxTrips },
  )
  return y
}

function repeated(count: number, x: Variable, body: (x: Variable) => Variable): Variable {
  return scan((y) => [body(y)], { init: x, length: count })[0]
}

const forward = (x: Variable) => sin(alarm(x, { forward: 50, backward: 0 }))
const backward = (x: Variable) => sin(alarm(x, { forward: 0, backward: 50 }))
const either = (x: Variable, body: () => Variable) => cond(less(reduceSum(x), 100), body, () => scale(x, { scale: 2 }))

const nests: Record<string, { ended: string; make: (x: Variable) => Variable }> = {
  "a loop of unknown length": { ended: "whileLoop", make: (x) => times(4000, x, forward) },
  "a loop with maxTrips": { ended: "whileLoop", make: (x) => times(4000, x, forward, 5000) },
  "a scan": { ended: "scan", make: (x) => repeated(4000, x, forward) },
  "a loop in a loop": { ended: "scan", make: (x) => times(200, x, (y) => repeated(200, y, forward)) },
  "a loop of loops too short to be asked": {
    ended: "whileLoop",
    make: (x) => times(4000, x, (y) => repeated(1, y, forward)),
  },
  "a loop in a branch": { ended: "scan", make: (x) => either(x, () => repeated(4000, x, forward)) },
  "a branch in a loop": { ended: "whileLoop", make: (x) => times(4000, x, (y) => either(y, () => forward(y))) },
  "the gradient of a scan": {
    ended: "scan",
    make: (x) => gradients(repeated(4000, x, backward), x)[0] ?? x,
  },
  "the gradient of a loop": {
    ended: "scan",
    make: (x) => gradients(times(4000, x, backward, 4000), x)[0] ?? x,
  },
}

/** A step that also doubles a state, first. */
function stepOf(make: (x: Variable) => Variable) {
  return build((program) => {
    const [x, w] = [input(program, "x", [2]), parameter(program, "w", [2])]
    write(w, scale(w, { scale: 2 }))
    return { w, y: make(x) }
  })
}

const masked = (text: string) => text.replace(/after \d+ runs/, "after SOME runs").replace(/\d+ ms$/m, "SOME ms")

describe.each(Object.keys(alarming(new Int32Array(1))))("on %s a word of shared memory ends", (backend) => {
  test.each(Object.entries(nests))("%s, state stays, and the executor goes on", (_name, { ended, make }) => {
    const signal = new Int32Array(new SharedArrayBuffer(4))
    const { main, y } = stepOf(make)
    const executor = new Executor(alarming(signal)[backend]!(), { legalize })
    const refusal = refusalOf(() => executor.runSync(main, { feed: { x: [1, 2] }, fetch: [y], signal }))
    expect(refusal).toContain(`CF_ABORTED  ${ended}: the step was aborted after `)
    expect(refusal).toMatch(/was built at LINE/)
    // It was asked at the first trip, and from then on every thousandth.
    expect(Number(/after (\d+) runs?/.exec(refusal)?.[1])).toBeLessThan(1100)
    expect(executor.scope.get("w").toArray()).toEqual([1, 1])
    signal[0] = 0
    const step = () => executor.runSync(main, { feed: { x: [1, 2] }, fetch: [y], signal })[0].toArray()
    expect(step()).toEqual(step())
    expect(executor.scope.get("w").toArray()).toEqual([4, 4])
    executor.close()
  })
})

/** Runs for ever, unless x is 0. */
function endless() {
  return stepOf(
    (x) =>
      whileLoop(
        (y) => less(0, reduceSum(y)),
        (y) => [scale(y, { scale: 1 })],
        [x],
      )[0],
  )
}

describe.each([
  ["cpu", cpu],
  ["wasm", wasm],
] as const)("on %s", (_name, backend) => {
  test("a loop without end stops when its time is over", async () => {
    const { main, y } = endless()
    const executor = new Executor(backend(), { legalize, timeBudget: 20 })
    const over = refusalOf(() => executor.runSync(main, { feed: { x: [1, 2] }, fetch: [y] }))
    expect(masked(over)).toMatchInlineSnapshot(`
      "CounterflowError: CF_TIME_BUDGET  whileLoop: the step has 20 ms, and has not ended after SOME runs of this loop and SOME ms
          init = x float32[2]
        this whileLoop was built at LINE
        fix: let the loop end sooner (maxTrips says how often it may run at most), or give the run more: { timeBudget }"
    `)
    // What a run says of itself goes before what the executor says.
    expect(
      masked(refusalOf(() => executor.runSync(main, { feed: { x: [1, 2] }, fetch: [y], timeBudget: 5 }))),
    ).toContain("has 5 ms")
    const step = executor.compileSync(main, { feed: { x: [2] }, fetch: [y] })
    expect(masked(refusalOf(() => step.runSync({ x: [1, 2] }, { timeBudget: 6 })))).toContain("has 6 ms")
    expect(masked(await rejectionOf(step.run({ x: [1, 2] })))).toBe(masked(over))
    expect(executor.scope.get("w").toArray()).toEqual([1, 1])
    expect(step.runSync({ x: [0, 0] })[0].toArray()).toEqual([0, 0])
    expect(executor.scope.get("w").toArray()).toEqual([2, 2])
    executor.close()
  })

  test("an aborted signal refuses runs before they begin, in a queue too", async () => {
    const { main, y } = endless()
    const executor = new Executor(backend(), { legalize })
    const controller = new AbortController()
    const { signal } = controller
    const run = (given?: AbortSignal) => executor.run(main, { feed: { x: [0, 0] }, fetch: [y], signal: given })
    const codes = Promise.allSettled([run(signal).then(() => controller.abort("enough")), run(signal), run()])
    expect((await codes).map(codeOf)).toEqual([null, ["CF_ABORTED", "enough"], null])
    expect(refusalOf(() => executor.runSync(main, { feed: { x: [0, 0] }, signal }))).toMatchInlineSnapshot(
      `"CounterflowError: CF_ABORTED  run: the run was aborted before it began"`,
    )
    const step = executor.compileSync(main, { feed: { x: [2] } })
    expect(refusalOf(() => step.runSync({ x: [0, 0] }, { signal }))).toContain("CF_ABORTED")
    expect(await rejectionOf(step.run({ x: [0, 0] }, { signal }))).toContain("CF_ABORTED")
    expect(executor.scope.get("w").toArray()).toEqual([4, 4])
    executor.close()
  })

  test("only loops without maxTrips have a budget that nobody asked for", () => {
    const seen: (RunLimits | undefined)[] = []
    const own = backend()
    const looking: Backend = {
      ...own,
      load: (...plan) => {
        const loaded = own.load(...plan)
        const runSync = (limits?: RunLimits) => {
          seen.push(limits)
          loaded.runSync(limits)
        }
        return { view: (id) => loaded.view(id), runSync, close: () => loaded.close() }
      },
    }
    const limitsOf = (make: (x: Variable) => Variable, timeBudget?: number, usual?: number) => {
      const { main, y } = stepOf(make)
      const executor = new Executor(looking, usual === undefined ? { legalize } : { legalize, timeBudget: usual })
      executor.runSync(main, { feed: { x: [0, 0] }, fetch: [y], timeBudget })
      executor.close()
      return seen.pop()?.timeBudget
    }
    const open = (x: Variable) => times(3, x, sin)
    expect(limitsOf(open)).toBe(60_000)
    expect(limitsOf((x) => either(x, () => repeated(2, x, open)))).toBe(60_000)
    expect(limitsOf((x) => times(3, x, sin, 3))).toBe(undefined)
    expect(limitsOf((x) => repeated(3, x, sin))).toBe(undefined)
    expect(limitsOf(open, Infinity)).toBe(undefined)
    expect(limitsOf(open, undefined, Infinity)).toBe(undefined)
    expect(limitsOf(open, 70, Infinity)).toBe(70)
    expect(limitsOf(sin, undefined, 80)).toBe(80)
  })
})

function codeOf(settled: PromiseSettledResult<unknown>): readonly [string, unknown] | null {
  if (settled.status === "fulfilled") return null
  const reason: unknown = settled.reason
  const error: CounterflowError | null = isCounterflowError(reason) ? reason : null
  return [error?.code ?? "none", error?.cause]
}

test("a step from a file has the same limits, and the same errors", () => {
  const { main, y } = endless()
  const executor = new Executor(wasm(), { legalize })
  const step = executor.compileSync(main, { feed: { x: [2] }, fetch: [y] })
  const steps = loadSteps(saveSteps({ step }))
  const saved = steps.step("step")
  expect(saved.plan.mayBeEndless).toBe(true)
  const refusals = [step, saved].map((each) => refusalOf(() => each.runSync({ x: [1, 2] }, { timeBudget: 5 })))
  expect(refusals.map(masked)).toEqual([masked(refusals[0]!), masked(refusals[0]!)])
  expect(refusals[0]).toContain("CF_TIME_BUDGET  whileLoop")
  expect(steps.scope.get("w").toArray()).toEqual([1, 1])
  expect(saved.runSync({ x: [0, 0] })[0]?.toArray()).toEqual([0, 0])
  steps.close()
  executor.close()
})

test("limits that are none are refused", () => {
  const { main } = endless()
  expect(refusalOf(() => new Executor(cpu(), { legalize, timeBudget: 0 }))).toMatchInlineSnapshot(
    `"CounterflowError: CF_BAD_ARGUMENT  timeBudget must be a positive number of milliseconds, got 0"`,
  )
  const executor = new Executor(cpu(), { legalize })
  const refused = (limits: object) => refusalOf(() => executor.runSync(main, { feed: { x: [0, 0] }, ...limits }))
  expect(refused({ timeBudget: NaN })).toContain("timeBudget must be a positive number of milliseconds, got NaN")
  expect(refused({ signal: new AbortController() })).toMatchInlineSnapshot(
    `"CounterflowError: CF_BAD_ARGUMENT  signal must be an AbortSignal, or an Int32Array of at least one element"`,
  )
  expect(refused({ signal: new Int32Array(0) })).toContain("an Int32Array of at least one element")
  executor.close()
})
