// Batch normalization: each channel normalized over the batch, with running statistics as state for tests.

import { fail, formatShape, type Shape, site, type TensorType, unifyDims, type Variable } from "@counterflow/ir"
import { add, div, mul, sub } from "./arithmetic.ts"
import { composite } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { reduceSum } from "./reduction.ts"
import { reshapeTo } from "./reshape.ts"
import { requireFloat, requireRank } from "./shapes.ts"
import { addUp, moments, perCount, requireEpsilon, standardizeGrad } from "./standardize.ts"
import { neg, rsqrt, scale as scaled, square } from "./unary.ts"

const layouts = ["NCHW", "NHWC"] as const

export interface BatchNormOptions {
  /** How much of the running statistics stays: running = momentum · running + (1 − momentum) · batch. */
  momentum?: number
  epsilon?: number
  isTest?: boolean
  /** Normalize with the running statistics and leave them alone, in training too. */
  useGlobalStats?: boolean
  /** Where the channels are: axis 1, or the last one. */
  dataLayout?: (typeof layouts)[number]
}

/** The normalized tensor, the new running statistics, and what the batch was normalized with; one value per channel. */
export type BatchNormResult = Readonly<Record<"y" | "meanOut" | "varianceOut" | "savedMean" | "savedInvStd", Variable>>

/**
 * y = (x − μ) / √(σ² + ε) ∘ scale + bias for each channel. While training μ and σ² (biased) are the batch's and the states
 * `mean` and `variance` move towards them; in a test they are the states'.
 */
export function batchNorm(
  x: Variable,
  scale: Variable,
  bias: Variable,
  mean: Variable,
  variance: Variable,
  options: BatchNormOptions = {},
): BatchNormResult {
  const { momentum = 0.9, epsilon = 1e-5, isTest = false, useGlobalStats = false, dataLayout = "NCHW" } = options
  const attrs = { momentum, epsilon, isTest, useGlobalStats, dataLayout }
  return site(batchNorm, () => emit(batchNormOp, { x, scale, bias, mean, variance }, attrs, batchNorm))
}

interface BatchNormAttrs {
  readonly dataLayout: (typeof layouts)[number]
  readonly isTest: boolean
  readonly useGlobalStats: boolean
}

function channelAxis({ shape }: { readonly shape: Shape }, { dataLayout }: BatchNormAttrs): number {
  return dataLayout === "NHWC" ? shape.length - 1 : 1
}

function otherAxes(x: { readonly shape: Shape }, attrs: BatchNormAttrs): number[] {
  const channel = channelAxis(x, attrs)
  return x.shape.map((_, axis) => axis).filter((axis) => axis !== channel)
}

/** One value per channel as a tensor that broadcasts along the other axes of x. */
function perChannel(v: Variable, x: Variable, attrs: BatchNormAttrs): Variable {
  const channel = channelAxis(x, attrs)
  return reshapeTo(
    v,
    x.shape.map((dim, axis) => (axis === channel ? dim : 1)),
  )
}

function usesState({ isTest, useGlobalStats }: BatchNormAttrs): boolean {
  return isTest || useGlobalStats
}

export const batchNormOp = /*#__PURE__*/ composite({
  name: "batchNorm",
  inputs: { x: "tensor", scale: "tensor", bias: "tensor", mean: "state", variance: "state" },
  outputs: ["y", "meanOut", "varianceOut", "savedMean", "savedInvStd"],
  attrs: { momentum: "number", epsilon: "number", isTest: "bool", useGlobalStats: "bool", dataLayout: layouts },
  writes: { mean: "meanOut", variance: "varianceOut" },
  infer: ({ x, ...perChannels }, attrs) => {
    requireFloat("x", x)
    requireRank("x", x, [2, Infinity])
    requireEpsilon(attrs.epsilon)
    if (!(attrs.momentum >= 0 && attrs.momentum <= 1)) {
      fail("CF_BAD_ATTRIBUTE", `momentum must lie between 0 and 1, got ${String(attrs.momentum)}`)
    }
    if (!layouts.includes(attrs.dataLayout)) {
      fail("CF_BAD_ATTRIBUTE", `dataLayout must be ${layouts.join(" or ")}, got ${String(attrs.dataLayout)}`)
    }
    const channels = x.shape[channelAxis(x, attrs)] ?? 1
    for (const [name, type] of Object.entries<TensorType>(perChannels)) {
      if (type.dtype !== x.dtype)
        fail("CF_DTYPE_MISMATCH", `x and ${name} must have one dtype, got ${x.dtype} and ${type.dtype}`)
      const why = () =>
        `${name} must have shape ${formatShape([channels])}, one for each channel, got ${formatShape(type.shape)}`
      if (type.shape.length !== 1) fail("CF_SHAPE_MISMATCH", why())
      unifyDims(type.shape[0] ?? 1, channels, why)
    }
    const statistic = { shape: [channels], dtype: x.dtype }
    // What a state takes has the state's own type: its size is known even where the number of channels is not.
    const { mean, variance } = perChannels
    return { y: x, meanOut: mean, varianceOut: variance, savedMean: statistic, savedInvStd: statistic }
  },
  // forward   y = x̂ ∘ scale + bias,  x̂ = (x − μ) r,  r = 1/√(σ² + ε)
  // backward  dscale = Σ dy ∘ x̂,  dbias = Σ dy,
  //           dx = scale ∘ r ∘ dy with the statistics of a state, else with those of the batch
  //           dx = scale ∘ r ∘ (dy − dbias/n − x̂ ∘ dscale/n) + dμ/n + x̂ ∘ (2/r ∘ dσ² − r² ∘ dr)/n
  grad: ({ x, scale }, { savedMean, savedInvStd }, cotangents, attrs, { needs }) => {
    const { y: dy } = cotangents
    const axis = otherAxes(x, attrs)
    const spread = (v: Variable) => perChannel(v, x, attrs)
    const throughBatch = needs("x") && !usesState(attrs)
    const standardized = throughBatch || needs("scale") ? mul(sub(x, spread(savedMean)), spread(savedInvStd)) : null
    const dscale = dy && standardized && reduceSum(mul(dy, standardized), { axis })
    const dbias = dy && (throughBatch || needs("bias")) ? reduceSum(dy, { axis }) : null
    const rate = () => spread(mul(scale, savedInvStd))
    const statistics = statisticsGrad(cotangents, savedInvStd, attrs.momentum)
    const dxOfBatch = (normalized: Variable) =>
      standardizeGrad(
        { x, normalized, axis },
        {
          normalized:
            dy && dbias && dscale
              ? {
                  dy,
                  rate: rate(),
                  meanOfDy: spread(perCount(dbias, x, axis)),
                  meanOfProduct: spread(perCount(dscale, x, axis)),
                }
              : null,
          mean: statistics.mean && spread(statistics.mean),
          spread: statistics.spread && spread(statistics.spread),
        },
      )
    const dxOfState = () => (needs("x") && dy ? mul(dy, rate()) : null)
    return {
      x: throughBatch && standardized ? dxOfBatch(standardized) : dxOfState(),
      scale: needs("scale") ? dscale : null,
      bias: needs("bias") ? dbias : null,
    }
  },
  decompose: ({ x, scale, bias, mean, variance }, attrs) => {
    const { momentum, epsilon } = attrs
    const normalize = (mu: Variable, r: Variable) => {
      const centered = sub(x, perChannel(mu, x, attrs))
      return add(mul(centered, perChannel(mul(scale, r), x, attrs)), perChannel(bias, x, attrs))
    }
    if (usesState(attrs)) {
      const r = rsqrt(add(variance, epsilon))
      return { y: normalize(mean, r), meanOut: mean, varianceOut: variance, savedMean: mean, savedInvStd: r }
    }
    const batch = moments(x, otherAxes(x, attrs), epsilon)
    const flat = (v: Variable) => reshapeTo(v, scale.shape)
    const [mu, r] = [flat(batch.mean), flat(batch.invStd)]
    const move = (running: Variable, now: Variable) =>
      add(scaled(running, { scale: momentum }), scaled(now, { scale: 1 - momentum }))
    return {
      y: normalize(mu, r),
      meanOut: move(mean, mu),
      varianceOut: move(variance, flat(batch.variance)),
      savedMean: mu,
      savedInvStd: r,
    }
  },
})

type Cotangents = Readonly<Record<"meanOut" | "varianceOut" | "savedMean" | "savedInvStd", Variable | null>>

/** What arrives at the batch's statistics from their four outputs, per channel: see `StandardizedCotangents`. */
function statisticsGrad(d: Cotangents, r: Variable, momentum: number): Record<"mean" | "spread", Variable | null> {
  const fromRunning = (v: Variable | null, factor: number) => v && scaled(v, { scale: factor * (1 - momentum) })
  const dvariance = fromRunning(d.varianceOut, 2)
  return {
    mean: addUp([d.savedMean, fromRunning(d.meanOut, 1)]),
    spread: addUp([dvariance && div(dvariance, r), d.savedInvStd && neg(mul(square(r), d.savedInvStd))]),
  }
}

const training = { momentum: 0.9, epsilon: 1e-5, isTest: false, useGlobalStats: false, dataLayout: "NCHW" } as const
const variance = (shape: readonly number[]) => ({ shape, domain: { low: 0.5, high: 2 } })

export const batchNormDoc = /*#__PURE__*/ describe(batchNormOp, {
  summary: "Every channel normalized to mean 0 and variance 1 over the batch, then scaled and shifted.",
  formula: "y = (x − μ) / √(σ² + ε) ∘ scale + bias;  running = momentum · running + (1 − momentum) · batch",
  source: "Ioffe & Szegedy, Batch normalization (2015), section 3; Fluid 1.8, batch_norm",
  samples: [
    { in: { x: [2, 3, 2, 2], scale: [3], bias: [3], mean: [3], variance: variance([3]) }, attrs: training },
    {
      in: { x: [5, 2], scale: [2], bias: [2], mean: [2], variance: variance([2]) },
      attrs: { ...training, momentum: 0.5 },
    },
    {
      in: { x: [2, 2, 3, 2], scale: [2], bias: [2], mean: [2], variance: variance([2]) },
      attrs: { ...training, dataLayout: "NHWC", epsilon: 1e-3 },
    },
    {
      in: { x: [3, 2, 2], scale: [2], bias: [2], mean: [2], variance: variance([2]) },
      attrs: { ...training, isTest: true },
    },
    {
      in: { x: [3, 2], scale: [2], bias: [2], mean: [2], variance: variance([2]) },
      attrs: { ...training, useGlobalStats: true, dataLayout: "NHWC" },
    },
    {
      in: { x: [1, 2], scale: [2], bias: [2], mean: [2], variance: variance([2]) },
      attrs: { ...training, epsilon: 0.1 },
      note: "one element per channel: y = bias",
    },
    {
      in: { x: [0, 2, 3], scale: [2], bias: [2], mean: [2], variance: variance([2]) },
      attrs: { ...training, isTest: true },
    },
  ],
  errorSamples: [
    {
      in: { x: [2, 3, 2, 2], scale: [2], bias: [3], mean: [3], variance: [3] },
      attrs: training,
      code: "CF_SHAPE_MISMATCH",
      text: /scale must have shape \[3\], one for each channel, got \[2\]/,
    },
    {
      in: { x: [2, 2], scale: [2], bias: [2], mean: [2], variance: { shape: [2], dtype: "float64" } },
      attrs: training,
      code: "CF_DTYPE_MISMATCH",
      text: /x and variance must have one dtype/,
    },
    {
      in: { x: [4], scale: [4], bias: [4], mean: [4], variance: [4] },
      attrs: training,
      code: "CF_SHAPE_MISMATCH",
      text: /x must have rank at least 2/,
    },
    {
      in: { x: [2, 2], scale: [2], bias: [2], mean: [2], variance: [2] },
      attrs: { ...training, momentum: 2 },
      code: "CF_BAD_ATTRIBUTE",
      text: /momentum must lie between 0 and 1, got 2/,
    },
    {
      in: { x: [2, 2], scale: [2], bias: [2], mean: [2], variance: [2] },
      attrs: { ...training, epsilon: -1 },
      code: "CF_BAD_ATTRIBUTE",
      text: /epsilon must be a number of at least 0, got -1/,
    },
  ],
  tolerance: 1e-4,
})
