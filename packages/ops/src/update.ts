// Update rules of optimizers: from a parameter, its gradient and the state kept for it to the next values, which the step
// commits. Formulas as in Fluid 1.8. Each is one operator, so that a backend may keep it whole, and each is made of
// ordinary ops, so that a step of training can itself be differentiated.

import type { Variable } from "@counterflow/ir"
import { add, div, sub } from "./arithmetic.ts"
import { byDecomposition, composite } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { scale, sqrt, square } from "./unary.ts"
import { average, requireOne, times, updatedType, type UpdateInputs } from "./update-shape.ts"

/** Gradient descent: param − learningRate · grad. */
export function sgd(param: Variable, options: UpdateInputs): Variable {
  const { grad, learningRate } = options
  return emit(sgdOp, { param, grad, learningRate }, {}, sgd).nextParam
}

export const sgdOp = /*#__PURE__*/ composite({
  name: "sgd",
  inputs: { param: "tensor", grad: "tensor", learningRate: "tensor" },
  outputs: ["nextParam"],
  writes: { param: "nextParam" },
  infer: ({ param, grad, learningRate }) => {
    requireOne("learningRate", learningRate, param)
    return { nextParam: updatedType({ param, grad }) }
  },
  grad: byDecomposition,
  decompose: ({ param, grad, learningRate }) => ({ nextParam: sub(param, times(grad, learningRate)) }),
})

const positive = { low: 0.1, high: 1 }
const rate = { shape: [], domain: positive }

export const sgdDoc = /*#__PURE__*/ describe(sgdOp, {
  summary: "One step of gradient descent.",
  formula: "param′ = param − lr · grad",
  source: "Fluid 1.8, sgd",
  samples: [
    { in: { param: [2, 3], grad: [2, 3], learningRate: rate } },
    { in: { param: [], grad: [], learningRate: { shape: [1], domain: positive } } },
    { in: { param: [0, 2], grad: [0, 2], learningRate: rate } },
  ],
  errorSamples: [
    {
      in: { param: [2, 3], grad: [3, 2], learningRate: [] },
      code: "CF_SHAPE_MISMATCH",
      text: /param and grad must have equal shapes/,
    },
    {
      in: { param: [2], grad: [2], learningRate: [2] },
      code: "CF_SHAPE_MISMATCH",
      text: /learningRate must have one element/,
    },
    {
      in: { param: { shape: [2], dtype: "float64" }, grad: { shape: [2], dtype: "float64" }, learningRate: [] },
      code: "CF_DTYPE_MISMATCH",
      text: /param and learningRate must have one dtype, got float64 and float32/,
    },
    {
      in: {
        param: { shape: [2], dtype: "int32" },
        grad: { shape: [2], dtype: "int32" },
        learningRate: { shape: [], dtype: "int32" },
      },
      code: "CF_DTYPE_MISMATCH",
      text: /param must be float32 or float64/,
    },
  ],
})

/** Gradient descent with momentum; Nesterov's looks ahead by one step. */
export function momentum(
  param: Variable,
  options: UpdateInputs & { velocity: Variable; mu: number; useNesterov?: boolean },
): { nextParam: Variable; nextVelocity: Variable } {
  const { grad, learningRate, velocity, mu, useNesterov = false } = options
  return emit(momentumOp, { param, grad, learningRate, velocity }, { mu, useNesterov }, momentum)
}

export const momentumOp = /*#__PURE__*/ composite({
  name: "momentum",
  inputs: { param: "tensor", grad: "tensor", learningRate: "tensor", velocity: "tensor" },
  outputs: ["nextParam", "nextVelocity"],
  attrs: { mu: "number", useNesterov: "bool" },
  writes: { param: "nextParam", velocity: "nextVelocity" },
  infer: ({ param, grad, learningRate, velocity }) => {
    requireOne("learningRate", learningRate, param)
    const type = updatedType({ param, grad, velocity })
    return { nextParam: type, nextVelocity: type }
  },
  grad: byDecomposition,
  decompose: ({ param, grad, learningRate, velocity }, { mu, useNesterov }) => {
    const nextVelocity = add(scale(velocity, { scale: mu }), grad)
    const direction = useNesterov ? add(grad, scale(nextVelocity, { scale: mu })) : nextVelocity
    return { nextParam: sub(param, times(direction, learningRate)), nextVelocity }
  },
})

export const momentumDoc = /*#__PURE__*/ describe(momentumOp, {
  summary: "One step of gradient descent with momentum, Nesterov's if asked.",
  formula: "v′ = μ v + grad,  param′ = param − lr · v′;  Nesterov: param′ = param − lr · (grad + μ v′)",
  source: "Sutskever et al., On the importance of initialization and momentum (ICML 2013); Fluid 1.8, momentum",
  samples: [
    {
      in: { param: [2, 3], grad: [2, 3], learningRate: rate, velocity: [2, 3] },
      attrs: { mu: 0.9, useNesterov: false },
    },
    { in: { param: [4], grad: [4], learningRate: rate, velocity: [4] }, attrs: { mu: 0.5, useNesterov: true } },
    {
      in: { param: [1, 2, 0], grad: [1, 2, 0], learningRate: rate, velocity: [1, 2, 0] },
      attrs: { mu: 0.9, useNesterov: false },
    },
  ],
})

/** The divisor of the gradient grows with its squares: seldom seen parameters move further. */
export function adagrad(
  param: Variable,
  options: UpdateInputs & { moment: Variable; epsilon: number },
): { nextParam: Variable; nextMoment: Variable } {
  const { grad, learningRate, moment, epsilon } = options
  return emit(adagradOp, { param, grad, learningRate, moment }, { epsilon }, adagrad)
}

export const adagradOp = /*#__PURE__*/ composite({
  name: "adagrad",
  inputs: { param: "tensor", grad: "tensor", learningRate: "tensor", moment: "tensor" },
  outputs: ["nextParam", "nextMoment"],
  attrs: { epsilon: "number" },
  writes: { param: "nextParam", moment: "nextMoment" },
  infer: ({ param, grad, learningRate, moment }) => {
    requireOne("learningRate", learningRate, param)
    const type = updatedType({ param, grad, moment })
    return { nextParam: type, nextMoment: type }
  },
  grad: byDecomposition,
  decompose: ({ param, grad, learningRate, moment }, { epsilon }) => {
    const nextMoment = add(moment, square(grad))
    const direction = div(grad, scale(sqrt(nextMoment), { bias: epsilon }))
    return { nextParam: sub(param, times(direction, learningRate)), nextMoment }
  },
})

export const adagradDoc = /*#__PURE__*/ describe(adagradOp, {
  summary: "One step of AdaGrad.",
  formula: "m′ = m + grad²,  param′ = param − lr · grad / (√m′ + ε)",
  source: "Duchi, Hazan and Singer, Adaptive subgradient methods (JMLR 2011); Fluid 1.8, adagrad",
  samples: [
    {
      in: { param: [2, 3], grad: [2, 3], learningRate: rate, moment: { shape: [2, 3], domain: positive } },
      attrs: { epsilon: 1e-6 },
    },
    {
      in: { param: [3], grad: [3], learningRate: rate, moment: { shape: [3], domain: positive } },
      attrs: { epsilon: 0.5 },
    },
  ],
})

interface RmspropInputs extends UpdateInputs {
  meanSquare: Variable
  moment: Variable
  rho: number
  epsilon: number
  mu?: number
}

/** Divides the gradient by the root of its running mean square. */
export function rmsprop(
  param: Variable,
  options: RmspropInputs,
): { nextParam: Variable; nextMeanSquare: Variable; nextMoment: Variable } {
  const { grad, learningRate, meanSquare, moment, rho, epsilon, mu = 0 } = options
  return emit(rmspropOp, { param, grad, learningRate, meanSquare, moment }, { rho, epsilon, mu }, rmsprop)
}

export const rmspropOp = /*#__PURE__*/ composite({
  name: "rmsprop",
  inputs: { param: "tensor", grad: "tensor", learningRate: "tensor", meanSquare: "tensor", moment: "tensor" },
  outputs: ["nextParam", "nextMeanSquare", "nextMoment"],
  attrs: { rho: "number", epsilon: "number", mu: "number" },
  writes: { param: "nextParam", meanSquare: "nextMeanSquare", moment: "nextMoment" },
  infer: ({ param, grad, learningRate, meanSquare, moment }) => {
    requireOne("learningRate", learningRate, param)
    const type = updatedType({ param, grad, meanSquare, moment })
    return { nextParam: type, nextMeanSquare: type, nextMoment: type }
  },
  grad: byDecomposition,
  decompose: ({ param, grad, learningRate, meanSquare, moment }, { rho, epsilon, mu }) => {
    const nextMeanSquare = average(meanSquare, square(grad), rho)
    const direction = div(times(grad, learningRate), sqrt(scale(nextMeanSquare, { bias: epsilon })))
    const nextMoment = add(scale(moment, { scale: mu }), direction)
    return { nextParam: sub(param, nextMoment), nextMeanSquare, nextMoment }
  },
})

export const rmspropDoc = /*#__PURE__*/ describe(rmspropOp, {
  summary: "One step of RMSProp.",
  formula: "s′ = ρ s + (1 − ρ) grad²,  m′ = μ m + lr · grad / √(s′ + ε),  param′ = param − m′",
  source: "Tieleman and Hinton, lecture 6e (2012); Fluid 1.8, rmsprop",
  samples: [
    {
      in: {
        param: [2, 3],
        grad: [2, 3],
        learningRate: rate,
        meanSquare: { shape: [2, 3], domain: positive },
        moment: [2, 3],
      },
      attrs: { rho: 0.95, epsilon: 1e-6, mu: 0 },
    },
    {
      in: { param: [3], grad: [3], learningRate: rate, meanSquare: { shape: [3], domain: positive }, moment: [3] },
      attrs: { rho: 0.9, epsilon: 0.1, mu: 0.9 },
    },
  ],
})

/** `rmsprop` with the variance in the place of the mean square. */
export function centeredRmsprop(
  param: Variable,
  options: RmspropInputs & { meanGrad: Variable },
): { nextParam: Variable; nextMeanSquare: Variable; nextMeanGrad: Variable; nextMoment: Variable } {
  const { grad, learningRate, meanSquare, meanGrad, moment, rho, epsilon, mu = 0 } = options
  const inputs = { param, grad, learningRate, meanSquare, meanGrad, moment }
  return emit(centeredRmspropOp, inputs, { rho, epsilon, mu }, centeredRmsprop)
}

export const centeredRmspropOp = /*#__PURE__*/ composite({
  name: "centeredRmsprop",
  inputs: {
    param: "tensor",
    grad: "tensor",
    learningRate: "tensor",
    meanSquare: "tensor",
    meanGrad: "tensor",
    moment: "tensor",
  },
  outputs: ["nextParam", "nextMeanSquare", "nextMeanGrad", "nextMoment"],
  attrs: { rho: "number", epsilon: "number", mu: "number" },
  writes: { param: "nextParam", meanSquare: "nextMeanSquare", meanGrad: "nextMeanGrad", moment: "nextMoment" },
  infer: ({ param, grad, learningRate, meanSquare, meanGrad, moment }) => {
    requireOne("learningRate", learningRate, param)
    const type = updatedType({ param, grad, meanSquare, meanGrad, moment })
    return { nextParam: type, nextMeanSquare: type, nextMeanGrad: type, nextMoment: type }
  },
  grad: byDecomposition,
  decompose: ({ param, grad, learningRate, meanSquare, meanGrad, moment }, { rho, epsilon, mu }) => {
    const nextMeanSquare = average(meanSquare, square(grad), rho)
    const nextMeanGrad = average(meanGrad, grad, rho)
    const variance = sub(nextMeanSquare, square(nextMeanGrad))
    const direction = div(times(grad, learningRate), sqrt(scale(variance, { bias: epsilon })))
    const nextMoment = add(scale(moment, { scale: mu }), direction)
    return { nextParam: sub(param, nextMoment), nextMeanSquare, nextMeanGrad, nextMoment }
  },
})

export const centeredRmspropDoc = /*#__PURE__*/ describe(centeredRmspropOp, {
  summary: "One step of centred RMSProp: divided by the root of the gradient's running variance.",
  formula:
    "s′ = ρ s + (1 − ρ) grad²,  g′ = ρ g + (1 − ρ) grad,  m′ = μ m + lr · grad / √(s′ − g′² + ε),  param′ = param − m′",
  source: "Graves, Generating sequences with recurrent neural networks (2013), 4.2; Fluid 1.8, rmsprop",
  samples: [
    {
      in: {
        param: [2, 3],
        grad: [2, 3],
        learningRate: rate,
        meanSquare: { shape: [2, 3], domain: { low: 1, high: 2 } },
        meanGrad: { shape: [2, 3], domain: { low: -0.5, high: 0.5 } },
        moment: [2, 3],
      },
      attrs: { rho: 0.95, epsilon: 1e-6, mu: 0.5 },
    },
    {
      in: {
        param: [3],
        grad: [3],
        learningRate: rate,
        meanSquare: { shape: [3], domain: { low: 1, high: 2 } },
        meanGrad: { shape: [3], domain: { low: -0.5, high: 0.5 } },
        moment: [3],
      },
      attrs: { rho: 0.9, epsilon: 0.1, mu: 0 },
    },
  ],
})
