// The public elementwise functions as their users call them: numbers, broadcasting, options, and what they refuse.

import { type Dim, type DType, printProgram, Program, symbol, type Variable } from "@counterflow/ir"
import {
  add,
  cast,
  clip,
  greater,
  hardSwish,
  leakyRelu,
  logicalAnd,
  mul,
  pow,
  relu,
  scale,
  selu,
  softmax,
  sub,
  where,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"

function data(program: Program, name: string, shape: readonly Dim[], dtype: DType = "float32"): Variable {
  return program.globalBlock().createVar({ name, shape, dtype, isData: true })
}

/** What `build` appends, one line per operator. */
function built(
  build: (x: Variable, program: Program) => void,
  shape: readonly Dim[] = [2, 3],
  dtype: DType = "float32",
): string {
  const program = new Program()
  build(data(program, "x", shape, dtype), program)
  return printProgram(program, { brief: true })
}

/** The text of what `build` throws, without the line numbers of this file; nothing is left of what was refused. */
function refusal(
  build: (x: Variable, program: Program) => void,
  shape: readonly Dim[] = [2, 3],
  dtype: DType = "float32",
): string {
  const program = new Program()
  const x = data(program, "x", shape, dtype)
  const error = caught(() => build(x, program))
  expect(error).toHaveProperty("code")
  expect(program.globalBlock().ops).toEqual([])
  return error.message.replace(/elementwise\.test\.ts:\d+:\d+/g, "elementwise.test.ts:…")
}

function caught(body: () => void): Error {
  try {
    body()
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error("nothing was refused")
}

describe("numbers as operands", () => {
  test("become constants of the other operand's dtype and shape", () => {
    expect(built((x) => sub(1, x), [2, 3], "float64")).toMatchInlineSnapshot(`
      "fill_constant_0.tmp_0 = fillConstant() {shape: [2, 3], value: 1, dtype: "float64"}
      sub_0.tmp_0 = sub(fill_constant_0.tmp_0, x)"
    `)
    expect(built((x) => greater(x, 7), [4], "int64")).toMatchInlineSnapshot(`
      "fill_constant_0.tmp_0 = fillConstant() {shape: [4], value: 7, dtype: "int64"}
      greater_0.tmp_0 = greater(x, fill_constant_0.tmp_0)"
    `)
  })

  test("a number as exponent is an attribute, as base a constant", () => {
    expect(built((x) => pow(x, 2))).toMatchInlineSnapshot(`"pow_scalar_0.tmp_0 = powScalar(x) {exponent: 2}"`)
    expect(built((x) => pow(2, x))).toMatchInlineSnapshot(`
      "fill_constant_0.tmp_0 = fillConstant() {shape: [2, 3], value: 2, dtype: "float32"}
      pow_0.tmp_0 = pow(fill_constant_0.tmp_0, x)"
    `)
  })

  test("choices take the dtype of the other choice, two numbers are float32", () => {
    expect(built((x) => where(greater(x, 0), x, -1), [2], "int32")).toMatchInlineSnapshot(`
      "fill_constant_0.tmp_0 = fillConstant() {shape: [2], value: 0, dtype: "int32"}
      greater_0.tmp_0 = greater(x, fill_constant_0.tmp_0)
      fill_constant_1.tmp_0 = fillConstant() {shape: [2], value: -1, dtype: "int32"}
      where_0.tmp_0 = where(greater_0.tmp_0, x, fill_constant_1.tmp_0)"
    `)
    expect(built((x) => where(x, NaN, 0), [2], "bool")).toMatchInlineSnapshot(`
      "fill_constant_0.tmp_0 = fillConstant() {shape: [2], value: NaN, dtype: "float32"}
      fill_constant_1.tmp_0 = fillConstant() {shape: [2], value: 0, dtype: "float32"}
      where_0.tmp_0 = where(x, fill_constant_0.tmp_0, fill_constant_1.tmp_0)"
    `)
  })

  test("a number can be cast", () => {
    const program = new Program()
    const z = cast(data(program, "x", [2], "int32"), { dtype: "bool" })
    expect(z.type).toBe("bool[2]")
    expect(cast(2.5, { dtype: "int32" }).type).toBe("int32[]")
  })
})

describe("broadcasting", () => {
  test("stretches what is smaller, by operators", () => {
    const batch = symbol("batch")
    const text = built((x, program) => add(x, data(program, "b", [3])), [batch, 3])
    expect(text).toMatchInlineSnapshot(`
      "broadcast_to_0.broadcast_0 = broadcastTo(b) {shape: [batch, 3]}
      add_0.tmp_0 = add(x, broadcast_to_0.broadcast_0)"
    `)
  })

  test("where stretches all three", () => {
    const text = built((x, program) => where(data(program, "c", [2, 1], "bool"), x, data(program, "y", [])))
    expect(text).toMatchInlineSnapshot(`
      "broadcast_to_0.broadcast_0 = broadcastTo(c) {shape: [2, 3]}
      broadcast_to_1.broadcast_0 = broadcastTo(y) {shape: [2, 3]}
      where_0.tmp_0 = where(broadcast_to_0.broadcast_0, x, broadcast_to_1.broadcast_0)"
    `)
  })
})

test("options are resolved before an operator is made", () => {
  expect(built((x) => scale(x, { scale: 2, bias: 3, biasAfterScale: false }))).toMatchInlineSnapshot(
    `"scale_0.tmp_0 = scale(x) {scale: 2, bias: 6}"`,
  )
  expect(built((x) => clip(x, { min: 0 }))).toMatchInlineSnapshot(`"clip_0.tmp_0 = clip(x) {min: 0, max: Infinity}"`)
  expect(built((x) => leakyRelu(x))).toMatchInlineSnapshot(`"leaky_relu_0.tmp_0 = leakyRelu(x) {alpha: 0.02}"`)
  expect(built((x) => selu(x))).toMatchInlineSnapshot(
    `"selu_0.tmp_0 = selu(x) {scale: 1.0507009873554805, alpha: 1.6732632423543772}"`,
  )
  expect(built((x) => softmax(x))).toMatchInlineSnapshot(`"softmax_0.tmp_0 = softmax(x) {axis: 1}"`)
})

describe("refusals", () => {
  test("shapes that do not broadcast", () => {
    expect(refusal((x, program) => mul(x, data(program, "w", [3, 4])))).toMatchInlineSnapshot(`
      "CF_SHAPE_MISMATCH  mul: x and y cannot be broadcast together
          x = x float32[2, 3]   built at packages/ops/test/elementwise.test.ts:…
          y = w float32[3, 4]   built at packages/ops/test/elementwise.test.ts:…
        this mul was built at packages/ops/test/elementwise.test.ts:…
        fix: mul is elementwise: for a matrix product use matmul(x, y), or flattenMatmul(x, y)"
    `)
  })

  test("dtypes that differ", () => {
    expect(refusal((x, program) => add(x, data(program, "n", [2, 3], "int32")))).toMatchInlineSnapshot(`
      "CF_DTYPE_MISMATCH  add: x and y must have one dtype, got float32 and int32
          x = x   float32[2, 3]   built at packages/ops/test/elementwise.test.ts:…
          y = n   int32[2, 3]     built at packages/ops/test/elementwise.test.ts:…
        this add was built at packages/ops/test/elementwise.test.ts:…
        fix: convert one of them: cast(y, { dtype: "float32" })"
    `)
  })

  test("a fraction where integers are added", () => {
    expect(refusal((x) => add(x, 0.5), [2], "int32")).toMatchInlineSnapshot(
      `
      "CF_BAD_ATTRIBUTE  fillConstant: value 0.5 is no int32
        called at packages/ops/test/elementwise.test.ts:…"
    `,
    )
  })

  test("two numbers", () => {
    expect(refusal(() => add(1, 2))).toMatchInlineSnapshot(
      `
      "CF_BAD_ARGUMENT  add: at least one operand must be a Variable, got the number 1, the number 2
        called at packages/ops/test/elementwise.test.ts:…"
    `,
    )
  })

  test("logic on numbers", () => {
    expect(refusal((x) => logicalAnd(x, x))).toMatchInlineSnapshot(`
      "CF_DTYPE_MISMATCH  logicalAnd: x must be bool, got float32
          x = x   float32[2, 3]   built at packages/ops/test/elementwise.test.ts:…
          y = x   float32[2, 3]   built at packages/ops/test/elementwise.test.ts:…
        this logicalAnd was built at packages/ops/test/elementwise.test.ts:…"
    `)
  })

  test("a condition that is no variable", () => {
    expect(refusal((x) => where(JSON.parse("true") as Variable, x, x))).toMatchInlineSnapshot(
      `"CF_BAD_ARGUMENT  where: condition must be a Variable, got the boolean true"`,
    )
  })

  test("options that are no numbers", () => {
    expect(refusal((x) => leakyRelu(x, { alpha: NaN }))).toMatchInlineSnapshot(
      `"CF_BAD_ATTRIBUTE  leakyRelu: alpha must be a number, got NaN"`,
    )
    expect(refusal((x) => clip(x, { min: 1, max: 0 }))).toMatchInlineSnapshot(`
      "CF_BAD_ATTRIBUTE  clip: min must not be greater than max, got 1 and 0
          x = x   float32[2, 3]   built at packages/ops/test/elementwise.test.ts:…
        this clip was built at packages/ops/test/elementwise.test.ts:…"
    `)
    expect(refusal((x) => hardSwish(x, { scale: 0 }))).toMatchInlineSnapshot(`
      "CF_BAD_ATTRIBUTE  hardSwish: scale must not be 0
          x = x   float32[2, 3]   built at packages/ops/test/elementwise.test.ts:…
        this hardSwish was built at packages/ops/test/elementwise.test.ts:…"
    `)
    expect(refusal((x) => softmax(x, { axis: 2 }))).toMatchInlineSnapshot(`
      "CF_BAD_ATTRIBUTE  softmax: axis 2 is outside a tensor of rank 2
        fix: use an axis from -2 to 1"
    `)
    expect(refusal((x) => cast(x, JSON.parse(`{ "dtype": "float16" }`) as { dtype: DType }))).toMatchInlineSnapshot(
      `"CF_BAD_ATTRIBUTE  cast: dtype must be one of the six, got float16"`,
    )
  })

  test("an operand that is no variable", () => {
    expect(refusal(() => relu(JSON.parse("3") as Variable))).toMatchInlineSnapshot(`
      "CF_BAD_ARGUMENT  relu: an input is not a Variable but the number 3
        this relu was built at packages/ops/test/elementwise.test.ts:…"
    `)
  })
})
