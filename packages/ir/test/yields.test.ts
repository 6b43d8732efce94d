// What branches yield: copies leave out one result at a time, with what it was computed from; writes name places in the list.

import {
  capturesOf,
  currentValues,
  parseProgram,
  Program,
  programFromJson,
  type Variable,
  verify,
} from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { refused } from "./planting.ts"
import { dataOf } from "./programs.ts"
import { add, cond, mean, mul, norm, sgd } from "./records.ts"
import { edited, messageOf } from "./refusals.ts"

/** A branch that yields a value, an update of w, and a running mean; w and the mean are written. */
function training({ isTrained = true, isInner = false } = {}) {
  const program = new Program()
  const [x, y] = [dataOf(program, "x", [2]), dataOf(program, "y", [2])]
  const global = program.globalBlock()
  const w = global.createParameter({ name: "w", shape: [2], dtype: "float32" })
  const counter = global.createVar({ name: "counter", shape: [2], dtype: "float32", persistable: true })
  const update = () => program.within({ role: "optimize" }, () => sgd(w, mul(y, w)))
  const trained = (values: Variable[]) => (isTrained ? values : [])
  const body = () => {
    const value = mul(x, w)
    return [value, ...trained([update()]), add(counter, x)]
  }
  const whenFalse = () => [x, ...trained([w]), counter]
  const states = [null, ...trained([w]), counter]
  const inner = (outer: boolean) => () => cond(x, { whenTrue: body, whenFalse }, outer ? states : [])
  const [value = x] = isInner ? cond(x, { whenTrue: inner(false), whenFalse }, states) : inner(true)()
  const owner = value.producer
  for (const op of program.operators()) if (op.block.index > 0) op.handOverWrites()
  return { program, value, w, counter, owner }
}

describe.each([{ isInner: false }, { isInner: true }])("branches in branches: $isInner", ({ isInner }) => {
  test("verify, and are read back, with the places of what is written", () => {
    const { program, owner } = training({ isInner })
    verify(program)
    expect(owner?.writes.map(({ state, index }) => [state.name, index])).toEqual([
      ["w", 1],
      ["counter", 2],
    ])
    const text = String(program)
    expect(text).toContain("writes={ys[1]: w, ys[2]: counter}")
    expect(String(parseProgram(text))).toBe(text)
    expect(String(programFromJson(JSON.stringify(program)))).toBe(text)
    expect(String(program.clone())).toBe(text)
  })

  test("lose for test what they yield, compute and capture for training, and the writes that follow move up", () => {
    const test = training({ isInner }).program.clone({ forTest: true })
    verify(test)
    const plain = training({ isInner, isTrained: false }).program
    expect(String(test).replace(/\n {2}trainingNames.*/, "")).toBe(String(plain.clone({ forTest: true })))
    const owner = test.globalBlock().ops.at(-1)
    expect(owner?.writes.map(({ state, index }) => [state.name, index])).toEqual([["counter", 1]])
    expect(owner?.inputs["captures"]?.map(({ name }) => name)).not.toContain("y")
  })

  test("lose in a pruned copy each result that nothing needs", () => {
    const { program, value } = training({ isInner })
    const pruned = program.prune(value)
    verify(pruned)
    expect([...pruned.operators()].map(({ type }) => type).sort()).toEqual(
      isInner ? ["cond", "cond", "mul"] : ["cond", "mul"],
    )
    expect([...pruned.operators()].map(({ outputs }) => outputs["ys"]?.length ?? 1)).toEqual(
      isInner ? [1, 1, 1] : [1, 1],
    )
  })
})

test("what a forward operator reads of training stays in a copy for test, unwritten", () => {
  const { program, owner } = training()
  mean(owner!.outputs["ys"]![1]!)
  const test = program.clone({ forTest: true })
  verify(test)
  expect([...test.operators()].map(({ type }) => type)).toEqual(["cond", "mean", "mul", "mul", "sgd", "add"])
  expect(test.globalBlock().ops[0]?.writes.map(({ state, index }) => [state.name, index])).toEqual([["counter", 2]])
})

test("a running mean that a branch yields is not written in a copy for test", () => {
  const program = new Program()
  const x = dataOf(program, "x", [2])
  const running = program.globalBlock().createVar({ name: "running", shape: [2], dtype: "float32", persistable: true })
  const [y = x] = cond(x, { whenTrue: () => norm(x, running), whenFalse: () => [x, running] }, [null, running])
  for (const op of program.operators()) if (op.block.index > 0) op.handOverWrites()
  verify(program)
  expect(y.producer?.writes.length).toBe(1)
  const test = program.clone({ forTest: true })
  verify(test)
  expect(test.globalBlock().ops[0]?.writes).toEqual([])
})

test("the value of a state in a block is that of the last write before, in it or around it", () => {
  const { program, w, counter, owner } = training()
  expect(currentValues(program.globalBlock())).toEqual(
    new Map([w, counter].map((state, i) => [state, owner!.outputs["ys"]![i + 1]!])),
  )
  const block = program.createBlock()
  const next = program.within({ block }, () => sgd(w, w))
  expect(currentValues(block).get(w)).toBe(next)
  expect(currentValues(block).get(counter)).toBe(owner?.outputs["ys"]?.[2])
  expect(capturesOf([block])).toEqual([w])
})

describe("refusals", () => {
  test("places that are not there, or of what is no list", () => {
    const base = training().program.toJSON()
    const said = (path: string, value: unknown) => messageOf(() => programFromJson(edited(base, path, value)))
    const at = "blocks.0.ops.0.writes.0"
    expect(said(`${at}.index`, 3)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].writes[0].index names place 3 of "ys", where no value is handed out"`,
    )
    expect(said(`${at}.index`, -1)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].writes[0].index must be a safe integer of at least 0, got -1"`,
    )
    expect(said(`${at}.slot`, "y")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].writes[0].index names place 1 of "y", where no value is handed out"`,
    )
    expect(said(at, { state: "w", slot: "ys" })).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].writes[0].slot names "ys", which is no output with one value"`,
    )
    expect(messageOf(() => parseProgram(String(training().program).replace("ys[1]: w", "ys[x]: w"))))
      .toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: expected an integer, got "x]: w, ys[2]: counte"
          (ys: [cond_0.tmp_0 : float32[2], w@NEXT_0 : float32[2] role=optimize, counter@NEXT : float32[2]]) = cond(pred: x, captur
        at line 6, column 158"
    `)
  })

  test("a second writer one of whose branches goes on from the first value only", () => {
    const second = (whenFalse: (first: Variable, w: Variable) => Variable) =>
      refused((program, { x, w }) => {
        const first = sgd(w, x)
        cond(x, { whenTrue: () => [mul(first, x)], whenFalse: () => [whenFalse(first, w)] }, [w])
      })
    expect(() => second((first) => first)).toThrow("nothing was thrown")
    expect(second((_first, w) => w)).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  cond: it writes w again and must read w@NEXT, the value written first
          w@NEXT = sgd(w, x)
          w@NEXT_0 = cond(x, w@NEXT, x, w)
        this cond was built at …"
    `)
    expect(second((_first, w) => add(w, w))).toContain("must read w@NEXT, the value written first")
  })

  test("a value of another type", () => {
    expect(refused((_program, { x, w }) => cond(x, { whenTrue: () => [mean(x)], whenFalse: () => [mean(w)] }, [w])))
      .toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  cond: it writes w@NEXT float32[] to w float32[2]; shape and dtype must be equal
          w@NEXT = cond(x, x, w)
        this cond was built at …"
    `)
  })
})
