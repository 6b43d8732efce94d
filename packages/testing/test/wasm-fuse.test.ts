// Fused chains on the WebAssembly backend against the reference backend, which fuses nothing: every pattern of broadcasting,
// every dtype, rows of every length up to several vectors.

import { Executor } from "@counterflow/executor"
import { type DType, isFloat, Program } from "@counterflow/ir"
import { wasm } from "@counterflow/kernels-wasm"
import * as ops from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { input } from "./building.ts"
import { all, expectCloseness, expectEquality, type Fed, numeric } from "./wasm-pair.ts"

function fed(dtype: DType, shape: readonly number[], seed = 1): Fed {
  const length = shape.reduce((product, size) => product * size, 1)
  const value = (i: number) => {
    if (dtype === "bool") return (i * seed) % 3 === 0 ? 1 : 0
    if (isFloat(dtype)) return Math.fround(Math.sin(seed + 1.7 * i) * 2)
    return (i * 7 + seed * 3) % 11
  }
  return { dtype, shape, data: Array.from({ length }, (_, i) => value(i)) }
}

const patterns: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ["scalar", [3, 5], [1]],
  ["row", [3, 5], [5]],
  ["column", [3, 5], [3, 1]],
  ["row of several axes", [3, 2, 4], [2, 4]],
  ["column of several axes", [3, 2, 4], [3, 2, 1]],
  ["middle", [3, 2, 4], [2, 1]],
  ["outer and inner", [3, 2, 4], [3, 1, 4]],
  ["corners", [2, 3, 2, 5], [2, 1, 2, 1]],
  ["one element", [1, 1], [1]],
  ["nothing", [0, 4], [4]],
]

describe("broadcasting inside a chain", () => {
  test.each(patterns)("%s", (_name, shape, stretched) => {
    for (const dtype of numeric) {
      const inputs = { x: fed(dtype, shape), y: fed(dtype, stretched, 5), z: fed(dtype, shape, 2) }
      expectCloseness(inputs, ({ x, y, z }) => [
        ops.sub(ops.mul(ops.add(x, y), z), y),
        ops.max(ops.mul(y, x), 1),
        ops.mul(ops.sub(y, x), y),
      ])
    }
  })

  test("of conditions and choices", () => {
    for (const dtype of numeric) {
      for (const [, shape, stretched] of patterns) {
        const inputs = { x: fed(dtype, shape), y: fed(dtype, stretched, 5), c: fed("bool", stretched, 2) }
        expectEquality(inputs, ({ x, y, c }) => [
          ops.where(ops.logicalAnd(ops.greater(x, y), c), x, y),
          ops.logicalOr(ops.logicalNot(ops.less(x, y)), c),
        ])
      }
    }
  })
})

describe("a float32 in the middle of a chain", () => {
  const inputs = { x: fed("float32", [7]), y: fed("float32", [7], 3) }

  test("is rounded before another dtype is made of it, as if it were stored", () => {
    for (const dtype of all) {
      expectEquality(inputs, ({ x, y }) => [ops.cast(ops.mul(x, y), { dtype })])
      expectEquality(inputs, ({ x, y }) => [
        ops.cast(ops.cast(ops.mul(ops.add(x, y), y), { dtype: "float64" }), { dtype }),
      ])
    }
  })

  test("is rounded before it is compared", () => {
    const stored = {
      ...inputs,
      z: { ...inputs.x, data: inputs.x.data.map((x, i) => Math.fround(x * inputs.y.data[i]!)) },
    }
    expectEquality(stored, ({ x, y, z }) => {
      const products = [ops.equal(ops.mul(x, y), z), ops.less(ops.mul(x, y), z), ops.less(z, ops.mul(x, y))]
      return products.map((truth) =>
        ops.where(truth, ops.cast(x, { dtype: "float64" }), ops.cast(y, { dtype: "float64" })),
      )
    })
  })

  test("is rounded before it is summed in another dtype", () => {
    expectEquality(inputs, ({ x, y }) => [ops.reduceMax(ops.cast(ops.mul(x, y), { dtype: "float64" }))])
  })
})

describe("rows of every length", () => {
  const lengths = Array.from({ length: 14 }, (_, i) => i)

  test("of numbers and bools, through conversions", () => {
    for (const length of lengths) {
      for (const from of all) {
        const inputs = { x: fed(from, [length]), b: fed("bool", [length], 2) }
        expectEquality(inputs, ({ x, b }) => [
          ops.cast(ops.cast(x, { dtype: "bool" }), { dtype: "float32" }),
          ops.logicalAnd(ops.notEqual(ops.cast(x, { dtype: "float32" }), 0), b),
        ])
      }
    }
  })

  test("of functions", () => {
    for (const length of lengths) {
      const x = fed("float32", [length], 3)
      expectCloseness({ x }, (v) => [
        ops.sigmoid(ops.mul(v.x, 3)),
        ops.tanh(ops.exp(v.x)),
        ops.log(ops.add(ops.abs(v.x), 0.1)),
        ops.erf(ops.mul(v.x, v.x)),
        ops.gelu(v.x),
      ])
    }
  })
})

/** The value of a chain of many functions at each element, as bits. */
function bitsOf(data: Float32Array): readonly number[] {
  const program = new Program()
  const x = input(program, "x", [data.length], "float32")
  const y = ops.mul(ops.tanh(ops.add(ops.exp(x), 0.3)), ops.erf(ops.log(ops.add(ops.abs(x), 1))))
  const executor = new Executor(wasm(), { legalize: ops.legalize })
  const runs = [1, 2].map(() => executor.runSync(program, { feed: { x: data }, fetch: [y] })[0]?.data ?? [])
  const [first = [], second = []] = runs.map((values) => [...new Int32Array(Float32Array.from(values, Number).buffer)])
  expect(second).toEqual(first)
  return first
}

test("a result has the same bits in every run, wherever its element stands", () => {
  const data = Float32Array.from({ length: 23 }, (_, i) => Math.sin(3 * i) * 4)
  const whole = bitsOf(data)
  for (const [from, to] of [
    [0, 1],
    [1, 4],
    [3, 22],
    [7, 9],
    [20, 23],
  ] as const)
    expect(bitsOf(data.slice(from, to))).toEqual(whole.slice(from, to))
})

test("sums of every length and place, with a total that float32 alone would lose", () => {
  for (let length = 1; length <= 19; length++) {
    const x = fed("float32", [3, length, 2], length)
    expectCloseness({ x }, (v) =>
      [[0], [1], [2], [0, 1], [1, 2], [0, 1, 2]].map((axis) => ops.reduceSum(v.x, { axis })),
    )
    const y = fed("float32", [5, length], length)
    expectCloseness({ x: y }, (v) => [ops.reduceSum(v.x, { axis: [1] }), ops.reduceSum(v.x, { axis: [0] })])
    // 2^24 + 1 + … is 2^24 in float32.
    const z: Fed = {
      dtype: "float32",
      shape: [length],
      data: [2 ** 24, ...Array.from({ length: length - 1 }, () => 1)],
    }
    expectEquality({ z }, (v) => [ops.reduceSum(v.z, { axis: [0] })])
  }
})
