import { type AttrKind, checkAttrs, type OpRecord, symbol } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { meanOp } from "./records.ts"
import { messageOf } from "./refusals.ts"

function withKind(kind: AttrKind): OpRecord {
  return { ...meanOp, attrs: { a: kind } }
}

const n = symbol("n")

// Kind, values it takes, values it does not take.
const kinds: [AttrKind, unknown[], unknown[]][] = [
  ["number", [0, 1.5, NaN, -Infinity], ["1", null, true, n]],
  ["number?", [0, null], ["1", undefined]],
  ["int", [0, -3, 2 ** 53 - 1], [0.5, NaN, 2 ** 53, null, n]],
  ["int?", [7, null], [0.5, undefined]],
  ["bool", [true, false], [0, null, "true"]],
  ["string", ["", "a"], [0, null]],
  ["string?", ["a", null], [0, undefined]],
  ["numbers", [[], [0.5, NaN]], [[null], 1, ["1"]]],
  ["ints", [[], [1, -1]], [[0.5], [n], null]],
  ["ints?", [[1], null], [[0.5], undefined]],
  ["dim", [3, n], [0.5, "n", null]],
  ["dims", [[], [3, n]], [["n"], n, [0.5], null]],
  ["dtype", ["float32", "bool"], ["float16", null]],
  [
    ["same", "valid"],
    ["same", "valid"],
    ["full", null, 0],
  ],
]

describe("checkAttrs", () => {
  test.each(kinds)("%j", (kind, good, bad) => {
    const record = withKind(kind)
    for (const value of good) expect(() => checkAttrs(record, { a: value })).not.toThrow("CF_BAD_ATTRIBUTE")
    for (const value of bad)
      expect(() => checkAttrs(record, { a: value })).toThrow(/^CF_BAD_ATTRIBUTE {2}mean: attribute a must be /)
  })

  test("says what it wanted and what it got", () => {
    expect(messageOf(() => checkAttrs(withKind("dims"), { a: [n, "m"] }))).toMatchInlineSnapshot(
      `"CF_BAD_ATTRIBUTE  mean: attribute a must be an array of dims, got [n, "m"]"`,
    )
    expect(messageOf(() => checkAttrs(withKind(["same", "valid"]), { a: "smae" }))).toMatchInlineSnapshot(
      `"CF_BAD_ATTRIBUTE  mean: attribute a must be one of "same", "valid", got "smae""`,
    )
    expect(messageOf(() => checkAttrs(withKind("int?"), { a: new Map() }))).toMatchInlineSnapshot(
      `"CF_BAD_ATTRIBUTE  mean: attribute a must be an integer or null, got a Map"`,
    )
  })

  test("unknown and missing ones", () => {
    expect(messageOf(() => checkAttrs(withKind("int"), { a: 1, axsi: 2 }))).toMatchInlineSnapshot(`
      "CF_BAD_ATTRIBUTE  mean: there is no attribute axsi
          the attributes are a
        fix: leave axsi out"
    `)
    expect(messageOf(() => checkAttrs({ ...meanOp, attrs: { axis: "int" } }, { axsi: 2 }))).toMatchInlineSnapshot(`
      "CF_BAD_ATTRIBUTE  mean: there is no attribute axsi
          the attributes are axis
        fix: did you mean axis?"
    `)
    expect(messageOf(() => checkAttrs(withKind("int"), {}))).toMatchInlineSnapshot(`
      "CF_BAD_ATTRIBUTE  mean: attribute a is missing
          the attributes are a"
    `)
    expect(messageOf(() => checkAttrs(withKind("int"), Object.create({ a: 1 }) as Record<string, unknown>))).toBe(
      messageOf(() => checkAttrs(withKind("int"), {})),
    )
  })
})
