// Softmax, its logarithm and cross entropy, which WebAssembly serves whole: against the reference backend, which expands them, and
// bit for bit against their expansion on WebAssembly itself.

import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { type DType, Program, type Variable } from "@counterflow/ir"
import { wasm } from "@counterflow/kernels-wasm"
import { add, legalize, logSoftmax, mean, softmax, softmaxWithCrossEntropy, write } from "@counterflow/ops"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { checkEqual } from "../src/case.ts"
import { build, input } from "./building.ts"
import {
  dtypeOf,
  expectCloseness,
  type Fed,
  floats,
  holds,
  shapeOf,
  tameValueOf,
  tensorOf,
  valueOf,
} from "./wasm-pair.ts"

const kept = new Executor(wasm(), { legalize, maxPlans: 2 })
const expanding = new Executor({ ...wasm(), keeps: [] }, { legalize, maxPlans: 2 })

/** Fails unless the kept op and its expansion give the same bits. */
function expectSameBits<N extends string>(
  fed: Readonly<Record<N, Fed>>,
  make: (inputs: Readonly<Record<N, Variable>>) => readonly Variable[],
): void {
  const program = new Program()
  const entries = Object.entries<Fed>(fed)
  const inputs = entries.map(([name, { shape, dtype }]) => [name, input(program, name, [...shape], dtype)] as const)
  const fetch = make(Object.fromEntries(inputs) as Record<N, Variable>)
  const feed = Object.fromEntries(entries)
  const [got, expected] = [kept, expanding].map((executor) => executor.runSync(program, { feed, fetch }))
  expected?.forEach((value, at) => {
    const own = got?.[at]
    if (own !== undefined) checkEqual(own, value, `fetch ${at}`)
  })
}

/** Rows and columns of all lengths around those of vectors. */
const logits = fc
  .record({
    dtype: dtypeOf(floats),
    outer: fc.integer({ min: 1, max: 3 }),
    length: fc.integer({ min: 1, max: 37 }),
    inner: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 11 })),
  })
  .map(({ dtype, outer, length, inner }) => ({ dtype, shape: [outer, length, inner] }))

describe("softmax and its logarithm", () => {
  const both = (x: Variable, axis: number) => [softmax(x, { axis }), logSoftmax(x, { axis })]

  test("along every axis, of all values", () => {
    const cases = fc
      .tuple(dtypeOf(floats), shapeOf(1), fc.nat())
      .chain(([dtype, shape, axis]) => tensorOf(dtype, shape).map((x) => ({ x, axis: axis % shape.length })))
    holds([cases], ({ x, axis }) => expectCloseness({ x }, (v) => both(v.x, axis)), 100)
  })

  test("of rows and columns around the length of vectors, the bits of the expansion", () => {
    const cases = logits.chain(({ dtype, shape }) => tensorOf(dtype, shape))
    holds(
      [cases],
      (x) => {
        const all = (v: Readonly<Record<"x", Variable>>) =>
          [...both(v.x, 1), ...gradients(both(v.x, 1), v.x)].filter(isThere)
        expectSameBits({ x }, all)
        expectCloseness({ x }, (v) => both(v.x, 1))
      },
      40,
    )
  })

  test("rows of −∞, of ∞ and NaN, and far out", () => {
    const rows = [
      [-Infinity, -Infinity, -Infinity, -Infinity, -Infinity],
      [-Infinity, 0, -Infinity, 1, -Infinity],
      [Infinity, 0, 1, 2, 3],
      [NaN, 0, 1, 2, 3],
      [0, 1, 2, 3, NaN],
      [1e30, 1e30, 0, -1e30, -1e30],
      [-87, 0, -88, -104, -103],
      [-0, 0, -0, 0, -0],
    ]
    for (const dtype of floats) {
      const x: Fed = { dtype, shape: [rows.length, 5], data: rows.flat() }
      expectCloseness({ x }, (v) => both(v.x, 1))
      expectSameBits({ x }, (v) => both(v.x, 1))
      expectCloseness({ x }, (v) => both(v.x, 0))
      expectSameBits({ x }, (v) => both(v.x, 0))
    }
  })

  test("cut into parts", () => {
    const data = Array.from({ length: 512 * 260 }, (_, i) => Math.fround(9 * Math.sin(i * 1.7)))
    expectSameBits({ x: { dtype: "float32", shape: [512, 260], data } }, (v) => both(v.x, 1))
    expectSameBits({ x: { dtype: "float32", shape: [64, 65, 32], data } }, (v) => both(v.x, 1))
  })

  test("a plan holds them whole", () => {
    const { main, z } = build((program) => ({ z: softmax(input(program, "x", [2, 4])) }))
    const step = kept.compileSync(main, { feed: { x: [2, 4] }, fetch: [z] })
    expect(step.plan.block.ops.map(({ type }) => type)).toEqual(["softmax"])
  })
})

function isThere<T>(value: T | null): value is T {
  return value !== null
}

describe("softmax with cross entropy", () => {
  const hard = fc.tuple(logits, dtypeOf(["int32", "int64"] as const)).chain(([{ dtype, shape }, index]) => {
    const [outer = 1, classes = 1, inner = 1] = shape
    return fc.record({
      logits: tensorOf(dtype, shape, tameValueOf(dtype)),
      label: tensorOf(index, [outer, 1, inner], fc.oneof(fc.nat({ max: classes - 1 }), fc.constant(-100))),
    })
  })
  const losses = (v: Readonly<Record<"logits" | "label", Variable>>, options: object) => {
    const found = softmaxWithCrossEntropy(v.logits, v.label, { axis: 1, returnSoftmax: true, ...options })
    return [...found, ...gradients(found, v.logits)].filter(isThere)
  }

  test("of classes, some of them ignored", () => {
    holds(
      [hard],
      (fed) => {
        expectCloseness(fed, (v) => losses(v, {}))
        expectSameBits(fed, (v) => losses(v, {}))
        if (!fed.label.data.includes(-100)) expectCloseness(fed, (v) => losses(v, { ignoreIndex: 0 }))
      },
      25,
    )
  })

  test("of distributions", () => {
    const soft = logits.chain(({ dtype, shape }) =>
      fc.record({
        logits: tensorOf(dtype, shape, tameValueOf(dtype)),
        label: tensorOf(dtype, shape, tameValueOf(dtype)),
      }),
    )
    holds(
      [soft],
      (fed) => {
        expectCloseness(fed, (v) => losses(v, { softLabel: true }))
        expectSameBits(fed, (v) => losses(v, { softLabel: true }))
      },
      25,
    )
  })

  test("of what is not a number", () => {
    const cases = logits.chain(({ dtype, shape }) =>
      fc.record({
        logits: tensorOf(dtype, shape, valueOf(dtype)),
        label: tensorOf("int32", [shape[0] ?? 1, 1, shape[2] ?? 1], fc.constantFrom(0, -100)),
      }),
    )
    holds([cases], (fed) => expectSameBits(fed, (v) => losses(v, {})), 30)
  })

  test.each([
    ["of no rows", [0, 3], [0, 1]],
    ["of one class", [4, 1], [4, 1]],
  ])("%s", (_, shape, labels) => {
    const [count = 0] = labels
    const label: Fed = { dtype: "int32", shape: labels, data: Array.from({ length: count }, () => 0) }
    const numbers: Fed = {
      dtype: "float32",
      shape,
      data: Array.from({ length: count * (shape[1] ?? 0) }, (_each, i) => i),
    }
    expectCloseness({ logits: numbers, label }, (v) => losses(v, {}))
  })

  test("cut into parts", () => {
    const data = Array.from({ length: 512 * 300 }, (_, i) => Math.fround(9 * Math.sin(i * 1.7)))
    const label: Fed = {
      dtype: "int32",
      shape: [512],
      data: Array.from({ length: 512 }, (_, i) => (i % 7 === 3 ? -100 : i % 300)),
    }
    expectSameBits({ logits: { dtype: "float32", shape: [512, 300], data }, label }, (v) => losses(v, {}))
  })

  test.each<[DType, number]>([
    ["int32", 3],
    ["int32", -1],
    ["int64", 2 ** 40],
  ])("a label of %s that names no class is refused, and no state is written", (dtype, wrong) => {
    const program = new Program()
    const x = input(program, "x", [2, 3])
    const label = input(program, "label", [2], dtype)
    const block = program.globalBlock()
    const total = block.createVar({ name: "total", shape: [], dtype: "float32", persistable: true })
    write(total, add(total, mean(softmaxWithCrossEntropy(x, label))))
    const executor = new Executor(wasm(), { legalize })
    executor.scope.set("total", { data: [1], shape: [] })
    const run = (second: number) => executor.runSync(program, { feed: { x: [0, 0, 0, 0, 0, 0], label: [0, second] } })
    expect(() => run(wrong)).toThrow(/CF_INDEX_RANGE[^]*softmaxWithCrossEntropy[^]*outside axis 1 of size 3/)
    expect(executor.scope.get("total").data[0]).toBe(1)
    run(2)
    expect(executor.scope.get("total").data[0]).toBeCloseTo(1 + Math.log(3), 6)
    executor.close()
  })
})
