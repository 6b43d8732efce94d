// Adam and AdamW: steps along the gradient's running mean, divided by the root of its running mean square. Both averages
// start from zero; the powers of beta, which are state as well, undo that bias.

import type { TensorType, Variable } from "@counterflow/ir"
import { add, div, mul, sub } from "./arithmetic.ts"
import { byDecomposition, composite, type InputsOf } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { reshapeTo } from "./reshape.ts"
import { scale, sqrt, square } from "./unary.ts"
import { average, requireOne, times, updatedType, type UpdateInputs } from "./update-shape.ts"

interface AdamInputs extends UpdateInputs {
  moment1: Variable
  moment2: Variable
  /** β₁ᵗ and β₂ᵗ of this step, t from 1; one element each. */
  beta1Pow: Variable
  beta2Pow: Variable
  beta1: number
  beta2: number
  epsilon: number
}

interface AdamOutputs {
  nextParam: Variable
  nextMoment1: Variable
  nextMoment2: Variable
  nextBeta1Pow: Variable
  nextBeta2Pow: Variable
}

const signature = {
  param: "tensor",
  grad: "tensor",
  learningRate: "tensor",
  moment1: "tensor",
  moment2: "tensor",
  beta1Pow: "tensor",
  beta2Pow: "tensor",
} as const

const results = ["nextParam", "nextMoment1", "nextMoment2", "nextBeta1Pow", "nextBeta2Pow"] as const

const committed = {
  param: "nextParam",
  moment1: "nextMoment1",
  moment2: "nextMoment2",
  beta1Pow: "nextBeta1Pow",
  beta2Pow: "nextBeta2Pow",
} as const

interface AdamAttrs {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
}

/** What Adam takes off the parameter, and the next states. */
function adamStep(
  { grad, learningRate, moment1, moment2, beta1Pow, beta2Pow }: InputsOf<typeof signature>,
  { beta1, beta2, epsilon }: AdamAttrs,
): Omit<AdamOutputs, "nextParam"> & { step: Variable } {
  const nextMoment1 = average(moment1, grad, beta1)
  const nextMoment2 = average(moment2, square(grad), beta2)
  const direction = div(nextMoment1, scale(sqrt(nextMoment2), { bias: epsilon }))
  const oneMinus = (power: Variable) => scale(reshapeTo(power, []), { scale: -1, bias: 1 })
  const correction = div(sqrt(oneMinus(beta2Pow)), oneMinus(beta1Pow))
  return {
    step: mul(direction, times(correction, learningRate)),
    nextMoment1,
    nextMoment2,
    nextBeta1Pow: scale(beta1Pow, { scale: beta1 }),
    nextBeta2Pow: scale(beta2Pow, { scale: beta2 }),
  }
}

function adamTypes(inputs: InputsOf<typeof signature, TensorType>): Record<(typeof results)[number], TensorType> {
  const { param, grad, learningRate, moment1, moment2, beta1Pow, beta2Pow } = inputs
  requireOne("learningRate", learningRate, param)
  const type = updatedType({ param, grad, moment1, moment2 })
  return {
    nextParam: type,
    nextMoment1: type,
    nextMoment2: type,
    nextBeta1Pow: requireOne("beta1Pow", beta1Pow, param),
    nextBeta2Pow: requireOne("beta2Pow", beta2Pow, param),
  }
}

/** One step of Adam. */
export function adam(param: Variable, options: AdamInputs): AdamOutputs {
  const { beta1, beta2, epsilon, ...inputs } = options
  return emit(adamOp, { param, ...inputs }, { beta1, beta2, epsilon }, adam)
}

export const adamOp = /*#__PURE__*/ composite({
  name: "adam",
  inputs: signature,
  outputs: results,
  attrs: { beta1: "number", beta2: "number", epsilon: "number" },
  writes: committed,
  infer: adamTypes,
  grad: byDecomposition,
  decompose: (inputs, attrs) => {
    const { step, ...states } = adamStep(inputs, attrs)
    return { nextParam: sub(inputs.param, step), ...states }
  },
})

const positive = { low: 0.1, high: 1 }
const one = (values: readonly number[], shape: readonly number[] = []) => ({ shape, values })

const sample = (shape: readonly number[]) => ({
  param: shape,
  grad: shape,
  learningRate: one([0.5]),
  moment1: shape,
  moment2: { shape, domain: positive },
  beta1Pow: one([0.9]),
  beta2Pow: one([0.999]),
})

export const adamDoc = /*#__PURE__*/ describe(adamOp, {
  summary: "One step of Adam.",
  formula:
    "m′ = β₁ m + (1 − β₁) grad,  v′ = β₂ v + (1 − β₂) grad²,  param′ = param − lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m′ / (√v′ + ε)",
  source: "Kingma and Ba, Adam (ICLR 2015), section 2, the order of computation at its end; Fluid 1.8, adam",
  samples: [
    { in: sample([2, 3]), attrs: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } },
    { in: sample([]), attrs: { beta1: 0.5, beta2: 0.9, epsilon: 0.1 } },
    {
      in: {
        ...sample([1, 2, 3]),
        learningRate: one([0.5], [1]),
        beta1Pow: one([0.25], [1]),
        beta2Pow: one([0.81], [1]),
      },
      attrs: { beta1: 0.5, beta2: 0.9, epsilon: 0.1 },
    },
    { in: sample([0, 2]), attrs: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } },
  ],
  errorSamples: [
    {
      in: { ...sample([2]), moment1: [3] },
      attrs: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      code: "CF_SHAPE_MISMATCH",
      text: /param and moment1 must have equal shapes/,
    },
    {
      in: { ...sample([2]), beta1Pow: [2] },
      attrs: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      code: "CF_SHAPE_MISMATCH",
      text: /beta1Pow must have one element/,
    },
  ],
})

/** Adam with decoupled weight decay: the decay is no part of the gradient, and its moments do not see it. */
export function adamW(param: Variable, options: AdamInputs & { weightDecay: number }): AdamOutputs {
  const { beta1, beta2, epsilon, weightDecay, ...inputs } = options
  return emit(adamWOp, { param, ...inputs }, { beta1, beta2, epsilon, weightDecay }, adamW)
}

export const adamWOp = /*#__PURE__*/ composite({
  name: "adamW",
  inputs: signature,
  outputs: results,
  attrs: { beta1: "number", beta2: "number", epsilon: "number", weightDecay: "number" },
  writes: committed,
  infer: adamTypes,
  grad: byDecomposition,
  decompose: (inputs, { weightDecay, ...attrs }) => {
    const { param, learningRate } = inputs
    const { step, ...states } = adamStep(inputs, attrs)
    const decay = times(scale(param, { scale: weightDecay }), learningRate)
    return { nextParam: sub(param, add(step, decay)), ...states }
  },
})

export const adamWDoc = /*#__PURE__*/ describe(adamWOp, {
  summary: "One step of Adam with decoupled weight decay.",
  formula: "param′ = param − lr · (the step of Adam for a rate of 1 + weightDecay · param)",
  source: "Loshchilov and Hutter, Decoupled weight decay regularization (ICLR 2019)",
  samples: [
    { in: sample([2, 3]), attrs: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 } },
    { in: sample([4]), attrs: { beta1: 0.5, beta2: 0.9, epsilon: 0.1, weightDecay: 0.5 } },
  ],
})
