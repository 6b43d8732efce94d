// Phase 4, folding: constants of constants, by the rules of their dtypes, and only where every backend has the same bits.

import { evaluateScalar } from "@counterflow/compiler"
import { type DType, type Scalar, type Variable } from "@counterflow/ir"
import { data } from "@counterflow/layers"
import {
  add,
  broadcastTo,
  cast,
  div,
  exp,
  fillConstant,
  mul,
  pow,
  reshape,
  s,
  sqrt,
  sub,
  transpose,
  where,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { linesAfter } from "./passes-observed.ts"

const constant = (value: number, shape: readonly number[] = [], dtype: DType = "float32") =>
  fillConstant({ shape, value, dtype })

const folded = (build: () => readonly Variable[]) => linesAfter(["fold"], build)

describe("folding", () => {
  test("arithmetic, rounded as float32 is", () => {
    expect(folded(() => [add(mul(constant(0.1), constant(3)), constant(1))])).toMatchInlineSnapshot(`
      [
        "add_0.tmp_0 : float32[] = constant() {value: 1.2999999523162842, shape: [], dtype: "float32"}",
        "fetch add_0.tmp_0",
      ]
    `)
  })

  test("through views, whatever their shape", () => {
    expect(
      folded(() => {
        const x = broadcastTo(div(constant(1), constant(3)), { shape: [2, 3] })
        return [sqrt(transpose(reshape(x, { shape: [3, 2] }), { perm: [1, 0] }))]
      }),
    ).toMatchInlineSnapshot(`
      [
        "sqrt_0.tmp_0 : float32[2, 3] = constant() {value: 0.5773502588272095, shape: [2, 3], dtype: "float32"}",
        "fetch sqrt_0.tmp_0",
      ]
    `)
  })

  test("casts and choices", () => {
    expect(
      folded(() => [
        where(
          cast(constant(0.5), { dtype: "bool" }),
          cast(constant(-3.7), { dtype: "int32" }),
          constant(5, [], "int32"),
        ),
      ]),
    ).toMatchInlineSnapshot(`
      [
        "where_0.tmp_0 : int32[] = constant() {value: -3, shape: [], dtype: "int32"}",
        "fetch where_0.tmp_0",
      ]
    `)
  })

  test("not what backends compute by approximation, and not what depends on a feed", () => {
    expect(
      folded(() => {
        const x = data({ name: "x", shape: [], appendBatchSize: false })
        return [add(exp(constant(1)), pow(constant(2), constant(0.5))), sub(x, constant(1))]
      }),
    ).toMatchInlineSnapshot(`
      [
        "fill_constant_0.tmp_0 : float32[] = fillConstant() {shape: [], value: 1, dtype: "float32"}",
        "exp_0.tmp_0 : float32[] = exp(x: fill_constant_0.tmp_0)",
        "fill_constant_1.tmp_0 : float32[] = fillConstant() {shape: [], value: 2, dtype: "float32"}",
        "fill_constant_2.tmp_0 : float32[] = fillConstant() {shape: [], value: 0.5, dtype: "float32"}",
        "pow_0.tmp_0 : float32[] = pow(x: fill_constant_1.tmp_0, y: fill_constant_2.tmp_0)",
        "add_0.tmp_0 : float32[] = add(x: exp_0.tmp_0, y: pow_0.tmp_0)",
        "fill_constant_3.tmp_0 : float32[] = fillConstant() {shape: [], value: 1, dtype: "float32"}",
        "sub_0.tmp_0 : float32[] = sub(x: x, y: fill_constant_3.tmp_0)",
        "fetch add_0.tmp_0, sub_0.tmp_0",
      ]
    `)
  })

  test("not what is combined with such an approximation", () => {
    const [x, one] = [{ op: "const", value: 2 } as const, { op: "const", value: 1 } as const]
    const exp: Scalar = { op: "exp", x }
    const expressions: Scalar[] = [
      { op: "sub", x: one, y: exp },
      { op: "sub", x: exp, y: one },
      { op: "less", x: one, y: exp },
      { op: "select", condition: { op: "less", x: exp, y: one }, x: one, y: x },
    ]
    for (const scalar of expressions) expect(evaluateScalar(scalar, new Map(), "float32")).toBeUndefined()
  })

  test("not into NaN, of which there are many", () => {
    expect(folded(() => [sub(constant(Infinity), constant(Infinity))]).some((line) => line.includes("sub("))).toBe(true)
  })
})

describe("the value of an expression", () => {
  const x: Scalar = { op: "input", slot: "x" }
  const y: Scalar = { op: "input", slot: "y" }
  const value = (scalar: Scalar, dtype: DType, a: number, b = 0, output = dtype) =>
    evaluateScalar(
      scalar,
      new Map([
        ["x", { dtype, value: a }],
        ["y", { dtype, value: b }],
      ]),
      output,
    )

  test.each([
    ["int32 wraps around", s.add(x, y), "int32", 2 ** 31 - 1, 1, -(2 ** 31)],
    ["int32 multiplies to the last bit", s.mul(x, y), "int32", 123456789, 987654321, Math.imul(123456789, 987654321)],
    ["int32 divides towards zero", s.div(x, y), "int32", -7, 2, -3],
    ["and by zero gives 0", s.div(x, y), "int32", 7, 0, 0],
    ["uint8 wraps around", s.sub(x, y), "uint8", 3, 5, 254],
    ["int64 within what is exact", s.mul(x, y), "int64", 2 ** 26, 2 ** 26, 2 ** 52],
    ["but not beyond", s.mul(x, y), "int64", 2 ** 30, 2 ** 30, undefined],
    ["float32 keeps −0", s.mul(x, y), "float32", -0, 5, -0],
    ["float32 rounds once", s.div(x, y), "float32", 1, 3, Math.fround(1 / 3)],
    ["float64 does not", s.div(x, y), "float64", 1, 3, 1 / 3],
    [
      "an expression that rounds in between in one of the ways",
      s.add(s.mul(x, x), y),
      "float32",
      Math.fround(1 + 2 ** -20),
      -1,
      undefined,
    ],
    ["an expression exact in both", s.add(s.mul(x, y), y), "float32", 1.5, 0.25, 0.625],
    ["a float32 beyond its range", s.mul(x, y), "float32", Math.fround(3e38), 10, Infinity],
    ["NaN", s.div(x, y), "float32", 0, 0, undefined],
    ["the sign of a zero", s.sign(x), "float32", -0, 0, undefined],
    ["the smaller of two zeros", s.min(x, y), "float32", 0, -0, -0],
  ] as const)("%s", (_title, scalar, dtype, a, b, expected) => {
    expect(value(scalar, dtype, a, b)).toBe(expected)
  })

  test("comparisons, with NaN as well", () => {
    expect(value(s.less(x, y), "float32", NaN, 1, "bool")).toBe(0)
    expect(value(s.notEqual(x, y), "float32", NaN, NaN, "bool")).toBe(1)
    expect(value(s.select(s.less(x, y), x, 9), "int32", 1, 2)).toBe(1)
  })

  test("casts saturate towards integers", () => {
    expect(value(s.cast(x, "uint8"), "float32", 300.5, 0, "uint8")).toBe(255)
    expect(value(s.cast(x, "int32"), "float64", NaN, 0, "int32")).toBe(0)
    expect(value(s.cast(x, "float32"), "int32", 2 ** 24 + 1, 0, "float32")).toBe(2 ** 24)
  })
})
