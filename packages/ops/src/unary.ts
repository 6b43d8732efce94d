// Elementwise functions of one operand: powers, exponentials and logarithms, and linear pieces.

import { fail, type Variable } from "@counterflow/ir"
import { div, mul } from "./arithmetic.ts"
import { greater, less, logicalAnd, where } from "./comparison.ts"
import { elementwise } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { floatLike, numberOption, numericLike, refusesIntegers, requireConstant } from "./pointwise.ts"
import { s } from "./scalar.ts"
import { sign } from "./step.ts"

/** z = −x. */
export function neg(x: Variable): Variable {
  return emit(negOp, { x }, {}, neg).z
}

export const negOp = /*#__PURE__*/ elementwise({
  name: "neg",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: numericLike,
  // forward   z = −x
  // backward  dx = −dz
  grad: (_inputs, _outputs, { z: dz }) => ({ x: neg(dz) }),
  scalar: ({ x }) => s.neg(x),
})

export const negDoc = /*#__PURE__*/ describe(negOp, {
  summary: "The negative of every element.",
  formula: "z = −x",
  source: "linearity",
  samples: [
    { in: { x: [2, 3] } },
    { in: { x: [] } },
    { in: { x: [0, 2] } },
    { in: { x: { shape: [3], dtype: "int32" } } },
  ],
})

/** z = |x|. */
export function abs(x: Variable): Variable {
  return emit(absOp, { x }, {}, abs).z
}

export const absOp = /*#__PURE__*/ elementwise({
  name: "abs",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: numericLike,
  // forward   z = |x|
  // backward  dx = dz ∘ sign x
  grad: ({ x }, _outputs, { z: dz }) => ({ x: mul(dz, sign(x)) }),
  scalar: ({ x }) => s.abs(x),
})

export const absDoc = /*#__PURE__*/ describe(absOp, {
  summary: "The absolute value of every element.",
  formula: "z = |x|",
  source: "piecewise linear",
  policy: "the derivative at 0 is 0",
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } } },
    { in: { x: { shape: [], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } } },
    { in: { x: { shape: [1, 4, 1], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } } },
    { in: { x: [0, 2] } },
    { in: { x: { shape: [3], dtype: "int32" } } },
  ],
})

/** z = x². */
export function square(x: Variable): Variable {
  return emit(squareOp, { x }, {}, square).z
}

export const squareOp = /*#__PURE__*/ elementwise({
  name: "square",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: numericLike,
  // forward   z = x²
  // backward  dx = 2 dz ∘ x
  grad: ({ x }, _outputs, { z: dz }) => ({ x: mul(dz, scale(x, { scale: 2 })) }),
  scalar: ({ x }) => s.mul(x, x),
})

export const squareDoc = /*#__PURE__*/ describe(squareOp, {
  summary: "The square of every element.",
  formula: "z = x²",
  source: "power rule",
  samples: [
    { in: { x: [2, 3] } },
    { in: { x: [1, 1] } },
    { in: { x: [0] } },
    { in: { x: { shape: [3], dtype: "int32" } } },
  ],
})

/** z = √x. */
export function sqrt(x: Variable): Variable {
  return emit(sqrtOp, { x }, {}, sqrt).z
}

export const sqrtOp = /*#__PURE__*/ elementwise({
  name: "sqrt",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = √x
  // backward  dx = dz / (2 z)
  grad: (_inputs, { z }, { z: dz }) => ({ x: div(dz, scale(z, { scale: 2 })) }),
  scalar: ({ x }) => s.sqrt(x),
})

export const sqrtDoc = /*#__PURE__*/ describe(sqrtOp, {
  summary: "The square root; NaN for negative numbers.",
  formula: "z = √x",
  source: "power rule",
  errorSamples: refusesIntegers,
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: 0.3, high: 3 } } } },
    { in: { x: { shape: [], domain: { low: 0.3, high: 3 } } } },
    { in: { x: { shape: [1, 4, 1], domain: { low: 0.3, high: 3 } } } },
    { in: { x: [0, 2] } },
  ],
})

/** z = 1/√x. */
export function rsqrt(x: Variable): Variable {
  return emit(rsqrtOp, { x }, {}, rsqrt).z
}

export const rsqrtOp = /*#__PURE__*/ elementwise({
  name: "rsqrt",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = x^(−1/2)
  // backward  dx = −½ dz ∘ z³
  grad: (_inputs, { z }, { z: dz }) => ({ x: mul(dz, scale(mul(square(z), z), { scale: -0.5 })) }),
  scalar: ({ x }) => s.div(1, s.sqrt(x)),
})

export const rsqrtDoc = /*#__PURE__*/ describe(rsqrtOp, {
  summary: "The reciprocal of the square root.",
  formula: "z = 1/√x",
  source: "power rule",
  errorSamples: refusesIntegers,
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: 0.3, high: 3 } } } },
    { in: { x: { shape: [], domain: { low: 0.3, high: 3 } } } },
    { in: { x: { shape: [1, 4, 1], domain: { low: 0.3, high: 3 } } } },
    { in: { x: [0, 2] } },
  ],
})

/** z = 1/x. */
export function reciprocal(x: Variable): Variable {
  return emit(reciprocalOp, { x }, {}, reciprocal).z
}

export const reciprocalOp = /*#__PURE__*/ elementwise({
  name: "reciprocal",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = 1/x
  // backward  dx = −dz ∘ z²
  grad: (_inputs, { z }, { z: dz }) => ({ x: neg(mul(dz, square(z))) }),
  scalar: ({ x }) => s.div(1, x),
})

export const reciprocalDoc = /*#__PURE__*/ describe(reciprocalOp, {
  summary: "The reciprocal of every element.",
  formula: "z = 1/x",
  source: "power rule",
  errorSamples: refusesIntegers,
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: 0.5, high: 2 } } } },
    { in: { x: { shape: [1], domain: { low: -2, high: -0.5 } } } },
    { in: { x: [0, 2] } },
  ],
})

/** z = eˣ. */
export function exp(x: Variable): Variable {
  return emit(expOp, { x }, {}, exp).z
}

export const expOp = /*#__PURE__*/ elementwise({
  name: "exp",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = eˣ
  // backward  dx = dz ∘ z
  grad: (_inputs, { z }, { z: dz }) => ({ x: mul(dz, z) }),
  scalar: ({ x }) => s.exp(x),
})

export const expDoc = /*#__PURE__*/ describe(expOp, {
  summary: "The exponential function.",
  formula: "z = eˣ",
  source: "the exponential is its own derivative",
  errorSamples: refusesIntegers,
  samples: [{ in: { x: [2, 3] } }, { in: { x: [] } }, { in: { x: [0, 2] } }],
})

/** z = ln x. */
export function log(x: Variable): Variable {
  return emit(logOp, { x }, {}, log).z
}

export const logOp = /*#__PURE__*/ elementwise({
  name: "log",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = ln x
  // backward  dx = dz / x
  grad: ({ x }, _outputs, { z: dz }) => ({ x: div(dz, x) }),
  scalar: ({ x }) => s.log(x),
})

export const logDoc = /*#__PURE__*/ describe(logOp, {
  summary: "The natural logarithm; −∞ at 0, NaN below.",
  formula: "z = ln x",
  source: "d ln x = dx / x",
  errorSamples: refusesIntegers,
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: 0.3, high: 3 } } } },
    { in: { x: { shape: [], domain: { low: 0.3, high: 3 } } } },
    { in: { x: { shape: [1, 4, 1], domain: { low: 0.3, high: 3 } } } },
    { in: { x: [0, 2] } },
  ],
})

/** z = ln(1 + x), exact also where x is tiny. */
export function log1p(x: Variable): Variable {
  return emit(log1pOp, { x }, {}, log1p).z
}

export const log1pOp = /*#__PURE__*/ elementwise({
  name: "log1p",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = ln(1 + x)
  // backward  dx = dz / (1 + x)
  grad: ({ x }, _outputs, { z: dz }) => ({ x: div(dz, scale(x, { bias: 1 })) }),
  scalar: ({ x }) => s.log1p(x),
})

export const log1pDoc = /*#__PURE__*/ describe(log1pOp, {
  summary: "The natural logarithm of 1 + x, exact also for tiny x.",
  formula: "z = ln(1 + x)",
  source: "chain rule on ln",
  errorSamples: refusesIntegers,
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: -0.5, high: 2 } } } },
    { in: { x: { shape: [], domain: { low: -0.5, high: 2 } } } },
    { in: { x: { shape: [1, 4, 1], domain: { low: -0.5, high: 2 } } } },
    { in: { x: [0, 2] } },
  ],
})

/** z = scale · x + bias, or scale · (x + bias) with `biasAfterScale: false`. */
export function scale(
  x: Variable,
  options: { scale?: number; bias?: number; biasAfterScale?: boolean } = {},
): Variable {
  const factor = numberOption("scale", "scale", options.scale ?? 1)
  const bias = numberOption("scale", "bias", options.bias ?? 0)
  const shift = (options.biasAfterScale ?? true) ? bias : factor * bias
  return emit(scaleOp, { x }, { scale: factor, bias: shift }, scale).z
}

export const scaleOp = /*#__PURE__*/ elementwise({
  name: "scale",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { scale: "number", bias: "number" },
  infer: ({ x }, { scale: factor, bias }) => {
    requireConstant("scale", factor, x)
    requireConstant("bias", bias, x)
    return numericLike({ x })
  },
  // forward   z = a x + b
  // backward  dx = a dz
  grad: (_inputs, _outputs, { z: dz }, { scale: factor }) => ({ x: scale(dz, { scale: factor }) }),
  scalar: ({ x }, { scale: factor, bias }) => {
    const scaled = factor === 1 ? x : s.mul(x, factor)
    return bias === 0 ? scaled : s.add(scaled, bias)
  },
})

export const scaleDoc = /*#__PURE__*/ describe(scaleOp, {
  summary: "Every element times a number, plus a number.",
  formula: "z = scale · x + bias",
  source: "Fluid 1.8, scale",
  samples: [
    { in: { x: [2, 3] }, attrs: { scale: -2.5, bias: 0.5 } },
    { in: { x: [] }, attrs: { scale: 1, bias: 3 } },
    { in: { x: [1, 3, 1] }, attrs: { scale: 2, bias: 0 } },
    { in: { x: [0, 2] }, attrs: { scale: 1, bias: 0 } },
    { in: { x: { shape: [3], dtype: "int32" } }, attrs: { scale: 3, bias: -1 } },
  ],
  errorSamples: [
    {
      in: { x: { shape: [3], dtype: "int32" } },
      attrs: { scale: 0.5, bias: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /scale must be an integer where x is int32, got 0.5/,
    },
  ],
})

/** x limited to [min, max]; a bound that is not given does not limit. */
export function clip(x: Variable, options: { min?: number; max?: number }): Variable {
  const min = numberOption("clip", "min", options.min ?? -Infinity)
  const max = numberOption("clip", "max", options.max ?? Infinity)
  return emit(clipOp, { x }, { min, max }, clip).z
}

export const clipOp = /*#__PURE__*/ elementwise({
  name: "clip",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { min: "number", max: "number" },
  infer: ({ x }, { min, max }) => {
    if (!(min <= max)) fail("CF_BAD_ATTRIBUTE", `min must not be greater than max, got ${min} and ${max}`)
    if (Number.isFinite(min)) requireConstant("min", min, x)
    if (Number.isFinite(max)) requireConstant("max", max, x)
    return numericLike({ x })
  },
  // forward   z = min(max(x, low), high)
  // backward  dx = dz where low < x < high, else 0
  grad: ({ x }, _outputs, { z: dz }, { min, max }) => ({ x: where(within(x, min, max), dz, 0) }),
  scalar: ({ x }, { min, max }) => s.min(s.max(x, min), max),
})

/** Strictly between two bounds, of which an infinite one is not asked about. */
function within(x: Variable, min: number, max: number): Variable {
  if (max === Infinity) return greater(x, min)
  return min === -Infinity ? less(x, max) : logicalAnd(greater(x, min), less(x, max))
}

export const clipDoc = /*#__PURE__*/ describe(clipOp, {
  summary: "Every element limited to an interval; NaN stays NaN.",
  formula: "z = min(max(x, low), high)",
  source: "Fluid 1.8, clip",
  policy: "the derivative at both bounds is 0",
  samples: [
    {
      in: { x: { shape: [2, 3], domain: { low: -2, high: 2, avoid: [-1, 0.5], distance: 0.1 } } },
      attrs: { min: -1, max: 0.5 },
    },
    {
      in: { x: { shape: [4, 1, 2], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } },
      attrs: { min: 0, max: Infinity },
    },
    { in: { x: { shape: [], values: [0.3] } }, attrs: { min: -Infinity, max: 0.5 } },
    { in: { x: [0, 2] }, attrs: { min: -1, max: 1 } },
    { in: { x: { shape: [3], dtype: "int32", values: [-9, 0, 9] } }, attrs: { min: -3, max: Infinity } },
  ],
  errorSamples: [
    { in: { x: [2] }, attrs: { min: 2, max: 1 }, code: "CF_BAD_ATTRIBUTE", text: /min must not be greater than max/ },
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { min: 0.5, max: 1 },
      code: "CF_BAD_ATTRIBUTE",
      text: /min must be an integer where x is int32, got 0.5/,
    },
  ],
})
