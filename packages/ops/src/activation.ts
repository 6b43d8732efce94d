// Smooth activations: elementwise functions that layers apply by name (`act: "sigmoid"`). No exponential in them overflows to
// a NaN: they are right far out, too.

import type { Scalar, Variable } from "@counterflow/ir"
import { add, div, mul } from "./arithmetic.ts"
import { elementwise } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { floatLike, numberOption, refusesIntegers } from "./pointwise.ts"
import { s } from "./scalar.ts"
import { erf, tanh } from "./trigonometric.ts"
import { abs, exp, neg, scale, square } from "./unary.ts"

function oneMinus(x: Variable): Variable {
  return scale(x, { scale: -1, bias: 1 })
}

function logistic(x: Scalar): Scalar {
  return s.div(1, s.add(1, s.exp(s.neg(x))))
}

/** ln(1 + e^−|x|): how far softplus lies above relu. The exponential never overflows. */
function softness(x: Scalar): Scalar {
  return s.log1p(s.exp(s.neg(s.abs(x))))
}

function smoothRamp(x: Scalar): Scalar {
  return s.add(s.max(x, 0), softness(x))
}

/** z = 1 / (1 + e^−x). */
export function sigmoid(x: Variable): Variable {
  return emit(sigmoidOp, { x }, {}, sigmoid).z
}

export const sigmoidOp = /*#__PURE__*/ elementwise({
  name: "sigmoid",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = 1 / (1 + e^−x); for large −x the exponential is ∞ and z is 0, as it should be
  // backward  dx = dz ∘ z ∘ (1 − z)
  grad: (_inputs, { z }, { z: dz }) => ({ x: mul(dz, mul(z, oneMinus(z))) }),
  scalar: ({ x }) => logistic(x),
})

export const sigmoidDoc = /*#__PURE__*/ describe(sigmoidOp, {
  summary: "The logistic function.",
  formula: "z = 1 / (1 + e^−x)",
  source: "σ′ = σ (1 − σ), from the output",
  samples: [
    { in: { x: [2, 3] } },
    { in: { x: [] } },
    { in: { x: [1, 4, 1] } },
    { in: { x: [0, 2] } },
    { in: { x: { shape: [4], values: [-1000, -30, 30, 1000] } }, note: "far out" },
  ],
  errorSamples: refusesIntegers,
})

/** z = ln σ(x), exact where σ(x) underflows. */
export function logSigmoid(x: Variable): Variable {
  return emit(logSigmoidOp, { x }, {}, logSigmoid).z
}

export const logSigmoidOp = /*#__PURE__*/ elementwise({
  name: "logSigmoid",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = ln σ(x) = min(x, 0) − ln(1 + e^−|x|)
  // backward  dx = dz ∘ σ(−x)
  grad: ({ x }, _outputs, { z: dz }) => ({ x: mul(dz, sigmoid(neg(x))) }),
  scalar: ({ x }) => s.sub(s.min(x, 0), softness(x)),
})

export const logSigmoidDoc = /*#__PURE__*/ describe(logSigmoidOp, {
  summary: "The logarithm of the logistic function.",
  formula: "z = ln σ(x)",
  source: "(ln σ)′ = 1 − σ",
  samples: [
    { in: { x: [2, 3] } },
    { in: { x: [] } },
    { in: { x: [1, 4, 1] } },
    { in: { x: [0, 2] } },
    { in: { x: { shape: [4], values: [-1000, -30, 30, 1000] } }, note: "far out" },
  ],
  errorSamples: refusesIntegers,
})

/** z = ln(1 + eˣ). */
export function softplus(x: Variable): Variable {
  return emit(softplusOp, { x }, {}, softplus).z
}

export const softplusOp = /*#__PURE__*/ elementwise({
  name: "softplus",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|)
  // backward  dx = dz ∘ σ(x)
  grad: ({ x }, _outputs, { z: dz }) => ({ x: mul(dz, sigmoid(x)) }),
  scalar: ({ x }) => smoothRamp(x),
})

export const softplusDoc = /*#__PURE__*/ describe(softplusOp, {
  summary: "A smooth relu.",
  formula: "z = ln(1 + eˣ)",
  source: "Dugas et al., Incorporating second-order functional knowledge for better option pricing (2000)",
  samples: [
    { in: { x: [2, 3] } },
    { in: { x: [] } },
    { in: { x: [1, 4, 1] } },
    { in: { x: [0, 2] } },
    { in: { x: { shape: [4], values: [-1000, -30, 30, 1000] } }, note: "far out" },
  ],
  errorSamples: refusesIntegers,
})

/** z = x / (1 + |x|). */
export function softsign(x: Variable): Variable {
  return emit(softsignOp, { x }, {}, softsign).z
}

export const softsignOp = /*#__PURE__*/ elementwise({
  name: "softsign",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = x / (1 + |x|)
  // backward  dx = dz / (1 + |x|)²
  grad: ({ x }, _outputs, { z: dz }) => ({ x: div(dz, square(scale(abs(x), { bias: 1 }))) }),
  scalar: ({ x }) => s.div(x, s.add(1, s.abs(x))),
})

export const softsignDoc = /*#__PURE__*/ describe(softsignOp, {
  summary: "A sigmoid with polynomial tails.",
  formula: "z = x / (1 + |x|)",
  source: "Bergstra et al., Quadratic polynomials learn better image features (2009)",
  policy: "the second derivative at 0, where it jumps, is 0",
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } } },
    { in: { x: { shape: [], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } } },
    { in: { x: { shape: [1, 4, 1], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } } },
    { in: { x: [0, 2] } },
    { in: { x: { shape: [4], values: [-1000, -30, 30, 1000] } }, note: "far out" },
  ],
  errorSamples: refusesIntegers,
})

/** z = x σ(βx). */
export function swish(x: Variable, options: { beta?: number } = {}): Variable {
  const attrs = { beta: numberOption("swish", "beta", options.beta ?? 1) }
  return emit(swishOp, { x }, attrs, swish).z
}

export const swishOp = /*#__PURE__*/ elementwise({
  name: "swish",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { beta: "number" },
  infer: floatLike,
  // forward   z = x σ(βx)
  // backward  dx = dz ∘ (σ(βx) + βz ∘ (1 − σ(βx)))
  grad: ({ x }, { z }, { z: dz }, { beta }) => {
    const gate = sigmoid(scale(x, { scale: beta }))
    return { x: mul(dz, add(gate, mul(scale(z, { scale: beta }), oneMinus(gate)))) }
  },
  scalar: ({ x }, { beta }) => s.mul(x, logistic(s.mul(x, beta))),
})

export const swishDoc = /*#__PURE__*/ describe(swishOp, {
  summary: "The input, gated by its own logistic function.",
  formula: "z = x σ(βx)",
  source: "Ramachandran, Zoph & Le, Searching for activation functions (2017)",
  samples: [
    { in: { x: [2, 3] }, attrs: { beta: 1 } },
    { in: { x: [] }, attrs: { beta: 1 } },
    { in: { x: [1, 4, 1] }, attrs: { beta: -0.7 } },
    { in: { x: [0, 2] }, attrs: { beta: 1 } },
    { in: { x: { shape: [4], values: [-1000, -30, 30, 1000] } }, attrs: { beta: 1 }, note: "far out" },
  ],
  errorSamples: [
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { beta: 1 },
      code: "CF_DTYPE_MISMATCH",
      text: /must be float32 or float64, got int32/,
    },
  ],
})

/** z = x tanh(ln(1 + eˣ)). */
export function mish(x: Variable): Variable {
  return emit(mishOp, { x }, {}, mish).z
}

export const mishOp = /*#__PURE__*/ elementwise({
  name: "mish",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = x t,  t = tanh(softplus x)
  // backward  dx = dz ∘ (t + x ∘ (1 − t²) ∘ σ(x))
  grad: ({ x }, _outputs, { z: dz }) => {
    const t = tanh(softplus(x))
    return { x: mul(dz, add(t, mul(mul(x, oneMinus(square(t))), sigmoid(x)))) }
  },
  scalar: ({ x }) => s.mul(x, s.tanh(smoothRamp(x))),
})

export const mishDoc = /*#__PURE__*/ describe(mishOp, {
  summary: "The input, gated by the hyperbolic tangent of its softplus.",
  formula: "z = x tanh(ln(1 + eˣ))",
  source: "Misra, Mish: a self regularized non-monotonic activation function (2019)",
  samples: [
    { in: { x: [2, 3] } },
    { in: { x: [] } },
    { in: { x: [1, 4, 1] } },
    { in: { x: [0, 2] } },
    { in: { x: { shape: [4], values: [-1000, -30, 30, 1000] } }, note: "far out" },
  ],
  errorSamples: refusesIntegers,
})

const rootTwoOverPi = /*#__PURE__*/ Math.sqrt(2 / Math.PI)
const cubic = 0.044715

/** Φ and Φ′ of the standard normal distribution. */
function normal(x: Variable) {
  return {
    distribution: scale(erf(scale(x, { scale: Math.SQRT1_2 })), { scale: 0.5, bias: 0.5 }),
    density: scale(exp(scale(square(x), { scale: -0.5 })), { scale: rootTwoOverPi / 2 }),
  }
}

/** The same by tanh. */
function nearNormal(x: Variable) {
  const t = tanh(mul(x, scale(square(x), { scale: rootTwoOverPi * cubic, bias: rootTwoOverPi })))
  const slope = scale(square(x), { scale: 1.5 * rootTwoOverPi * cubic, bias: rootTwoOverPi / 2 })
  return { distribution: scale(t, { scale: 0.5, bias: 0.5 }), density: mul(oneMinus(square(t)), slope) }
}

/** z = x Φ(x) with the normal distribution Φ, or its tanh approximation. */
export function gelu(x: Variable, options: { approximate?: boolean } = {}): Variable {
  const attrs = { approximate: options.approximate ?? false }
  return emit(geluOp, { x }, attrs, gelu).z
}

export const geluOp = /*#__PURE__*/ elementwise({
  name: "gelu",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { approximate: "bool" },
  infer: floatLike,
  // forward   z = x Φ(x),  Φ(x) = (1 + erf(x/√2)) / 2;  approximately Φ(x) = (1 + tanh u) / 2,  u = √(2/π) (x + 0.044715 x³)
  // backward  dx = dz ∘ (Φ(x) + x ∘ φ(x)),  φ = Φ′;  approximately φ = (1 − tanh² u) u′ / 2
  grad: ({ x }, _outputs, { z: dz }, { approximate }) => {
    const { distribution, density } = approximate ? nearNormal(x) : normal(x)
    return { x: mul(dz, add(distribution, mul(x, density))) }
  },
  scalar: ({ x }, { approximate }) => {
    const u = s.mul(s.mul(x, rootTwoOverPi), s.add(1, s.mul(s.mul(x, x), cubic)))
    const odd = approximate ? s.tanh(u) : s.erf(s.mul(x, Math.SQRT1_2))
    return s.mul(s.mul(x, 0.5), s.add(1, odd))
  },
})

export const geluDoc = /*#__PURE__*/ describe(geluOp, {
  summary: "The input times the probability that a standard normal variable is below it.",
  formula: "z = x Φ(x)",
  source: "Hendrycks & Gimpel, Gaussian error linear units (2016)",
  samples: [
    { in: { x: [2, 3] }, attrs: { approximate: false } },
    { in: { x: [] }, attrs: { approximate: false } },
    { in: { x: [1, 4, 1] }, attrs: { approximate: true } },
    { in: { x: [0, 2] }, attrs: { approximate: false } },
    { in: { x: { shape: [4], values: [-1000, -30, 30, 1000] } }, attrs: { approximate: false }, note: "far out" },
    { in: { x: { shape: [4], values: [-1000, -30, 30, 1000] } }, attrs: { approximate: true }, note: "far out" },
  ],
  errorSamples: [
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { approximate: false },
      code: "CF_DTYPE_MISMATCH",
      text: /must be float32 or float64, got int32/,
    },
  ],
})
