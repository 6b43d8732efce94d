// Trigonometric and hyperbolic functions and the error function, elementwise.

import type { Variable } from "@counterflow/ir"
import { mul } from "./arithmetic.ts"
import { elementwise } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { floatLike, refusesIntegers } from "./pointwise.ts"
import { s } from "./scalar.ts"
import { exp, neg, scale, square } from "./unary.ts"

/** z = sin x. */
export function sin(x: Variable): Variable {
  return emit(sinOp, { x }, {}, sin).z
}

export const sinOp = /*#__PURE__*/ elementwise({
  name: "sin",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = sin x
  // backward  dx = dz ∘ cos x
  grad: ({ x }, _outputs, { z: dz }) => ({ x: mul(dz, cos(x)) }),
  scalar: ({ x }) => s.sin(x),
})

export const sinDoc = /*#__PURE__*/ describe(sinOp, {
  summary: "The sine, of radians.",
  formula: "z = sin x",
  source: "NIST DLMF 4.20.1",
  errorSamples: refusesIntegers,
  samples: [{ in: { x: [2, 3] } }, { in: { x: [] } }, { in: { x: [0, 2] } }],
})

/** z = cos x. */
export function cos(x: Variable): Variable {
  return emit(cosOp, { x }, {}, cos).z
}

export const cosOp = /*#__PURE__*/ elementwise({
  name: "cos",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = cos x
  // backward  dx = −dz ∘ sin x
  grad: ({ x }, _outputs, { z: dz }) => ({ x: neg(mul(dz, sin(x))) }),
  scalar: ({ x }) => s.cos(x),
})

export const cosDoc = /*#__PURE__*/ describe(cosOp, {
  summary: "The cosine, of radians.",
  formula: "z = cos x",
  source: "NIST DLMF 4.20.2",
  errorSamples: refusesIntegers,
  samples: [{ in: { x: [2, 3] } }, { in: { x: [] } }, { in: { x: [0, 2] } }],
})

/** z = tanh x. */
export function tanh(x: Variable): Variable {
  return emit(tanhOp, { x }, {}, tanh).z
}

export const tanhOp = /*#__PURE__*/ elementwise({
  name: "tanh",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = tanh x
  // backward  dx = dz ∘ (1 − z²)
  grad: (_inputs, { z }, { z: dz }) => ({ x: mul(dz, scale(square(z), { scale: -1, bias: 1 })) }),
  scalar: ({ x }) => s.tanh(x),
})

export const tanhDoc = /*#__PURE__*/ describe(tanhOp, {
  summary: "The hyperbolic tangent.",
  formula: "z = tanh x",
  source: "NIST DLMF 4.34.8, from the output",
  errorSamples: refusesIntegers,
  samples: [{ in: { x: [2, 3] } }, { in: { x: [] } }, { in: { x: [0, 2] } }],
})

/** z = erf x, the error function. */
export function erf(x: Variable): Variable {
  return emit(erfOp, { x }, {}, erf).z
}

export const erfOp = /*#__PURE__*/ elementwise({
  name: "erf",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: floatLike,
  // forward   z = erf x = 2/√π ∫₀ˣ exp(−t²) dt
  // backward  dx = 2/√π dz ∘ exp(−x²)
  grad: ({ x }, _outputs, { z: dz }) => ({ x: mul(dz, scale(exp(neg(square(x))), { scale: 2 / Math.sqrt(Math.PI) })) }),
  scalar: ({ x }) => s.erf(x),
})

export const erfDoc = /*#__PURE__*/ describe(erfOp, {
  summary: "The error function.",
  formula: "z = 2/√π ∫₀ˣ exp(−t²) dt",
  source: "NIST DLMF 7.2.1",
  errorSamples: refusesIntegers,
  samples: [{ in: { x: [2, 3] } }, { in: { x: [] } }, { in: { x: [0, 2] } }],
})
