// The front door, by example: every file of examples/ is what a user writes, with the data it needs, and runs in a process of
// its own, because Fluid's default programs belong to the whole process.
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { bundleScripts, type Scripts } from "./scripts.ts"

const folder = join(import.meta.dirname, "examples")
const names = readdirSync(folder).map((file) => file.replace(/\.ts$/, ""))
const told = new Set<string>()

let scripts: Scripts

beforeAll(async () => {
  scripts = await bundleScripts(Object.fromEntries(names.map((name) => [name, join(folder, `${name}.ts`)])))
})
afterAll(() => scripts.close())

/** What the example prints. */
async function run(name: string): Promise<string> {
  told.add(name)
  return scripts.run(name)
}

async function runJson<T>(name: string): Promise<T> {
  return JSON.parse(await run(name)) as T
}

describe("the two examples of the Fluid documentation", () => {
  test("append_backward on linear regression gives the pairs of the fc layer", async () => {
    expect(await run("linear-regression")).toMatchInlineSnapshot(`
      "fc_0.w_0 float32[13, 1]  fc_0.w_0@GRAD float32[13, 1]
      fc_0.b_0 float32[1]  fc_0.b_0@GRAD float32[1]
      "
    `)
  })

  test("gradients through two convolutions gives a variable like the input", async () => {
    expect(await run("convolution-gradients")).toMatchInlineSnapshot(`
      "relu_1.tmp_0 float32[batch, 4, 8, 8]  x@GRAD float32[batch, 2, 8, 8]
      "
    `)
  })
})

test("a whole training run: the loss falls, the test clone sees the trained weights and leaves them alone", async () => {
  const result = await runJson<{ first: number; last: number; tested: number; state: string[] }>("training")
  expect(result).toMatchObject({ accuracy: 1, shape: [], array: "Float32Array", testLeavesWeights: true })
  // Ten classes that the untrained net cannot tell apart: log 10 = 2.3.
  expect(result.first).toBeGreaterThan(2)
  expect(result.last).toBeLessThan(1)
  expect(result.tested).toBeLessThan(result.last)
  expect(result.state).toEqual([
    "conv2d_0.w_0",
    "conv2d_0.b_0",
    ...["w_0", "b_0"].flatMap((parameter) =>
      ["moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc"].map((state) => `conv2d_0.${parameter}_${state}_0`),
    ),
  ])
})

test("a program from text and from JSON prints and trains like the one that was built", async () => {
  const result = await runJson<{ losses: number[] }>("program-as-data")
  expect(result).toMatchObject({ sameText: true, version: 1, refusal: "CF_NEWER_VERSION" })
  const [built, ...read] = result.losses
  expect(built).toBeGreaterThan(0)
  expect(read).toEqual([built, built])
})

test("a compiled step tells its memory first, keeps to it, and trains", async () => {
  interface Memory {
    arenaBytes: number
    stateBytes: number
  }
  const result = await runJson<{
    known: Memory & { peakBytes: number; parameterBytes: number; flops: number; plan: number }
    allocated: Memory
    allocatedAfter: Memory
    first: number
    last: number
    next: number
  }>("hot-loop")
  const { known, allocated } = result
  // Four weights, a bias, and the learning rate, in float32; a forward product alone is 2 · 8 · 4 FLOPs.
  expect(known).toMatchObject({ parameterBytes: 20, stateBytes: 24 })
  expect(known.flops).toBeGreaterThan(64)
  expect(known.peakBytes).toBeLessThanOrEqual(known.arenaBytes)
  expect(known.arenaBytes).toBeLessThanOrEqual(allocated.arenaBytes)
  expect(result.allocatedAfter).toEqual(allocated)
  expect(result.last).toBeLessThan(1e-6 * result.first)
  expect(result.next).toBeLessThanOrEqual(result.last)
})

test("an own op is run, differentiated and read back like any other", async () => {
  // x / (1 + |x| / 2) and its derivative 1 / (1 + |x| / 2)² at 2 and −6, exact in float32.
  const expected = { z: [[1, -1.5]], dx: [[0.25, 0.0625]] }
  expect(await runJson("own-op")).toEqual([expected, expected, expected])
})

test("every example is one of the above", () => {
  expect([...told].sort()).toEqual(names.sort())
})
