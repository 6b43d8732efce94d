// An op from outside: this file defines it, and nothing else was touched for it to be checked, differentiated, run, documented
// and kept in files.

import { appendBackward, gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { parseProgram, Program, type Variable, verify } from "@counterflow/ir"
import { cpu, type KernelOf } from "@counterflow/kernels-cpu"
import { data, fc } from "@counterflow/layers"
import {
  describe as describeOp,
  emit,
  extend,
  legalize,
  mean,
  mul,
  primitive,
  registry,
  requireFloat,
  resolve,
  scale,
  square,
  sub,
} from "@counterflow/ops"
import { SGD } from "@counterflow/optim"
import { backendCases, gradCheck, opCases } from "@counterflow/testing"
import { afterAll, describe, expect, test } from "vitest"
import { opSection } from "../src/index.ts"
import { build, input, refusalOf } from "./building.ts"
import { register } from "./registering.ts"

/** z = limit · tanh(x / limit): nearly x where x is small, never beyond ±limit. */
function softClip(x: Variable, options: { limit?: number } = {}): Variable {
  return emit(softClipOp, { x }, { limit: options.limit ?? 1 }, softClip).z
}

const softClipOp = primitive({
  name: "vendor.softClip",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { limit: "number" },
  infer: ({ x }) => {
    requireFloat("x", x)
    return { z: x }
  },
  // forward   z = l tanh(x / l)
  // backward  dx = dz ∘ (1 − (z / l)²)
  grad: (_inputs, { z }, { z: dz }, { limit }) => ({ x: sub(dz, mul(dz, square(scale(z, { scale: 1 / limit })))) }),
  facts: { kind: "opaque" },
})

const softClipDoc = describeOp(softClipOp, {
  summary: "A tensor bent smoothly into the range ±limit.",
  formula: "z = limit · tanh(x / limit)",
  source: "derivative of tanh",
  samples: [
    { in: { x: [2, 3] }, attrs: { limit: 1 } },
    { in: { x: [4] }, attrs: { limit: 0.5 } },
    { in: { x: [] }, attrs: { limit: 2 } },
    { in: { x: [0, 2] }, attrs: { limit: 1 } },
    { in: { x: { shape: [3], dtype: "float64" } }, attrs: { limit: 1 } },
  ],
  errorSamples: [
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { limit: 1 },
      code: "CF_DTYPE_MISMATCH",
      text: /x must be float32 or float64, got int32/,
    },
  ],
})

const kernel: KernelOf<typeof softClipOp> = ({ inputs: { x }, outputs: { z }, attrs: { limit } }) => {
  return () => {
    for (let i = 0; i < z.data.length; i++) z.data[i] = limit * Math.tanh((x.data[i] ?? 0) / limit)
  }
}

const backend = () => cpu({ kernels: { "vendor.softClip": kernel } })
const outside = extend(registry, { softClip: softClipOp })

describe("checked by its record", () => {
  const derived = opCases([softClipDoc], { backend: backend() })
  register(derived.cases)
  const conformance = backendCases<"vendor.softClip">(backend, { descriptions: [softClipDoc], reference: backend })
  register(conformance.cases.filter(({ name }) => name === "vendor.softClip"))

  test("a backend without its kernel says so", async () => {
    const without = backendCases<"vendor.softClip">(cpu, { descriptions: [softClipDoc], reference: backend })
    const own = without.cases.find(({ name }) => name === "vendor.softClip")
    await expect(own?.run()).rejects.toThrow(/^CF_KERNEL_MISSING/)
    without.close()
  })

  test("and the suite says how much it checked", () => {
    expect(derived.summary()).toContain(
      "1 ops on cpu: 5 samples run, 15 (op, input, order) gradient checks, 1 error samples refused",
    )
  })

  afterAll(() => {
    derived.close()
    conformance.close()
  })
})

describe("used like any other", () => {
  test("built at the user's line, with its name in snake case", () => {
    const { z } = build((program) => ({ z: softClip(input(program, "x"), { limit: 3 }) }))
    expect(z.name).toBe("vendor_soft_clip_0.tmp_0")
    expect(String(z.site)).toMatch(/contract-own-op.test.ts:\d+:\d+$/)
    expect(refusalOf(() => build((program) => softClip(input(program, "i", [2], "int32"))))).toMatchInlineSnapshot(`
      "CounterflowError: CF_DTYPE_MISMATCH  vendor.softClip: x must be float32 or float64, got int32
          x = i   int32[2]   built at LINE
        this vendor.softClip was built at LINE
        fix: cast(x, { dtype: "float32" })"
    `)
  })

  test("differentiated, twice", async () => {
    const { main, loss } = build((program) => {
      const x = input(program, "x", [3])
      const [d] = gradients(softClip(x, { limit: 0.7 }), x)
      return { loss: mean(square(d as Variable)) }
    })
    const report = await gradCheck(main, { loss, wrt: ["x"], feed: { x: [0.3, -1, 2] }, order: 2, backend: backend() })
    expect(report.toString()).toContain(": ok")
  })

  test("trained through", () => {
    const { main, startup, loss } = build((_main, first) => {
      first.randomSeed = 1
      const predict = softClip(fc(data({ name: "x", shape: [3] }), { size: 1 }), { limit: 2 })
      const loss = mean(square(sub(predict, data({ name: "y", shape: [1] }))))
      new SGD({ learningRate: 0.1 }).minimize(loss)
      return { loss }
    })
    const executor = new Executor(backend(), { legalize })
    executor.runSync(startup)
    const feed = { x: [1, 0, 0, 0, 1, 0, 0, 0, 1], y: [1.5, -1, 0.5] }
    const losses = Array.from({ length: 200 }, () => executor.runSync(main, { feed, fetch: [loss] })[0]?.item() ?? NaN)
    expect(losses.at(-1)).toBeLessThan(0.01)
    expect(losses[0]).toBeGreaterThan(0.1)
  })

  test("documented", () => {
    expect(opSection(softClipDoc).join("\n")).toMatchInlineSnapshot(`
      "## vendor.softClip

      \`vendor.softClip(x) → z\`

      A tensor bent smoothly into the range ±limit.

      - formula: \`z = limit · tanh(x / limit)\`
      - source: derivative of tanh
      - attributes: \`limit\`: number
      - gradient: own rule
      - float32 tolerance: 0.00001
      "
    `)
  })
})

describe("in files", () => {
  function example() {
    return build((program) => {
      const x = input(program, "x")
      const loss = mean(softClip(x, { limit: 0.25 }))
      appendBackward(loss, { parameterList: [x] })
      return { loss }
    })
  }

  test("text and JSON give the program back, given its record", () => {
    const { main, loss } = example()
    verify(main)
    const run = (program: Program) =>
      new Executor(backend(), { legalize }).runSync(program, { feed: { x: [1, 2] }, fetch: [loss.name, "x@GRAD"] })
    for (const read of [parseProgram(main.toString()), Program.fromJSON(JSON.parse(JSON.stringify(main)))]) {
      const copy = resolve(read, outside)
      verify(copy)
      expect(copy.toString()).toBe(main.toString())
      expect(run(copy).map(String)).toEqual(run(main).map(String))
    }
  })

  test("an executor with the registry runs what was read from a file as it is", () => {
    const { main, loss } = example()
    const executor = new Executor(backend(), { legalize, registry: outside })
    const [value] = executor.runSync(parseProgram(main.toString()), { feed: { x: [1, 2] }, fetch: [loss.name] })
    expect(value?.item()).toBeCloseTo(0.25, 3)
  })

  test("without its record, or without its kernel, the error names it and the way out", () => {
    const { main, loss } = example()
    const run = (program: Program, executor: Executor) => () =>
      executor.runSync(program, { feed: { x: [1, 2] }, fetch: [loss.name] })
    const read = parseProgram(main.toString())
    expect(refusalOf(() => resolve(read, registry))).toMatchInlineSnapshot(`
      "CounterflowError: CF_UNKNOWN_OP  the registry has no op "vendor.softClip"
        it assigns vendor_soft_clip_0.tmp_0 float32[2]
        fix: extend the registry with its record"
    `)
    expect(refusalOf(run(read, new Executor(backend(), { legalize })))).toMatchInlineSnapshot(`
      "CounterflowError: CF_UNKNOWN_OP  vendor.softClip: the record of vendor.softClip is not attached, so it cannot run
        fix: it was read from a file: call resolve(program, registry), or make the Executor with { registry }"
    `)
    expect(refusalOf(run(main, new Executor(cpu(), { legalize })))).toMatchInlineSnapshot(`
      "CounterflowError: CF_KERNEL_MISSING  vendor.softClip: the backend cpu has no kernel for vendor.softClip
        this vendor.softClip was built at LINE
        fix: pass one: cpu({ kernels: { "vendor.softClip": … } }); or give the op a decomposition; or use another backend"
    `)
  })

  test("a name that is taken is refused", () => {
    expect(refusalOf(() => extend(outside, { again: softClipOp }))).toMatchInlineSnapshot(
      `"CounterflowError: CF_BAD_ARGUMENT  extend: the registry has an op "vendor.softClip" already"`,
    )
  })
})
