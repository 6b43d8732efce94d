// Data variables: which dimensions a shape stands for, and what is refused.

import { Program, programGuard, symbol } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { data, type DataOptions } from "../src/index.ts"

const inProgram = <T>(body: () => T): T => programGuard(new Program(), new Program(), body)
const typeOf = (options: Omit<DataOptions, "name">) => inProgram(() => data({ name: "x", ...options }).type)

describe("data", () => {
  test("prepends the one dimension batch", () => {
    expect(typeOf({ shape: [13] })).toBe("float32[batch, 13]")
    expect(typeOf({ shape: [], dtype: "int64" })).toBe("int64[batch]")
    expect(typeOf({ shape: [3, 4], appendBatchSize: false })).toBe("float32[3, 4]")
  })

  test("takes a shape with −1 for the whole one, as Fluid does, unless told otherwise", () => {
    expect(typeOf({ shape: [-1, 13] })).toBe("float32[dim_0, 13]")
    expect(typeOf({ shape: [null, 4, -1] })).toBe("float32[dim_0, 4, dim_1]")
    expect(typeOf({ shape: [-1, 13], appendBatchSize: true })).toBe("float32[batch, dim_0, 13]")
    expect(typeOf({ shape: ["batch", 2] })).toBe("float32[batch, 2]")
    expect(typeOf({ shape: [symbol("batch"), 2] })).toBe("float32[batch, 2]")
  })

  test("names a dimension by a string", () => {
    const types = inProgram(() => [
      data({ name: "x", shape: ["time", 8] }).type,
      data({ name: "y", shape: ["time"], dtype: "int32" }).type,
    ])
    expect(types).toEqual(["float32[batch, time, 8]", "int32[batch, time]"])
  })

  test("stops gradients, and is in the program that the guard says", () => {
    const main = new Program()
    const x = programGuard(main, new Program(), () => data({ name: "x", shape: [2] }))
    expect([x.isData, x.stopGradient, x.persistable]).toEqual([true, true, false])
    expect(main.globalBlock().var("x")).toBe(x)
    expect(String(x.site)).toMatch(/^packages\/layers\/test\/data\.test\.ts:\d+:\d+$/)
  })

  test.each<[string, unknown, RegExp]>([
    ["no name", { shape: [2] }, /^CF_BAD_ATTRIBUTE {2}data: name is missing/],
    ["no shape", { name: "x" }, /^CF_BAD_ATTRIBUTE {2}data: shape must be an array, got undefined/],
    [
      "a fraction",
      { name: "x", shape: [2.5] },
      /^CF_BAD_ATTRIBUTE {2}data: shape holds the number 2.5, which is no size/,
    ],
    [
      "a word that is no name",
      { name: "x", shape: ["a b"] },
      /^CF_BAD_ATTRIBUTE {2}data: dimension symbol "a b" is not a name/,
    ],
    [
      "an unknown dtype",
      { name: "x", shape: [2], dtype: "float" },
      /^CF_BAD_ATTRIBUTE {2}data: dtype must be one of float32/,
    ],
    [
      "an unknown option",
      { name: "x", shape: [2], lodLevel: 0 },
      /^CF_BAD_ATTRIBUTE {2}data: there is no option lodLevel/,
    ],
  ])("refuses %s, and leaves the program as it was", (_what, options, text) => {
    const main = new Program()
    programGuard(main, new Program(), () => expect(() => data(options as DataOptions)).toThrow(text))
    expect(main.toString()).toBe(new Program().toString())
  })

  test("refuses a name that is taken", () => {
    inProgram(() => {
      data({ name: "x", shape: [2] })
      expect(() => data({ name: "x", shape: [2] })).toThrow(
        /^CF_DUPLICATE_NAME {2}data: the program has a variable "x" already/,
      )
    })
  })
})
