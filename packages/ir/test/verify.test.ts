// What each variable and operator must be; every invariant is broken on purpose in a program that verifies otherwise.

import { type Operator, Program, symbol, type Variable, verify } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { float, put, refused, variable } from "./planting.ts"
import { dataOf, everything, training } from "./programs.ts"
import { add, addOp, fillConstant, mark, mean, meanOp } from "./records.ts"
import { messageOf } from "./refusals.ts"

test("programs that are well formed pass", () => {
  for (const program of [new Program(), training(), everything()])
    expect(() => verify(program)).not.toThrow("CF_BAD_PROGRAM")
})

describe("variables and names", () => {
  test("two producers", () => {
    expect(refused((program, { x, y }) => put(program.globalBlock(), meanOp, { inputs: { x: [x] } }, { z: [y] })))
      .toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean: it assigns add_0.tmp_0, which another operator assigns already
          add_0.tmp_0 = mean(x)
        this mean was built at an unknown place"
    `)
  })

  test("data and state with a producer", () => {
    expect(
      refused((program, { x, y }) => put(program.globalBlock(), addOp, { inputs: { x: [y], y: [y] } }, { z: [x] })),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  x: data must have no producer, got x = add(add_0.tmp_0, add_0.tmp_0)
          x float32[2]
        this variable was built at …"
    `)
    expect(
      refused((program, { w, y }) => put(program.globalBlock(), addOp, { inputs: { x: [y], y: [y] } }, { z: [w] })),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  w: state must have no producer, got w = add(add_0.tmp_0, add_0.tmp_0)
          w float32[2]
        this variable was built at …"
    `)
  })

  test("a producer that is not the program's", () => {
    expect(refused((_, { y }) => (y.producer = null))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add_0.tmp_0: its producer is none, but the program has add_0.tmp_0 = add(x, w)
          add_0.tmp_0 float32[2]
        this variable was built at …"
    `)
    const foreign = dataOf(new Program(), "foreign", [2])
    expect(refused((program) => (variable(program.globalBlock(), "z").producer = add(foreign, foreign).producer)))
      .toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  z: its producer is add_0.tmp_0 = add(foreign, foreign), but the program has none
          z float32[2]
        this variable was built at an unknown place"
    `)
  })

  test("listed under another name, elsewhere, or not at all", () => {
    expect(refused((program, { x }) => program.globalBlock().vars.set("z", x))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  x: it is listed under the name "z"
          x float32[2]
        this variable was built at …"
    `)
    expect(refused((program, { x }) => program.variables.delete(x.name))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  x: the program does not find it by its name
          x float32[2]
        this variable was built at …"
    `)
    expect(refused((program) => program.variables.set("z", variable(program.globalBlock(), "z", float([]), false))))
      .toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  z: the program lists it as "z", but no block has it
          z float32[]
        this variable was built at an unknown place"
    `)
    expect(refused((program, { x }) => program.createBlock().vars.set("x", x))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  x: it is listed in block 1 but belongs to block 0
          x float32[2]
        this variable was built at …"
    `)
    expect(refused((program, { y }) => program.globalBlock().vars.delete(y.name))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add_0.tmp_0: the program lists it as "add_0.tmp_0", but no block has it
          add_0.tmp_0 float32[2]
        this variable was built at …"
    `)
  })

  test("shapes and dtypes", () => {
    expect(refused((program) => variable(program.globalBlock(), "z", float([-1])))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  z: its dimensions must be sizes of at least 0 or expressions
          z float32[-1]
        this variable was built at an unknown place"
    `)
    expect(refused((program) => variable(program.globalBlock(), "z", float([0.5])))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  z: its dimensions must be sizes of at least 0 or expressions
          z float32[0.5]
        this variable was built at an unknown place"
    `)
    expect(refused((program) => variable(program.globalBlock(), "z", float(Array.from({ length: 33 }, () => 1)))))
      .toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  z: its rank is 33, more than 32
          z float32[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
        this variable was built at an unknown place"
    `)
    expect(refused((program) => Reflect.set(variable(program.globalBlock(), "z"), "dtype", "float16")))
      .toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  z: there is no dtype float16
          z float16[2]
        this variable was built at an unknown place"
    `)
  })

  test("gradients", () => {
    expect(refused((_, { x, y }) => Object.assign(mean(y), { gradientOf: x }))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean_0.tmp_0: it must have the shape and dtype of x float32[2], of which it is the gradient
          mean_0.tmp_0 float32[]
        this variable was built at …"
    `)
    expect(refused((_, { y }) => (y.gradientOf = dataOf(new Program(), "x", [2])))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add_0.tmp_0: it is the gradient of x, which is not of this program
          add_0.tmp_0 float32[2]
        this variable was built at …"
    `)
  })
})

describe("operators", () => {
  test("of another program", () => {
    const foreign = dataOf(new Program(), "foreign", [2])
    expect(
      refused((program, { x }) =>
        put(
          program.globalBlock(),
          addOp,
          { inputs: { x: [x], y: [foreign] } },
          { z: [variable(program.globalBlock(), "z")] },
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add: its foreign is not of this program
          z = add(x, foreign)
        this add was built at an unknown place"
    `)
    expect(refused((_, { y }) => y.producer?.linkTo(add(foreign, foreign).producer))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add: it is derived from add_0.tmp_0 = add(foreign, foreign), which is not of this program
          add_0.tmp_0 = add(x, w)
        this add was built at …"
    `)
    expect(refused((program) => program.globalBlock().addOp(add(foreign, foreign).producer as Operator)))
      .toMatchInlineSnapshot(`
        "CF_BAD_PROGRAM  add: it stands in block 0, but was made for another block
            add_1.tmp_0 = add(foreign, foreign)
          this add was built at …"
      `)
  })

  test("twice", () => {
    expect(refused((program, { y }) => program.globalBlock().addOp(y.producer as Operator))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add: it stands in the program twice
          add_0.tmp_0 = add(x, w)
        this add was built at …"
    `)
  })

  test("slots", () => {
    const planted = (
      inputs: (x: Variable) => Record<string, Variable[]>,
      outputs: (z: Variable) => Record<string, Variable[]>,
    ) =>
      refused((program, { x }) =>
        put(program.globalBlock(), addOp, { inputs: inputs(x) }, outputs(variable(program.globalBlock(), "z"))),
      )
    expect(
      planted(
        (x) => ({ x: [x] }),
        (z) => ({ z: [z] }),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add: input y is missing
          z = add(x)
        this add was built at an unknown place"
    `)
    expect(
      planted(
        (x) => ({ x: [x], y: [x], w: [x] }),
        (z) => ({ z: [z] }),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add: there is no input w; the inputs are x, y
          z = add(x, x, x)
        this add was built at an unknown place"
    `)
    expect(
      planted(
        (x) => ({ x: [x], y: [x, x] }),
        (z) => ({ z: [z] }),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add: input y takes one variable, got 2
          z = add(x, x, x)
        this add was built at an unknown place"
    `)
    expect(
      planted(
        (x) => ({ x: [x], y: [x] }),
        (z) => ({ y: [z] }),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add: there is no output y; the outputs are z
          z = add(x, x)
        this add was built at an unknown place"
    `)
    expect(
      planted(
        (x) => ({ x: [x], y: [x] }),
        () => ({}),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add: output z is missing
           = add(x, x)
        this add was built at an unknown place"
    `)
  })

  test("attributes", () => {
    expect(refused((_, { x }) => mark(x, { number: "1" }))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  vendor.mark: attribute number must be a number or null, got "1"
          vendor_mark_0.tmp_0 = vendor.mark(x)
        this vendor.mark was built at …"
    `)
    expect(
      refused((program) =>
        fillConstant(program, { shape: [2], value: 1, dtype: "float32", axis: 3 } as Parameters<
          typeof fillConstant
        >[1]),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  fillConstant: there is no attribute axis
          fill_constant_0.tmp_0 = fillConstant()
        this fillConstant was built at …"
    `)
  })

  test("types that differ from what the shape rule infers", () => {
    expect(
      refused((program, { x }) =>
        put(program.globalBlock(), meanOp, { inputs: { x: [x] } }, { z: [variable(program.globalBlock(), "z")] }),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean: the shape rule says float32[] for output z, got z float32[2]
          z = mean(x)
        this mean was built at an unknown place"
    `)
    expect(
      refused((program, { x, y }) =>
        put(
          program.globalBlock(),
          addOp,
          { inputs: { x: [x], y: [mean(y)] } },
          { z: [variable(program.globalBlock(), "z")] },
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add: x and y must have equal shapes
          z = add(x, mean_0.tmp_0)
        this add was built at an unknown place"
    `)
  })

  test("equalities", () => {
    const n = (program: Program) => dataOf(program, "n", ["n"])
    const z = (program: Program) => variable(program.globalBlock(), "z", float([symbol("n")]))
    expect(
      refused((program, { x }) =>
        put(
          program.globalBlock(),
          addOp,
          { inputs: { x: [n(program)], y: [x] } },
          { z: [variable(program.globalBlock(), "z")] },
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add: the shape rule requires n == 2, which the operator does not record
          z = add(n, x)
        this add was built at an unknown place"
    `)
    expect(
      refused((program) =>
        put(
          program.globalBlock(),
          meanOp,
          { inputs: { x: [n(program)] }, equalities: [{ left: -1, right: 2 }] },
          { z: [variable(program.globalBlock(), "z", float([]))] },
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean: its equalities must be between sizes
          z = mean(n)
        this mean was built at an unknown place"
    `)
    const good = new Program()
    const inputs = { x: [n(good)], y: [dataOf(good, "m", ["m"])] }
    put(
      good.globalBlock(),
      addOp,
      { inputs, equalities: [{ left: symbol("n"), right: symbol("m") }] },
      { z: [z(good)] },
    )
    expect(() => verify(good)).not.toThrow("CF_BAD_PROGRAM")
  })
})

test("what needs no record is checked of programs without records", () => {
  const program = Program.fromJSON(training().toJSON())
  verify(program)
  program.globalBlock().ops.reverse()
  expect(messageOf(() => verify(program))).toMatchInlineSnapshot(`
    "CF_BAD_PROGRAM  sgd: it reads mul_0.grad_0 before anything assigns it
        w@NEXT = sgd(w, mul_0.grad_0)
      this sgd was built at an unknown place"
  `)
})
