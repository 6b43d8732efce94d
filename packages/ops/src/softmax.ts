// Softmax and its logarithm along an axis, stable for logits of any size: the largest is subtracted first.

import type { TensorType, Variable } from "@counterflow/ir"
import { div, mul, sub } from "./arithmetic.ts"
import { composite } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { reduceMax, reduceSum } from "./reduction.ts"
import { requireFloat, resolveAxis } from "./shapes.ts"
import { exp, log } from "./unary.ts"

/** z = eˣ / Σ eˣ along an axis, the last one unless said. */
export function softmax(x: Variable, options: { axis?: number } = {}): Variable {
  return emit(softmaxOp, { x }, { axis: resolveAxis(options.axis ?? -1, x.shape.length, "softmax") }, softmax).z
}

export const softmaxOp = /*#__PURE__*/ composite({
  name: "softmax",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axis: "int" },
  infer: ({ x }) => alongAxis(x),
  // forward   z = eˣ / Σ eˣ
  // backward  dx = z ∘ (dz − Σ dz ∘ z)
  grad: (_inputs, { z }, { z: dz }, { axis }) => ({ x: mul(z, sub(dz, total(mul(dz, z), axis))) }),
  decompose: ({ x }, { axis }) => {
    const e = exp(sub(x, largest(x, axis)))
    return { z: div(e, total(e, axis)) }
  },
})

/** z = ln softmax(x) along an axis, the last one unless said; exact where the softmax underflows. */
export function logSoftmax(x: Variable, options: { axis?: number } = {}): Variable {
  return emit(logSoftmaxOp, { x }, { axis: resolveAxis(options.axis ?? -1, x.shape.length, "logSoftmax") }, logSoftmax)
    .z
}

export const logSoftmaxOp = /*#__PURE__*/ composite({
  name: "logSoftmax",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axis: "int" },
  infer: ({ x }) => alongAxis(x),
  // forward   z = x − ln Σ eˣ
  // backward  dx = dz − e^z ∘ Σ dz
  grad: (_inputs, { z }, { z: dz }, { axis }) => ({ x: sub(dz, mul(exp(z), total(dz, axis))) }),
  decompose: ({ x }, { axis }) => {
    const shifted = sub(x, largest(x, axis))
    return { z: sub(shifted, log(total(exp(shifted), axis))) }
  },
})

function alongAxis(x: TensorType): { z: TensorType } {
  requireFloat("x", x)
  return { z: x }
}

function total(x: Variable, axis: number): Variable {
  return reduceSum(x, { axis, keepDim: true })
}

function largest(x: Variable, axis: number): Variable {
  return reduceMax(x, { axis, keepDim: true })
}

const samples = [
  { in: { x: [2, 3] }, attrs: { axis: 1 } },
  { in: { x: [3, 2, 4] }, attrs: { axis: 0 } },
  { in: { x: [2, 3, 2] }, attrs: { axis: 1 } },
  { in: { x: [4] }, attrs: { axis: 0 } },
  { in: { x: [3, 1] }, attrs: { axis: 1 } },
  { in: { x: [0, 3] }, attrs: { axis: 1 } },
  {
    in: { x: { shape: [2, 3], values: [1000, -1000, 999, -1000, -1001, -1000.5] } },
    attrs: { axis: 1 },
    note: "far out",
  },
] as const

export const softmaxDoc = /*#__PURE__*/ describe(softmaxOp, {
  summary: "Exponentials along an axis, scaled to sum to 1.",
  formula: "z = eˣ / Σ eˣ",
  source: "Bridle, Probabilistic interpretation of feedforward classification network outputs (1990)",
  samples,
  errorSamples: [
    { in: { x: { shape: [2], dtype: "int32" } }, attrs: { axis: 0 }, code: "CF_DTYPE_MISMATCH", text: /got int32/ },
  ],
})

export const logSoftmaxDoc = /*#__PURE__*/ describe(logSoftmaxOp, {
  summary: "The logarithm of softmax along an axis.",
  formula: "z = x − ln Σ eˣ",
  source: "derivative of softmax's logarithm, from the output",
  samples,
  errorSamples: [
    { in: { x: { shape: [2], dtype: "int32" } }, attrs: { axis: 0 }, code: "CF_DTYPE_MISMATCH", text: /got int32/ },
  ],
})
