// Names and places, both for people: unique names, the guards, suggestions for misspelt ones, and lines of the user.

import {
  appendOperator,
  currentSite,
  defaultMainProgram,
  defaultStartupProgram,
  nameScope,
  nearest,
  parseProgram,
  Program,
  programGuard,
  site,
  uniqueName,
  type Variable,
  verify,
} from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { dataOf } from "./programs.ts"
import { add, addOp, fillConstant, fillConstantOp, mean, mul, sgd } from "./records.ts"
import { messageOf } from "./refusals.ts"

describe("unique names", () => {
  test("are counted per program and prefix", () => {
    const [one, other] = [new Program(), new Program()]
    expect([one.uniqueName("fc"), one.uniqueName("fc"), one.uniqueName("conv2d")]).toEqual(["fc_0", "fc_1", "conv2d_0"])
    expect(other.uniqueName("fc")).toBe("fc_0")
  })

  test("never are taken names", () => {
    const program = new Program()
    dataOf(program, "fc_0", [])
    dataOf(program, "fc_2", [])
    expect([program.uniqueName("fc"), program.uniqueName("fc"), program.uniqueName("fc")]).toEqual([
      "fc_1",
      "fc_3",
      "fc_4",
    ])
  })

  test("of training parts do not shift those of the forward part", () => {
    const program = new Program()
    const x = dataOf(program, "x", [2])
    const names = [
      add(x, x).name,
      program.within({ role: "backward" }, () => add(x, x).name),
      add(x, x).name,
      program.within({ role: "optimize" }, () => add(x, x).name),
    ]
    expect(names).toEqual(["add_0.tmp_0", "add_0.grad_0", "add_1.tmp_0", "add_1.update_0"])
  })

  test("of state that is written are the state's", () => {
    const program = new Program()
    const w = program.globalBlock().createParameter({ name: "w", shape: [2], dtype: "float32" })
    expect([sgd(w, w).name, sgd(w, w).name]).toEqual(["w@NEXT", "w@NEXT_0"])
  })

  test("a layer's stem names its operators", () => {
    const program = new Program()
    const x = dataOf(program, "x", [2])
    const stem = program.uniqueName("fc")
    expect(program.within({ stem }, () => [add(x, x).name, mean(x).name])).toEqual(["fc_0.tmp_0", "fc_0.tmp_1"])
  })

  test("a taken name is refused with the line that took it", () => {
    const program = new Program()
    dataOf(program, "x", [2])
    expect(messageOf(() => dataOf(program, "x", [])).replace(/:\d+:\d+/, ":…")).toMatchInlineSnapshot(`
      "CF_DUPLICATE_NAME  the program has a variable "x" already
          x float32[2]   built at packages/ir/test/programs.ts:…
        fix: give another name, or none to get a unique one"
    `)
    expect(messageOf(() => dataOf(program, "", []))).toMatchInlineSnapshot(
      `"CF_BAD_ARGUMENT  a variable's name must have 1 to 1000 characters, got 0"`,
    )
    expect(messageOf(() => dataOf(program, "x".repeat(1001), []))).toMatchInlineSnapshot(
      `"CF_BAD_ARGUMENT  a variable's name must have 1 to 1000 characters, got 1001"`,
    )
  })
})

describe("guards", () => {
  test("replace the default programs while the function runs", () => {
    const [main, startup] = [new Program(), new Program()]
    const outer = [defaultMainProgram(), defaultStartupProgram()]
    const result = programGuard(main, startup, () => {
      expect([defaultMainProgram(), defaultStartupProgram()]).toEqual([main, startup])
      expect(
        appendOperator({
          record: fillConstantOp,
          inputs: {},
          attrs: { shape: [], value: 0, dtype: "float32" },
          above: test,
        }).block.program,
      ).toBe(main)
      programGuard(startup, () => expect([defaultMainProgram(), defaultStartupProgram()]).toEqual([startup, startup]))
      expect(defaultMainProgram()).toBe(main)
      return uniqueName("fc")
    })
    expect(result).toBe("fc_0")
    expect([defaultMainProgram(), defaultStartupProgram()]).toEqual(outer)
  })

  test("are lifted when the function throws", () => {
    const outer = defaultMainProgram()
    const run = () =>
      programGuard(new Program(), () => {
        throw new TypeError("on purpose")
      })
    expect(run).toThrow(new TypeError("on purpose"))
    expect(defaultMainProgram()).toBe(outer)
  })

  test("refuse what would outlive them, and what is no program", () => {
    const outer = defaultMainProgram()
    expect(messageOf(() => programGuard(new Program(), () => Promise.resolve()))).toMatchInlineSnapshot(`
      "CF_BAD_ARGUMENT  programGuard: the function of a programGuard must not be async: the guard ends when it returns
        fix: build the program in a plain function, await before or after it"
    `)
    expect(defaultMainProgram()).toBe(outer)
    const noProgram: unknown = {}
    expect(messageOf(() => programGuard(noProgram as Program, () => 0))).toMatchInlineSnapshot(
      `"CF_BAD_ARGUMENT  programGuard: programGuard takes a main Program, optionally a startup Program, and a function"`,
    )
  })

  test("name scopes nest", () => {
    const program = new Program()
    const x = dataOf(program, "x", [2])
    programGuard(program, () => {
      nameScope("encoder", () => {
        nameScope("layer_0", () => add(x, x))
        add(x, x)
      })
      add(x, x)
    })
    expect(program.globalBlock().ops.map((op) => op.scope)).toEqual(["encoder/layer_0", "encoder", ""])
  })
})

test("nearest names", () => {
  const known = ["fc_0.w_0", "fc_0.b_0", "label", "image"]
  const cases: [string, string | undefined][] = [
    ["fc_0.w0", "fc_0.w_0"],
    ["FC_0.B_0", "fc_0.b_0"],
    ["lable", "label"],
    ["imgae", "image"],
    ["", undefined],
    ["something else", undefined],
  ]
  for (const [name, expected] of cases) expect(nearest(name, known)).toBe(expected)
  expect(nearest("x", [])).toBeUndefined()
  const program = new Program()
  dataOf(program, "label", [])
  expect(messageOf(() => program.globalBlock().var("lable"))).toMatchInlineSnapshot(`
    "CF_UNKNOWN_NAME  the program has no variable "lable"
      fix: did you mean "label"?"
  `)
  expect(messageOf(() => program.globalBlock().var("something else"))).toMatchInlineSnapshot(`
    "CF_UNKNOWN_NAME  the program has no variable "something else"
      fix: list the names with [...block.vars.keys()]"
  `)
})

describe("the line that built something", () => {
  /** "file:line" of the caller. */
  function here(above: (...args: never[]) => unknown): string {
    return currentSite(above).toString().replace(/:\d+$/, "")
  }

  test("is the user's, in this file", () => {
    const program = new Program()
    const x = dataOf(program, "x", [2])
    const [sum, line] = [add(x, x), here(here)]
    expect(line).toMatch(/^packages\/ir\/test\/names\.test\.ts:\d+$/)
    expect(sum.site.toString()).toMatch(new RegExp(`^${line}:\\d+$`))
    expect(sum.producer?.site.toString()).toBe(sum.site.toString())
  })

  test("is quoted by errors of a shape rule, for the operator and its inputs", () => {
    const program = new Program()
    const x = program.globalBlock().createVar({ name: "x", shape: [2], dtype: "float32", isData: true })
    const constant = fillConstant(program, { shape: [2, 3], value: 0, dtype: "float32" })
    const message = messageOf(() => mul(x, constant))
    expect(message.replace(/:\d+:\d+/g, ":…")).toMatchInlineSnapshot(`
      "CF_SHAPE_MISMATCH  mul: x and y must have equal shapes
          x = x                       float32[2]      built at packages/ir/test/names.test.ts:…
          y = fill_constant_0.tmp_0   float32[2, 3]   built at packages/ir/test/names.test.ts:…
        this mul was built at packages/ir/test/names.test.ts:…"
    `)
    const lines = [...message.matchAll(/:(\d+):\d+/g)].map((match) => Number(match[1]))
    const first = lines[0] ?? 0
    expect(lines).toEqual([first, first + 1, first + 2])
  })

  test("is quoted by the verifier", () => {
    const program = new Program()
    const x = dataOf(program, "x", [2])
    const [y, line] = [mean(x), here(here)]
    Object.assign(y, { gradientOf: x })
    expect(messageOf(() => verify(program))).toContain(`this variable was built at ${line}:`)
  })

  test("is the outermost marked function's caller", () => {
    function layer(x: Variable): Variable {
      return site(layer, () => add(mul(x, x), x))
    }
    const [y, line] = [layer(dataOf(new Program(), "x", [2])), here(here)]
    expect(y.site.toString()).toContain(line)
    expect(y.producer?.inputs["x"]?.[0]?.site.toString()).toBe(y.site.toString())
  })

  test("is unknown for what was read", () => {
    const program = parseProgram("program\n  data x : float32[2]\n")
    expect(program.globalBlock().var("x").site.toString()).toBe("an unknown place")
  })
})

describe("an operator is refused", () => {
  const program = new Program()
  const x = dataOf(program, "x", [2])
  const place = /:\d+:\d+/g

  test("with inputs of two programs", () => {
    const y = dataOf(new Program(), "y", [2])
    expect(messageOf(() => add(x, y)).replace(place, ":…")).toMatchInlineSnapshot(`
      "CF_FOREIGN_VARIABLE  add: the inputs belong to different programs
          x = x   float32[2]   built at packages/ir/test/programs.ts:…
          y = y   float32[2]   built at packages/ir/test/programs.ts:…
        this add was built at packages/ir/test/names.test.ts:…
        fix: build all of it under one programGuard; a clone has variables of its own: clone.globalBlock().var(name)"
    `)
  })

  test("with wrong slots", () => {
    const append = (inputs: Record<string, Variable[]>) =>
      messageOf(() => appendOperator({ record: addOp, inputs, attrs: {}, above: test })).split("\n")[0]
    expect(append({ x: [x] })).toMatchInlineSnapshot(`"CF_BAD_SLOT  add: input y is missing"`)
    expect(append({ x: [x, x], y: [x] })).toMatchInlineSnapshot(`"CF_BAD_SLOT  add: input x takes one variable, got 2"`)
    expect(append({ x: [x], y: [x], w: [x] })).toMatchInlineSnapshot(
      `"CF_BAD_SLOT  add: there is no input w; the inputs are x, y"`,
    )
  })

  test("with inputs that are no variables", () => {
    const seven: unknown = 7
    expect(messageOf(() => add(x, seven as Variable)).replace(place, ":…")).toMatchInlineSnapshot(`
      "CF_BAD_ARGUMENT  add: an input is not a Variable but the number 7
        this add was built at packages/ir/test/names.test.ts:…"
    `)
    expect(program.globalBlock().ops).toEqual([])
  })
})
