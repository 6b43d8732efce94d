// The fully connected layer as a program: what it appends to main and startup, how things are called, what it refuses.

import { printProgram, Program, programGuard, symbol, type Variable } from "@counterflow/ir"
import { mean, relu, squareErrorCost } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { Constant, data, fc } from "../src/index.ts"
import { build, refusalOf, untyped } from "./building.ts"

describe("fc", () => {
  test("is a product, a sum with the bias and an activation", () => {
    const { main } = build(() => {
      const x = data({ name: "x", shape: [13] })
      const y = data({ name: "y", shape: [1] })
      return mean(squareErrorCost(fc(x, { size: 1, act: "relu" }), y))
    })
    expect(printProgram(main)).toMatchInlineSnapshot(`
      "program
        data x : float32[batch, 13]
        data y : float32[batch, 1]
        parameter fc_0.w_0 : float32[13, 1] initializer="xavierUniform"
        fc_0.tmp_0 : float32[batch, 1] = flattenMatmul(x: x, y: fc_0.w_0) {xNumColDims: 1, yNumColDims: 1}
        parameter fc_0.b_0 : float32[1] initializer="constant(0)"
        fc_0.broadcast_0 : float32[batch, 1] = broadcastTo(x: fc_0.b_0) {shape: [batch, 1]}
        fc_0.tmp_1 : float32[batch, 1] = add(x: fc_0.tmp_0, y: fc_0.broadcast_0)
        fc_0.tmp_2 : float32[batch, 1] = relu(x: fc_0.tmp_1)
        square_error_cost_0.tmp_0 : float32[batch, 1] = squareErrorCost(input: fc_0.tmp_2, label: y)
        mean_0.tmp_0 : float32[] = mean(x: square_error_cost_0.tmp_0)
        names {fc: 1, fc_0.w: 1, fc_0.tmp: 3, fc_0.b: 1, fc_0.broadcast: 1, square_error_cost: 1, square_error_cost_0.tmp: 1, mean: 1, mean_0.tmp: 1}
      "
    `)
  })

  test("initializes its parameters in the startup program", () => {
    const { startup } = build(() => fc(data({ name: "x", shape: [2] }), { size: 4 }))
    expect(printProgram(startup)).toMatchInlineSnapshot(`
      "program streams=1
        state fc_0.w_0 : float32[2, 4]
        state random_step : int32[] = 0
        fc_0.w_0.tmp_0 : float32[2, 4] = uniformRandom(step: random_step) {seed: null, stream: 0, shape: [2, 4], min: -1, max: 1, dtype: "float32"}
        (next: fc_0.w_0@NEXT : float32[2, 4]) = write(value: fc_0.w_0.tmp_0) writes=fc_0.w_0
        state fc_0.b_0 : float32[4]
        fc_0.b_0.tmp_0 : float32[4] = fillConstant() {shape: [4], value: 0, dtype: "float32"}
        (next: fc_0.b_0@NEXT : float32[4]) = write(value: fc_0.b_0.tmp_0) writes=fc_0.b_0
        names {fc_0.w_0.tmp: 1, fc_0.b_0.tmp: 1}
      "
    `)
  })

  test("counts its names per main program, whatever was built before", () => {
    build(() => fc(data({ name: "x", shape: [3] }), { size: 1 }))
    const { main } = build(() => {
      const h = fc(data({ name: "x", shape: [3] }), { size: 2 })
      return fc(h, { size: 5, biasAttr: false, act: "tanh" })
    })
    expect(main.allParameters().map(String)).toEqual([
      "fc_0.w_0 float32[3, 2]",
      "fc_0.b_0 float32[2]",
      "fc_1.w_0 float32[2, 5]",
    ])
    const names = main.globalBlock().ops.flatMap((op) => op.outputList().map(({ name }) => name))
    expect(names).toEqual(["fc_0.tmp_0", "fc_0.broadcast_0", "fc_0.tmp_1", "fc_1.tmp_0", "fc_1.tmp_1"])
  })

  test("takes a name of the user's choice", () => {
    const { main, made } = build(() => fc(data({ name: "x", shape: [3] }), { size: 2, name: "head" }))
    expect(main.allParameters().map(({ name }) => name)).toEqual(["head.w_0", "head.b_0"])
    expect(made.name).toBe("head.tmp_1")
  })

  test("adds the products of several inputs, each with weights of its own", () => {
    const { main, made } = build(() => {
      const xs = [data({ name: "a", shape: [3] }), data({ name: "b", shape: [5] })]
      return fc(xs, { size: 2, paramAttr: ["wa", { name: "wb", learningRate: 0.5 }] })
    })
    expect(made.type).toBe("float32[batch, 2]")
    expect(main.allParameters().map(String)).toEqual(["wa float32[3, 2]", "wb float32[5, 2]", "fc_0.b_0 float32[2]"])
    expect(printProgram(main, { brief: true })).toMatchInlineSnapshot(`
      "fc_0.tmp_0 = flattenMatmul(a, wa) {xNumColDims: 1, yNumColDims: 1}
      fc_0.tmp_1 = flattenMatmul(b, wb) {xNumColDims: 1, yNumColDims: 1}
      fc_0.tmp_2 = sum([fc_0.tmp_0, fc_0.tmp_1])
      fc_0.broadcast_0 = broadcastTo(fc_0.b_0) {shape: [batch, 2]}
      fc_0.tmp_3 = add(fc_0.tmp_2, fc_0.broadcast_0)"
    `)
  })

  test("flattens all axes but the first numFlattenDims", () => {
    const { made } = build(() => {
      const x = data({ name: "x", shape: [4, 3, 5] })
      return [1, 2, -1].map((numFlattenDims) => fc(x, { size: 7, numFlattenDims }))
    })
    expect(made.map(({ type }) => type)).toEqual([
      "float32[batch, 7]",
      "float32[batch, 4, 7]",
      "float32[batch, 4, 3, 7]",
    ])
  })

  test("gives its parameters the dtype of the input", () => {
    const { main } = build(() => fc(data({ name: "x", shape: [3], dtype: "float64" }), { size: 2 }))
    expect(main.allParameters().map(({ dtype }) => dtype)).toEqual(["float64", "float64"])
  })

  test("belongs to its input's program and initializes where that one's other parameters are", () => {
    const { main, startup, made } = build(() => fc(data({ name: "x", shape: [3] }), { size: 2 }))
    fc(made, { size: 4 })
    expect(main.allParameters().map(({ name }) => name)).toEqual(["fc_0.w_0", "fc_0.b_0", "fc_1.w_0", "fc_1.b_0"])
    expect([...startup.globalBlock().vars.keys()]).toEqual(expect.arrayContaining(["fc_0.w_0", "fc_1.w_0", "fc_1.b_0"]))
  })

  test("remembers the user's line on every operator and parameter", () => {
    const { main } = build(() => fc(data({ name: "x", shape: [3] }), { size: 2 }))
    const { ops } = main.globalBlock()
    const places = new Set([...ops, ...main.allParameters()].map((each) => String(each.site)))
    expect([...places]).toEqual([expect.stringMatching(/^packages\/layers\/test\/fc\.test\.ts:\d+:\d+$/)])
  })
})

describe("fc refuses", () => {
  const refusals: [what: string, body: (x: Variable, ids: Variable, text: Variable) => unknown][] = [
    ["an unknown option", (x) => fc(x, untyped({ size: 2, numFlatenDims: 1 }))],
    ["an unknown activation", (x) => fc(x, { size: 2, act: untyped("rellu") })],
    ["a missing size", (x) => fc(x, untyped({}))],
    ["a size of 0", (x) => fc(x, { size: 0 })],
    ["what is no Variable", () => fc(untyped([[1, 2]]), { size: 2 })],
    ["an empty list", () => fc([], { size: 2 })],
    ["to flatten nothing", (x) => fc(x, { size: 2, numFlattenDims: 2 })],
    ["integers", (_x, ids) => fc(ids, { size: 2 })],
    ["an unknown width", (_x, _ids, text) => fc(text, { size: 2 })],
    ["an unknown field of paramAttr", (x) => fc(x, { size: 2, paramAttr: untyped({ learningrate: 1 }) })],
    ["a wrong field of biasAttr", (x) => fc(x, { size: 2, biasAttr: { trainable: untyped(1) } })],
    ["to do without weights", (x) => fc(x, { size: 2, paramAttr: false })],
  ]

  const feeds = () =>
    [
      data({ name: "x", shape: [3] }),
      data({ name: "ids", shape: [3], dtype: "int64" }),
      data({ name: "text", shape: ["time", 3] }),
    ] as const

  test.each(refusals)("%s, and leaves both programs as they were", (_what, body) => {
    const [main, startup] = [new Program(), new Program()]
    programGuard(main, startup, () => {
      const inputs = feeds()
      const before = [printProgram(main), printProgram(startup)]
      expect(() => body(...inputs)).toThrow(/^CF_[A-Z_]+ {2}fc: /)
      expect([printProgram(main), printProgram(startup)]).toEqual(before)
    })
  })

  test("with the rule, the place and the way out", () => {
    const text = build(() => {
      const inputs = feeds()
      return refusals.map(([what, body]) => `${what}\n${refusalOf(() => body(...inputs))}`).join("\n\n")
    }).made
    expect(text).toMatchInlineSnapshot(`
      "an unknown option
      CF_BAD_ATTRIBUTE  fc: there is no option numFlatenDims; the options are size, numFlattenDims, paramAttr, biasAttr, act, name
        this fc was built at HERE
        fix: did you mean numFlattenDims?

      an unknown activation
      CF_BAD_ATTRIBUTE  fc: act must be the name of an activation, got the string rellu
        this fc was built at HERE
        fix: did you mean "relu"?

      a missing size
      CF_BAD_ATTRIBUTE  fc: size is missing
        this fc was built at HERE

      a size of 0
      CF_BAD_ATTRIBUTE  fc: size must be a positive integer, got the number 0
        this fc was built at HERE

      what is no Variable
      CF_BAD_ARGUMENT  fc: x must be a Variable, got an array of 2
        this fc was built at HERE

      an empty list
      CF_BAD_ARGUMENT  fc: x is an empty list
        this fc was built at HERE

      to flatten nothing
      CF_BAD_ATTRIBUTE  fc: numFlattenDims must keep at least one axis of x and flatten one, got 2
          x has shape [batch, 3]
        this fc was built at HERE

      integers
      CF_DTYPE_MISMATCH  fc: x must be float32 or float64, got int64
        this fc was built at HERE
        fix: cast(x, { dtype: "float32" })

      an unknown width
      CF_SHAPE_MISMATCH  fc: the width of x must be known when the program is built, got 3*time
          x has shape [batch, time, 3], of which one axis is kept
        this fc was built at HERE
        fix: raise numFlattenDims, or give data a fixed size there

      an unknown field of paramAttr
      CF_BAD_ATTRIBUTE  fc: paramAttr has no field learningrate; the fields are name, initializer, learningRate, regularizer, trainable
        this fc was built at HERE
        fix: did you mean learningRate?

      a wrong field of biasAttr
      CF_BAD_ATTRIBUTE  fc: biasAttr.trainable must be true or false, got the number 1
        this fc was built at HERE

      to do without weights
      CF_BAD_ATTRIBUTE  fc: paramAttr must not be false: fc needs its weights
        this fc was built at HERE"
    `)
  })

  test("a bias that a later operator cannot add, after undoing the parameters made before", () => {
    const { main, startup } = build(() => {
      const x = data({ name: "x", shape: [3] })
      fc(x, { size: 2, biasAttr: "shared" })
      const text = refusalOf(() => fc(x, { size: 4, biasAttr: "shared" }))
      expect(text).toMatchInlineSnapshot(`
        "CF_SHAPE_MISMATCH  fc: the shared parameter shared must have one shape
            have  shared float32[2]   built at HERE
            want  shared float32[4]
          this fc was built at HERE
          fix: share it between layers of one width, or give the second parameter another name"
      `)
    })
    expect(main.allParameters().map(({ name }) => name)).toEqual(["fc_0.w_0", "shared"])
    expect(startup.globalBlock().findVar("fc_1.w_0")).toBeUndefined()
    programGuard(main, startup, () => fc(main.globalBlock().var("x"), { size: 1 }))
    expect(main.allParameters().at(-1)?.name).toBe("fc_1.b_0")
  })
})

describe("layers share parameters by name", () => {
  test("and initialize them once", () => {
    const { main, startup } = build(() => {
      const [a, b] = [data({ name: "a", shape: [3] }), data({ name: "b", shape: [3] })]
      const options = { size: 2, paramAttr: { name: "w", initializer: new Constant(0.5) }, biasAttr: false }
      return [relu(fc(a, options)), relu(fc(b, options))]
    })
    expect(main.allParameters().map(({ name }) => name)).toEqual(["w"])
    expect(startup.globalBlock().ops.flatMap((op) => op.writes.map(({ state }) => state.name))).toEqual(["w"])
  })

  test("but not another kind of variable", () => {
    build(() => {
      const x = data({ name: "x", shape: [3] })
      const text = refusalOf(() => fc(x, { size: 2, paramAttr: "x" }))
      expect(text).toMatchInlineSnapshot(`
        "CF_DUPLICATE_NAME  fc: "x" names a variable that is no parameter
            x float32[batch, 3]
          this fc was built at HERE
          fix: give the parameter another name"
      `)
    })
  })

  test("nor one of another dtype", () => {
    build(() => {
      fc(data({ name: "x", shape: [3] }), { size: 2, paramAttr: "w" })
      const text = refusalOf(() => fc(data({ name: "y", shape: [3], dtype: "float64" }), { size: 2, paramAttr: "w" }))
      expect(text).toMatchInlineSnapshot(`
        "CF_DTYPE_MISMATCH  fc: the shared parameter w must have one dtype
            have  w float32[3, 2]   built at HERE
            want  w float64[3, 2]
          this fc was built at HERE
          fix: share it between layers of one width, or give the second parameter another name"
      `)
    })
  })
})

test("axes that are kept may be symbolic", () => {
  const n = symbol("n")
  const { made } = build(() => fc(data({ name: "x", shape: [n, 3] }), { size: 2, numFlattenDims: 2 }))
  expect(made.type).toBe("float32[batch, n, 2]")
})
