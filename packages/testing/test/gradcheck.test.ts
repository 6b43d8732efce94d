// gradCheck on whole programs: where values come from, what is checked, and what it refuses.

import { appendBackward } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { Program, programGuard, symbol, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import {
  add,
  argmax,
  cast,
  dropout,
  flattenMatmul,
  legalize,
  mean,
  mul,
  relu,
  square,
  sub,
  tanh,
  uniform,
  write,
} from "@counterflow/ops"
import { gradCheck } from "@counterflow/testing"
import { describe, expect, test } from "vitest"

const batch = symbol("batch")

function data(program: Program, name: string, shape: Variable["shape"], dtype: Variable["dtype"] = "float32") {
  return program.globalBlock().createVar({ name, shape, dtype, isData: true })
}

/** Linear regression as a training program, and the startup program that draws its weight. */
function regression() {
  const [main, startup] = [new Program(), new Program()]
  startup.randomSeed = 7
  return programGuard(main, startup, () => {
    const x = data(main, "x", [batch, 3])
    const y = data(main, "y", [batch, 1])
    const w = main.globalBlock().createParameter({ name: "w", shape: [3, 1], dtype: "float32" })
    const b = main.globalBlock().createParameter({ name: "b", shape: [1], dtype: "float32", initialValue: 0 })
    const there = startup.globalBlock().createVar({ name: "w", shape: [3, 1], dtype: "float32", persistable: true })
    write(there, uniform({ shape: [3, 1], program: startup }))
    const h = tanh(add(flattenMatmul(x, w), b))
    const loss = mean(square(sub(h, y)))
    for (const [parameter, gradient] of appendBackward(loss)) write(parameter, sub(parameter, mul(gradient, 0.1)))
    return { main, startup, x, y, w, b, h, loss }
  })
}

const feed = { x: [0.1, -0.2, 0.3, 1, -2, 0.5, 0.3, 0.2, -0.7, 0.9, 0.1, 0.4], y: [0.5, -0.5, 1, 0.25] }

describe("values", () => {
  test("parameters come from the startup program, run in float64", async () => {
    const { main, startup, loss } = regression()
    const report = await gradCheck(main, { loss, wrt: ["x", "w", "b"], feed, startup, order: 2 })
    expect(report.toString()).toContain("ok")
    expect(report.ok).toBe(true)
    expect(report.checks.map(({ input, order }) => `${input} ${order}`)).toEqual([
      "x 1",
      "w 1",
      "b 1",
      "x 2",
      "w 2",
      "b 2",
      "cotangent of mean_0.tmp_0 2",
    ])
  })

  test("or from an executor's scope, which stays as it was", async () => {
    const { main, loss } = regression()
    const executor = new Executor(cpu(), { legalize })
    executor.scope.set("w", { data: [0.3, -0.1, 0.2], shape: [3, 1] })
    executor.scope.set("b", { data: [0.4], shape: [1] })
    const report = await gradCheck(main, { loss, wrt: ["w", "b"], feed, scope: executor.scope, order: 2 })
    expect(report.ok).toBe(true)
    expect(executor.scope.get("w").dtype).toBe("float32")
    expect(executor.scope.get("b").toArray()).toEqual([Math.fround(0.4)])
    // The numbers are those of this scope: another one has another gradient.
    const other = await gradCheck(main, { loss, wrt: ["w"], feed, scope: new Map([["w", tensor([1, 1, 1], [3, 1])]]) })
    expect(other.checks[0]?.analytic).not.toBe(report.checks[0]?.analytic)
  })

  test("neither the program nor its mutation counter changes", async () => {
    const { main, startup, loss, h } = regression()
    const before = [main.toString(), main.mutations]
    await gradCheck(main, { loss, wrt: ["w", h], feed, startup, order: 2 })
    expect([main.toString(), main.mutations]).toEqual(before)
  })

  test("computed variables can be varied, and several targets of any shape be checked", async () => {
    const { main, startup, loss, h } = regression()
    const report = await gradCheck(main, { targets: [h, loss], wrt: [h, "w", "y"], feed, startup, order: 2 })
    expect(report.toString()).toMatch(/^gradient check \(seed 1\): ok/)
    expect(report.checks.filter(({ analytic }) => analytic !== 0).length).toBe(report.checks.length)
  })

  test("every evaluation sees the same draw", async () => {
    const main = new Program()
    const { x, loss } = programGuard(main, () => {
      const x = data(main, "x", [3, 4])
      return { x, loss: mean(square(dropout(x, { dropoutProb: 0.5 }))) }
    })
    const report = await gradCheck(main, {
      loss,
      wrt: [x],
      feed: { x: Array.from({ length: 12 }, (_, i) => i / 5 + 1) },
      order: 2,
    })
    expect(report.ok).toBe(true)
    const [first] = report.checks
    expect(Math.abs(first?.analytic ?? 0)).toBeGreaterThan(0.01)
  })

  test("inputs that the targets do not depend on have no gradient", async () => {
    const { main, startup, h } = regression()
    const report = await gradCheck(main, { targets: [h], wrt: ["y", "w"], feed, startup })
    expect(report.checks.map(({ input, analytic, numeric }) => [input, analytic === 0, numeric === 0])).toEqual([
      ["y", true, true],
      ["w", false, false],
    ])
  })

  test("integers are fed as they are", async () => {
    const main = new Program()
    const { x, loss } = programGuard(main, () => {
      const x = data(main, "x", [2])
      return { x, loss: mean(mul(cast(data(main, "i", [2], "int64"), { dtype: "float32" }), x)) }
    })
    const report = await gradCheck(main, {
      loss,
      wrt: [x],
      feed: { x: [1, 2], i: new BigInt64Array([3n, -4n]) },
      order: 2,
    })
    expect(report.ok).toBe(true)
  })
})

describe("reports", () => {
  test("a table of what was found", async () => {
    const main = new Program()
    const loss = programGuard(main, () => mean(square(data(main, "x", [2]))))
    const report = await gradCheck(main, { loss, wrt: ["x"], feed: { x: [1, 2] }, seed: 3 })
    expect(report.toString().replace(/\d\.\de-\d\d/, "tiny")).toMatchInlineSnapshot(`
      "gradient check (seed 3): ok
      input  order  analytic       numeric        relative error
      x      1      -0.4323337222  -0.4323337222  tiny         ok"
    `)
  })

  test("a kink at the point is told from a wrong rule", async () => {
    const main = new Program()
    const loss = programGuard(main, () => mean(relu(data(main, "x", [2]))))
    const near = await gradCheck(main, { loss, wrt: ["x"], feed: { x: [1, 3e-7] }, seed: 3 })
    expect(near.ok).toBe(false)
    expect(near.toString()).toContain("undecided: differences do not settle (a kink or pole nearby?)")
    const away = await gradCheck(main, { loss, wrt: ["x"], feed: { x: [1, 0.1] }, seed: 3 })
    expect(away.ok).toBe(true)
  })

  test("another seed takes other cotangents and directions", async () => {
    const { main, startup, loss } = regression()
    const [one, again, two] = await Promise.all(
      [1, 1, 2].map((seed) => gradCheck(main, { loss, wrt: ["w"], feed, startup, seed })),
    )
    expect(one?.toString()).toBe(again?.toString())
    expect(one?.checks[0]?.analytic).not.toBe(two?.checks[0]?.analytic)
  })

  test("a tolerance that differences cannot reach is not met", async () => {
    const { main, startup, loss } = regression()
    expect((await gradCheck(main, { loss, wrt: ["w"], feed, startup, tolerance: 1e-16 })).ok).toBe(false)
  })
})

describe("refusals", () => {
  const refused = async (check: Promise<unknown>) => (await check.catch((error: unknown) => String(error))) as string

  test("what is no program, no target and no input", async () => {
    const { main, loss } = regression()
    expect(await refused(gradCheck("main" as never, { loss, wrt: ["w"] }))).toMatchInlineSnapshot(
      `"CounterflowError: CF_BAD_ARGUMENT  gradCheck: a Program is needed, got the string main"`,
    )
    expect(await refused(gradCheck(main, { wrt: ["w"] }))).toMatchInlineSnapshot(
      `"CounterflowError: CF_BAD_ARGUMENT  gradCheck: a loss or targets are needed"`,
    )
    expect(await refused(gradCheck(main, { loss, wrt: [] }))).toMatchInlineSnapshot(
      `"CounterflowError: CF_BAD_ARGUMENT  gradCheck: wrt is empty"`,
    )
    expect(await refused(gradCheck(main, { loss, wrt: ["ww"] }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_UNKNOWN_NAME  the program has no variable "ww"
        fix: did you mean "w"?"
    `)
  })

  test("integers have no gradient", async () => {
    const main = new Program()
    const i = programGuard(main, () => argmax(data(main, "x", [2, 3]), { axis: 1 }))
    expect(await refused(gradCheck(main, { targets: [i], wrt: ["x"] }))).toMatchInlineSnapshot(
      `"CounterflowError: CF_DTYPE_MISMATCH  gradCheck: targets: argmax_0.tmp_0 int32[2] has no gradient, only float32 and float64 do"`,
    )
  })

  test("parameters without values", async () => {
    const { main, loss } = regression()
    expect(await refused(gradCheck(main, { loss, wrt: ["w"], feed }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_STATE_MISSING  w has no value yet
        fix: run the startup program first, or load weights"
    `)
  })

  test("a missing feed", async () => {
    const { main, startup, loss } = regression()
    expect(await refused(gradCheck(main, { loss, wrt: ["w"], feed: { x: feed.x }, startup }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_MISSING  y is needed by this run and was not fed
        fix: feed y; to predict without labels and without training, run main.clone({ forTest: true })"
    `)
  })

  test("a feed of no variable", async () => {
    const { main, startup, loss } = regression()
    expect(await refused(gradCheck(main, { loss, wrt: ["w"], feed: { ...feed, z: [1] }, startup })))
      .toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_UNKNOWN  gradCheck: the program has no data variable "z"
        fix: did you mean "x"?"
    `)
  })
})

function tensor(data: readonly number[], shape: readonly number[]) {
  return { data: Float32Array.from(data), shape, dtype: "float32" as const }
}
