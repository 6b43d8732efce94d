import {
  attachRecords,
  isCounterflowError,
  type OpRecord,
  parseProgram,
  printProgram,
  programFromJson,
  verify,
} from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { everything, training } from "./programs.ts"
import { mulOp, records } from "./records.ts"
import { edited, messageOf } from "./refusals.ts"

const lookUp = (name: string) => records.get(name)

/** Like `lookUp`, but one record differs. */
function lookUpWith(name: string, change: Partial<OpRecord>): (name: string) => OpRecord | undefined {
  return (wanted) => {
    const record = records.get(wanted)
    return record !== undefined && wanted === name ? { ...record, ...change } : record
  }
}

describe("attaching records", () => {
  test.each([
    ["training", training],
    ["everything", everything],
  ])("gives the program that was written: %s", (_, build) => {
    const program = build()
    for (const read of [parseProgram(program.toString()), programFromJson(program.toJSON())]) {
      const resolved = attachRecords(read, lookUp)
      verify(resolved)
      expect(printProgram(resolved)).toBe(printProgram(program))
      expect(resolved.toJSON()).toEqual(program.toJSON())
      for (const op of resolved.operators()) expect(op.record).toBe(records.get(op.type))
      // The program that was read stays as it is.
      expect([...read.operators()].every((op) => op.record.unresolved === true)).toBe(true)
    }
  })

  test("clone for test works before records are attached", () => {
    const read = programFromJson(everything().toJSON())
    const both = [
      attachRecords(read.clone({ forTest: true }), lookUp),
      attachRecords(read, lookUp).clone({ forTest: true }),
    ]
    expect(both[0]?.toJSON()).toEqual(both[1]?.toJSON())
    expect(both[0]?.toString()).toContain("isTest: true")
  })
})

describe("refused", () => {
  const refused = (path: string, value: unknown, lookup = lookUp, base = training()) => {
    const program = programFromJson(path === "" ? base.toJSON() : edited(base.toJSON(), path, value))
    return messageOf(() => attachRecords(program, lookup, records.keys()))
  }

  test("unknown ops, with the nearest one", () => {
    expect(refused("blocks.0.ops.1.op", "maen")).toMatchInlineSnapshot(`
      "CF_UNKNOWN_OP  the registry has no op "maen"
        it assigns mean_0.tmp_0 float32[]
        fix: did you mean "mean"?"
    `)
    expect(refused("blocks.0.ops.1.op", "softmax")).toMatchInlineSnapshot(`
      "CF_UNKNOWN_OP  the registry has no op "softmax"
        it assigns mean_0.tmp_0 float32[]
        fix: extend the registry with its record"
    `)
  })

  test("newer versions of an op", () => {
    expect(refused("blocks.0.ops.0.version", 3)).toMatchInlineSnapshot(`
      "CF_NEWER_VERSION  mul: written by version 3 of the op; this build has version 1
        it assigns mul_0.tmp_0 float32[batch, 2]
        fix: update the package that has the op"
    `)
  })

  test("slots", () => {
    expect(refused("blocks.0.ops.0.inputs.w", ["w"])).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mul: there is no input w; the inputs are x, y
        it assigns mul_0.tmp_0 float32[batch, 2]"
    `)
    expect(refused("blocks.0.ops.0.inputs.y", undefined)).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mul: input y is missing
        it assigns mul_0.tmp_0 float32[batch, 2]"
    `)
    expect(refused("blocks.0.ops.1.inputs", { "...x": ["x", "w"] })).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean: input x takes one variable, got 2
        it assigns mean_0.tmp_0 float32[]"
    `)
    expect(refused("blocks.0.ops.1.outputs", { out: ["mean_0.tmp_0"] })).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean: there is no output out; the outputs are z
        it assigns mean_0.tmp_0 float32[]"
    `)
  })

  test("attributes", () => {
    expect(refused("blocks.0.ops.2.attrs.value", "much")).toMatchInlineSnapshot(`
      "CF_BAD_ATTRIBUTE  fillConstant: attribute value must be a number, got "much"
        it assigns fill_constant_0.grad_0 float32[batch, 2]"
    `)
    expect(refused("blocks.0.ops.2.attrs.value", undefined)).toMatchInlineSnapshot(`
      "CF_BAD_ATTRIBUTE  fillConstant: attribute value is missing
          the attributes are shape, value, dtype
        it assigns fill_constant_0.grad_0 float32[batch, 2]"
    `)
    expect(refused("blocks.0.ops.2.attrs.valeu", 1)).toMatchInlineSnapshot(`
      "CF_BAD_ATTRIBUTE  fillConstant: there is no attribute valeu
          the attributes are shape, value, dtype
        it assigns fill_constant_0.grad_0 float32[batch, 2]
        fix: did you mean value?"
    `)
  })

  test("types that the shape rule does not give", () => {
    expect(refused("blocks.0.vars.3.shape", [2])).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean: the shape rule says float32[] for output z, got mean_0.tmp_0 float32[2]
        it assigns mean_0.tmp_0 float32[2]"
    `)
    expect(refused("blocks.0.vars.3.dtype", "float64")).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean: the shape rule says float32[] for output z, got mean_0.tmp_0 float64[]
        it assigns mean_0.tmp_0 float64[]"
    `)
    expect(refused("blocks.0.vars.1.shape", [3])).toMatchInlineSnapshot(`
      "CF_SHAPE_MISMATCH  mul: x and y must have equal shapes
        it assigns mul_0.tmp_0 float32[batch, 2]"
    `)
    const split = everything()
    expect(refused("blocks.0.ops.4.outputs", { "...ys": ["split_0.tmp_0"] }, lookUp, split)).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  split: output ys must hold 2 variables, got 1
        it assigns split_0.tmp_0 float32[1, batch]"
    `)
  })

  test("what a shape rule requires is inferred again, not believed", () => {
    const text = "program\n  data x : float32[n]\n  data y : float32[m]\n  z : float32[n] = mul(x: x, y: y)\n"
    const resolved = attachRecords(parseProgram(text), lookUp)
    expect(resolved.toString()).toContain("requires=[n == m]")
    verify(resolved)
  })

  test("an error of the rule that is no refusal comes through", () => {
    const broken = lookUpWith("mul", {
      inferTypes: () => {
        throw new TypeError("a mistake in the rule")
      },
    })
    const program = programFromJson(training().toJSON())
    expect(() => attachRecords(program, broken)).toThrow(new TypeError("a mistake in the rule"))
    expect(mulOp.version).toBe(1)
  })

  test("a refusal keeps its code", () => {
    const codes = (["blocks.0.ops.1.op", "blocks.0.ops.0.version"] as const).map((path) => {
      try {
        attachRecords(programFromJson(edited(training().toJSON(), path, path.endsWith("op") ? "maen" : 9)), lookUp)
      } catch (error) {
        return isCounterflowError(error) ? error.code : "another error"
      }
      return "none"
    })
    expect(codes).toEqual(["CF_UNKNOWN_OP", "CF_NEWER_VERSION"])
  })
})
