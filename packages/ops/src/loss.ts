// Regression and distribution losses, elementwise or per row; reduce them with `mean`. Classification is in crossentropy.ts.

import { fail, type Shape, type TensorType, type Variable } from "@counterflow/ir"
import { add, div, mul, sub } from "./arithmetic.ts"
import { greater, where } from "./comparison.ts"
import { dimValue } from "./creation.ts"
import { byDecomposition, composite } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { mean, reduceMean, reduceSum } from "./reduction.ts"
import { reshapeTo } from "./reshape.ts"
import { requireFloat, requireRank, sameTypes } from "./shapes.ts"
import { clip, log, neg, scale, square } from "./unary.ts"

/** In a shape rule: a prediction and its label, floats of one shape; answers that type. */
function pairType(pair: Readonly<Record<string, TensorType>>): TensorType {
  for (const [name, type] of Object.entries(pair)) requireFloat(name, type)
  return sameTypes(pair)
}

function requirePositive(name: string, value: number): void {
  if (!(value > 0) || !Number.isFinite(value))
    fail("CF_BAD_ATTRIBUTE", `${name} must be a positive number, got ${String(value)}`)
}

/** z = (input − label)², elementwise. */
export function squareErrorCost(input: Variable, label: Variable): Variable {
  return emit(squareErrorCostOp, { input, label }, {}, squareErrorCost).z
}

export const squareErrorCostOp = /*#__PURE__*/ composite({
  name: "squareErrorCost",
  inputs: { input: "tensor", label: "tensor" },
  outputs: ["z"],
  infer: ({ input, label }) => ({ z: pairType({ input, label }) }),
  // forward   z = (input − label)²
  // backward  dinput = 2 dz ∘ (input − label),  dlabel = −dinput
  grad: ({ input, label }, _outputs, { z: dz }, _attrs, { needs }) => {
    const d = mul(dz, scale(sub(input, label), { scale: 2 }))
    return { input: d, label: needs("label") ? neg(d) : null }
  },
  decompose: ({ input, label }) => ({ z: square(sub(input, label)) }),
})

export const squareErrorCostDoc = /*#__PURE__*/ describe(squareErrorCostOp, {
  summary: "Squared difference of a prediction and its label, elementwise.",
  formula: "z = (input − label)²",
  source: "Fluid 1.8, square_error_cost",
  samples: [
    { in: { input: [4, 1], label: [4, 1] } },
    { in: { input: [2, 3, 1], label: [2, 3, 1] } },
    { in: { input: [0, 2], label: [0, 2] } },
  ],
  errorSamples: [
    { in: { input: [4, 1], label: [4] }, code: "CF_SHAPE_MISMATCH", text: /input and label must have equal shapes/ },
    {
      in: { input: { shape: [2], dtype: "int32" }, label: { shape: [2], dtype: "int32" } },
      code: "CF_DTYPE_MISMATCH",
      text: /input must be float32 or float64, got int32/,
    },
  ],
})

/** The mean of (input − label)² over all elements, shape []. */
export function mse(input: Variable, label: Variable): Variable {
  return emit(mseOp, { input, label }, {}, mse).z
}

export const mseOp = /*#__PURE__*/ composite({
  name: "mse",
  inputs: { input: "tensor", label: "tensor" },
  outputs: ["z"],
  infer: ({ input, label }) => ({ z: { shape: [], dtype: pairType({ input, label }).dtype } }),
  grad: byDecomposition,
  decompose: ({ input, label }) => ({ z: mean(squareErrorCost(input, label)) }),
})

export const mseDoc = /*#__PURE__*/ describe(mseOp, {
  summary: "Mean square error; the result has shape [].",
  formula: "z = Σ (input − label)² / n",
  source: "Fluid 1.8, mse_loss",
  samples: [
    { in: { input: [4, 1], label: [4, 1] } },
    { in: { input: [3], label: [3] } },
    { in: { input: [], label: [] } },
  ],
  errorSamples: [
    { in: { input: [2, 3], label: [3, 2] }, code: "CF_SHAPE_MISMATCH", text: /input and label must have equal shapes/ },
  ],
})

// With c the residual cut off at ±δ, c ∘ (r − c/2) is r²/2 within and δ (|r| − δ/2) beyond: one formula, no branch.
function huberOf(residual: Variable, delta: number): Variable {
  const cut = clip(residual, { min: -delta, max: delta })
  return mul(cut, sub(residual, scale(cut, { scale: 0.5 })))
}

/** Half the squared residual up to `delta`, linear beyond, elementwise. */
export function huber(input: Variable, label: Variable, options: { delta?: number } = {}): Variable {
  return emit(huberOp, { input, label }, { delta: options.delta ?? 1 }, huber).z
}

export const huberOp = /*#__PURE__*/ composite({
  name: "huber",
  inputs: { input: "tensor", label: "tensor" },
  outputs: ["z"],
  attrs: { delta: "number" },
  infer: ({ input, label }, { delta }) => {
    requirePositive("delta", delta)
    return { z: pairType({ input, label }) }
  },
  // forward   z = r²/2 where |r| ≤ δ, else δ (|r| − δ/2),  r = input − label
  // backward  dinput = dz ∘ clip(r, −δ, δ),  dlabel = −dinput
  grad: ({ input, label }, _outputs, { z: dz }, { delta }, { needs }) => {
    const d = mul(dz, clip(sub(input, label), { min: -delta, max: delta }))
    return { input: d, label: needs("label") ? neg(d) : null }
  },
  decompose: ({ input, label }, { delta }) => ({ z: huberOf(sub(input, label), delta) }),
})

export const huberDoc = /*#__PURE__*/ describe(huberOp, {
  summary: "Squared error near the label, absolute error far from it, elementwise.",
  formula: "z = r²/2 where |r| ≤ δ, else δ (|r| − δ/2),  r = input − label",
  source: "Huber 1964; Fluid 1.8, huber_loss",
  samples: [
    {
      in: {
        input: { shape: [2, 3], values: [0.2, -0.4, 2, -3, 0.7, 1.5] },
        label: { shape: [2, 3], values: [0, 0.1, 0, 0.5, 0.1, 0] },
      },
      attrs: { delta: 1 },
    },
    {
      in: { input: { shape: [4, 1], domain: { low: 2, high: 3 } }, label: [4, 1] },
      attrs: { delta: 0.25 },
      note: "only the linear part",
    },
    { in: { input: [0], label: [0] }, attrs: { delta: 1 } },
  ],
  errorSamples: [
    {
      in: { input: [2], label: [2] },
      attrs: { delta: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /delta must be a positive number, got 0/,
    },
    {
      in: { input: [2], label: [3] },
      attrs: { delta: 1 },
      code: "CF_SHAPE_MISMATCH",
      text: /input and label must have equal shapes/,
    },
  ],
})

export interface SmoothL1Options {
  /** The residual counts as small below 1/σ². */
  sigma?: number
  /** A factor on each residual. */
  insideWeight?: Variable
  /** A factor on each element's loss. */
  outsideWeight?: Variable
}

/** Per row the sum of σ² d²/2 where |d| < 1/σ², else |d| − 1/(2σ²), with d = insideWeight ∘ (x − y); shape [batch, 1]. */
export function smoothL1(x: Variable, y: Variable, options: SmoothL1Options = {}): Variable {
  const { sigma = 1, insideWeight, outsideWeight } = options
  return emit(smoothL1Op, { x, y, insideWeight, outsideWeight }, { sigma }, smoothL1).z
}

export const smoothL1Op = /*#__PURE__*/ composite({
  name: "smoothL1",
  inputs: { x: "tensor", y: "tensor", insideWeight: "tensor?", outsideWeight: "tensor?" },
  outputs: ["z"],
  attrs: { sigma: "number" },
  infer: ({ x, y, insideWeight, outsideWeight }, { sigma }) => {
    requireRank("x", x, [1, Infinity])
    requirePositive("sigma", sigma)
    const given = Object.entries({ x, y, insideWeight, outsideWeight }).filter(([, type]) => type !== undefined)
    const { shape, dtype } = pairType(Object.fromEntries(given) as Record<string, TensorType>)
    return { z: { shape: rowShape(shape), dtype } }
  },
  grad: byDecomposition,
  // Huber's loss with δ = 1/σ², times σ².
  decompose: ({ x, y, insideWeight, outsideWeight }, { sigma }) => {
    const residual = insideWeight === undefined ? sub(x, y) : mul(sub(x, y), insideWeight)
    const loss = scale(huberOf(residual, 1 / sigma ** 2), { scale: sigma ** 2 })
    const weighted = outsideWeight === undefined ? loss : mul(loss, outsideWeight)
    return { z: reshapeTo(reduceSum(weighted, { axis: x.shape.slice(1).map((_, i) => i + 1) }), rowShape(x.shape)) }
  },
})

function rowShape(shape: Shape): Shape {
  return [shape[0] ?? 1, 1]
}

export const smoothL1Doc = /*#__PURE__*/ describe(smoothL1Op, {
  summary: "Smooth L1 loss summed over each row.",
  formula: "z = Σ w_out ∘ (σ² d²/2 where |d| < 1/σ², else |d| − 1/(2σ²)),  d = w_in ∘ (x − y)",
  source: "Girshick, Fast R-CNN (2015), equation 3; Fluid 1.8, smooth_l1",
  samples: [
    {
      in: {
        x: { shape: [2, 3], values: [0.2, -0.4, 2, -3, 0.7, 1.5] },
        y: { shape: [2, 3], values: [0, 0.1, 0, 0.5, 0.1, 0] },
      },
      attrs: { sigma: 1 },
    },
    {
      in: {
        x: { shape: [2, 2, 1], values: [1, -2, 0.3, 3] },
        y: { shape: [2, 2, 1], values: [0, 0, 0.2, 1] },
        insideWeight: { shape: [2, 2, 1], values: [1, 0.5, 2, 0.5] },
        outsideWeight: { shape: [2, 2, 1], values: [2, 1, 0.5, 3] },
      },
      attrs: { sigma: 2 },
    },
    {
      in: { x: { shape: [3], domain: { low: 2, high: 3 } }, y: { shape: [3], domain: { low: 0, high: 0.5 } } },
      attrs: { sigma: 1 },
    },
    { in: { x: [0, 2], y: [0, 2] }, attrs: { sigma: 1 } },
  ],
  errorSamples: [
    {
      in: { x: [2, 2], y: [2, 2] },
      attrs: { sigma: -1 },
      code: "CF_BAD_ATTRIBUTE",
      text: /sigma must be a positive number, got -1/,
    },
    {
      in: { x: [2, 2], y: [2, 2], insideWeight: [2, 1] },
      attrs: { sigma: 1 },
      code: "CF_SHAPE_MISMATCH",
      text: /x and insideWeight must have equal shapes/,
    },
    { in: { x: [], y: [] }, attrs: { sigma: 1 }, code: "CF_SHAPE_MISMATCH", text: /x must have rank at least 1/ },
  ],
})

const reductions = ["none", "sum", "mean", "batchmean"] as const

export type KlDivReduction = (typeof reductions)[number]

/**
 * Kullback–Leibler divergence of `target` (probabilities) from `x` (log-probabilities): target ∘ (log target − x), 0 where the
 * target is not positive; then summed, averaged (the default), or summed and divided by the batch size.
 */
export function klDiv(x: Variable, target: Variable, options: { reduction?: KlDivReduction } = {}): Variable {
  return emit(klDivOp, { x, target }, { reduction: options.reduction ?? "mean" }, klDiv).z
}

export const klDivOp = /*#__PURE__*/ composite({
  name: "klDiv",
  inputs: { x: "tensor", target: "tensor" },
  outputs: ["z"],
  attrs: { reduction: reductions },
  infer: ({ x, target }, { reduction }) => {
    const type = pairType({ x, target })
    if (!reductions.includes(reduction)) {
      fail("CF_BAD_ATTRIBUTE", `reduction must be one of ${reductions.join(", ")}, got ${String(reduction)}`)
    }
    if (reduction === "batchmean") requireRank("x", x, [1, Infinity])
    return { z: reduction === "none" ? type : { shape: [], dtype: type.dtype } }
  },
  grad: byDecomposition,
  decompose: ({ x, target }, { reduction }) => {
    const isPositive = greater(target, 0)
    // The logarithm of what is not positive is kept out of the gradient too: there it would be 0 · ∞.
    const z = where(isPositive, mul(target, sub(log(where(isPositive, target, 1)), x)), 0)
    if (reduction === "none") return { z }
    if (reduction === "mean") return { z: reduceMean(z) }
    const sum = reduceSum(z)
    if (reduction === "sum") return { z: sum }
    return { z: div(sum, dimValue({ dim: x.shape[0] ?? 1, dtype: x.dtype, program: x.program })) }
  },
})

const logProbabilities = { low: -3, high: -0.1 }
const probabilities = { low: 0.1, high: 0.9 }

export const klDivDoc = /*#__PURE__*/ describe(klDivOp, {
  summary: "Kullback–Leibler divergence of a target distribution from log-probabilities.",
  formula: "z = target ∘ (log target − x) where target > 0, else 0; reduced",
  source: "Kullback & Leibler 1951; Fluid 1.8, kldiv_loss",
  policy: "where the target is 0 no gradient flows to it",
  samples: [
    {
      in: { x: { shape: [2, 3], domain: logProbabilities }, target: { shape: [2, 3], domain: probabilities } },
      attrs: { reduction: "none" },
    },
    {
      in: { x: { shape: [4], domain: logProbabilities }, target: { shape: [4], domain: probabilities } },
      attrs: { reduction: "sum" },
    },
    {
      in: { x: { shape: [2, 1, 3], domain: logProbabilities }, target: { shape: [2, 1, 3], domain: probabilities } },
      attrs: { reduction: "mean" },
    },
    {
      in: { x: { shape: [3, 2], domain: logProbabilities }, target: { shape: [3, 2], domain: probabilities } },
      attrs: { reduction: "batchmean" },
    },
    { in: { x: [0, 2], target: [0, 2] }, attrs: { reduction: "sum" } },
  ],
  errorSamples: [
    {
      in: { x: [2], target: [3] },
      attrs: { reduction: "sum" },
      code: "CF_SHAPE_MISMATCH",
      text: /x and target must have equal shapes/,
    },
    {
      in: { x: [], target: [] },
      attrs: { reduction: "batchmean" },
      code: "CF_SHAPE_MISMATCH",
      text: /x must have rank at least 1/,
    },
  ],
})

/** The negative log-likelihood of a label in [0, 1] under a probability, kept finite by ε, elementwise. */
export function logLoss(input: Variable, label: Variable, options: { epsilon?: number } = {}): Variable {
  return emit(logLossOp, { input, label }, { epsilon: options.epsilon ?? 1e-4 }, logLoss).z
}

export const logLossOp = /*#__PURE__*/ composite({
  name: "logLoss",
  inputs: { input: "tensor", label: "tensor" },
  outputs: ["z"],
  attrs: { epsilon: "number" },
  infer: ({ input, label }, { epsilon }) => {
    if (!(epsilon >= 0)) fail("CF_BAD_ATTRIBUTE", `epsilon must be a number of at least 0, got ${String(epsilon)}`)
    return { z: pairType({ input, label }) }
  },
  grad: byDecomposition,
  decompose: ({ input, label }, { epsilon }) => {
    const ifTrue = mul(label, log(add(input, epsilon)))
    const ifFalse = mul(sub(1, label), log(add(sub(1, input), epsilon)))
    return { z: neg(add(ifTrue, ifFalse)) }
  },
})

export const logLossDoc = /*#__PURE__*/ describe(logLossOp, {
  summary: "Negative log-likelihood of binary labels under probabilities, elementwise.",
  formula: "z = −label ∘ log(input + ε) − (1 − label) ∘ log(1 − input + ε)",
  source: "Fluid 1.8, log_loss",
  samples: [
    {
      in: { input: { shape: [4, 1], domain: probabilities }, label: { shape: [4, 1], domain: { low: 0, high: 1 } } },
      attrs: { epsilon: 1e-4 },
    },
    { in: { input: { shape: [2, 3, 2], domain: probabilities }, label: [2, 3, 2] }, attrs: { epsilon: 0.01 } },
    { in: { input: [0, 1], label: [0, 1] }, attrs: { epsilon: 1e-4 } },
  ],
  errorSamples: [
    {
      in: { input: [2, 1], label: [2] },
      attrs: { epsilon: 1e-4 },
      code: "CF_SHAPE_MISMATCH",
      text: /input and label must have equal shapes/,
    },
    {
      in: { input: [2], label: [2] },
      attrs: { epsilon: -1 },
      code: "CF_BAD_ATTRIBUTE",
      text: /epsilon must be a number of at least 0, got -1/,
    },
  ],
})
