// The operator around the product: cut into parts, with what follows applied in registers or behind, and with operands that
// are read where they lie.

import type { Scalar } from "@counterflow/ir"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { elementsOf, expectProduct, matmul, type MatmulOptions, permuted, random, type Tensor } from "./operator.ts"
import { hasRelaxed } from "../../src/features.ts"
import { matmulGenerators } from "../../src/generate/matmul/matmul.ts"
import { expectBits } from "./product.ts"

const input = (slot: string): Scalar => ({ op: "input", slot })
const number = (value: number): Scalar => ({ op: "const", value })
const add = (x: Scalar, y: Scalar): Scalar => ({ op: "add", x, y })
const mul = (x: Scalar, y: Scalar): Scalar => ({ op: "mul", x, y })
const made = input("")

const relu = (x: Scalar): Scalar => ({ op: "max", x, y: number(0) })
/** The tanh form of gelu: constants, and a part that is read often. */
function gelu(x: Scalar): Scalar {
  const inner = mul(number(0.79788456), add(x, mul(number(0.044715), mul(x, mul(x, x)))))
  return mul(mul(number(0.5), x), add(number(1), { op: "tanh", x: inner }))
}

function mask(shape: readonly number[]): Tensor {
  const values = Uint8Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) =>
    (i * 7 + 3) % 3 === 0 ? 1 : 0,
  )
  return { shape, values }
}

interface Sizes {
  readonly batch: readonly number[]
  readonly m: number
  readonly n: number
  readonly k: number
}

/** Expressions over operands that lie as the strides say. */
const epilogues = {
  "bias of columns, relu": ({ batch, n }: Sizes) => ({
    scalar: relu(add(made, input("b"))),
    inputs: { b: { tensor: random([n], 7), strides: [...batch.map(() => 0), 0, 1] } },
  }),
  "scale of rows": ({ batch, m }: Sizes) => ({
    scalar: mul(input("s"), made),
    inputs: { s: { tensor: random([m, 1], 8), strides: [...batch.map(() => 0), 1, 0] } },
  }),
  "residual behind gelu": ({ batch, m, n }: Sizes) => ({
    scalar: add(gelu(made), input("r")),
    inputs: { r: { tensor: random([...batch, m, n], 9) } },
  }),
  "mask and one number": ({ batch, m, n }: Sizes) => ({
    scalar: { op: "select", condition: input("keep"), x: mul(made, input("c")), y: number(0) } as const,
    inputs: {
      keep: { tensor: mask([...batch, m, n]) },
      c: { tensor: random([], 10), strides: [...batch.map(() => 0), 0, 0] },
    },
  }),
  "one bias for each matrix": ({ batch, n }: Sizes) => ({
    scalar: add(input("b"), made),
    inputs: { b: { tensor: random([...batch, 1, n], 11), strides: [...steps([...batch, n]).slice(0, -1), 0, 1] } },
  }),
  "read against the grain": ({ batch, m, n }: Sizes) => ({
    scalar: add(made, input("t")),
    inputs: { t: { tensor: random([n, m], 12), strides: [...batch.map(() => 0), 1, m] } },
  }),
  "no vector form": ({ batch, m, n }: Sizes) => ({
    scalar: add(made, { op: "cast", x: input("i"), dtype: "float32" } as const),
    inputs: {
      i: {
        tensor: {
          shape: [...batch, m, n],
          values: Float64Array.from(random([...batch, m, n], 13).values, (v) => 9 * v),
        },
      },
    },
  }),
}

/** Elements from one index to the next, rows first. */
function steps(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1))
}

const sizes: readonly Sizes[] = [
  { batch: [], m: 9, n: 21, k: 13 },
  { batch: [], m: 33, n: 3, k: 70 },
  { batch: [], m: 1, n: 140, k: 130 },
  { batch: [], m: 45, n: 18, k: 600 },
  { batch: [2, 3], m: 5, n: 11, k: 4 },
  { batch: [], m: 3, n: 5, k: 0 },
  { batch: [], m: 12, n: 1, k: 40 },
  { batch: [], m: 26, n: 270, k: 40 },
]

describe.each(Object.entries(epilogues))("%s", (name, build) => {
  test.each(sizes)("$batch, $m × $n × $k", (size) => {
    const { batch, m, n, k } = size
    for (const [transposeX, transposeY] of forms) {
      const x = random([...batch, ...(transposeX ? [k, m] : [m, k])], 1)
      const y = random([...batch, ...(transposeY ? [n, k] : [k, n])], 2)
      const options: MatmulOptions = { transposeX, transposeY, alpha: 0.5 }
      const epilogue = build(size)
      const product = matmul(x, y, options)
      const wanted = product.z.map((value, i) => {
        const at = (slot: string) => {
          if (slot === "") return value
          const { tensor, strides } =
            (epilogue.inputs as NonNullable<MatmulOptions["epilogue"]>["inputs"])[slot] ?? fail(slot)
          return tensor.values[offsetOf(i, product.shape, strides ?? steps(product.shape))] ?? NaN
        }
        return evaluate(epilogue.scalar, at)
      })
      const got = matmul(x, y, { ...options, epilogue })
      // The hyperbolic tangent is an approximation of its own; a single column may be summed in another order.
      const described = (tensor: Tensor) => ({ ...tensor, elements: tensor.values.length, dtype: "float32" as const })
      const attrs = { transposeX, transposeY, alpha: 0.5 }
      const z = described({ shape: product.shape, values: product.z })
      const shapes = { inputs: { x: described(x), y: described(y) }, outputs: { z }, attrs }
      const isExact = matmulGenerators.matmul.absorbs(shapes)
      expect(isExact || n === 1).toBe(true)
      const tolerance = name.includes("gelu") || !isExact ? 1e-5 : -1
      const isSame = (value: number, other: number) => Object.is(value, other) || Math.abs(value - other) <= tolerance
      expect(wanted.findIndex((value, i) => !isSame(value, got.z[i] ?? NaN))).toBe(-1)
      const isInRegisters = k > 0 && name !== "read against the grain" && name !== "no vector form"
      expect(got.kernels.includes("elementwise")).toBe(
        !isInRegisters && !(name === "read against the grain" && isEven(size)),
      )
    }
  })
})

const forms = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const

/** With one row, or one column, any direction is along the other. */
function isEven({ m, n, k }: Sizes): boolean {
  return k > 0 && (m === 1 || n === 1)
}

function fail(slot: string): never {
  throw new Error(`no operand ${slot}`)
}

function offsetOf(index: number, shape: readonly number[], strides: readonly number[]): number {
  let [rest, at] = [index, 0]
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1
    at += (rest % size) * (strides[axis] ?? 0)
    rest = Math.floor(rest / size)
  }
  return at
}

/** In float32, operation by operation. */
function evaluate(scalar: Scalar, at: (slot: string) => number): number {
  const value = (part: Scalar) => evaluate(part, at)
  if (scalar.op === "input") return at(scalar.slot)
  if (scalar.op === "const") return Math.fround(scalar.value)
  if (scalar.op === "add") return Math.fround(value(scalar.x) + value(scalar.y))
  if (scalar.op === "mul") return Math.fround(value(scalar.x) * value(scalar.y))
  if (scalar.op === "max") return Math.max(value(scalar.x), value(scalar.y))
  if (scalar.op === "tanh") return Math.fround(Math.tanh(value(scalar.x)))
  if (scalar.op === "select") return value(scalar.condition) === 0 ? value(scalar.y) : value(scalar.x)
  if (scalar.op === "cast") return Math.fround(value(scalar.x))
  throw new Error(`${scalar.op} is not in these tests`)
}

describe("parts", () => {
  const cases = [
    { batch: [], m: 70, n: 256, k: 170 },
    { batch: [], m: 1300, n: 24, k: 90 },
    { batch: [], m: 450, n: 40, k: 150 },
    { batch: [3, 5], m: 40, n: 64, k: 70 },
    { batch: [2], m: 65, n: 150, k: 300 },
  ]
  test.each(cases)("$batch, $m × $n × $k: any order, and every entry", ({ batch, m, n, k }) => {
    for (const [transposeX, transposeY] of forms) {
      const x = random([...batch, ...(transposeX ? [k, m] : [m, k])], 1)
      const y = random([...batch, ...(transposeY ? [n, k] : [k, n])], 2)
      const epilogue = epilogues["bias of columns, relu"]({ batch, m, n, k })
      const options = { transposeX, transposeY, epilogue }
      const forward = matmul(x, y, options)
      expect(forward.parts).toBeGreaterThan(1)
      expect(forward.parts).toBeLessThanOrEqual(8)
      // Parts share functions: all are of one size but the last along a line.
      expect(forward.functions).toBeLessThanOrEqual(2 * (batch.length + 1))
      expectBits(matmul(x, y, { ...options, order: "backward" }).z, forward.z)
      const plain = expectProduct(x, y, { transposeX, transposeY })
      const bias = epilogue.inputs.b.tensor.values
      expectBits(
        forward.z,
        plain.z.map((value, i) => Math.max(0, Math.fround(value + (bias[i % n] ?? NaN)))),
      )
    }
  })

  test("what is small is not cut", () => {
    expect(matmul(random([64, 64], 1), random([64, 64], 2)).parts).toBe(1)
  })
})

describe("operands that lie otherwise", () => {
  test.each([
    { name: "heads of attention", axes: [0, 2, 1, 3], shape: [2, 10, 3, 8] },
    { name: "rows and columns exchanged", axes: [0, 1, 3, 2], shape: [2, 3, 8, 10] },
    { name: "batch inside", axes: [2, 0, 1, 3], shape: [3, 10, 2, 8] },
    { name: "columns outermost", axes: [1, 2, 3, 0], shape: [8, 2, 3, 10] },
  ])("$name", ({ axes, shape }) => {
    const x = permuted(random(shape, 1), axes)
    const [b = 1, h = 1, m = 1, k = 1] = x.shape
    const options = [
      { y: random([b, h, k, 16], 2), transposeX: false },
      { y: random([b, h, m, 16], 3), transposeX: true },
    ]
    for (const { y, transposeX } of options) {
      const attrs = { transposeX, transposeY: false, alpha: 1 }
      const described = (tensor: Tensor) => ({ ...tensor, elements: tensor.values.length, dtype: "float32" as const })
      const shapes = {
        inputs: { x: described(x), y: described(y) },
        outputs: { z: described(random([b, h, transposeX ? k : m, 16], 4)) },
        attrs,
      }
      expect(matmulGenerators.matmul.readsStrides(shapes)).toBe(true)
      expect(expectProduct(x, y, { transposeX }).kernels).toEqual(["gemm"])
      // The other way round, as the right operand.
      const right = random([b, h, 7, transposeX ? m : k], 5)
      expectProduct(right, x, { transposeY: !transposeX })
    }
  })

  test("one matrix for a whole batch", () => {
    const y: Tensor = { ...random([6, 11], 2), shape: [2, 3, 6, 11], strides: [0, 0, 11, 1] }
    expectProduct(random([2, 3, 5, 6], 1), y)
  })

  test("neither rows nor columns side by side: it is not read there", () => {
    const z = { shape: [4, 5], elements: 20, dtype: "float32" as const }
    const shapesOf = (strides: readonly number[]) => ({
      inputs: {
        x: { shape: [4, 6], elements: 24, dtype: "float32" as const, strides },
        y: { shape: [6, 5], elements: 30, dtype: "float32" as const },
      },
      outputs: { z },
      attrs: { transposeX: false, transposeY: false, alpha: 1 },
    })
    const { readsStrides } = matmulGenerators.matmul
    expect(readsStrides(shapesOf([12, 2]))).toBe(false)
    expect(readsStrides(shapesOf([0, 1]))).toBe(false)
    expect(readsStrides(shapesOf([6, 1]))).toBe(true)
    expect(readsStrides(shapesOf([1, 4]))).toBe(true)
  })
})

test("a row of a large matrix is not given an epilogue that would change the order of its sums", () => {
  const described = (shape: readonly number[]) => ({ shape, elements: 0, dtype: "float32" as const })
  const absorbs = (k: number) =>
    matmulGenerators.matmul.absorbs({
      inputs: { x: described([k, 200]), y: described([k, 1]) },
      outputs: { z: described([200, 1]) },
      attrs: { transposeX: true, transposeY: false, alpha: 1 },
    })
  expect(absorbs(10)).toBe(true)
  expect(absorbs(100)).toBe(false)
})

/** The same elements, rows first. */
function copied(tensor: Tensor): Tensor {
  return { shape: tensor.shape, values: Float32Array.from(elementsOf(tensor)) }
}

const size = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 70 }))

test.each(hasRelaxed() ? [false, true] : [false])(
  "random sizes, epilogues and orders of axes; relaxed: %s",
  (relaxed) => {
    let read = 0
    const axes = fc.shuffledSubarray([0, 1, 2], { minLength: 3, maxLength: 3 })
    fc.assert(
      fc.property(
        fc.tuple(size, size, size, fc.integer({ min: 1, max: 3 })),
        axes,
        axes,
        ([m, n, k, b], xAxes, yAxes) => {
          const inverse = (order: readonly number[], shape: readonly number[]) =>
            order.map((_, axis) => shape[order.indexOf(axis)] ?? 1)
          const x = permuted(random(inverse(xAxes, [b, m, k]), 1), xAxes)
          const y = permuted(random(inverse(yAxes, [b, k, n]), 2), yAxes)
          const described = (tensor: Tensor) => ({
            ...tensor,
            elements: tensor.values.length,
            dtype: "float32" as const,
          })
          const attrs = { transposeX: false, transposeY: false, alpha: 1 }
          const shapes = {
            inputs: { x: described(x), y: described(y) },
            outputs: { z: described(random([b, m, n], 3)) },
            attrs,
          }
          if (!matmulGenerators.matmul.readsStrides(shapes)) return
          read++
          const { z } = expectProduct(x, y, { relaxed })
          expectBits(z, matmul(copied(x), copied(y), { relaxed }).z)
        },
      ),
      { seed: 3, numRuns: 100 },
    )
    expect(read).toBeGreaterThan(30)
  },
)
