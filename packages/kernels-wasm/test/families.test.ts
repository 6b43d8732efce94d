// A backend of chosen families: what is there gives what the whole backend gives, and what is not is named when it is wanted.

import { Executor } from "@counterflow/executor"
import { isCounterflowError, Program, type Variable } from "@counterflow/ir"
import {
  add,
  cumsum,
  exp,
  gelu,
  legalize,
  matmul,
  pow,
  reduceSum,
  scale,
  sin,
  softmax,
  softmaxWithCrossEntropy,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import * as families from "../src/families.ts"
import { type KernelFamily, wasm, wasmOf } from "../src/index.ts"

type Build = (x: Variable) => Variable

/** What a backend makes of an x of two rows. */
function run(chosen: readonly KernelFamily[], build: Build, backend = wasmOf(chosen)): unknown {
  const program = new Program()
  const x = program.globalBlock().createVar({ name: "x", shape: [2, 3], dtype: "float32", isData: true })
  const executor = new Executor(backend, { legalize })
  return executor.runSync(program, { feed: { x: [1, -2, 0.5, 0, 4, 3] }, fetch: [build(x)] })[0].toArray()
}

function refusal(body: () => unknown): string {
  try {
    body()
  } catch (error) {
    if (isCounterflowError(error)) return String(error).replace(/built at .*/g, "built at …")
    throw error
  }
  throw new Error("nothing was refused")
}

describe("a backend of no family", () => {
  test("computes elementwise, and makes and moves elements", () => {
    const build: Build = (x) => exp(scale(add(x, 1), { scale: 0.5 }))
    expect(run([], build)).toEqual(run([], build, wasm()))
  })

  test("names the family of a kernel that it lacks", () => {
    expect(refusal(() => run([], (x) => cumsum(x, { axis: 1 })))).toMatchInlineSnapshot(`
      "CounterflowError: CF_KERNEL_MISSING  cumsum: the backend wasm has no kernel for cumsum
        this cumsum was built at …
        fix: make the backend with its family: wasmOf([…, families.cumulative])"
    `)
    expect(run([families.cumulative], (x) => cumsum(x, { axis: 1 }))).toEqual([
      [1, -1, -0.5],
      [0, 4, 7],
    ])
  })

  test("names the family of a function that it lacks, also in the middle of a fused loop", () => {
    const build: Build = (x) => exp(sin(add(x, 1)))
    expect(refusal(() => run([], build))).toMatchInlineSnapshot(`
      "CounterflowError: CF_KERNEL_MISSING  exp: the backend wasm has no kernel for add+sin+exp
        this exp was built at …
        fix: make the backend with its family: wasmOf([…, families.trigonometry])"
    `)
    expect(run([families.trigonometry], build)).toEqual(run([], build, wasm()))
  })

  test("has no threads", () => {
    expect(refusal(() => wasmOf([], { threads: 2 }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  wasmOf: there is no code for threads: 2 in this backend
        fix: make it with the family: wasmOf([…, families.threads], options)"
    `)
    expect(wasmOf([], { threads: 1 }).threads).toBe(1)
    expect(wasmOf([families.threads], { threads: 2 }).threads).toBe(wasm({ threads: 2 }).threads)
  })
})

test("a function is missed in what a product applies to its result, and in what a sum computes as it reads", () => {
  const product: Build = (x) => gelu(matmul(x, x, { transposeY: true }))
  expect(refusal(() => run([families.matmul], product))).toContain("families.erf")
  expect(run([families.matmul, families.erf], product)).toEqual(run([], product, wasm()))
  const sum: Build = (x) => reduceSum(pow(x, add(x, 0.25)))
  expect(refusal(() => run([families.reduction], sum))).toContain("families.power")
})

test("a composite whose family is left out is run as what it is made of", () => {
  const label = (x: Variable) =>
    x.program
      .globalBlock()
      .createVar({ name: "label", shape: [2, 1], dtype: "int32", persistable: true, initialValue: 1 })
  const entropy: Build = (x) => softmaxWithCrossEntropy(x, label(x))
  const parts = [families.reduction, families.selection]
  expect(run(parts, entropy)).toEqual([[expect.closeTo(3.5046, 4)], [expect.closeTo(0.3266, 4)]])
  expect(wasmOf(parts).keeps).not.toContain("softmaxWithCrossEntropy")
  expect(wasmOf([families.crossEntropy]).keeps).toContain("softmaxWithCrossEntropy")
  expect(run([families.softmax], softmax)).toEqual(run([], softmax, wasm()))
})

test("all families make the whole backend", () => {
  const [all, whole] = [wasmOf(Object.values(families)), wasm()]
  expect(Object.keys(all.kernels).sort()).toEqual(Object.keys(whole.kernels).sort())
  expect(Object.keys(all.kernels).length).toBeGreaterThan(30)
})
