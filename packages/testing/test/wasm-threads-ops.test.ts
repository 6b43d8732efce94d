// Operators that are large enough to be cut, with their gradients, on several threads at once: every time the bits of one
// thread. Parts that touched each other would show as a difference sooner or later.

import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import type { Variable } from "@counterflow/ir"
import { explainPlan, wasm } from "@counterflow/kernels-wasm"
import {
  add,
  conv2d,
  gather,
  layerNorm,
  legalize,
  matmul,
  mul,
  pool2d,
  reduceMean,
  reduceSum,
  relu,
  sigmoid,
  softmax,
  tanh,
  transpose,
  uniform,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { build, input } from "./building.ts"

interface Case {
  readonly shapes: Readonly<Record<string, readonly number[]>>
  readonly make: (inputs: Readonly<Record<string, Variable>>) => Variable
}

const pick = (inputs: Readonly<Record<string, Variable>>, name: string): Variable => {
  const found = inputs[name]
  if (found === undefined) throw new Error(`no input ${name}`)
  return found
}

const product = (transposeX: boolean, transposeY: boolean, x: number[], y: number[]): Case => ({
  shapes: { x, y },
  make: (at) => matmul(pick(at, "x"), pick(at, "y"), { transposeX, transposeY }),
})

const convolution = (x: number[], w: number[], options: Parameters<typeof conv2d>[2]): Case => ({
  shapes: { x, w },
  make: (at) => relu(conv2d(pick(at, "x"), pick(at, "w"), options)),
})

const unary = (shape: number[], make: (x: Variable) => Variable): Case => ({
  shapes: { x: shape },
  make: (at) => make(pick(at, "x")),
})

const cases: Readonly<Record<string, Case>> = {
  "a product": product(false, false, [257, 190], [190, 263]),
  "a product with x transposed": product(true, false, [190, 257], [190, 263]),
  "a product with y transposed": product(false, true, [257, 190], [263, 190]),
  "many small products": product(false, false, [24, 65, 67], [24, 67, 63]),
  "a tall product": product(false, false, [3000, 20], [20, 60]),
  "a product with bias and relu": {
    shapes: { x: [130, 300], y: [300, 200], b: [200] },
    make: (at) => relu(add(matmul(pick(at, "x"), pick(at, "y")), pick(at, "b"))),
  },
  "a convolution 3 × 3": convolution([4, 17, 30, 29], [18, 17, 3, 3], { padding: 1 }),
  "a convolution 5 × 5": convolution([9, 6, 21, 20], [16, 6, 5, 5], {}),
  "a convolution of stride 2": convolution([6, 8, 33, 33], [20, 8, 3, 3], { stride: 2, padding: 1 }),
  "a convolution in groups": convolution([6, 12, 25, 25], [24, 4, 3, 3], { groups: 3, padding: 1 }),
  "a depthwise convolution": convolution([6, 24, 40, 40], [24, 1, 3, 3], { groups: 24, padding: 1 }),
  "a convolution 1 × 1": convolution([5, 40, 24, 24], [36, 40, 1, 1], {}),
  "largest elements of windows": unary([16, 12, 40, 40], (x) => pool2d(x, { poolSize: 2, poolStride: 2 })),
  "means of windows that overlap": unary([16, 12, 40, 40], (x) =>
    pool2d(x, { poolType: "avg", poolSize: 3, poolStride: 2, poolPadding: 1 }),
  ),
  "an elementwise chain": {
    shapes: { a: [70_000], b: [70_000], c: [70_000] },
    make: (at) => {
      const [a, b, c] = ["a", "b", "c"].map((name) => pick(at, name)) as [Variable, Variable, Variable]
      return add(mul(tanh(add(mul(a, b), c)), sigmoid(a)), relu(c))
    },
  },
  softmax: unary([600, 200], (x) => softmax(x)),
  "layer normalization": unary([500, 256], (x) => layerNorm(x)),
  "sums over rows": unary([900, 700], (x) => reduceSum(mul(x, x), { axis: 1 })),
  "sums over columns": unary([900, 700], (x) => reduceMean(mul(x, x), { axis: 0 })),
  "a sum of all": unary([900, 700], (x) => reduceSum(mul(x, x))),
  "axes in another order": unary([60, 70, 80], (x) => mul(transpose(x, { perm: [2, 0, 1] }), 2)),
}

const executors = [1, 2, 4].map((threads) => new Executor(wasm({ threads }), { legalize }))

describe("the same bits on 1, 2 and 4 threads", () => {
  let stages = 0

  test.each(Object.entries(cases))("%s", async (_name, { shapes, make }) => {
    const { main, fetch } = build((program) => {
      const entries = Object.entries(shapes).map(([name, shape]) => [name, input(program, name, shape)] as const)
      const z = make(Object.fromEntries(entries))
      const all = gradients(
        mul(z, z),
        entries.map(([, variable]) => variable),
      )
      return { fetch: [z, ...all.filter((gradient) => gradient !== null)] }
    })
    const feed = Object.fromEntries(
      Object.entries(shapes).map(([name, shape], seed) => {
        const elements = shape.reduce((count, size) => count * size, 1)
        const data = Float32Array.from({ length: elements }, (_, i) => ((i * 7919 + seed * 31) % 1009) / 504 - 1)
        return [name, { data, shape }]
      }),
    )
    const steps = executors.map((executor) => executor.compileSync(main, { feed, fetch }))
    const [expected = [], ...rest] = steps.map((step) => step.runSync(feed).map(({ data }) => data))
    expect(expected.length).toBe(fetch.length)
    for (const { plan } of steps.slice(0, 1)) stages += explainPlan(plan, { threads: 2 }).stages
    // Workers may be there only a moment later.
    await new Promise((resolve) => setTimeout(resolve, 30))
    for (let round = 0; round < 8; round++) {
      for (const step of steps.slice(1)) rest.push(step.runSync(feed).map(({ data }) => data))
    }
    for (const got of rest) {
      got.forEach((data, i) => expect(Buffer.compare(bytesOf(data), bytesOf(expected[i]))).toBe(0))
    }
    for (const step of steps) step.close()
  })

  test("most of them were cut", () => {
    expect(stages).toBeGreaterThan(Object.keys(cases).length)
    for (const executor of executors) executor.close()
  })
})

test("rows of a table that several threads look up", () => {
  const { main, z } = build((program) => {
    const [w, ids] = [input(program, "w", [500, 300]), input(program, "ids", [900], "int32")]
    return { z: mul(gather(w, ids), 3) }
  })
  const feed = {
    w: Float32Array.from({ length: 150_000 }, (_, i) => i),
    ids: Array.from({ length: 900 }, (_, i) => (i * 17) % 500),
  }
  const executor = new Executor(wasm({ threads: 2 }), { legalize })
  const [value] = executor.runSync(main, { feed, fetch: [z] })
  expect(value.data[300 * 2 + 5]).toBe(3 * (300 * 34 + 5))
  executor.close()
})

test("random numbers, step by step", () => {
  const { main, z } = build(() => ({ z: uniform({ shape: [300_000], seed: 3 }) }))
  const own = [1, 3].map((threads) => new Executor(wasm({ threads }), { legalize }))
  for (let i = 0; i < 6; i++) {
    const [one, many] = own.map((executor) => executor.runSync(main, { fetch: [z] })[0].data)
    expect(Buffer.compare(bytesOf(one), bytesOf(many))).toBe(0)
  }
  for (const executor of own) executor.close()
})

function bytesOf(data: ArrayBufferView | undefined): Uint8Array {
  if (data === undefined) throw new Error("a result is missing")
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
