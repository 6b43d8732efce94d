// Reductions along axes: sums, means, products, extremes. No axis given means all of them; the result then has shape [].

import { type Dim, mulDims, sameShape, site, type TensorType, type Variable } from "@counterflow/ir"
import { add, div, max, mul, sub } from "./arithmetic.ts"
import { broadcastTo } from "./broadcast.ts"
import { cast, equal, where } from "./comparison.ts"
import { dimValue } from "./creation.ts"
import { composite, noGrad, primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { reshapeTo } from "./reshape.ts"
import { productOfOthers } from "./scan.ts"
import { numericDTypes, requireDType, requireFloat, resolveAxes } from "./shapes.ts"
import { abs, exp, log } from "./unary.ts"

export interface ReduceOptions {
  axis?: number | readonly number[] | null
  keepDim?: boolean
}

export interface ReduceAttrs {
  readonly axis: readonly number[]
  readonly keepDim: boolean
}

export function reduceAttrs(x: Variable, options: ReduceOptions, op: string): ReduceAttrs {
  return { axis: resolveAxes(options.axis, x.shape.length, op), keepDim: options.keepDim ?? false }
}

/** The shape after a reduction. */
export function reducedShape({ shape }: TensorType, { axis, keepDim }: ReduceAttrs): Dim[] {
  return keepDim ? shape.map((dim, i) => (axis.includes(i) ? 1 : dim)) : shape.filter((_, i) => !axis.includes(i))
}

/** How many elements one result is made of. */
export function reducedCount({ shape }: TensorType, axis: readonly number[]): Dim {
  return mulDims(1, ...axis.map((i) => shape[i] ?? 1))
}

/** The adjoint of a reduction's shape: a reduced tensor repeated along the reduced axes of `x`. */
export function unreduce(z: Variable, x: Variable, { axis }: ReduceAttrs): Variable {
  return site(unreduce, () => {
    // Leading axes come back by broadcasting alone.
    const isLeading = axis.every((each, i) => each === i) && z.shape.length === x.shape.length - axis.length
    if (isLeading && axis.length > 0) return broadcastTo(z, { shape: x.shape })
    const kept = reducedShape(x, { axis, keepDim: true })
    const aligned = reshapeTo(z, kept)
    return sameShape(kept, x.shape) ? aligned : broadcastTo(aligned, { shape: x.shape })
  })
}

/** Sum along axes. */
export function reduceSum(x: Variable, options: ReduceOptions = {}): Variable {
  return site(reduceSum, () => emit(reduceSumOp, { x }, reduceAttrs(x, options, "reduceSum"), reduceSum).z)
}

export const reduceSumOp = /*#__PURE__*/ primitive({
  name: "reduceSum",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axis: "ints", keepDim: "bool" },
  infer: ({ x }, attrs) => {
    requireDType("x", x, numericDTypes)
    return { z: { shape: reducedShape(x, attrs), dtype: x.dtype } }
  },
  // forward   z = Σ x along the axes
  // backward  dx = dz, repeated along them
  grad: ({ x }, _outputs, { z: dz }, attrs) => ({ x: unreduce(dz, x, attrs) }),
  facts: { kind: "reduce" },
})

const boolError = [
  {
    in: { x: { shape: [2], dtype: "bool" } },
    attrs: { axis: [0], keepDim: false },
    code: "CF_DTYPE_MISMATCH",
    text: /x must be float32 or .* got bool/,
  },
] as const

export const reduceSumDoc = /*#__PURE__*/ describe(reduceSumOp, {
  summary: "Sum along axes (all of them if none are given).",
  formula: "z = Σ x",
  source: "linear; the adjoint of summing is repeating",
  samples: [
    { in: { x: [2, 3, 4] }, attrs: { axis: [1], keepDim: false } },
    { in: { x: [3, 2] }, attrs: { axis: [0, 1], keepDim: true } },
    { in: { x: [0, 2] }, attrs: { axis: [0], keepDim: false }, note: "an empty sum is 0" },
    { in: { x: { shape: [2, 3], dtype: "int32" } }, attrs: { axis: [1], keepDim: false } },
    { in: { x: [2, 1, 3] }, attrs: { axis: [], keepDim: false }, note: "no axis: a copy" },
  ],
  errorSamples: boolError,
})

/** Arithmetic mean along axes. */
export function reduceMean(x: Variable, options: ReduceOptions = {}): Variable {
  return site(reduceMean, () => emit(reduceMeanOp, { x }, reduceAttrs(x, options, "reduceMean"), reduceMean).z)
}

export const reduceMeanOp = /*#__PURE__*/ composite({
  name: "reduceMean",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axis: "ints", keepDim: "bool" },
  infer: ({ x }, attrs) => {
    requireFloat("x", x)
    return { z: { shape: reducedShape(x, attrs), dtype: x.dtype } }
  },
  // forward   z = Σ x / n along the axes
  // backward  dx = dz / n, repeated along them
  grad: ({ x }, _outputs, { z: dz }, attrs) => ({ x: unreduce(perElement(dz, x, attrs.axis), x, attrs) }),
  decompose: ({ x }, attrs) => ({ z: perElement(reduceSum(x, attrs), x, attrs.axis) }),
})

export const reduceMeanDoc = /*#__PURE__*/ describe(reduceMeanOp, {
  summary: "Arithmetic mean along axes (all of them if none are given).",
  formula: "z = (Σ x) / n",
  source: "linear",
  samples: [
    { in: { x: [2, 3, 4] }, attrs: { axis: [0, 2], keepDim: false } },
    { in: { x: [3, 1] }, attrs: { axis: [1], keepDim: true } },
    { in: { x: [5] }, attrs: { axis: [0], keepDim: false } },
  ],
})

function perElement(z: Variable, x: Variable, axis: readonly number[]): Variable {
  return div(z, dimValue({ dim: reducedCount(x, axis), dtype: x.dtype, program: x.program }))
}

/** Mean of all elements, shape []. */
export function mean(x: Variable): Variable {
  return emit(meanOp, { x }, {}, mean).z
}

export const meanOp = /*#__PURE__*/ composite({
  name: "mean",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: ({ x }) => {
    requireFloat("x", x)
    return { z: { shape: [], dtype: x.dtype } }
  },
  // forward   z = Σ x / n
  // backward  dx = dz / n everywhere
  grad: ({ x }, _outputs, { z: dz }) => {
    const axis = resolveAxes(null, x.shape.length, "mean")
    return { x: unreduce(perElement(dz, x, axis), x, { axis, keepDim: false }) }
  },
  decompose: ({ x }) => ({ z: reduceMean(x) }),
})

export const meanDoc = /*#__PURE__*/ describe(meanOp, {
  summary: "Mean of all elements; the result has shape [].",
  formula: "z = (Σ x) / n",
  source: "Fluid 1.8, mean",
  samples: [{ in: { x: [2, 3] } }, { in: { x: [] } }, { in: { x: [1, 4, 1] } }],
})

/** Largest element along axes; NaN if there is one. The maximum of nothing is the least value of the dtype. */
export function reduceMax(x: Variable, options: ReduceOptions = {}): Variable {
  return site(reduceMax, () => emit(reduceMaxOp, { x }, reduceAttrs(x, options, "reduceMax"), reduceMax).z)
}

export const reduceMaxOp = /*#__PURE__*/ primitive({
  name: "reduceMax",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axis: "ints", keepDim: "bool" },
  infer: ({ x }, attrs) => ({ z: { shape: reducedShape(x, attrs), dtype: x.dtype } }),
  // forward   z = max x along the axes
  // backward  dx = dz / #{k : x_k = z} where x = z, else 0
  grad: ({ x }, { z }, { z: dz }, attrs) => ({ x: toExtremes(x, z, dz, attrs) }),
  facts: { kind: "reduce" },
})

/** A cotangent shared equally by the elements that are the extreme one. */
function toExtremes(x: Variable, z: Variable, dz: Variable, attrs: ReduceAttrs): Variable {
  const isExtreme = cast(equal(x, unreduce(z, x, attrs)), { dtype: dz.dtype })
  // At least 1: of nothing there is no extreme element, and 0/0 would reach the gradient of dz.
  const count = max(reduceSum(isExtreme, attrs), 1)
  return mul(isExtreme, unreduce(div(dz, count), x, attrs))
}

const extremeSamples = [
  {
    in: { x: { shape: [2, 3, 4], domain: { low: -2, high: 2, separated: 0.05 } } },
    attrs: { axis: [1], keepDim: false },
  },
  {
    in: { x: { shape: [3, 2], domain: { low: -2, high: 2, separated: 0.1 } } },
    attrs: { axis: [0, 1], keepDim: true },
  },
  { in: { x: [2, 1, 3] }, attrs: { axis: [1], keepDim: false } },
  { in: { x: [] }, attrs: { axis: [], keepDim: false } },
  { in: { x: [0, 2] }, attrs: { axis: [0], keepDim: false }, note: "of nothing" },
  { in: { x: { shape: [2, 3], dtype: "int32" } }, attrs: { axis: [1], keepDim: false } },
  { in: { x: { shape: [2, 2], dtype: "bool", values: [0, 1, 0, 0] } }, attrs: { axis: [1], keepDim: false } },
] as const

export const reduceMaxDoc = /*#__PURE__*/ describe(reduceMaxOp, {
  summary: "Largest element along axes.",
  formula: "z = max x",
  source: "piecewise linear: the derivative is that of the element taken",
  policy: "elements that tie for the maximum share the gradient equally",
  samples: extremeSamples,
  tolerance: 0,
})

/** Smallest element along axes; NaN if there is one. The minimum of nothing is the greatest value of the dtype. */
export function reduceMin(x: Variable, options: ReduceOptions = {}): Variable {
  return site(reduceMin, () => emit(reduceMinOp, { x }, reduceAttrs(x, options, "reduceMin"), reduceMin).z)
}

/** Primitive beside `reduceMax`: −max(−x) is wrong for uint8, for bool and for the least int32. */
export const reduceMinOp = /*#__PURE__*/ primitive({
  name: "reduceMin",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axis: "ints", keepDim: "bool" },
  infer: ({ x }, attrs) => ({ z: { shape: reducedShape(x, attrs), dtype: x.dtype } }),
  // forward   z = min x along the axes
  // backward  dx = dz / #{k : x_k = z} where x = z, else 0
  grad: ({ x }, { z }, { z: dz }, attrs) => ({ x: toExtremes(x, z, dz, attrs) }),
  facts: { kind: "reduce" },
})

export const reduceMinDoc = /*#__PURE__*/ describe(reduceMinOp, {
  summary: "Smallest element along axes.",
  formula: "z = min x",
  source: "piecewise linear: the derivative is that of the element taken",
  policy: "elements that tie for the minimum share the gradient equally",
  samples: extremeSamples,
  tolerance: 0,
})

/** Product along axes. The product of nothing is 1. */
export function reduceProd(x: Variable, options: ReduceOptions = {}): Variable {
  return site(reduceProd, () => emit(reduceProdOp, { x }, reduceAttrs(x, options, "reduceProd"), reduceProd).z)
}

/** Primitive: e^(Σ log x) has no zeros and no signs. */
export const reduceProdOp = /*#__PURE__*/ primitive({
  name: "reduceProd",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axis: "ints", keepDim: "bool" },
  infer: ({ x }, attrs) => {
    requireDType("x", x, numericDTypes)
    return { z: { shape: reducedShape(x, attrs), dtype: x.dtype } }
  },
  // forward   z = Π x along the axes
  // backward  dx_k = dz · Π_{j≠k} x_j, never divided by x_k, which may be 0
  grad: ({ x }, _outputs, { z: dz }, attrs) => ({
    x: mul(unreduce(dz, x, attrs), productOfOthers(x, { axis: attrs.axis })),
  }),
  facts: { kind: "reduce" },
})

export const reduceProdDoc = /*#__PURE__*/ describe(reduceProdOp, {
  summary: "Product along axes (all of them if none are given).",
  formula: "z = Π x",
  source: "product rule",
  samples: [
    { in: { x: [2, 3, 4] }, attrs: { axis: [1], keepDim: false } },
    { in: { x: [3, 2] }, attrs: { axis: [0, 1], keepDim: true } },
    { in: { x: [2, 3, 2] }, attrs: { axis: [0, 2], keepDim: false } },
    { in: { x: { shape: [4], values: [1.5, 0, -0.5, 2] } }, attrs: { axis: [0], keepDim: false }, note: "one zero" },
    { in: { x: { shape: [3], values: [0, 2, 0] } }, attrs: { axis: [0], keepDim: false }, note: "two zeros" },
    { in: { x: [2, 0] }, attrs: { axis: [1], keepDim: false }, note: "an empty product is 1" },
    { in: { x: { shape: [2, 3], dtype: "int32" } }, attrs: { axis: [1], keepDim: false } },
  ],
  errorSamples: boolError,
})

/** Whether all elements along axes are true. */
export function reduceAll(x: Variable, options: ReduceOptions = {}): Variable {
  return site(reduceAll, () => emit(reduceAllOp, { x }, reduceAttrs(x, options, "reduceAll"), reduceAll).z)
}

export const reduceAllOp = /*#__PURE__*/ composite({
  name: "reduceAll",
  inputs: { x: "index" },
  outputs: ["z"],
  attrs: { axis: "ints", keepDim: "bool" },
  infer: ({ x }, attrs) => {
    requireDType("x", x, ["bool"])
    return { z: { shape: reducedShape(x, attrs), dtype: "bool" } }
  },
  grad: noGrad("it has truth values only"),
  decompose: ({ x }, attrs) => ({ z: reduceMin(x, attrs) }),
})

const truthSamples = [
  { in: { x: { shape: [2, 3], dtype: "bool", values: [1, 1, 1, 0, 1, 0] } }, attrs: { axis: [1], keepDim: false } },
  { in: { x: { shape: [2, 1, 2], dtype: "bool", values: [0, 1, 0, 0] } }, attrs: { axis: [0, 1], keepDim: true } },
  { in: { x: { shape: [2, 0], dtype: "bool" } }, attrs: { axis: [1], keepDim: false }, note: "of nothing" },
] as const

const truthErrors = [
  {
    in: { x: [2] },
    attrs: { axis: [0], keepDim: false },
    code: "CF_DTYPE_MISMATCH",
    text: /x must be bool, got float/,
  },
] as const

export const reduceAllDoc = /*#__PURE__*/ describe(reduceAllOp, {
  summary: "Whether all elements along axes are true; of nothing, true.",
  formula: "z = ∧ x",
  source: "Fluid 1.8, reduce_all",
  samples: truthSamples,
  errorSamples: truthErrors,
  tolerance: 0,
})

/** Whether any element along axes is true. */
export function reduceAny(x: Variable, options: ReduceOptions = {}): Variable {
  return site(reduceAny, () => emit(reduceAnyOp, { x }, reduceAttrs(x, options, "reduceAny"), reduceAny).z)
}

export const reduceAnyOp = /*#__PURE__*/ composite({
  name: "reduceAny",
  inputs: { x: "index" },
  outputs: ["z"],
  attrs: { axis: "ints", keepDim: "bool" },
  infer: ({ x }, attrs) => {
    requireDType("x", x, ["bool"])
    return { z: { shape: reducedShape(x, attrs), dtype: "bool" } }
  },
  grad: noGrad("it has truth values only"),
  decompose: ({ x }, attrs) => ({ z: reduceMax(x, attrs) }),
})

export const reduceAnyDoc = /*#__PURE__*/ describe(reduceAnyOp, {
  summary: "Whether any element along axes is true; of nothing, false.",
  formula: "z = ∨ x",
  source: "Fluid 1.8, reduce_any",
  samples: truthSamples,
  errorSamples: truthErrors,
  tolerance: 0,
})

/** log Σ eˣ along axes, without overflow. */
export function logsumexp(x: Variable, options: ReduceOptions = {}): Variable {
  return site(logsumexp, () => emit(logsumexpOp, { x }, reduceAttrs(x, options, "logsumexp"), logsumexp).z)
}

export const logsumexpOp = /*#__PURE__*/ composite({
  name: "logsumexp",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axis: "ints", keepDim: "bool" },
  infer: ({ x }, attrs) => {
    requireFloat("x", x)
    return { z: { shape: reducedShape(x, attrs), dtype: x.dtype } }
  },
  // forward   z = log Σ eˣ
  // backward  dx = dz ∘ e^(x − z)
  grad: ({ x }, { z }, { z: dz }, attrs) => ({
    x: mul(unreduce(dz, x, attrs), exp(sub(x, unreduce(finite(z), x, attrs)))),
  }),
  decompose: ({ x }, attrs) => {
    const shift = finite(reduceMax(x, attrs))
    return { z: add(log(reduceSum(exp(sub(x, unreduce(shift, x, attrs))), attrs)), shift) }
  },
})

/** x with 0 for infinities: e^(x − shift) would be NaN where both are the same infinity. */
function finite(x: Variable): Variable {
  return where(equal(abs(x), Infinity), 0, x)
}

export const logsumexpDoc = /*#__PURE__*/ describe(logsumexpOp, {
  summary: "Logarithm of the sum of exponentials along axes.",
  formula: "z = log Σ eˣ",
  source: "shifted by the maximum; Blanchard, Higham & Higham, Accurately computing the log-sum-exp (2021)",
  samples: [
    { in: { x: [2, 3, 4] }, attrs: { axis: [1], keepDim: false } },
    { in: { x: [3, 1] }, attrs: { axis: [0, 1], keepDim: true } },
    {
      in: { x: { shape: [2, 3], domain: { low: 900, high: 1000 } } },
      attrs: { axis: [1], keepDim: false },
      note: "eˣ overflows",
    },
    { in: { x: [0, 2] }, attrs: { axis: [1], keepDim: false } },
  ],
  errorSamples: [
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { axis: [0], keepDim: false },
      code: "CF_DTYPE_MISMATCH",
      text: /float32 or float64, got int32/,
    },
  ],
})
