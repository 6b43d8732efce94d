// What minimize appends: update operators, states and their names, in which order, and what a second call does.

import { Parameter, printProgram, type Program, programGuard } from "@counterflow/ir"
import { add, byDecomposition, clip, composite, mul, scale, sign, sub } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { Adagrad, Adam, AdamW, ClipByValue, L1Decay, L2Decay, Momentum, Optimizer, RMSProp, SGD } from "../src/index.ts"
import { type Model, regression, under } from "./building.ts"

/** The part that optimizers append, in short. */
const optimizePart = ({ main }: Model) => printProgram(main, { brief: true, roles: ["optimize"] })

const states = (program: Program) =>
  [...program.globalBlock().vars.values()]
    .filter((each) => each.persistable && !(each instanceof Parameter))
    .map(String)

describe("minimize", () => {
  test("appends backward and update operators, and initializes the states", () => {
    const model = regression()
    const [updates, paramGrads] = under(model, () => new SGD({ learningRate: 0.1 }).minimize(model.loss))
    expect(updates.map(String)).toEqual([
      "w@NEXT = sgd(w, w@GRAD, learning_rate_0)",
      "b@NEXT = sgd(b, b@GRAD, learning_rate_0)",
    ])
    expect(paramGrads.map((pair) => pair.map(({ name }) => name))).toEqual([
      ["w", "w@GRAD"],
      ["b", "b@GRAD"],
    ])
    expect(optimizePart(model)).toMatchInlineSnapshot(`
      "w@NEXT = sgd(w, w@GRAD, learning_rate_0) writes w
      b@NEXT = sgd(b, b@GRAD, learning_rate_0) writes b"
    `)
    expect(printProgram(model.startup, { brief: true })).toMatchInlineSnapshot(`
      "learning_rate_0.tmp_0 = fillConstant() {shape: [], value: 0.1, dtype: "float32"}
      learning_rate_0@NEXT = write(learning_rate_0.tmp_0) writes learning_rate_0"
    `)
  })

  test.each<[string, Optimizer, readonly string[], readonly string[]]>([
    ["SGD", new SGD({ learningRate: 0.1 }), [], []],
    ["Momentum", new Momentum({ learningRate: 0.1, useNesterov: true }), ["w_velocity_0 float32[2, 1]"], ["0"]],
    [
      "Adagrad",
      new Adagrad({ learningRate: 0.1, initialAccumulatorValue: 0.5 }),
      ["w_moment_0 float32[2, 1]"],
      ["0.5"],
    ],
    [
      "RMSProp",
      new RMSProp({ learningRate: 0.1 }),
      ["w_mean_square_0 float32[2, 1]", "w_momentum_0 float32[2, 1]"],
      ["0", "0"],
    ],
    [
      "RMSProp, centred",
      new RMSProp({ learningRate: 0.1, centered: true }),
      ["w_mean_square_0 float32[2, 1]", "w_momentum_0 float32[2, 1]", "w_mean_grad_0 float32[2, 1]"],
      ["0", "0", "0"],
    ],
    [
      "Adam",
      new Adam({ learningRate: 0.1 }),
      [
        "w_moment1_0 float32[2, 1]",
        "w_moment2_0 float32[2, 1]",
        "w_beta1_pow_acc_0 float32[]",
        "w_beta2_pow_acc_0 float32[]",
      ],
      ["0", "0", "0.9", "0.999"],
    ],
    [
      "AdamW",
      new AdamW({ learningRate: 0.1, beta1: 0.5, weightDecay: 0.1, name: "adam" }),
      [
        "w_adam_moment1_0 float32[2, 1]",
        "w_adam_moment2_0 float32[2, 1]",
        "w_adam_beta1_pow_acc_0 float32[]",
        "w_adam_beta2_pow_acc_0 float32[]",
      ],
      ["0", "0", "0.5", "0.999"],
    ],
  ])("keeps the states of %s under Fluid's names", (_name, optimizer, ofW, values) => {
    const model = regression()
    under(model, () => optimizer.minimize(model.loss))
    expect(states(model.main).slice(1, 1 + ofW.length)).toEqual(ofW)
    const initial = ofW.map((state) => {
      const name = state.split(" ")[0] ?? ""
      return String(model.startup.globalBlock().var(`${name}.tmp_0`).producer?.attrs["value"])
    })
    expect(initial).toEqual(values)
    expect(states(model.startup)).toEqual(states(model.main))
  })

  test("may be called in two halves, with the gradients changed in between", () => {
    const model = regression()
    const optimizer = new SGD({ learningRate: 0.1 })
    under(model, () => {
      const paramGrads = optimizer.backward(model.loss)
      expect(model.main.globalBlock().ops.some(({ role }) => role === "optimize")).toBe(false)
      optimizer.applyGradients(paramGrads.map(([param, gradient]) => [param, scale(gradient, { scale: 0.5 })]))
    })
    expect(optimizePart(model)).toMatchInlineSnapshot(`
      "w@NEXT = sgd(w, scale_0.tmp_0, learning_rate_0) writes w
      b@NEXT = sgd(b, scale_1.tmp_0, learning_rate_0) writes b"
    `)
  })

  test("trains what is listed, by name or variable, here or with the optimizer", () => {
    const first = regression()
    under(first, () => new SGD({ learningRate: 0.1, parameterList: ["b"] }).minimize(first.loss))
    expect(first.main.globalBlock().vars.has("w@NEXT")).toBe(false)
    const second = regression()
    const optimizer = new SGD({ learningRate: 0.1, parameterList: [second.b] })
    under(second, () => optimizer.minimize(second.loss, { parameterList: [second.w], noGradSet: ["b"] }))
    expect(optimizePart(second)).toBe("w@NEXT = sgd(w, w@GRAD, learning_rate_0) writes w")
  })

  test("leaves a parameter alone that is not trainable", () => {
    const model = regression({ trainable: false })
    const [updates] = under(model, () => new Momentum({ learningRate: 0.1 }).minimize(model.loss))
    expect(updates.map(String)).toEqual([
      "b@NEXT, b_velocity_0@NEXT = momentum(b, b@GRAD, learning_rate_0, b_velocity_0)",
    ])
  })

  test("initializes in the startup program that is given, outside of a guard", () => {
    const model = regression()
    new SGD({ learningRate: 0.5 }).minimize(model.loss, { startupProgram: model.startup })
    expect(states(model.startup)).toEqual(["learning_rate_0 float32[]"])
  })

  test("is dropped from a clone for test, whenever that is taken", () => {
    const [plain, trained] = [regression(), regression()]
    under(trained, () => new Adam({ learningRate: 0.1, regularization: new L2Decay(0.1) }).minimize(trained.loss))
    const before = plain.main.clone({ forTest: true }).toString()
    expect(trained.main.clone({ forTest: true }).toString()).toBe(before)
  })
})

describe("the order of a step", () => {
  test("is clip, regularizer, update; a parameter's own penalty and rate factor win", () => {
    const model = regression({ regularizer: new L1Decay(0.25), learningRate: 0.5 })
    const optimizer = new SGD({
      learningRate: 0.1,
      gradClip: new ClipByValue({ max: 1 }),
      regularization: new L2Decay(0.125),
    })
    under(model, () => optimizer.minimize(model.loss))
    expect(optimizePart(model)).toMatchInlineSnapshot(`
      "clip_by_value_0.update_0 = clip(w@GRAD) {min: -1, max: 1}
      clip_by_value_0.update_1 = clip(b@GRAD) {min: -1, max: 1}
      l1_decay_0.update_0 = sign(w)
      l1_decay_0.update_1 = scale(l1_decay_0.update_0) {scale: 0.25, bias: 0}
      l1_decay_0.update_2 = add(clip_by_value_0.update_0, l1_decay_0.update_1)
      l2_decay_0.update_0 = scale(b) {scale: 0.125, bias: 0}
      l2_decay_0.update_1 = add(clip_by_value_0.update_1, l2_decay_0.update_0)
      learning_rate_0.update_0 = scale(learning_rate_0) {scale: 0.5, bias: 0}
      w@NEXT = sgd(w, l1_decay_0.update_2, learning_rate_0.update_0) writes w
      b@NEXT = sgd(b, l2_decay_0.update_1, learning_rate_0) writes b"
    `)
  })

  test("a penalty of 0 appends nothing", () => {
    const model = regression({ regularizer: new L2Decay(0) })
    under(model, () => new SGD({ learningRate: 0.1, regularization: new L2Decay(0.5) }).minimize(model.loss))
    expect(optimizePart(model)).not.toContain("scale(w)")
    expect(optimizePart(model)).toContain("scale(b) {scale: 0.5")
  })
})

describe("two optimizers in one program", () => {
  test("build on each other: the second updates what the first one made of a parameter", () => {
    const model = regression()
    under(model, () => {
      new SGD({ learningRate: 0.1 }).minimize(model.loss)
      new SGD({ learningRate: 0.2, parameterList: ["w"] }).minimize(scale(model.loss, { scale: 2 }))
    })
    expect(optimizePart(model)).toMatchInlineSnapshot(`
      "w@NEXT = sgd(w, w@GRAD, learning_rate_0) writes w
      b@NEXT = sgd(b, b@GRAD, learning_rate_0) writes b
      w@NEXT_0 = sgd(w@NEXT, w@GRAD_0, learning_rate_1) writes w"
    `)
    const [last] = model.main.globalBlock().ops.slice(-1)
    expect(last?.writes.map(({ state, slot }) => [state.name, slot])).toEqual([["w", "nextParam"]])
  })

  test("one optimizer keeps one learning rate per program", () => {
    const [model, other] = [regression(), regression()]
    const optimizer = new Momentum({ learningRate: 0.1 })
    under(model, () => {
      optimizer.minimize(model.loss, { parameterList: ["w"] })
      optimizer.minimize(model.loss, { parameterList: ["b"] })
    })
    under(other, () => optimizer.minimize(other.loss))
    expect(states(model.main)).toEqual([
      "learning_rate_0 float32[]",
      "w_velocity_0 float32[2, 1]",
      "b_velocity_0 float32[1]",
    ])
    expect(states(other.main)[0]).toBe("learning_rate_0 float32[]")
  })
})

test("gradients of activations can be clipped on their way, through a callback", () => {
  const model = regression()
  const { main, startup, loss } = model
  const optimizer = new SGD({ learningRate: 0.1 })
  const errorClip = new Set(["add_0.tmp_0"])
  under(model, () => {
    const paramGrads = optimizer.backward(loss, {
      callbacks: [
        ({ context }) => {
          for (const gradient of context.currentOp.outputList()) {
            if (gradient.gradientOf === null || !errorClip.has(gradient.gradientOf.name)) continue
            context.replaceGradient(gradient, clip(gradient, { min: -1, max: 1 }))
          }
        },
      ],
    })
    optimizer.applyGradients(paramGrads)
  })
  const text = printProgram(main, { brief: true, roles: ["backward"] })
  expect(text.split("\n").filter((line) => line.includes("clip"))).toMatchInlineSnapshot(`
    [
      "clip_0.grad_0 = clip(add_0.tmp_0@GRAD) {min: -1, max: 1}",
      "flatten_matmul_0.tmp_0@GRAD = assign(clip_0.grad_0)",
      "broadcast_to_0.broadcast_0@GRAD = assign(clip_0.grad_0)",
    ]
  `)
  expect(states(startup)).toEqual(["learning_rate_0 float32[]"])
})

test("update operators carry the user's line and the role", () => {
  const model = regression()
  const [updates] = programGuard(model.main, model.startup, () => new Adam({ learningRate: 0.1 }).minimize(model.loss))
  for (const update of updates) {
    expect(update.role).toBe("optimize")
    expect(String(update.site)).toMatch(/^packages\/optim\/test\/optimizer\.test\.ts:\d+:\d+$/)
  }
})

test("an optimizer of the user's own is an op that writes, and the states it keeps", () => {
  // w ← w − lr · sign(m),  m ← μ m + (1 − μ) g
  const signMomentum = composite({
    name: "acme.signMomentum",
    inputs: { param: "tensor", grad: "tensor", learningRate: "tensor", mean: "tensor" },
    outputs: ["nextParam", "nextMean"],
    attrs: { mu: "number" },
    writes: { param: "nextParam", mean: "nextMean" },
    infer: ({ param }) => ({ nextParam: param, nextMean: param }),
    grad: byDecomposition,
    decompose: ({ param, grad, learningRate, mean }, { mu }) => {
      const nextMean = add(scale(mean, { scale: mu }), scale(grad, { scale: 1 - mu }))
      return { nextParam: sub(param, mul(sign(nextMean), learningRate)), nextMean }
    },
  })
  const rule = {
    name: "SignMomentum",
    op: signMomentum,
    attrs: { mu: 0.9 },
    states: { mean: { name: "mean", value: 0 } },
  }
  const model = regression()
  under(model, () => new Optimizer(rule, { learningRate: 0.1, parameterList: ["w"] }).minimize(model.loss))
  expect(optimizePart(model)).toMatchInlineSnapshot(
    `"(w@NEXT, w_mean_0@NEXT) = acme.signMomentum(w, w@GRAD, learning_rate_0, w_mean_0) {mu: 0.9} writes w, w_mean_0"`,
  )
})
