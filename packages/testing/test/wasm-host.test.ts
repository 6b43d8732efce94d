// Kernels in JavaScript on the WebAssembly backend: ops from outside, with the kernels that serve the CPU backend.

import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { fail, symbol, type Variable } from "@counterflow/ir"
import { cpu, type KernelOf } from "@counterflow/kernels-cpu"
import { explainPlan, hostKernel, wasm } from "@counterflow/kernels-wasm"
import { add, emit, legalize, less, mul, noGrad, primitive, reduceSum, scale, sin, tanh, write } from "@counterflow/ops"
import { gradCheck } from "@counterflow/testing"
import { describe, expect, test } from "vitest"
import { again, againOp, cond, condOp, kernels as branches } from "./branch.ts"
import { build, input, parameter, refusalOf } from "./building.ts"

/** Each id with how often it has occurred before; scratch, a list of outputs and two dtypes. */
const countOp = primitive({
  name: "vendor.count",
  inputs: { ids: "index" },
  outputs: ["earlier", "half"],
  attrs: { limit: "int" },
  infer: ({ ids }) => ({ earlier: ids, half: { shape: ids.shape, dtype: "float32" } }),
  grad: noGrad("counts are integers"),
  facts: { kind: "opaque" },
})

function count(ids: Variable, limit: number) {
  return emit(countOp, { ids }, { limit }, count)
}

const countKernel: KernelOf<typeof countOp> = {
  workspace: ({ attrs: { limit } }) => limit,
  bind: ({ inputs: { ids }, outputs: { earlier, half }, attrs: { limit }, workspace }) => {
    return () => {
      workspace.fill(0)
      for (let i = 0; i < ids.data.length; i++) {
        const id = ids.data[i] ?? 0
        if (id >= limit) fail("CF_INDEX_RANGE", `id ${id} is beyond the limit ${limit}`)
        earlier.data[i] = workspace[id] ?? 0
        half.data[i] = id / 2
        workspace[id] = (workspace[id] ?? 0) + 1
      }
    }
  },
}

const kernels = {
  "vendor.count": hostKernel<typeof countOp>(countKernel),
  "test.cond": hostKernel<typeof condOp>(branches["test.cond"]),
  "test.again": hostKernel<typeof againOp>(branches["test.again"]),
}

const make = () => new Executor(wasm({ kernels }), { legalize })

function counting() {
  return build((program) => {
    const w = program
      .globalBlock()
      .createVar({ name: "w", shape: [], dtype: "int64", persistable: true, initialValue: 5 })
    const { earlier, half } = count(add(input(program, "ids", [symbol("n")], "int64"), 1), 10)
    write(w, add(w, reduceSum(earlier)))
    return { earlier, half, doubled: scale(half, { scale: 2 }) }
  })
}

describe("an op from outside", () => {
  test("runs on views of memory, int64 as numbers, with scratch, in the middle of a plan", async () => {
    const { main, earlier, half, doubled } = counting()
    const executor = make()
    const feed = { ids: [3, 1, 3, 3, 8] }
    const step = await executor.compile(main, { feed: { ids: [5] }, fetch: [earlier, half, doubled] })
    const [e, h, d] = await step.run(feed)
    expect([e.toArray(), h.toArray(), d.toArray()]).toEqual([
      [0, 0, 1, 2, 0],
      [2, 1, 2, 2, 4.5],
      [4, 2, 4, 4, 9],
    ])
    expect(executor.scope.get("w").item()).toBe(8)
    const served = [...explainPlan(step.plan, { kernels }).kernels].map(([op, names]) => [op.type, names])
    expect(served).toContainEqual(["vendor.count", ["host"]])
    expect(served.filter(([, names]) => names?.includes("host"))).toHaveLength(1)
  })

  test("is bound again when memory has moved", async () => {
    const { main, earlier } = counting()
    const executor = make()
    const small = await executor.compile(main, { feed: { ids: [2] }, fetch: [earlier] })
    expect((await small.run({ ids: [4, 4] }))[0].toArray()).toEqual([0, 1])
    await executor.run(main, { feed: { ids: Array.from({ length: 50_000 }, (_, i) => i % 9) }, fetch: [earlier] })
    expect((await small.run({ ids: [7, 7] }))[0].toArray()).toEqual([0, 1])
  })

  test("that refuses its input is named with the user's line, and state stays", () => {
    const { main, earlier } = counting()
    const executor = make()
    expect(refusalOf(() => executor.runSync(main, { feed: { ids: [1, 9] }, fetch: [earlier] }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_INDEX_RANGE  vendor.count: id 10 is beyond the limit 10
          ids = add_0.tmp_0 int64[2]
        this vendor.count was built at LINE"
    `)
    expect(executor.scope.get("w").item()).toBe(5)
    expect(executor.runSync(main, { feed: { ids: [1, 8] }, fetch: [earlier] })[0].toArray()).toEqual([0, 0])
  })

  test("that has no kernel is refused with the ways out", () => {
    const { main, earlier } = counting()
    const executor = new Executor(wasm(), { legalize })
    expect(refusalOf(() => executor.runSync(main, { feed: { ids: [1] }, fetch: [earlier] }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_KERNEL_MISSING  vendor.count: the backend wasm has no kernel for vendor.count
        this vendor.count was built at LINE
        fix: pass one: wasm({ kernels: { "vendor.count": … } }); or give the op a decomposition; or use another backend"
    `)
  })
})

describe("sub-blocks", () => {
  function branching() {
    return build((program) => {
      const x = input(program, "x", [3])
      const w = parameter(program, "w", [3], { initialValue: 2 })
      const [z] = cond(
        less(reduceSum(x), 0),
        () => [mul(tanh(x), w)],
        () => [add(sin(x), mul(x, x))],
      ) as [Variable]
      const [dx, dw] = gradients(z, [x, w]) as [Variable, Variable]
      return { z, dx, dw }
    })
  }

  test("are functions of the module: the branch that is taken runs", () => {
    const { main, z, dx, dw } = branching()
    const executors = [make(), new Executor(cpu({ kernels: branches }), { legalize })]
    for (const x of [
      [-1, -2, 0.5],
      [1, 2, -0.5],
    ]) {
      const [got, expected] = executors.map((executor) =>
        executor
          .runSync(main, { feed: { x }, fetch: [z, dx, dw] })
          .flatMap(({ data }) => Array.from(data as Float32Array)),
      )
      expect(got?.length).toBe(9)
      got?.forEach((value, i) => expect(value).toBeCloseTo(expected?.[i] ?? NaN, 6))
    }
  })

  test("are differentiated to order 2", async () => {
    const { main, z } = branching()
    for (const x of [
      [-1, -2, 0.5],
      [1, 2, -0.5],
    ]) {
      const report = await gradCheck(main, {
        targets: [z],
        wrt: ["x", "w"],
        feed: { x },
        order: 2,
        backend: wasm({ kernels }),
      })
      expect(report.toString()).toContain(": ok")
    }
  })

  test("may run again and again, and one in another", () => {
    const { main, z } = build((program) => {
      const x = input(program, "x", [2])
      const inner = () =>
        cond(
          less(reduceSum(x), 0),
          () => [scale(x, { scale: -1 })],
          () => [scale(x, { scale: 3 })],
        )
      const [z] = again(x, 4, () => [add(inner()[0] as Variable, 1)]) as [Variable]
      return { z }
    })
    const executor = make()
    expect(executor.runSync(main, { feed: { x: [1, 2] }, fetch: [z] })[0].toArray()).toEqual([4, 7])
    expect(executor.runSync(main, { feed: { x: [-1, -2] }, fetch: [z] })[0].toArray()).toEqual([2, 3])
  })
})
