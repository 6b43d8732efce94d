// Rectifiers: activations made of pieces, most of them straight. At a kink the derivative is that of the piece on the left, or
// 0 where a limit is reached.

import { fail, type Scalar, type Variable } from "@counterflow/ir"
import { add, mul } from "./arithmetic.ts"
import { greater, less, logicalAnd, where } from "./comparison.ts"
import { elementwise } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { floatLike, numberOption, numericLike } from "./pointwise.ts"
import { s } from "./scalar.ts"
import { sign } from "./step.ts"
import { clip, scale } from "./unary.ts"

/** Whether 0 < z < limit: where a clipped value was not clipped. */
function between(z: Variable, limit: number): Variable {
  return logicalAnd(greater(z, 0), less(z, limit))
}

/** eˣ − 1 for x ≤ 0 without cancellation: 2t / (1 − t) with t = tanh(x/2). */
function expLessOne(x: Scalar): Scalar {
  const t = s.tanh(s.mul(x, 0.5))
  return s.div(s.mul(t, 2), s.sub(1, t))
}

// Klambauer et al. 2017, equation 14: the values for which mean 0 and variance 1 are a stable fixed point.
const seluScale = 1.0507009873554805
const seluAlpha = 1.6732632423543772

/** z = max(x, 0). */
export function relu(x: Variable): Variable {
  return emit(reluOp, { x }, {}, relu).z
}

export const reluOp = /*#__PURE__*/ elementwise({
  name: "relu",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: numericLike,
  // forward   z = max(x, 0)
  // backward  dx = dz where z > 0, else 0; since z ≥ 0 its sign is that mask
  grad: (_inputs, { z }, { z: dz }) => ({ x: mul(dz, sign(z)) }),
  scalar: ({ x }) => s.max(x, 0),
})

export const reluDoc = /*#__PURE__*/ describe(reluOp, {
  summary: "Rectified linear unit.",
  formula: "z = max(x, 0)",
  source: "Nair & Hinton, Rectified linear units improve restricted Boltzmann machines (2010)",
  policy: "the derivative at 0 is 0",
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } } },
    { in: { x: { shape: [], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } } },
    { in: { x: { shape: [1, 4, 1], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } } },
    { in: { x: [0, 2] } },
    { in: { x: { shape: [3], dtype: "int32" } } },
  ],
})

/** z = min(max(x, 0), threshold). */
export function relu6(x: Variable, options: { threshold?: number } = {}): Variable {
  const attrs = { threshold: numberOption("relu6", "threshold", options.threshold ?? 6) }
  return emit(relu6Op, { x }, attrs, relu6).z
}

export const relu6Op = /*#__PURE__*/ elementwise({
  name: "relu6",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { threshold: "number" },
  infer: floatLike,
  // forward   z = min(max(x, 0), threshold)
  // backward  dx = dz where 0 < z < threshold, else 0
  grad: (_inputs, { z }, { z: dz }, { threshold }) => ({ x: where(between(z, threshold), dz, 0) }),
  scalar: ({ x }, { threshold }) => s.min(s.max(x, 0), threshold),
})

export const relu6Doc = /*#__PURE__*/ describe(relu6Op, {
  summary: "Rectified linear unit with a ceiling.",
  formula: "z = min(max(x, 0), threshold)",
  source: "Fluid 1.8, relu6; Krizhevsky, Convolutional deep belief networks on CIFAR-10 (2010)",
  policy: "the derivative at 0 and at the threshold is 0",
  samples: [
    {
      in: { x: { shape: [2, 3], domain: { low: -2, high: 8, avoid: [0, 6], distance: 0.1 } } },
      attrs: { threshold: 6 },
    },
    { in: { x: { shape: [], domain: { low: -2, high: 8, avoid: [0, 6], distance: 0.1 } } }, attrs: { threshold: 6 } },
    {
      in: { x: { shape: [1, 4, 1], domain: { low: -2, high: 8, avoid: [0, 6], distance: 0.1 } } },
      attrs: { threshold: 6 },
    },
    { in: { x: [0, 2] }, attrs: { threshold: 6 } },
    {
      in: { x: { shape: [3, 2], domain: { low: -2, high: 2, avoid: [0, 1], distance: 0.1 } } },
      attrs: { threshold: 1 },
    },
  ],
  errorSamples: [
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { threshold: 6 },
      code: "CF_DTYPE_MISMATCH",
      text: /must be float32 or float64, got int32/,
    },
  ],
})

/** z = x where x > 0, else alpha · x. */
export function leakyRelu(x: Variable, options: { alpha?: number } = {}): Variable {
  const attrs = { alpha: numberOption("leakyRelu", "alpha", options.alpha ?? 0.02) }
  return emit(leakyReluOp, { x }, attrs, leakyRelu).z
}

export const leakyReluOp = /*#__PURE__*/ elementwise({
  name: "leakyRelu",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { alpha: "number" },
  infer: floatLike,
  // forward   z = x where x > 0, else α x
  // backward  dx = dz where x > 0, else α dz
  grad: ({ x }, _outputs, { z: dz }, { alpha }) => ({ x: where(greater(x, 0), dz, scale(dz, { scale: alpha })) }),
  scalar: ({ x }, { alpha }) => s.select(s.less(0, x), x, s.mul(x, alpha)),
})

export const leakyReluDoc = /*#__PURE__*/ describe(leakyReluOp, {
  summary: "Rectified linear unit with a slope below 0.",
  formula: "z = x if x > 0 else α x",
  source: "Maas, Hannun & Ng, Rectifier nonlinearities improve neural network acoustic models (2013)",
  policy: "the derivative at 0 is alpha",
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } }, attrs: { alpha: 0.02 } },
    { in: { x: { shape: [], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } }, attrs: { alpha: 0.02 } },
    { in: { x: { shape: [1, 4, 1], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } }, attrs: { alpha: 0.3 } },
    { in: { x: [0, 2] }, attrs: { alpha: 0.02 } },
  ],
  errorSamples: [
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { alpha: 0.02 },
      code: "CF_DTYPE_MISMATCH",
      text: /must be float32 or float64, got int32/,
    },
  ],
})

/** z = x where x > 0, else alpha · (eˣ − 1). */
export function elu(x: Variable, options: { alpha?: number } = {}): Variable {
  const attrs = { alpha: numberOption("elu", "alpha", options.alpha ?? 1) }
  return emit(eluOp, { x }, attrs, elu).z
}

export const eluOp = /*#__PURE__*/ elementwise({
  name: "elu",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { alpha: "number" },
  infer: floatLike,
  // forward   z = x where x > 0, else α (eˣ − 1)
  // backward  dx = dz where x > 0, else dz ∘ (z + α)
  grad: ({ x }, { z }, { z: dz }, { alpha }) => ({
    x: where(greater(x, 0), dz, mul(dz, scale(z, { bias: alpha }))),
  }),
  scalar: ({ x }, { alpha }) => s.select(s.less(0, x), x, s.mul(expLessOne(x), alpha)),
})

export const eluDoc = /*#__PURE__*/ describe(eluOp, {
  summary: "Exponential linear unit.",
  formula: "z = x if x > 0 else α (eˣ − 1)",
  source:
    "Clevert, Unterthiner & Hochreiter, Fast and accurate deep network learning by exponential linear units (2015)",
  policy: "the derivative at 0 is alpha",
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } }, attrs: { alpha: 1 } },
    { in: { x: { shape: [], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } }, attrs: { alpha: 1 } },
    { in: { x: { shape: [1, 4, 1], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } }, attrs: { alpha: 0.5 } },
    { in: { x: [0, 2] }, attrs: { alpha: 1 } },
    { in: { x: { shape: [4], values: [-1000, -30, 30, 1000] } }, attrs: { alpha: 1 }, note: "far out" },
  ],
  errorSamples: [
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { alpha: 1 },
      code: "CF_DTYPE_MISMATCH",
      text: /must be float32 or float64, got int32/,
    },
  ],
})

/** z = scale · x where x > 0, else scale · alpha · (eˣ − 1). */
export function selu(x: Variable, options: { scale?: number; alpha?: number } = {}): Variable {
  const attrs = {
    scale: numberOption("selu", "scale", options.scale ?? seluScale),
    alpha: numberOption("selu", "alpha", options.alpha ?? seluAlpha),
  }
  return emit(seluOp, { x }, attrs, selu).z
}

export const seluOp = /*#__PURE__*/ elementwise({
  name: "selu",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { scale: "number", alpha: "number" },
  infer: floatLike,
  // forward   z = λ x where x > 0, else λ α (eˣ − 1)
  // backward  dx = λ dz where x > 0, else dz ∘ (z + λ α)
  grad: ({ x }, { z }, { z: dz }, { scale: factor, alpha }) => ({
    x: where(greater(x, 0), scale(dz, { scale: factor }), mul(dz, scale(z, { bias: factor * alpha }))),
  }),
  scalar: ({ x }, { scale: factor, alpha }) => s.mul(s.select(s.less(0, x), x, s.mul(expLessOne(x), alpha)), factor),
})

export const seluDoc = /*#__PURE__*/ describe(seluOp, {
  summary: "Scaled exponential linear unit, which keeps mean 0 and variance 1.",
  formula: "z = λ (x if x > 0 else α (eˣ − 1))",
  source: "Klambauer et al., Self-normalizing neural networks (2017)",
  policy: "the derivative at 0 is λ α",
  samples: [
    {
      in: { x: { shape: [2, 3], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } },
      attrs: { scale: seluScale, alpha: seluAlpha },
    },
    {
      in: { x: { shape: [], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } },
      attrs: { scale: seluScale, alpha: seluAlpha },
    },
    {
      in: { x: { shape: [1, 4, 1], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } },
      attrs: { scale: 2, alpha: 0.5 },
    },
    { in: { x: [0, 2] }, attrs: { scale: seluScale, alpha: seluAlpha } },
    {
      in: { x: { shape: [4], values: [-1000, -30, 30, 1000] } },
      attrs: { scale: seluScale, alpha: seluAlpha },
      note: "far out",
    },
  ],
  errorSamples: [
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { scale: 1, alpha: 1 },
      code: "CF_DTYPE_MISMATCH",
      text: /must be float32 or float64, got int32/,
    },
  ],
})

/** z = slope · x + offset, limited to [0, 1]. */
export function hardSigmoid(x: Variable, options: { slope?: number; offset?: number } = {}): Variable {
  const attrs = {
    slope: numberOption("hardSigmoid", "slope", options.slope ?? 0.2),
    offset: numberOption("hardSigmoid", "offset", options.offset ?? 0.5),
  }
  return emit(hardSigmoidOp, { x }, attrs, hardSigmoid).z
}

export const hardSigmoidOp = /*#__PURE__*/ elementwise({
  name: "hardSigmoid",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { slope: "number", offset: "number" },
  infer: floatLike,
  // forward   z = min(max(a x + b, 0), 1)
  // backward  dx = a dz where 0 < z < 1, else 0
  grad: (_inputs, { z }, { z: dz }, { slope }) => ({ x: where(between(z, 1), scale(dz, { scale: slope }), 0) }),
  scalar: ({ x }, { slope, offset }) => s.min(s.max(s.add(s.mul(x, slope), offset), 0), 1),
})

export const hardSigmoidDoc = /*#__PURE__*/ describe(hardSigmoidOp, {
  summary: "A piecewise linear sigmoid.",
  formula: "z = min(max(slope · x + offset, 0), 1)",
  source: "Fluid 1.8, hard_sigmoid; Gulcehre et al., Noisy activation functions (2016)",
  policy: "the derivative where z reaches 0 or 1 is 0",
  samples: [
    {
      in: { x: { shape: [2, 3], domain: { low: -4, high: 4, avoid: [-2.5, 2.5], distance: 0.1 } } },
      attrs: { slope: 0.2, offset: 0.5 },
    },
    {
      in: { x: { shape: [], domain: { low: -4, high: 4, avoid: [-2.5, 2.5], distance: 0.1 } } },
      attrs: { slope: 0.2, offset: 0.5 },
    },
    {
      in: { x: { shape: [1, 4, 1], domain: { low: -4, high: 4, avoid: [-2.5, 2.5], distance: 0.1 } } },
      attrs: { slope: 0.2, offset: 0.5 },
    },
    { in: { x: [0, 2] }, attrs: { slope: 0.2, offset: 0.5 } },
    {
      in: { x: { shape: [3, 2], domain: { low: -2, high: 2, avoid: [-1, 1], distance: 0.1 } } },
      attrs: { slope: 0.5, offset: 0.5 },
    },
  ],
  errorSamples: [
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { slope: 0.2, offset: 0.5 },
      code: "CF_DTYPE_MISMATCH",
      text: /must be float32 or float64, got int32/,
    },
  ],
})

/** z = x · min(max(x + offset, 0), threshold) / scale. */
export function hardSwish(
  x: Variable,
  options: { threshold?: number; scale?: number; offset?: number } = {},
): Variable {
  const attrs = {
    threshold: numberOption("hardSwish", "threshold", options.threshold ?? 6),
    scale: numberOption("hardSwish", "scale", options.scale ?? 6),
    offset: numberOption("hardSwish", "offset", options.offset ?? 3),
  }
  return emit(hardSwishOp, { x }, attrs, hardSwish).z
}

export const hardSwishOp = /*#__PURE__*/ elementwise({
  name: "hardSwish",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { threshold: "number", scale: "number", offset: "number" },
  infer: ({ x }, { scale: divisor }) => {
    if (divisor === 0) fail("CF_BAD_ATTRIBUTE", "scale must not be 0")
    return floatLike({ x })
  },
  // forward   z = x u / c,  u = min(max(x + b, 0), t)
  // backward  dx = dz ∘ u / c, and where 0 < u < t also dz ∘ x / c
  grad: ({ x }, _outputs, { z: dz }, { threshold, scale: divisor, offset }) => {
    const u = clip(scale(x, { bias: offset }), { min: 0, max: threshold })
    const slope = add(u, where(between(u, threshold), x, 0))
    return { x: mul(dz, scale(slope, { scale: 1 / divisor })) }
  },
  scalar: ({ x }, { threshold, scale: divisor, offset }) =>
    s.div(s.mul(x, s.min(s.max(s.add(x, offset), 0), threshold)), divisor),
})

export const hardSwishDoc = /*#__PURE__*/ describe(hardSwishOp, {
  summary: "The input, gated by a piecewise linear sigmoid of itself.",
  formula: "z = x · min(max(x + offset, 0), threshold) / scale",
  source: "Howard et al., Searching for MobileNetV3 (2019)",
  policy: "the derivative of the gate at its two kinks is 0",
  samples: [
    {
      in: { x: { shape: [2, 3], domain: { low: -5, high: 5, avoid: [-3, 3], distance: 0.1 } } },
      attrs: { threshold: 6, scale: 6, offset: 3 },
    },
    {
      in: { x: { shape: [], domain: { low: -5, high: 5, avoid: [-3, 3], distance: 0.1 } } },
      attrs: { threshold: 6, scale: 6, offset: 3 },
    },
    {
      in: { x: { shape: [1, 4, 1], domain: { low: -5, high: 5, avoid: [-3, 3], distance: 0.1 } } },
      attrs: { threshold: 6, scale: 6, offset: 3 },
    },
    { in: { x: [0, 2] }, attrs: { threshold: 6, scale: 6, offset: 3 } },
    {
      in: { x: { shape: [3, 2], domain: { low: -2, high: 2, avoid: [-1, 1], distance: 0.1 } } },
      attrs: { threshold: 2, scale: 4, offset: 1 },
    },
  ],
  errorSamples: [
    {
      in: { x: [2] },
      attrs: { threshold: 6, scale: 0, offset: 3 },
      code: "CF_BAD_ATTRIBUTE",
      text: /scale must not be 0/,
    },
  ],
})
