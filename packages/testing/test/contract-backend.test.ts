// The contract for backends, from outside: a toy that writes JavaScript trains like ours, passes the conformance suite for what
// it has, and says what it has not.

import { Executor } from "@counterflow/executor"
import { cpu } from "@counterflow/kernels-cpu"
import { data, fc } from "@counterflow/layers"
import { argmax, catalogue, legalize, mean, type Registry, square, sub } from "@counterflow/ops"
import { Adam } from "@counterflow/optim"
import { backendCases, type Skip } from "@counterflow/testing"
import { afterAll, describe, expect, test } from "vitest"
import { programOf } from "../src/sample.ts"
import { build, input, refusalOf } from "./building.ts"
import { register } from "./registering.ts"
import { toy } from "./toy-backend.ts"

function training() {
  return build((main, startup) => {
    startup.randomSeed = 3
    const x = data({ name: "x", shape: [4] })
    const loss = mean(square(sub(fc(fc(x, { size: 8, act: "tanh" }), { size: 1 }), data({ name: "y", shape: [1] }))))
    new Adam({ learningRate: 0.01 }).minimize(loss)
    return { loss }
  })
}

const feed = {
  x: Float32Array.from({ length: 24 }, (_, i) => Math.sin(3 * i)),
  y: Float32Array.from({ length: 6 }, (_, i) => Math.cos(i)),
}

describe("a backend from outside", () => {
  test("trains to the same numbers as cpu, step by step", () => {
    const { main, startup, loss } = training()
    const [reference, other] = [new Executor(cpu(), { legalize }), new Executor(toy(), { legalize })]
    reference.runSync(startup)
    for (const [name, value] of reference.scope.entries()) other.scope.set(name, value)
    const losses = Array.from({ length: 30 }, () => {
      const [expected = NaN, got = NaN] = [reference, other].map((executor) =>
        executor.runSync(main, { feed, fetch: [loss] })[0]?.item(),
      )
      expect(got).toBeCloseTo(expected, 5)
      return got
    })
    expect(losses.at(-1)).toBeLessThan(0.6 * (losses[0] ?? 0))
    for (const [name, value] of reference.scope.entries()) {
      expect(other.scope.get(name).shape).toEqual(value.shape)
      Array.from(value.data as Float32Array).forEach((number, i) =>
        expect(Number(other.scope.get(name).data[i])).toBeCloseTo(number, 4),
      )
    }
  })

  test("its plan is the compiler's: known before the first run, and its arena is what was planned", async () => {
    const { main, loss } = training()
    const other = new Executor(toy(), { legalize })
    const step = await other.compile(main, { feed: { x: [6, 4], y: [6, 1] }, fetch: [loss] })
    expect(step.plan.toString()).toMatch(/^plan: \d+ operators, \d+ FLOPs, peak \d+ B, arena \d+ B, state \d+ B/)
    expect(step.memory.parameterBytes).toBe(4 * (4 * 8 + 8 + 8 * 1 + 1))
    expect(other.memory.arenaBytes).toBe(step.memory.arenaBytes)
    expect(other.memory.stateBytes).toBe(step.memory.stateBytes)
  })

  test("an operator it has no kernel for is refused at compile time, with the ways out and the user's line", () => {
    const { main, z } = build((program) => ({ z: argmax(input(program, "x", [2, 3]), { axis: 1 }) }))
    const executor = new Executor(toy(), { legalize })
    expect(refusalOf(() => executor.runSync(main, { feed: { x: [1, 2, 3, 4, 5, 6] }, fetch: [z] })))
      .toMatchInlineSnapshot(`
      "CounterflowError: CF_KERNEL_MISSING  argmax: the backend toy has no kernel for argmax
        this argmax was built at LINE
        fix: pass one: toy({ kernels: { argmax: … } }); or give the op a decomposition; or use another backend"
    `)
  })

  test("a backend that must wait cannot run synchronously", async () => {
    const waiting = { ...toy(), canRunSync: false }
    const { main, loss } = training()
    const executor = new Executor(waiting, { legalize })
    expect(refusalOf(() => executor.runSync(main, { feed, fetch: [loss] }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_ASYNC_ONLY  runSync: the backend toy cannot run synchronously
        fix: await run(…)"
    `)
    await expect(executor.run(main, { feed, fetch: [loss] })).rejects.toThrow(/^CF_STATE_MISSING/)
  })
})

describe("the conformance suite, for what the toy has", () => {
  const skip = skips()
  const suite = backendCases(toy, { skip, float64: true })
  register(suite.cases.filter(({ name }) => !name.startsWith("program: ")))

  test("what is left out is said with the reason", () => {
    expect(suite.summary()).toContain("argmax (the toy has no kernel for argmax)")
    expect(suite.cases.length).toBeGreaterThan(30)
  })

  afterAll(() => suite.close())
})

/** Ops whose samples need what the toy has not. */
function skips(): Skip[] {
  const known = toy()
  return catalogue.flatMap(({ op, samples }): Skip[] => {
    const lowered = samples.flatMap((sample) => {
      const { program, outputs } = programOf(op, sample)
      return legalize(program, { fetches: outputs.map(({ name }) => name), keep: new Set() }).block.ops
    })
    const missing = lowered.find(({ type, facts }) => facts.scalar === undefined && !Object.hasOwn(known.kernels, type))
    const why = missing === undefined ? different[op.name] : `the toy has no kernel for ${missing.type}`
    const name = op.name as keyof Registry
    if (why !== undefined) return [{ op: name, why }]
    return JSON.stringify(lowered.map(({ facts }) => facts.scalar)).includes('"erf"')
      ? [{ op: name, why: "JavaScript has no erf" }]
      : []
  })
}

const different: Readonly<Record<string, string>> = { cast: "the toy casts to floats only" }
