// Phase 4, simplifying: operators that change nothing lose their readers, and nothing that changes a bit is taken for one.

import { printScalar, simplifyScalar } from "@counterflow/compiler"
import type { DType, Scalar, Variable } from "@counterflow/ir"
import { data } from "@counterflow/layers"
import {
  add,
  assign,
  broadcastTo,
  cast,
  div,
  exp,
  fillConstant,
  logicalNot,
  greater,
  mul,
  neg,
  reshape,
  s,
  scale,
  sub,
  transpose,
  where,
  write,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { linesAfter } from "./passes-observed.ts"

const constant = (value: number, shape: readonly number[] = [], dtype: DType = "float32") =>
  fillConstant({ shape, value, dtype })

const simplified = (body: (x: Variable) => readonly Variable[], shape: readonly number[] = [2, 3]) =>
  linesAfter(["fold", "simplify"], () => body(data({ name: "x", shape, appendBatchSize: false })), { x: [...shape] })

describe("operators that change nothing", () => {
  test("reshapes of reshapes, and to the same shape", () => {
    expect(
      simplified((x) => [
        exp(reshape(reshape(reshape(x, { shape: [6] }), { shape: [3, 2] }), { shape: [2, 3] })),
        exp(reshape(reshape(x, { shape: [6] }), { shape: [3, 2] })),
      ]),
    ).toMatchInlineSnapshot(`
      [
        "exp_0.tmp_0 : float32[2, 3] = exp(x: x)",
        "reshape_4.tmp_0 : float32[3, 2] = reshape(x: x) {shape: [3, 2]}",
        "exp_1.tmp_0 : float32[3, 2] = exp(x: reshape_4.tmp_0)",
        "fetch exp_0.tmp_0, exp_1.tmp_0",
      ]
    `)
  })

  test("axes moved there and back, or not at all", () => {
    expect(
      simplified((x) => [
        exp(transpose(transpose(x, { perm: [1, 0] }), { perm: [1, 0] })),
        exp(transpose(x, { perm: [0, 1] })),
        exp(transpose(transpose(reshape(x, { shape: [1, 2, 3] }), { perm: [1, 2, 0] }), { perm: [2, 0, 1] })),
      ]),
    ).toMatchInlineSnapshot(`
      [
        "exp_0.tmp_0 : float32[2, 3] = exp(x: x)",
        "exp_1.tmp_0 : float32[2, 3] = exp(x: x)",
        "reshape_0.tmp_0 : float32[1, 2, 3] = reshape(x: x) {shape: [1, 2, 3]}",
        "exp_2.tmp_0 : float32[1, 2, 3] = exp(x: reshape_0.tmp_0)",
        "fetch exp_0.tmp_0, exp_1.tmp_0, exp_2.tmp_0",
      ]
    `)
  })

  test("x · 1, x / 1, x − 0, − −x, copies and broadcasts to the same shape", () => {
    expect(
      simplified((x) => [
        exp(mul(x, constant(1, [2, 3]))),
        exp(div(scale(assign(x), { scale: 1 }), constant(1, [2, 3]))),
        exp(neg(neg(sub(x, constant(0, [2, 3]))))),
        exp(broadcastTo(x, { shape: [2, 3] })),
      ]),
    ).toMatchInlineSnapshot(`
      [
        "exp_0.tmp_0 : float32[2, 3] = exp(x: x)",
        "exp_1.tmp_0 : float32[2, 3] = exp(x: x)",
        "exp_2.tmp_0 : float32[2, 3] = exp(x: x)",
        "exp_3.tmp_0 : float32[2, 3] = exp(x: x)",
        "fetch exp_0.tmp_0, exp_1.tmp_0, exp_2.tmp_0, exp_3.tmp_0",
      ]
    `)
  })

  test("a cast that loses nothing and comes back", () => {
    expect(
      simplified((x) => [
        exp(cast(cast(x, { dtype: "float64" }), { dtype: "float32" })),
        where(logicalNot(logicalNot(greater(x, 0))), x, 2) as Variable,
      ]),
    ).toMatchInlineSnapshot(`
      [
        "exp_0.tmp_0 : float32[2, 3] = exp(x: x)",
        "fill_constant_0.tmp_0 : float32[2, 3] = fillConstant() {shape: [2, 3], value: 0, dtype: "float32"}",
        "greater_0.tmp_0 : bool[2, 3] = greater(x: x, y: fill_constant_0.tmp_0)",
        "fill_constant_1.tmp_0 : float32[2, 3] = fillConstant() {shape: [2, 3], value: 2, dtype: "float32"}",
        "where_0.tmp_0 : float32[2, 3] = where(condition: greater_0.tmp_0, x: x, y: fill_constant_1.tmp_0)",
        "fetch exp_0.tmp_0, where_0.tmp_0",
      ]
    `)
  })

  test("a choice whose condition is known", () => {
    expect(simplified((x) => [exp(where(constant(1, [2, 3], "bool"), x, neg(x)) as Variable)])).toMatchInlineSnapshot(`
      [
        "exp_0.tmp_0 : float32[2, 3] = exp(x: x)",
        "fetch exp_0.tmp_0",
      ]
    `)
  })

  test("but not x + 0, x · 0 and a cast that rounds", () => {
    expect(
      simplified((x) => [
        exp(add(x, constant(0, [2, 3]))),
        exp(mul(x, constant(0, [2, 3]))),
        exp(cast(cast(x, { dtype: "int32" }), { dtype: "float32" })),
      ]).filter((line) => /= (add|mul|cast)\(/.test(line)).length,
    ).toBe(4)
  })

  test("a view that only adds axes of size 1 lies where its input lies", () => {
    const [first] = simplified((x) => [transpose(reshape(x, { shape: [2, 1, 3] }), { perm: [1, 0, 2] })])
    expect(first).toContain("reshape")
  })

  test("a copy of a state that is written stays", () => {
    const lines = linesAfter(["simplify"], (main) => {
      const w = main
        .globalBlock()
        .createVar({ name: "w", shape: [2], dtype: "float32", persistable: true, initialValue: 1 })
      const before = assign(w)
      write(w, add(w, 1))
      return [mul(before, 2)]
    })
    expect(lines.some((line) => line.includes("assign(x: w)"))).toBe(true)
  })
})

describe("rules for expressions", () => {
  const x: Scalar = { op: "input", slot: "x" }
  const y: Scalar = { op: "input", slot: "y" }
  const simple = (scalar: Scalar, dtype: DType = "float32") => printScalar(simplifyScalar(scalar, () => ({ dtype })))

  test.each([
    [s.mul(x, 1), "x"],
    [s.mul(1, s.add(x, y)), "x + y"],
    [s.add(x, -0), "x"],
    [s.add(x, 0), "x + 0"],
    [s.sub(x, 0), "x"],
    [s.sub(x, -0), "x - -0"],
    [s.mul(x, 0), "x * 0"],
    [s.neg(s.neg(s.exp(x))), "exp(x)"],
    [s.abs(s.neg(x)), "abs(x)"],
    [s.max(s.exp(x), s.exp(x)), "exp(x)"],
    [s.select(s.less(x, y), s.sqrt(x), s.sqrt(x)), "sqrt(x)"],
    [s.cast(x, "float32"), "x"],
    [s.cast(s.add(x, y), "float32"), "float32(x + y)"],
    [s.cast(s.cast(x, "float64"), "float32"), "x"],
    [s.cast(s.cast(x, "int32"), "float32"), "float32(int32(x))"],
  ] as const)("%#", (scalar, expected) => {
    expect(simple(scalar)).toBe(expected)
  })

  test("integers have one zero, and nothing to round", () => {
    expect(simple(s.add(x, 0), "int32")).toBe("x")
    expect(simple(s.floor(x), "int32")).toBe("x")
    expect(simple(s.cast(s.cast(x, "float64"), "int32"), "int32")).toBe("x")
    expect(simple(s.cast(s.cast(x, "float32"), "int32"), "int32")).toBe("int32(float32(x))")
  })
})
