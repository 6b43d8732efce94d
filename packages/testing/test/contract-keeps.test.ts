// A backend that keeps a composite whole: the same results, and the composite's own gradient rule.

import { appendBackward, gradients } from "@counterflow/autodiff"
import { type Backend, Executor } from "@counterflow/executor"
import type { Variable } from "@counterflow/ir"
import { cpu, type KernelOf } from "@counterflow/kernels-cpu"
import { catalogue, legalize, logSoftmax, mean, mul, softmax, type softmaxOp, square } from "@counterflow/ops"
import { gradCheck, opCases } from "@counterflow/testing"
import { afterAll, describe, expect, test } from "vitest"
import { build, input } from "./building.ts"
import { register } from "./registering.ts"

let runs = 0

/** Softmax in one piece: three passes over each lane. */
const whole: KernelOf<typeof softmaxOp> = ({ inputs: { x }, outputs: { z }, attrs: { axis } }) => {
  const size = x.shape[axis] ?? 1
  const stride = x.shape.slice(axis + 1).reduce((product, each) => product * each, 1)
  return () => {
    runs++
    for (let outer = 0; outer < x.data.length; outer += size * stride) {
      for (let lane = outer; lane < outer + stride; lane++) {
        let largest = -Infinity
        let sum = 0
        for (let i = 0; i < size; i++) largest = Math.max(largest, x.data[lane + i * stride] ?? NaN)
        for (let i = 0; i < size; i++) sum += Math.exp((x.data[lane + i * stride] ?? NaN) - largest)
        for (let i = 0; i < size; i++)
          z.data[lane + i * stride] = Math.exp((x.data[lane + i * stride] ?? NaN) - largest) / sum
      }
    }
  }
}

const keeping = (): Backend => ({ ...cpu({ kernels: { softmax: whole } }), keeps: ["softmax"] })

const typesOf = (step: { plan: { block: { ops: readonly { type: string }[] } } }) =>
  step.plan.block.ops.map(({ type }) => type)

function example() {
  return build((program) => {
    const x = input(program, "x", [2, 4])
    const y = softmax(x)
    const loss = mean(mul(square(y), logSoftmax(x)))
    const [[, dx]] = appendBackward(loss, { parameterList: [x] }) as [[Variable, Variable]]
    return { x, y, loss, dx }
  })
}

const feed = { x: [1, -2, 0.5, 3, 100, 99, -100, 98] }

describe("softmax kept whole", () => {
  test("the plan holds it, the plan of another backend its expansion", () => {
    const { main, loss } = example()
    const shapes = { feed: { x: [2, 4] }, fetch: [loss] }
    const kept = typesOf(new Executor(keeping(), { legalize }).compileSync(main, shapes))
    const expanded = typesOf(new Executor(cpu(), { legalize }).compileSync(main, shapes))
    expect(kept.filter((type) => type === "softmax")).toEqual(["softmax"])
    expect(expanded).not.toContain("softmax")
    // What is not kept is expanded there as well.
    expect(kept).not.toContain("logSoftmax")
  })

  test("values and gradients are those of the expansion", () => {
    const { main, y, loss, dx } = example()
    const run = (backend: Backend) => new Executor(backend, { legalize }).runSync(main, { feed, fetch: [y, loss, dx] })
    runs = 0
    const [kept, expanded] = [run(keeping()), run(cpu())]
    expect(runs).toBe(1)
    kept.forEach(({ data }, at) => {
      Array.from(data as Float32Array).forEach((value, i) =>
        expect(value).toBeCloseTo(Number(expanded[at]?.data[i]), 6),
      )
    })
  })

  test("its gradient is its own rule: z ∘ (dz − Σ dz ∘ z), which reads z and not the expansion's parts", () => {
    const { main } = build((program) => {
      const x = input(program, "x", [2, 4])
      gradients(softmax(x), x, { targetGradients: input(program, "c", [2, 4]) })
      return {}
    })
    const own = main.globalBlock().ops.filter(({ role }) => role === "backward")
    expect(own.map(({ type }) => type)).toEqual(["mul", "reduceSum", "broadcastTo", "sub", "mul"])
    expect(own.every(({ derivedFrom }) => derivedFrom?.type === "softmax")).toBe(true)
    expect(own[0]?.inputList().map(({ name }) => name)).toContain("softmax_0.tmp_0")
  })

  test("it agrees with differences on this backend, orders 1 and 2", async () => {
    const { main, y } = build((program) => ({ y: softmax(input(program, "x", [2, 4])) }))
    const near = { x: [1, -2, 0.5, 3, 0.1, 0.2, -0.3, 0.4] }
    const report = await gradCheck(main, { targets: [y], wrt: ["x"], feed: near, order: 2, backend: keeping() })
    expect(report.toString()).toContain(": ok")
  })
})

describe("the derived suite compares what is kept with its expansion", () => {
  const described = catalogue.filter(({ op }) => op.name === "softmax")
  const suite = opCases(described, { backend: keeping() })
  register(suite.cases)

  test("and reports a kernel that is something else", async () => {
    const wrong: Backend = { ...cpu({ kernels: { softmax: () => () => {} } }), keeps: ["softmax"] }
    const own = opCases(described, { backend: wrong })
    await expect(own.cases.find(({ name }) => name === "softmax: values")?.run()).rejects.toThrow(/softmax, sample 0/)
    own.close()
  })

  afterAll(() => suite.close())
})
