// What minimize and its halves refuse: with code, reason and way out, and nothing left behind in either program.

import { Program, symbol, type Variable } from "@counterflow/ir"
import { reduceSum, scale } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { Adam, Momentum, SGD } from "../src/index.ts"
import { type Model, refusalOf, regression, under, untyped } from "./building.ts"

describe("minimize refuses", () => {
  const rate = { learningRate: 0.1 }
  const feed = (main: Program, shape: Variable["shape"], dtype: "int32" | "float32" = "float32") =>
    main.globalBlock().createVar({ name: "rate", shape, dtype, isData: true })

  /** What is refused is made first, so that the programs before and after can be compared. */
  const refusals: [what: string, prepare: (model: Model) => () => unknown][] = [
    ["what is no Variable", () => () => new SGD(rate).minimize(untyped(3))],
    [
      "data for a loss",
      ({ main }) =>
        () =>
          new SGD(rate).minimize(main.globalBlock().var("x")),
    ],
    [
      "a misspelt option",
      ({ loss }) =>
        () =>
          new SGD(rate).minimize(loss, untyped({ startup: new Program() })),
    ],
    [
      "what is no startup program",
      ({ loss }) =>
        () =>
          new SGD(rate).minimize(loss, { startupProgram: untyped("startup") }),
    ],
    [
      "the main program as startup program",
      ({ loss, main }) =>
        () =>
          new SGD(rate).minimize(loss, { startupProgram: main }),
    ],
    [
      "an unknown parameter",
      ({ loss }) =>
        () =>
          new SGD(rate).minimize(loss, { parameterList: ["ww"] }),
    ],
    [
      "a parameter of another program",
      ({ loss }) =>
        () =>
          new SGD(rate).minimize(loss, { parameterList: [regression().w] }),
    ],
    [
      "what is no state",
      ({ loss }) =>
        () =>
          new SGD({ ...rate, parameterList: ["add_0.tmp_0"] }).minimize(loss),
    ],
    [
      "to train nothing",
      ({ loss }) =>
        () =>
          new SGD(rate).minimize(loss, { noGradSet: ["w", "b"] }),
    ],
    [
      "a learning rate of another program",
      ({ loss }) =>
        () =>
          new SGD({ learningRate: regression().w }).minimize(loss),
    ],
    [
      "a function that makes no rate",
      ({ loss }) =>
        () =>
          new Adam({ learningRate: untyped(() => 0.1) }).minimize(loss),
    ],
    ["no pairs", () => () => new SGD(rate).applyGradients([])],
    [
      "a pair without gradient",
      ({ w }) =>
        () =>
          new SGD(rate).applyGradients([untyped([w, null])]),
    ],
    [
      "a loss of many elements",
      ({ w }) => {
        const loss = scale(w, { scale: 2 })
        return () => new SGD(rate).minimize(loss)
      },
    ],
    [
      "an integer learning rate",
      ({ loss, main }) => {
        const learningRate = feed(main, [], "int32")
        return () => new SGD({ learningRate }).minimize(loss)
      },
    ],
    [
      "a learning rate per row",
      ({ loss, main }) => {
        const learningRate = feed(main, [symbol("batch")])
        return () => new SGD({ learningRate }).minimize(loss)
      },
    ],
    [
      "a gradient of another type",
      ({ w, b }) => {
        const gradient = scale(b, { scale: 1 })
        return () => new SGD(rate).applyGradients([[w, gradient]])
      },
    ],
    [
      "a parameter twice",
      ({ w }) => {
        const gradient = scale(w, { scale: 1 })
        return () =>
          new SGD(rate).applyGradients([
            [w, gradient],
            [w, gradient],
          ])
      },
    ],
  ]

  test.each(refusals)("%s, and leaves both programs as they were", (_what, prepare) => {
    const model = regression()
    under(model, () => {
      const body = prepare(model)
      const before = [model.main.toString(), model.startup.toString()]
      expect(body).toThrow(/^CF_[A-Z_]+ {2}(?:SGD|Adam|appendBackward): /)
      expect([model.main.toString(), model.startup.toString()]).toEqual(before)
    })
  })

  test("with the rule, the place and the way out", () => {
    const texts = refusals.map(([what, prepare]) => {
      const model = regression()
      return `${what}\n${under(model, () => refusalOf(prepare(model)))}`
    })
    expect(texts.join("\n\n")).toMatchInlineSnapshot(`
      "what is no Variable
      CF_BAD_ARGUMENT  SGD: the loss must be a Variable, got the number 3
        this SGD was applied at HERE

      data for a loss
      CF_NOT_A_LOSS  appendBackward: x is not computed by an operator of its program, so there is nothing to differentiate
          x float32[batch, 2]   built at HERE
        this SGD was applied at HERE
        fix: pass the output of an operator, such as mean(squareErrorCost(prediction, label))

      a misspelt option
      CF_BAD_ATTRIBUTE  SGD: there is no option startup; the options are startupProgram, parameterList, noGradSet, backward, checkpoints, recompute
        this SGD was applied at HERE
        fix: leave startup out

      what is no startup program
      CF_BAD_ARGUMENT  SGD: startupProgram must be a Program, got the string startup
        this SGD was applied at HERE

      the main program as startup program
      CF_BAD_ARGUMENT  SGD: one program cannot be its own startup program
        this SGD was applied at HERE
        fix: give two: programGuard(main, startup, () => …)

      an unknown parameter
      CF_UNKNOWN_NAME  appendBackward: parameterList names "ww", which the program does not have
        this SGD was applied at HERE
        fix: did you mean "w"?

      a parameter of another program
      CF_FOREIGN_VARIABLE  appendBackward: parameterList holds w, which belongs to another program
          w float32[2, 1]   built at HERE
        this SGD was applied at HERE
        fix: take the variable of this program: program.globalBlock().var("w")

      what is no state
      CF_BAD_ARGUMENT  SGD: add_0.tmp_0 cannot be updated: it is no float state
          parameter  add_0.tmp_0 float32[batch, 1]   built at HERE
          gradient   add_0.tmp_0@GRAD float32[batch, 1]   built at HERE
        this SGD was applied at HERE
        fix: list parameters, or variables made with persistable: true

      to train nothing
      CF_BAD_ARGUMENT  SGD: the loss mean_0.tmp_0 depends on no parameter that is to be trained
        this SGD was applied at HERE
        fix: look for stopGradient, trainable: false, parameterList and noGradSet

      a learning rate of another program
      CF_FOREIGN_VARIABLE  SGD: the learning rate w belongs to another program than the loss
          w float32[2, 1]   built at HERE
        this SGD was applied at HERE
        fix: make the schedule under the programGuard of the loss, or pass a function that makes it

      a function that makes no rate
      CF_BAD_ATTRIBUTE  Adam: learningRate must make a Variable, got the number 0.1
        this Adam was applied at HERE

      no pairs
      CF_BAD_ARGUMENT  SGD: there is no pair [parameter, gradient] to apply
        this SGD was applied at HERE

      a pair without gradient
      CF_BAD_ARGUMENT  SGD: a pair must be [parameter, gradient], got [a Parameter, null]
        this SGD was applied at HERE

      a loss of many elements
      CF_NOT_A_LOSS  appendBackward: the loss must have one element, got shape [2, 1]
          scale_0.tmp_0 float32[2, 1]   built at HERE
        this SGD was applied at HERE
        fix: reduce it with mean(loss) or reduceSum(loss)

      an integer learning rate
      CF_BAD_ATTRIBUTE  SGD: the learning rate must be one float, got int32[]
          rate int32[]   built at HERE
        this SGD was applied at HERE

      a learning rate per row
      CF_BAD_ATTRIBUTE  SGD: the learning rate must be one float, got float32[batch]
          rate float32[batch]   built at HERE
        this SGD was applied at HERE

      a gradient of another type
      CF_SHAPE_MISMATCH  SGD: w and its gradient must have one type
          parameter  w float32[2, 1]   built at HERE
          gradient   scale_0.tmp_0 float32[1]   built at HERE
        this SGD was applied at HERE

      a parameter twice
      CF_BAD_ARGUMENT  SGD: w is there twice
          parameter  w float32[2, 1]   built at HERE
          gradient   scale_0.tmp_0 float32[2, 1]   built at HERE
        this SGD was applied at HERE"
    `)
  })

  test("a state whose name is taken in the startup program, after undoing the backward part", () => {
    const model = regression()
    const { main, startup, loss } = model
    under(model, () => {
      // The name of the second state: the first one is made before it is met.
      const taken = startup
        .globalBlock()
        .createVar({ name: "b_velocity_0", shape: [1], dtype: "float32", persistable: true })
      reduceSum(taken)
      const before = [main.toString(), startup.toString()]
      expect(() => new Momentum({ learningRate: 0.1 }).minimize(loss)).toThrow(
        /^CF_DUPLICATE_NAME {2}Momentum: the startup program uses the name "b_velocity_0" otherwise/,
      )
      expect([main.toString(), startup.toString()]).toEqual(before)
    })
  })

  test("nothing after a refusal: the same optimizer works on", () => {
    const model = regression()
    const optimizer = new Adam({ learningRate: 0.1 })
    under(model, () => {
      const taken = model.startup
        .globalBlock()
        .createVar({ name: "b_moment1_0", shape: [1], dtype: "float32", persistable: true })
      reduceSum(taken)
      expect(() => optimizer.minimize(model.loss)).toThrow(/^CF_DUPLICATE_NAME/)
      optimizer.minimize(model.loss, { startupProgram: new Program() })
    })
    expect(model.main.variables.has("learning_rate_0")).toBe(true)
  })
})
