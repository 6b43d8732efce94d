// Program files that are malformed: each is refused with the place and the reason, before anything is built.

import { parseProgram, printProgram, programFromJson } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { everything, training } from "./programs.ts"
import { edited, messageOf } from "./refusals.ts"

describe("refused files", () => {
  const base = training().toJSON()
  const refused = (path: string, value?: unknown) => messageOf(() => programFromJson(edited(base, path, value)))

  test("not a program at all", () => {
    expect(messageOf(() => programFromJson("{"))).toMatch(/^CF_BAD_JSON {2}Program.fromJSON: the program is no JSON: /)
    expect(messageOf(() => programFromJson(null))).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: the program must be an object, got null"`,
    )
    expect(messageOf(() => programFromJson([]))).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: the program must be an object, got an array of 0"`,
    )
    expect(messageOf(() => programFromJson({}))).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: version must be a safe integer of at least 1, got nothing"`,
    )
  })

  test("versions", () => {
    expect(refused("version", 2)).toMatchInlineSnapshot(
      `"CF_NEWER_VERSION  Program.fromJSON: written by version 2; this build reads up to 1: update counterflow"`,
    )
    expect(refused("version", "1")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: version must be a safe integer of at least 1, got "1""`,
    )
    expect(refused("version", 1.5)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: version must be a safe integer of at least 1, got 1.5"`,
    )
    expect(refused("version", 0)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: version must be a safe integer of at least 1, got 0"`,
    )
    // A newer form may have keys and kinds that this build knows nothing of.
    expect(messageOf(() => programFromJson({ version: 2, graphs: "many" }))).toBe(refused("version", 2))
  })

  test("keys", () => {
    expect(refused("blocks.0.ops.0.input", {})).toMatchInlineSnapshot(`
      "CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].input is an unknown key
        fix: did you mean "inputs"?"
    `)
    expect(refused("zzz", 1)).toMatchInlineSnapshot(`"CF_BAD_JSON  Program.fromJSON: zzz is an unknown key"`)
    expect(refused("blocks.0.ops.0.attrs")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].attrs is missing"`,
    )
    expect(refused("blocks.0.vars.0.shape")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].shape is missing"`,
    )
  })

  test("kinds", () => {
    expect(refused("randomSeed", "7")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: randomSeed must be a safe integer, got "7""`,
    )
    expect(refused("streams", -1)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: streams must be a safe integer of at least 0, got -1"`,
    )
    expect(refused("nameCounts.0", ["fc"])).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: nameCounts[0] must be a pair, got an array of 1"`,
    )
    expect(refused("nameCounts.1", ["mul", 1])).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: nameCounts[1][0] counts "mul" a second time"`,
    )
    expect(refused("blocks", [])).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks must hold the global block"`,
    )
    expect(refused("blocks.0.vars.0.dtype", "float31")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].dtype must be one of "float32", "float64", "int32", "int64", "uint8", "bool", got "float31""`,
    )
    expect(refused("blocks.0.vars.0.shape", "[2]")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].shape must be an array, got "[2]""`,
    )
    expect(refused("blocks.0.vars.0.shape.1", -1)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].shape[1] must be a safe integer of at least 0, got -1"`,
    )
    expect(refused("blocks.0.vars.0.shape.1", 2 ** 53)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].shape[1] must be a safe integer of at least 0, got 9007199254740992"`,
    )
    expect(refused("blocks.0.vars.0.shape.1", "2 *")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].shape[1] is no dim: dimension "2 *": expected an operand, got the end of the text at position 3"`,
    )
    expect(refused("blocks.0.vars.0.shape.1", "0 - 2")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].shape[1] must be a size of at least 0, got "0 - 2""`,
    )
    expect(refused("blocks.0.vars.0.isData", false)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].isData must be true or left out, got false"`,
    )
    expect(refused("blocks.0.vars.0.parameter", {})).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0] is a parameter, so it must be persistable and no data"`,
    )
    expect(refused("blocks.0.vars.1.parameter.regularizer", { kind: "l3", coefficient: 1 })).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[1].parameter.regularizer.kind must be one of "l1", "l2", got "l3""`,
    )
    expect(refused("blocks.0.vars.1.initialValue", { $number: "π" })).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[1].initialValue must be a finite number or {"$number": "NaN"}, got an object"`,
    )
    expect(refused("blocks.0.ops.0.inputs.x", "x")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].inputs.x must be an array, got "x""`,
    )
    expect(refused("blocks.0.ops.0.inputs.x", [])).toMatchInlineSnapshot(`
      "CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].inputs.x must hold one name, got 0
        fix: the key of a list is "...x""
    `)
    expect(refused("blocks.0.ops.0.inputs.x.0", 3)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].inputs.x[0] must be a string, got 3"`,
    )
    expect(refused("blocks.0.ops.0.role", "sideways")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].role must be one of "forward", "backward", "optimize", "schedule", got "sideways""`,
    )
    expect(refused("blocks.0.ops.0.attrs.a", { $dim: "2 ** n" })).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].attrs.a.$dim is no dim: dimension "2 ** n": expected an operand, got "*" at position 3"`,
    )
    expect(refused("blocks.0.ops.0.attrs.a", { $number: "1" })).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].attrs.a has no meaning for the key "$number" here"`,
    )
    expect(refused("blocks.0.ops.0.equalities", [["n"]])).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].equalities[0] must be a pair, got an array of 1"`,
    )
    expect(refused("blocks.0.ops.0.version", 0)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].version must be a safe integer of at least 1, got 0"`,
    )
  })

  test("names and links", () => {
    expect(refused("blocks.0.ops.1.inputs.x.0", "mul_0.tmp_1")).toMatchInlineSnapshot(`
      "CF_BAD_JSON  Program.fromJSON: blocks[0].ops[1].inputs.x[0] names "mul_0.tmp_1", which no variable has
        fix: did you mean "mul_0.tmp_0"?"
    `)
    expect(refused("blocks.0.vars.1.name", "x")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[1].name "x" is taken by blocks[0].vars[0]"`,
    )
    expect(refused("blocks.0.ops.0.inputs.x.0", "mean_0.tmp_0")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].inputs.x[0] reads "mean_0.tmp_0" before anything assigns it"`,
    )
    expect(refused("blocks.0.ops.0.inputs.x.0", "mul_0.tmp_0")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].inputs.x[0] reads "mul_0.tmp_0" before anything assigns it"`,
    )
    expect(refused("blocks.0.ops.1.outputs.z.0", "mul_0.tmp_0")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[1].outputs.z[0] assigns "mul_0.tmp_0", which blocks[0].ops[0] assigns already"`,
    )
    expect(refused("blocks.0.ops.1.outputs.z.0", "w")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[1].outputs.z[0] assigns "w", but data, state and parameters of blocks have no producer"`,
    )
    expect(refused("blocks.0.vars.0.gradientOf", "nobody")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].gradientOf names "nobody", which no variable has"`,
    )
    expect(refused("blocks.0.vars.0.gradientOf", "x")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].gradientOf leads back to blocks[0].vars[0]"`,
    )
    expect(refused("blocks.0.vars.0.insteadOf", "nobody")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].insteadOf names "nobody", which no variable has"`,
    )
    expect(refused("blocks.0.vars.0.insteadOf", "x")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].insteadOf leads back to blocks[0].vars[0]"`,
    )
    expect(refused("blocks.0.ops.0.derivedFrom", [0, 9])).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].derivedFrom refers to operator 9 of block 0, which does not exist"`,
    )
    expect(refused("blocks.0.ops.0.derivedFrom", [0, 3])).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[3].derivedFrom leads back to blocks[0].ops[0]"`,
    )
    expect(refused("blocks.0.ops.0.blocks", { whenTrue: 1 })).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].blocks.whenTrue refers to block 1, but there are only 1"`,
    )
    expect(refused("blocks.0.ops.4.writes.0.state", "x")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[4].writes[0].state names "x", which is no state"`,
    )
    expect(refused("blocks.0.ops.4.writes.0.slot", "toString")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[4].writes[0].slot names "toString", which is no output with one value"`,
    )
    expect(refused("blocks.0.parent", 0)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].parent must be null: block 0 is the global one"`,
    )
    expect(refused("blocks.1", { parent: 1, vars: [], ops: [] })).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[1].parent must be the index of an earlier block, got 1"`,
    )
  })

  test("sub-blocks", () => {
    const nested = everything().toJSON()
    const refusedNested = (path: string, value?: unknown) =>
      messageOf(() => programFromJson(edited(nested, path, value)))
    const owner = `blocks.0.ops.${nested.blocks[0]?.ops.findIndex((op) => op.op === "cond") ?? 0}`
    expect(refusedNested(`${owner}.blocks.whenFalse`, 1)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[5].blocks.whenFalse refers to block 1, which another operator owns"`,
    )
    expect(refusedNested(`${owner}.blocks.whenFalse`, 2)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[5].blocks.whenFalse refers to block 2, whose parent is 1, not 0"`,
    )
    expect(refusedNested("blocks.4.results.0", "mul_0.tmp_0")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[4].results[0] reads "mul_0.tmp_0", which is a variable of block 2 and not visible here"`,
    )
    expect(refusedNested("blocks.4.ops.0.outputs.z.0", "mul_0.tmp_0")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[4].ops[0].outputs.z[0] assigns "mul_0.tmp_0", which blocks[2].ops[0] assigns already"`,
    )
    expect(refusedNested("blocks.2.ops.0.inputs.x.0", "sum_0.tmp_0")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[2].ops[0].inputs.x[0] reads "sum_0.tmp_0", which is a variable of block 4 and not visible here"`,
    )
    expect(refusedNested("blocks.1.vars.0.parameter", {})).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[1].vars[0] is a parameter, so it must be persistable and no data"`,
    )
  })

  test("prototype keys anywhere", () => {
    expect(refused("blocks.0.ops.0.attrs.__proto__", { polluted: true })).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].attrs has the forbidden key "__proto__""`,
    )
    expect(refused("blocks.0.ops.0.inputs.constructor", ["x"])).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].inputs has the forbidden key "constructor""`,
    )
    expect(refused("prototype", 1)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: the program has the forbidden key "prototype""`,
    )
    const text = JSON.stringify(base).replace("{", '{"__proto__": {"polluted": true}, ')
    expect(messageOf(() => programFromJson(text))).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: the program has the forbidden key "__proto__""`,
    )
    expect("polluted" in {}).toBe(false)
  })

  test("names may be what keys must not", () => {
    const text = JSON.stringify(base).replaceAll('"x"]', '"__proto__"]').replaceAll('"name":"x"', '"name":"__proto__"')
    const program = programFromJson(text)
    expect(program.globalBlock().ops[0]?.inputs["x"]?.[0]?.name).toBe("__proto__")
    expect(parseProgram(printProgram(program)).toJSON()).toEqual(program.toJSON())
  })

  test("limits", () => {
    expect(refused("blocks.0.vars.0.name", "x".repeat(1001))).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].name must have 1 to 1000 characters, got 1001"`,
    )
    expect(refused("blocks.0.vars.0.name", "")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].name must have 1 to 1000 characters, got 0"`,
    )
    expect(
      refused(
        "blocks.0.vars.0.shape",
        Array.from({ length: 33 }, () => 1),
      ),
    ).toMatchInlineSnapshot(`"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].shape has rank 33, more than 32"`)
    expect(refused("blocks.0.vars.0.shape.0", `n${" + n".repeat(400)}`)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].vars[0].shape[0] must have at most 1000 characters, got 1601"`,
    )
    const deep: unknown = JSON.parse(`${"[".repeat(70)}${"]".repeat(70)}`)
    expect(refused("blocks.0.ops.0.attrs.a", deep)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].ops[0].attrs nests deeper than 64"`,
    )
    const cyclic: unknown[] = []
    cyclic.push(cyclic)
    expect(messageOf(() => programFromJson({ version: 1, blocks: cyclic }))).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0] must be an object, got an array of 1"`,
    )
    const chain = Array.from({ length: 66 }, (_, index) => ({
      parent: index === 0 ? null : index - 1,
      vars: [],
      ops: [],
    }))
    expect(refused("blocks", chain)).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[65].parent nests blocks deeper than 64"`,
    )
  })

  test("a million operators and one", () => {
    const op = { op: "a", inputs: {}, outputs: {}, attrs: {} }
    const ops = Array.from({ length: 1_000_001 }, () => op)
    const json = { ...base, blocks: [{ parent: null, vars: [], ops }] }
    expect(messageOf(() => programFromJson(json))).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks hold 1000001 operators, more than 1000000"`,
    )
  })
})
