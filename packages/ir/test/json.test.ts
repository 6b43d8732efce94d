import { parseProgram, printProgram, Program, programFromJson, programToJson, symbol, verify } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { everything, training } from "./programs.ts"
import { messageOf } from "./refusals.ts"
import { mean } from "./records.ts"

describe("the JSON form", () => {
  test("is plain, versioned data", () => {
    const json = programToJson(training())
    expect(json.version).toBe(1)
    expect(structuredClone(json)).toEqual(json)
    expect(json.blocks[0]?.vars[1]).toMatchInlineSnapshot(`
      {
        "dtype": "float32",
        "name": "w",
        "parameter": {
          "initializer": "constant(1)",
          "learningRate": 1,
          "trainable": true,
        },
        "persistable": true,
        "shape": [
          "batch",
          2,
        ],
      }
    `)
    expect(json.blocks[0]?.ops[2]).toMatchInlineSnapshot(`
      {
        "attrs": {
          "dtype": "float32",
          "shape": [
            {
              "$dim": "batch",
            },
            2,
          ],
          "value": 0.5,
        },
        "derivedFrom": [
          0,
          0,
        ],
        "inputs": {},
        "op": "fillConstant",
        "outputs": {
          "z": [
            "fill_constant_0.grad_0",
          ],
        },
        "role": "backward",
      }
    `)
    expect(json.blocks[0]?.ops[4]).toMatchInlineSnapshot(`
      {
        "attrs": {
          "learningRate": 0.1,
        },
        "inputs": {
          "grad": [
            "mul_0.grad_0",
          ],
          "param": [
            "w",
          ],
        },
        "op": "sgd",
        "outputs": {
          "next": [
            "w@NEXT",
          ],
        },
        "role": "optimize",
        "writes": [
          {
            "slot": "next",
            "state": "w",
          },
        ],
      }
    `)
  })

  test("holds what JSON has no word for", () => {
    expect(everything().toJSON().blocks[0]?.ops.at(-2)?.attrs).toMatchInlineSnapshot(`
      {
        "dim": {
          "$dim": "true",
        },
        "dims": [
          {
            "$dim": "2*batch",
          },
          3,
          {
            "$dim": "floorDiv(h, 2)",
          },
          {
            "$dim": "NaN",
          },
        ],
        "flag": true,
        "int": -1,
        "ints": [],
        "number": null,
        "numbers": [
          {
            "$number": "NaN",
          },
          {
            "$number": "-0",
          },
          1e+21,
        ],
        "text": "say "a#b"
      ",
      }
    `)
  })

  test.each([
    ["training", training],
    ["everything", everything],
    ["empty", () => new Program()],
  ])("reads back to the same program, from object and text: %s", (_, build) => {
    const program = build()
    for (const json of [
      programToJson(program),
      JSON.stringify(program),
      JSON.parse(JSON.stringify(program)) as unknown,
    ]) {
      const again = programFromJson(json)
      verify(again)
      expect(again.toJSON()).toEqual(program.toJSON())
      expect(printProgram(again)).toBe(printProgram(program))
    }
    expect(Program.fromJSON(program.toJSON()).toJSON()).toEqual(program.toJSON())
  })

  test("does not keep the caller's objects", () => {
    const json = training().toJSON()
    const program = programFromJson(json)
    json.blocks[0]?.vars[0]?.shape.push(7)
    expect(program.toJSON()).toEqual(training().toJSON())
    expect(Object.isFrozen(program.globalBlock().ops[2]?.attrs["shape"])).toBe(true)
  })

  test("the order of variables in a file is free", () => {
    const json = training().toJSON()
    const shuffled = { ...json, blocks: json.blocks.map((block) => ({ ...block, vars: block.vars.toReversed() })) }
    const program = programFromJson(shuffled)
    verify(program)
    expect(parseProgram(printProgram(program)).toJSON()).toEqual(program.toJSON())
    expect(programFromJson(program.toJSON()).toJSON()).toEqual(program.toJSON())
  })

  test("an operator that was read has no shape rule yet", () => {
    const op = programFromJson(training().toJSON()).globalBlock().ops[0]
    expect(op?.record.unresolved).toBe(true)
    expect(messageOf(() => op?.record.inferTypes({}, {}, { blocks: {} }))).toMatchInlineSnapshot(`
      "CF_UNKNOWN_OP  mul: the operator was read from a file and has no record yet
        fix: call resolve(program, registry), or pass a registry to the Executor"
    `)
  })

  test("unwritable attributes are refused by name", () => {
    const program = new Program()
    const x = program.globalBlock().createVar({ name: "x", shape: [], dtype: "float32", isData: true })
    const attrs = { list: [new Float32Array(1)] }
    const op = mean(x).producer
    if (op === null) throw new Error("no operator")
    Reflect.set(op, "attrs", attrs)
    expect(messageOf(() => program.toJSON()).replace(/at \S+$/, "at …")).toMatchInlineSnapshot(`
      "CF_BAD_ATTRIBUTE  mean: attribute list[0] must be plain data or a dim, got a Float32Array
        this mean was built at …"
    `)
    Reflect.set(op, "attrs", { nested: { $dim: symbol("n") } })
    expect(messageOf(() => program.toJSON()).split("\n")[0]).toMatchInlineSnapshot(
      `"CF_BAD_ATTRIBUTE  mean: attribute nested has the reserved key "$dim""`,
    )
    Reflect.set(op, "attrs", { nested: { "is plain": [symbol("n"), { deep: null }] } })
    expect(programFromJson(program.toJSON()).toString()).toBe(program.toString())
  })
})
