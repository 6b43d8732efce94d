// Parameters of layers: attributes in their short and long forms, tables of embeddings, parameters without a layer.

import { Program, programGuard } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { Constant, createParameter, data, embedding, fc, layer, Normal } from "../src/index.ts"
import { build, refusalOf, untyped } from "./building.ts"

describe("paramAttr", () => {
  const madeWith = (paramAttr: Parameters<typeof fc>[1]["paramAttr"]) =>
    build(() => fc(data({ name: "x", shape: [3] }), { size: 2, paramAttr, biasAttr: false }))
      .main.toString()
      .split("\n")[2]
      ?.trim()

  test("may be a name, an initializer, or all of it", () => {
    expect(madeWith("w")).toBe(`parameter w : float32[3, 2] initializer="xavierUniform"`)
    expect(madeWith(new Normal(0, 0.5))).toBe(`parameter fc_0.w_0 : float32[3, 2] initializer="normal(0, 0.5)"`)
    expect(madeWith(null)).toBe(`parameter fc_0.w_0 : float32[3, 2] initializer="xavierUniform"`)
    expect(
      madeWith({
        name: "w",
        initializer: new Constant(1),
        learningRate: 0.5,
        regularizer: { kind: "l1", coefficient: 0.25 },
        trainable: false,
      }),
    ).toBe(`parameter w : float32[3, 2] trainable=false learningRate=0.5 l1=0.25 initializer="constant(1)"`)
  })

  test("may hold an initializer of the user's own", () => {
    const seen: string[] = []
    const own = {
      initialize: (state: { name: string }, startup: Program) => {
        seen.push(state.name)
        new Constant(7).initialize({ name: state.name, shape: [3, 2], dtype: "float32" }, startup)
      },
      toString: () => "sevens",
    }
    expect(madeWith(own)).toBe(`parameter fc_0.w_0 : float32[3, 2] initializer="sevens"`)
    expect(seen).toEqual(["fc_0.w_0"])
  })

  test.each<[string, unknown, RegExp]>([
    ["a number", 3, /paramAttr must be an object, a name, an initializer or a boolean, got the number 3/],
    ["an empty name", "", /paramAttr\.name must be a name, got the string/],
    [
      "a word for an initializer",
      { initializer: "zeros" },
      /paramAttr\.initializer must be an initializer, such as new Constant\(0\)/,
    ],
    [
      "an infinite rate",
      { learningRate: Infinity },
      /paramAttr\.learningRate must be a finite number, got the number Infinity/,
    ],
    ["a number for a penalty", { regularizer: 0.1 }, /paramAttr\.regularizer must be a penalty such as/],
    ["one attribute too many", ["a", "b"], /paramAttr must hold one entry per input, 1, got 2/],
    ["a wrong entry of a list", [{ name: 3 }], /paramAttr\[0\]\.name must be a name, got the number 3/],
  ])("must not be %s", (_what, paramAttr, text) => {
    expect(() => madeWith(untyped(paramAttr))).toThrow(text)
  })
})

describe("createParameter", () => {
  test("makes a parameter without a layer", () => {
    const { main } = build(() => {
      createParameter({ shape: [2, 3] })
      createParameter({ shape: [3], isBias: true })
      createParameter({ shape: [], dtype: "int64", name: "steps" })
      createParameter({ shape: [2], attr: { name: "scale" }, defaultInitializer: new Constant(2) })
    })
    expect(main.toString()).toMatchInlineSnapshot(`
      "program
        parameter create_parameter_0.w_0 : float32[2, 3] initializer="xavierUniform"
        parameter create_parameter_1.b_0 : float32[3] initializer="constant(0)"
        parameter steps : int64[] initializer="constant(0)"
        parameter scale : float32[2] initializer="constant(2)"
        names {create_parameter: 3, create_parameter_0.w: 1, create_parameter_1.b: 1}
      "
    `)
  })

  test("refuses a shape that is not known, and no parameter at all", () => {
    build(() => {
      expect(refusalOf(() => createParameter({ shape: [-1, 2] }))).toMatchInlineSnapshot(`
        "CF_BAD_ATTRIBUTE  createParameter: shape must be an array of sizes, got [-1,2]
          this createParameter was built at HERE"
      `)
      expect(refusalOf(() => createParameter({ shape: [2], attr: false }))).toMatchInlineSnapshot(`
        "CF_BAD_ATTRIBUTE  createParameter: attr must not be false: there would be no parameter
          this createParameter was built at HERE"
      `)
    })
  })
})

describe("embedding", () => {
  test("looks ids up in a table of its own", () => {
    const { main, made } = build(() =>
      embedding(data({ name: "ids", shape: [5], dtype: "int64" }), { size: [100, 8], paddingIdx: -1 }),
    )
    expect(main.allParameters().map(String)).toEqual(["embedding_0.w_0 float32[100, 8]"])
    expect(String(made)).toBe("embedding_0.tmp_0 float32[batch, 5, 8]")
    expect(made.producer?.attrs).toEqual({ paddingIdx: 99 })
  })

  test("refuses what is no size, a padding outside of the table, and options it does not have", () => {
    build(() => {
      const ids = data({ name: "ids", shape: [5], dtype: "int64" })
      expect(() => embedding(ids, { size: [100] })).toThrow(
        /embedding: size must be \[vocabulary, width\], got \[100\]/,
      )
      expect(() => embedding(ids, { size: [10, 2], paddingIdx: 10 })).toThrow(/embedding: paddingIdx 10 is no row of w/)
      expect(() => embedding(ids, untyped({ size: [10, 2], isSparse: true }))).toThrow(
        /embedding: there is no option isSparse/,
      )
    })
  })
})

test("a layer of the user's own is built the same way", () => {
  const { main, startup, made } = build(() => {
    const x = data({ name: "x", shape: [3] })
    const gate = (input: typeof x, options: { name?: string }) =>
      layer({ type: "gate", fn: gate, inputs: { input }, options, kinds: { name: "name" } }, (own) => {
        const init = { shape: [3], dtype: input.dtype, attr: null, initializer: new Constant(1) } as const
        return [own.name, own.parameter({ letter: "w", ...init }), own.parameter({ letter: "w", ...init })]
      })
    return gate(x, {})
  })
  expect(made.map(String)).toEqual(["gate_0", "gate_0.w_0 float32[3]", "gate_0.w_1 float32[3]"])
  expect(startup.globalBlock().ops.length).toBe(4)
  expect(main.globalBlock().ops.length).toBe(0)
})

test("one program cannot be main and startup program", () => {
  const program = new Program()
  programGuard(program, program, () => {
    const x = data({ name: "x", shape: [3] })
    expect(() => fc(x, { size: 1 })).toThrow(/^CF_BAD_ARGUMENT {2}fc: one program cannot be its own startup program/)
  })
})
