// Long chains and deep nests: nothing in the IR recurses over operators.

import {
  attachRecords,
  parseProgram,
  printProgram,
  Program,
  programFromJson,
  type Variable,
  verify,
} from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { dataOf } from "./programs.ts"
import { add, cond, mean, records, sgd } from "./records.ts"
import { messageOf } from "./refusals.ts"

const length = 10_000

function chain(): { program: Program; last: Variable } {
  const program = new Program()
  const x = dataOf(program, "x", ["batch", 2])
  let last = x
  for (let i = 0; i < length; i++) last = add(last, x)
  program.within({ role: "backward", derivedFrom: last.producer }, () => mean(last))
  return { program, last }
}

describe("a chain of 10,000 operators", () => {
  const { program, last } = chain()
  const text = printProgram(program)

  test("prints and parses", () => {
    expect(text.split("\n").filter((line) => line.includes("= add("))).toHaveLength(length)
    expect(printProgram(parseProgram(text))).toBe(text)
  })

  test("goes through JSON", () => {
    const json = JSON.stringify(program)
    expect(JSON.stringify(programFromJson(json))).toBe(json)
  })

  test("is verified, and gets its records back", () => {
    const read = attachRecords(parseProgram(text), (name) => records.get(name))
    verify(read)
    expect(printProgram(read)).toBe(text)
  })

  test("is cloned and pruned", () => {
    expect(printProgram(program.clone())).toBe(text)
    expect(program.clone({ forTest: true }).globalBlock().ops).toHaveLength(length)
    expect(program.prune(last).globalBlock().ops).toHaveLength(length)
  })

  test("between two writes of one state is followed", () => {
    const state = program.globalBlock().createVar({ name: "state", shape: [2], dtype: "float32", persistable: true })
    let value = sgd(state, state)
    for (let i = 0; i < length; i++) value = add(value, value)
    const copy = program.clone()
    const [from, to] = [copy.globalBlock().var(value.name), copy.globalBlock().var("state")]
    sgd(to, from)
    expect(() => verify(copy)).not.toThrow("CF_BAD_PROGRAM")
  })

  test("is rolled back", () => {
    const before = program.globalBlock().ops.length
    const run = () =>
      program.transaction(() => {
        for (let i = 0; i < length; i++) add(last, last)
        throw new TypeError("on purpose")
      })
    expect(run).toThrow(new TypeError("on purpose"))
    expect(program.globalBlock().ops).toHaveLength(before)
  })
})

describe("nested blocks", () => {
  function nest(depth: number): Program {
    const program = new Program()
    const x = dataOf(program, "x", [2])
    const inside = (left: number): Variable[] =>
      left === 0 ? [add(x, x)] : cond(x, { whenTrue: () => inside(left - 1), whenFalse: () => [x] })
    inside(depth)
    return program
  }

  test("64 deep are a program", () => {
    const program = nest(64)
    verify(program)
    const text = printProgram(program)
    expect(printProgram(parseProgram(text))).toBe(text)
    expect(programFromJson(JSON.stringify(program)).toJSON()).toEqual(program.toJSON())
    expect(printProgram(program.clone({ forTest: true }))).toBe(text)
  })

  test("65 deep are refused by the readers", () => {
    expect(messageOf(() => programFromJson(nest(65).toJSON()))).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[65].parent nests blocks deeper than 64"`,
    )
    expect(messageOf(() => parseProgram(nest(65).toString()))).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: parent nests blocks deeper than 64
          block 65 whenTrue
        at line 132"
    `)
  })
})
