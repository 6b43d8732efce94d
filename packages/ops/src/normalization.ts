// Normalization within each sample: layer norm and l2Normalize.

import { fail, formatShape, numel, sameShape, type Shape, site, unifyDims, type Variable } from "@counterflow/ir"
import { add, div, max, mul, sub } from "./arithmetic.ts"
import { composite } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { reduceMax, reduceMean, reduceSum } from "./reduction.ts"
import { reshapeTo } from "./reshape.ts"
import { requireFloat, resolveAxis } from "./shapes.ts"
import { addUp, moments, requireEpsilon, standardizeGrad } from "./standardize.ts"
import { abs, neg, sqrt, square } from "./unary.ts"

export interface LayerNormOptions {
  /** The first of the axes that are normalized together; all behind it follow. */
  beginNormAxis?: number
  epsilon?: number
}

/**
 * z = (x − μ) / √(σ² + ε) ∘ scale + bias, with mean and variance of each sample over the axes from `beginNormAxis` on. `scale`
 * and `bias` have as many elements as these axes.
 */
export function layerNorm(
  x: Variable,
  scale?: Variable | null,
  bias?: Variable | null,
  options: LayerNormOptions = {},
): Variable {
  const { epsilon = 1e-5 } = options
  return site(layerNorm, () => {
    const beginNormAxis = resolveAxis(options.beginNormAxis ?? 1, x.shape.length, "layerNorm")
    const flat = (v: Variable | null | undefined) => (v ? flatten(v, x.shape.slice(beginNormAxis)) : undefined)
    return emit(layerNormOp, { x, scale: flat(scale), bias: flat(bias) }, { beginNormAxis, epsilon }, layerNorm).y
  })
}

/** Fluid's scale and bias are flat; ones in the shape of the normalized axes are as welcome. */
function flatten(v: Variable, shape: Shape): Variable {
  return sameShape(v.shape, shape) ? reshapeTo(v, [numel(shape)]) : v
}

function behind(x: { readonly shape: Shape }, axis: number): number[] {
  return x.shape.map((_, i) => i).slice(axis)
}

export const layerNormOp = /*#__PURE__*/ composite({
  name: "layerNorm",
  inputs: { x: "tensor", scale: "tensor?", bias: "tensor?" },
  outputs: ["y", "mean", "invStd"],
  attrs: { beginNormAxis: "int", epsilon: "number" },
  infer: ({ x, scale, bias }, { beginNormAxis, epsilon }) => {
    requireFloat("x", x)
    requireEpsilon(epsilon)
    if (beginNormAxis < 0 || beginNormAxis >= x.shape.length) {
      fail("CF_BAD_ATTRIBUTE", `beginNormAxis ${beginNormAxis} is outside a tensor of rank ${x.shape.length}`)
    }
    const count = numel(x.shape.slice(beginNormAxis))
    for (const [name, type] of Object.entries({ scale, bias })) {
      if (type === undefined) continue
      if (type.dtype !== x.dtype)
        fail("CF_DTYPE_MISMATCH", `x and ${name} must have one dtype, got ${x.dtype} and ${type.dtype}`)
      const why = () =>
        `${name} must have shape ${formatShape([count])}, one for each normalized element, got ${formatShape(type.shape)}`
      if (type.shape.length !== 1) fail("CF_SHAPE_MISMATCH", why())
      unifyDims(type.shape[0] ?? 1, count, why)
    }
    const statistic = { shape: x.shape.slice(0, beginNormAxis), dtype: x.dtype }
    return { y: x, mean: statistic, invStd: statistic }
  },
  // forward   y = x̂ ∘ scale + bias,  x̂ = (x − μ) r,  r = 1/√(σ² + ε)
  // backward  dx = r ∘ (g − mean(g) − x̂ ∘ mean(g ∘ x̂)) + dμ/n − x̂ ∘ r² ∘ dr/n,  g = dy ∘ scale, means over the normalized axes,
  //           dscale = Σ dy ∘ x̂ and dbias = Σ dy over the other axes
  grad: (
    { x, scale, bias },
    { mean, invStd },
    { y: dy, mean: dmean, invStd: dinvStd },
    { beginNormAxis },
    { needs },
  ) => {
    const axis = behind(x, beginNormAxis)
    const kept = [...x.shape.slice(0, beginNormAxis), ...axis.map(() => 1)]
    const rate = reshapeTo(invStd, kept)
    const normalized = mul(sub(x, reshapeTo(mean, kept)), rate)
    const others = { axis: behind(x, 0).slice(0, beginNormAxis) }
    const sumOver = (like: Variable | undefined, slot: string, values: () => Variable) =>
      like === undefined || !needs(slot) ? null : reshapeTo(reduceSum(values(), others), like.shape)
    const product = dy && mul(dy, normalized)
    const scaled = (v: Variable) => (scale === undefined ? v : mul(v, reshapeTo(scale, x.shape.slice(beginNormAxis))))
    const meanOf = (v: Variable) => reduceMean(v, { axis, keepDim: true })
    const ofNormalized = () => {
      if (dy === null || product === null) return null
      const g = scaled(dy)
      return { dy: g, rate, meanOfDy: meanOf(g), meanOfProduct: meanOf(scaled(product)) }
    }
    return {
      x: needs("x")
        ? standardizeGrad(
            { x, normalized, axis },
            {
              normalized: ofNormalized(),
              mean: dmean && reshapeTo(dmean, kept),
              spread: dinvStd && neg(mul(square(rate), reshapeTo(dinvStd, kept))),
            },
          )
        : null,
      scale: product && sumOver(scale, "scale", () => product),
      bias: dy && sumOver(bias, "bias", () => dy),
    }
  },
  decompose: ({ x, scale, bias }, { beginNormAxis, epsilon }) => {
    const { mean, invStd } = moments(x, behind(x, beginNormAxis), epsilon)
    const [lead, tail] = [x.shape.slice(0, beginNormAxis), x.shape.slice(beginNormAxis)]
    const normalized = mul(sub(x, mean), invStd)
    const scaled = scale === undefined ? normalized : mul(normalized, reshapeTo(scale, tail))
    const y = bias === undefined ? scaled : add(scaled, reshapeTo(bias, tail))
    return { y, mean: reshapeTo(mean, lead), invStd: reshapeTo(invStd, lead) }
  },
})

export const layerNormDoc = /*#__PURE__*/ describe(layerNormOp, {
  summary: "Every sample normalized to mean 0 and variance 1 over its last axes, then scaled and shifted.",
  formula: "y = (x − μ) / √(σ² + ε) ∘ scale + bias",
  source: "Ba, Kiros & Hinton, Layer normalization (2016); Fluid 1.8, layer_norm",
  samples: [
    { in: { x: [3, 4], scale: [4], bias: [4] }, attrs: { beginNormAxis: 1, epsilon: 1e-5 } },
    { in: { x: [2, 3, 2], scale: [6], bias: [6] }, attrs: { beginNormAxis: 1, epsilon: 1e-5 } },
    { in: { x: [2, 2, 3], scale: [3] }, attrs: { beginNormAxis: 2, epsilon: 1e-3 } },
    { in: { x: [2, 5], bias: [5] }, attrs: { beginNormAxis: 1, epsilon: 1e-5 } },
    { in: { x: [5] }, attrs: { beginNormAxis: 0, epsilon: 1e-5 } },
    {
      in: { x: [2, 1], scale: [1], bias: [1] },
      attrs: { beginNormAxis: 1, epsilon: 0.1 },
      note: "one element: y = bias",
    },
    { in: { x: [0, 3], scale: [3], bias: [3] }, attrs: { beginNormAxis: 1, epsilon: 1e-5 } },
  ],
  errorSamples: [
    {
      in: { x: [2, 3, 2], scale: [3] },
      attrs: { beginNormAxis: 1, epsilon: 1e-5 },
      code: "CF_SHAPE_MISMATCH",
      text: /scale must have shape \[6\], one for each normalized element, got \[3\]/,
    },
    {
      in: { x: [2, 3], bias: { shape: [3], dtype: "float64" } },
      attrs: { beginNormAxis: 1, epsilon: 1e-5 },
      code: "CF_DTYPE_MISMATCH",
      text: /x and bias must have one dtype/,
    },
    {
      in: { x: [2, 3] },
      attrs: { beginNormAxis: 2, epsilon: 1e-5 },
      code: "CF_BAD_ATTRIBUTE",
      text: /beginNormAxis 2 is outside/,
    },
    {
      in: { x: [2, 3] },
      attrs: { beginNormAxis: 1, epsilon: NaN },
      code: "CF_BAD_ATTRIBUTE",
      text: /epsilon must be a number of at least 0, got NaN/,
    },
  ],
  tolerance: 1e-4,
})

/** z = x / √(Σ x² + ε) along one axis. */
export function l2Normalize(x: Variable, options: { axis?: number; epsilon?: number } = {}): Variable {
  const { axis = -1, epsilon = 1e-12 } = options
  return site(l2Normalize, () => {
    const attrs = { axis: resolveAxis(axis, x.shape.length, "l2Normalize"), epsilon }
    return emit(l2NormalizeOp, { x }, attrs, l2Normalize).z
  })
}

export const l2NormalizeOp = /*#__PURE__*/ composite({
  name: "l2Normalize",
  inputs: { x: "tensor" },
  outputs: ["z", "norm"],
  attrs: { axis: "int", epsilon: "number" },
  infer: ({ x }, { axis, epsilon }) => {
    requireFloat("x", x)
    requireEpsilon(epsilon)
    if (axis < 0 || axis >= x.shape.length)
      fail("CF_BAD_ATTRIBUTE", `axis ${axis} is outside a tensor of rank ${x.shape.length}`)
    return { z: x, norm: { shape: x.shape.map((dim, i) => (i === axis ? 1 : dim)), dtype: x.dtype } }
  },
  // forward   z = x / norm,  norm = √(Σ x² + ε)
  // backward  dx = (dz − z Σ dz ∘ z) / norm + dnorm ∘ z
  grad: (_inputs, { z, norm }, { z: dz, norm: dnorm }, { axis }) => ({
    x: addUp([
      dz && div(sub(dz, mul(z, reduceSum(mul(dz, z), { axis, keepDim: true }))), norm),
      dnorm && mul(z, dnorm),
    ]),
  }),
  // With the largest element divided out where it exceeds 1, no square overflows: norm = m √(Σ (x/m)² + ε/m²).
  decompose: ({ x }, { axis, epsilon }) => {
    const largest = max(reduceMax(abs(x), { axis, keepDim: true }), 1)
    const part = div(x, largest)
    const partNorm = sqrt(add(reduceSum(square(part), { axis, keepDim: true }), div(epsilon, square(largest))))
    return { z: div(part, partNorm), norm: mul(largest, partNorm) }
  },
})

export const l2NormalizeDoc = /*#__PURE__*/ describe(l2NormalizeOp, {
  summary: "Vectors along one axis scaled to length 1.",
  formula: "z = x / √(Σ x² + ε)",
  source: "Fluid 1.8, l2_normalize",
  samples: [
    { in: { x: [2, 3] }, attrs: { axis: 1, epsilon: 1e-12 } },
    { in: { x: [3, 2, 2] }, attrs: { axis: 0, epsilon: 0.1 } },
    { in: { x: { shape: [4], domain: { low: 2, high: 9 } } }, attrs: { axis: 0, epsilon: 1e-12 } },
    { in: { x: [2, 1] }, attrs: { axis: 1, epsilon: 0.5 } },
    { in: { x: [0, 3] }, attrs: { axis: 1, epsilon: 1e-12 } },
  ],
  errorSamples: [
    { in: { x: [2, 3] }, attrs: { axis: 2, epsilon: 1e-12 }, code: "CF_BAD_ATTRIBUTE", text: /axis 2 is outside/ },
    {
      in: { x: [2, 3] },
      attrs: { axis: 1, epsilon: -1 },
      code: "CF_BAD_ATTRIBUTE",
      text: /epsilon must be a number of at least 0, got -1/,
    },
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { axis: 0, epsilon: 1e-12 },
      code: "CF_DTYPE_MISMATCH",
      text: /x must be float32 or float64/,
    },
  ],
})
