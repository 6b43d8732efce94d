// Optimizers against plain loops of their formulas, in float64: parameters and states after several steps of linear regression.

import { Executor } from "@counterflow/executor"
import { cpu } from "@counterflow/kernels-cpu"
import { printProgram, Program, programGuard, verify } from "@counterflow/ir"
import { createParameter, data, fc, FromArray, type ParamAttr } from "@counterflow/layers"
import { add, legalize, mean, mul, reduceSum, scale, squareErrorCost } from "@counterflow/ops"
import {
  Adagrad,
  Adam,
  AdamW,
  ClipByGlobalNorm,
  ClipByNorm,
  ClipByValue,
  type GradientClip,
  L1Decay,
  L2Decay,
  Momentum,
  type Optimizer,
  RMSProp,
  SGD,
} from "@counterflow/optim"
import { describe, expect, test } from "vitest"

const x = [
  [1, -2, 0.5],
  [0.25, 3, -1],
  [-1.5, 0.75, 2],
  [2, 1, -0.5],
]
const y = [1, -2, 0.5, 3]
const start = { w: [0.5, -0.25, 1], b: [0.125] }

type Params = Record<keyof typeof start, number[]>

/** d mean((x w + b − y)²) / d (w, b). */
function gradientsAt({ w, b }: Params): Params {
  const errors = x.map((row, i) => row.reduce((sum, value, j) => sum + value * (w[j] ?? 0), (b[0] ?? 0) - (y[i] ?? 0)))
  const of = (column: (row: number[]) => number) =>
    (2 / x.length) * errors.reduce((sum, error, i) => sum + error * column(x[i] ?? []), 0)
  return { w: start.w.map((_, j) => of((row) => row[j] ?? 0)), b: [of(() => 1)] }
}

interface Setting {
  optimizer: Optimizer
  steps?: number
  w?: ParamAttr
}

/** Trains the regression and answers an executor that holds what came out. */
function train({ optimizer, steps = 5, w = {} }: Setting): { executor: Executor; main: Program; startup: Program } {
  const [main, startup] = [new Program(), new Program()]
  const loss = programGuard(main, startup, () => {
    const input = data({ name: "x", shape: [3], dtype: "float64" })
    const label = data({ name: "y", shape: [1], dtype: "float64" })
    const paramAttr = { name: "w", initializer: new FromArray(start.w), ...w }
    const predicted = fc(input, { size: 1, paramAttr, biasAttr: { name: "b", initializer: new FromArray(start.b) } })
    const cost = mean(squareErrorCost(predicted, label))
    optimizer.minimize(cost)
    return cost
  })
  verify(main)
  verify(startup)
  const executor = new Executor(cpu(), { legalize })
  executor.runSync(startup)
  for (let step = 0; step < steps; step++) executor.runSync(main, { feed: { x: x.flat(), y }, fetch: [loss] })
  return { executor, main, startup }
}

const valueOf = (executor: Executor, name: string) => [...(executor.scope.get(name).data as Float64Array)]

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length)
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 12)
}

/** Several steps of a rule on every element by itself: it gets the element, its gradient and the states, and changes them. */
function descend(rule: (w: number, g: number, state: Map<string, number>, t: number) => number, steps = 5) {
  const params: Params = { w: [...start.w], b: [...start.b] }
  const states = { w: start.w.map(() => new Map<string, number>()), b: start.b.map(() => new Map<string, number>()) }
  for (let t = 1; t <= steps; t++) {
    const gradients = gradientsAt(params)
    for (const name of ["w", "b"] as const) {
      params[name] = params[name].map((value, i) =>
        rule(value, gradients[name][i] ?? NaN, states[name][i] ?? new Map<string, number>(), t),
      )
    }
  }
  return { params, stateOf: (name: string) => states.w.map((state) => state.get(name) ?? NaN) }
}

function update(state: Map<string, number>, name: string, next: (old: number) => number, first = 0): number {
  const value = next(state.get(name) ?? first)
  state.set(name, value)
  return value
}

test("the linear regression of Fluid's documentation, from its forward part to its update", () => {
  const [main, startup] = [new Program(), new Program()]
  programGuard(main, startup, () => {
    const predict = fc(data({ name: "x", shape: [13] }), { size: 1 })
    const loss = mean(squareErrorCost(predict, data({ name: "y", shape: [1] })))
    const paramGrads = new SGD({ learningRate: 0.01 }).minimize(loss)[1]
    expect(paramGrads.map((pair) => pair.map(String))).toEqual([
      ["fc_0.w_0 float32[13, 1]", "fc_0.w_0@GRAD float32[13, 1]"],
      ["fc_0.b_0 float32[1]", "fc_0.b_0@GRAD float32[1]"],
    ])
  })
  expect(printProgram(main, { brief: true, roles: ["forward"] })).toMatchInlineSnapshot(`
    "fc_0.tmp_0 = flattenMatmul(x, fc_0.w_0) {xNumColDims: 1, yNumColDims: 1}
    fc_0.broadcast_0 = broadcastTo(fc_0.b_0) {shape: [batch, 1]}
    fc_0.tmp_1 = add(fc_0.tmp_0, fc_0.broadcast_0)
    square_error_cost_0.tmp_0 = squareErrorCost(fc_0.tmp_1, y)
    mean_0.tmp_0 = mean(square_error_cost_0.tmp_0)"
  `)
  expect(printProgram(main, { brief: true, roles: ["backward"] })).toMatchInlineSnapshot(`
    "mean_0.tmp_0@GRAD = fillConstant() {shape: [], value: 1, dtype: "float32"}
    dim_value_0.grad_0 = dimValue() {dim: batch, dtype: "float32"}
    div_0.grad_0 = div(mean_0.tmp_0@GRAD, dim_value_0.grad_0)
    square_error_cost_0.tmp_0@GRAD = broadcastTo(div_0.grad_0) {shape: [batch, 1]}
    sub_0.grad_0 = sub(fc_0.tmp_1, y)
    scale_0.grad_0 = scale(sub_0.grad_0) {scale: 2, bias: 0}
    fc_0.tmp_1@GRAD = mul(square_error_cost_0.tmp_0@GRAD, scale_0.grad_0)
    fc_0.tmp_0@GRAD = assign(fc_0.tmp_1@GRAD)
    fc_0.broadcast_0@GRAD = assign(fc_0.tmp_1@GRAD)
    fc_0.b_0@GRAD = reduceSum(fc_0.broadcast_0@GRAD) {axis: [0]}
    fc_0.w_0@GRAD = matmul(x, fc_0.tmp_0@GRAD) {transposeX: true, alpha: 1}"
  `)
  expect(printProgram(main, { brief: true, roles: ["optimize"] })).toMatchInlineSnapshot(`
    "fc_0.w_0@NEXT = sgd(fc_0.w_0, fc_0.w_0@GRAD, learning_rate_0) writes fc_0.w_0
    fc_0.b_0@NEXT = sgd(fc_0.b_0, fc_0.b_0@GRAD, learning_rate_0) writes fc_0.b_0"
  `)
})

describe("an optimizer follows its formula", () => {
  const lr = 0.1
  const adam = (g: number, state: Map<string, number>, t: number, beta1: number, beta2: number, epsilon: number) => {
    const m = update(state, "moment1", (old) => beta1 * old + (1 - beta1) * g)
    const v = update(state, "moment2", (old) => beta2 * old + (1 - beta2) * g * g)
    return ((lr * Math.sqrt(1 - beta2 ** t)) / (1 - beta1 ** t)) * (m / (Math.sqrt(v) + epsilon))
  }
  const rms = (g: number, state: Map<string, number>, rho: number) =>
    update(state, "mean_square", (old) => rho * old + (1 - rho) * g * g)

  const cases: [string, Optimizer, Parameters<typeof descend>[0], readonly string[]][] = [
    ["SGD", new SGD({ learningRate: lr }), (w, g) => w - lr * g, []],
    [
      "Momentum",
      new Momentum({ learningRate: lr, momentum: 0.8 }),
      (w, g, state) => w - lr * update(state, "velocity", (v) => 0.8 * v + g),
      ["velocity"],
    ],
    [
      "Momentum (Nesterov)",
      new Momentum({ learningRate: lr, momentum: 0.8, useNesterov: true }),
      (w, g, state) => w - lr * (g + 0.8 * update(state, "velocity", (v) => 0.8 * v + g)),
      ["velocity"],
    ],
    [
      "Adagrad",
      new Adagrad({ learningRate: lr, initialAccumulatorValue: 0.25 }),
      (w, g, state) => w - (lr * g) / (Math.sqrt(update(state, "moment", (m) => m + g * g, 0.25)) + 1e-6),
      ["moment"],
    ],
    [
      "RMSProp",
      new RMSProp({ learningRate: lr }),
      (w, g, state) => w - update(state, "momentum", () => (lr * g) / Math.sqrt(rms(g, state, 0.95) + 1e-6)),
      ["mean_square", "momentum"],
    ],
    [
      "RMSProp (centred, with momentum)",
      new RMSProp({ learningRate: lr, rho: 0.9, momentum: 0.5, epsilon: 0.01, centered: true }),
      (w, g, state) => {
        const mg = update(state, "mean_grad", (old) => 0.9 * old + 0.1 * g)
        const root = Math.sqrt(rms(g, state, 0.9) - mg * mg + 0.01)
        return w - update(state, "momentum", (m) => 0.5 * m + (lr * g) / root)
      },
      ["mean_square", "mean_grad", "momentum"],
    ],
    [
      "Adam",
      new Adam({ learningRate: lr }),
      (w, g, state, t) => w - adam(g, state, t, 0.9, 0.999, 1e-8),
      ["moment1", "moment2"],
    ],
    [
      "Adam (other betas)",
      new Adam({ learningRate: lr, beta1: 0.5, beta2: 0, epsilon: 0.1 }),
      (w, g, state, t) => w - adam(g, state, t, 0.5, 0, 0.1),
      ["moment1", "moment2"],
    ],
    [
      "AdamW",
      new AdamW({ learningRate: lr, weightDecay: 0.25 }),
      (w, g, state, t) => w - adam(g, state, t, 0.9, 0.999, 1e-8) - lr * 0.25 * w,
      ["moment1", "moment2"],
    ],
  ]

  test.each(cases)("%s", (_name, optimizer, rule, states) => {
    const { executor } = train({ optimizer })
    const { params, stateOf } = descend(rule)
    expectClose(valueOf(executor, "w"), params.w)
    expectClose(valueOf(executor, "b"), params.b)
    for (const state of states) expectClose(valueOf(executor, `w_${state}_0`), stateOf(state))
    executor.close()
  })

  test("Adam keeps the powers of its betas", () => {
    const { executor } = train({ optimizer: new Adam({ learningRate: lr }), steps: 3 })
    expectClose(valueOf(executor, "w_beta1_pow_acc_0"), [0.9 ** 4])
    expectClose(valueOf(executor, "b_beta2_pow_acc_0"), [0.999 ** 4])
    executor.close()
  })
})

describe("before the update", () => {
  const lr = 0.1
  const after = (clip: (gradients: Params) => Params, penalty: (w: number, name: string) => number = () => 0) => {
    const params: Params = { w: [...start.w], b: [...start.b] }
    for (let step = 0; step < 5; step++) {
      const gradients = clip(gradientsAt(params))
      for (const name of ["w", "b"] as const) {
        params[name] = params[name].map((value, i) => value - lr * ((gradients[name][i] ?? NaN) + penalty(value, name)))
      }
    }
    return params
  }
  const norm = (values: readonly number[]) => Math.hypot(...values)
  const map = (params: Params, change: (values: number[]) => number[]): Params => ({
    w: change(params.w),
    b: change(params.b),
  })

  test.each<[string, GradientClip, (gradients: Params) => Params]>([
    [
      "ClipByValue",
      new ClipByValue({ max: 0.5 }),
      (g) => map(g, (list) => list.map((v) => Math.min(Math.max(v, -0.5), 0.5))),
    ],
    [
      "ClipByValue with both bounds",
      new ClipByValue({ max: 0.5, min: -2 }),
      (g) => map(g, (list) => list.map((v) => Math.min(Math.max(v, -2), 0.5))),
    ],
    ["ClipByNorm", new ClipByNorm(1), (g) => map(g, (list) => list.map((v) => (v * 1) / Math.max(norm(list), 1)))],
    [
      "ClipByGlobalNorm",
      new ClipByGlobalNorm(0.75),
      (g) => map(g, (list) => list.map((v) => (v * 0.75) / Math.max(norm([...g.w, ...g.b]), 0.75))),
    ],
    ["a clip that nothing reaches", new ClipByGlobalNorm(1000), (g) => g],
  ])("gradients are clipped: %s", (_name, gradClip, clip) => {
    const { executor } = train({ optimizer: new SGD({ learningRate: lr, gradClip }) })
    const params = after(clip)
    expectClose(valueOf(executor, "w"), params.w)
    expectClose(valueOf(executor, "b"), params.b)
    executor.close()
  })

  test("then penalties are added, a parameter's own instead of the optimizer's", () => {
    const optimizer = new SGD({ learningRate: lr, gradClip: new ClipByNorm(1), regularization: new L2Decay(0.5) })
    const { executor } = train({ optimizer, w: { regularizer: new L1Decay(0.25) } })
    const params = after(
      (g) => map(g, (list) => list.map((v) => v / Math.max(norm(list), 1))),
      (value, name) => (name === "w" ? 0.25 * Math.sign(value) : 0.5 * value),
    )
    expectClose(valueOf(executor, "w"), params.w)
    expectClose(valueOf(executor, "b"), params.b)
    executor.close()
  })

  test("the rate is multiplied by the parameter's own factor", () => {
    const { executor } = train({ optimizer: new SGD({ learningRate: lr }), steps: 1, w: { learningRate: 0.5 } })
    const gradients = gradientsAt(start)
    expectClose(
      valueOf(executor, "w"),
      start.w.map((value, i) => value - 0.05 * (gradients.w[i] ?? NaN)),
    )
    expectClose(
      valueOf(executor, "b"),
      start.b.map((value, i) => value - 0.1 * (gradients.b[i] ?? NaN)),
    )
    executor.close()
  })
})

describe("state", () => {
  const feed = { x: x.flat(), y }

  test("the learning rate can be changed between steps", () => {
    const { executor, main } = train({ optimizer: new SGD({ learningRate: 0.1 }), steps: 0 })
    executor.scope.set("learning_rate_0", [0])
    executor.runSync(main, { feed })
    expectClose(valueOf(executor, "w"), start.w)
    executor.scope.set("learning_rate_0", [0.5])
    executor.runSync(main, { feed })
    const { w } = gradientsAt(start)
    expectClose(
      valueOf(executor, "w"),
      start.w.map((value, i) => value - 0.5 * (w[i] ?? NaN)),
    )
    executor.close()
  })

  test("a training that was saved goes on as if it had not stopped", () => {
    const setting = () => ({ optimizer: new Adam({ learningRate: 0.1 }) })
    const whole = train({ ...setting(), steps: 6 })
    const half = train({ ...setting(), steps: 3 })
    const rest = train({ ...setting(), steps: 0 })
    for (const [name, value] of half.executor.scope.entries()) rest.executor.scope.set(name, value)
    for (let step = 0; step < 3; step++) rest.executor.runSync(rest.main, { feed })
    const states = (executor: Executor) =>
      [...executor.scope.entries()].map(([name, { data: values }]) => [name, [...values]])
    expect(states(rest.executor)).toEqual(states(whole.executor))
    for (const { executor } of [whole, half, rest]) executor.close()
  })

  test("running the startup program again starts over", () => {
    const { executor, startup } = train({ optimizer: new Momentum({ learningRate: 0.1 }) })
    executor.runSync(startup)
    expectClose(valueOf(executor, "w"), start.w)
    expectClose(valueOf(executor, "w_velocity_0"), [0, 0, 0])
    executor.close()
  })

  test("a clone for test trains nothing", () => {
    const { executor, main } = train({ optimizer: new SGD({ learningRate: 0.1 }), steps: 1 })
    const before = valueOf(executor, "w")
    const clone = main.clone({ forTest: true })
    const [predicted] = executor.runSync(clone, { feed: { x: x.flat() }, fetch: ["fc_0.tmp_1"] })
    expect(predicted?.shape).toEqual([4, 1])
    expect(valueOf(executor, "w")).toEqual(before)
    executor.close()
  })
})

describe("several losses in one program", () => {
  const build = (body: (w: ReturnType<typeof createParameter>) => void) => {
    const [main, startup] = [new Program(), new Program()]
    programGuard(main, startup, () => {
      body(createParameter({ shape: [2], dtype: "float64", attr: { name: "w", initializer: new FromArray([1, -2]) } }))
    })
    verify(main)
    const executor = new Executor(cpu(), { legalize })
    executor.runSync(startup)
    executor.runSync(main)
    return executor
  }

  test("both see the old value and both take effect", () => {
    const executor = build((w) => {
      new SGD({ learningRate: 0.1 }).minimize(reduceSum(mul(w, w)))
      new SGD({ learningRate: 0.5 }).minimize(reduceSum(scale(w, { scale: 3 })))
    })
    // w − 0.1 · 2w − 0.5 · 3
    expectClose(valueOf(executor, "w"), [1 - 0.2 - 1.5, -2 + 0.4 - 1.5])
    executor.close()
  })

  test("a penalty on a gradient trains through the gradient", () => {
    const executor = build((w) => {
      const loss = reduceSum(mul(mul(w, w), w))
      const [[, gradient] = []] = new SGD({ learningRate: 1 }).backward(loss)
      if (gradient === undefined) throw new Error("w has no gradient")
      new SGD({ learningRate: 0.01 }).minimize(add(loss, reduceSum(mul(gradient, gradient))))
    })
    // d (Σ w³ + Σ (3w²)²) / dw = 3w² + 36w³
    expectClose(valueOf(executor, "w"), [1 - 0.01 * (3 + 36), -2 - 0.01 * (12 - 288)])
    executor.close()
  })
})
