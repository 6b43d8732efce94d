// Normalization layers: ops with a scale and a shift to be trained, and for batch norm the running statistics as state.

import { fail, formatShape, numel, type Dim, type Variable } from "@counterflow/ir"
import {
  batchNorm as normalizeBatch,
  type BatchNormOptions as BatchNormSettings,
  layerNorm as normalizeSamples,
  type LayerNormOptions as LayerNormSettings,
  requireFloat,
  requireRank,
  resolveAxis,
} from "@counterflow/ops"
import { activate, type Activation } from "./activation.ts"
import { paramAttrOf, type ParamAttrLike } from "./attribute.ts"
import { Constant } from "./initializer.ts"
import { layer } from "./layer.ts"

interface AffineOptions {
  /** Of the scale. */
  paramAttr?: ParamAttrLike
  /** Of the shift. */
  biasAttr?: ParamAttrLike
  act?: Activation | null
  name?: string | null
}

export interface BatchNormOptions extends BatchNormSettings, AffineOptions {
  /** The name of the running mean, to share it. */
  movingMeanName?: string | null
  movingVarianceName?: string | null
}

/**
 * Batch normalization: each channel of x normalized over the batch, times a scale, plus a shift. The running statistics that
 * tests use are parameters that no optimizer trains: batch_norm_0.w_1 the mean, w_2 the variance. With `paramAttr` or
 * `biasAttr` false scale or shift stay 1 or 0.
 */
export function batchNorm(x: Variable, options: BatchNormOptions = {}): Variable {
  const init = { type: "batchNorm", fn: batchNorm, inputs: { x }, options, kinds: batchNormKinds }
  return layer(init, (own) => {
    const { paramAttr, biasAttr, act, movingMeanName, movingVarianceName, name: _name, ...settings } = options
    requireFloat("x", x)
    requireRank("x", x, [2, Infinity])
    const channels = knownSize(x, x.shape.at(settings.dataLayout === "NHWC" ? -1 : 1), "the channels of x")
    const weight = (letter: "w" | "b", attr: ParamAttrLike, value: number) =>
      own.parameter({ letter, shape: [channels], dtype: x.dtype, attr, initializer: new Constant(value) })
    const running = (name: string | null | undefined, value: number) => {
      const statistic = weight("w", { name: name ?? undefined, trainable: false }, value)
      statistic.stopGradient = true
      return statistic
    }
    const scale = weight("w", orFixed(paramAttr), 1)
    const shift = weight("b", orFixed(biasAttr), 0)
    const [mean, variance] = [running(movingMeanName, 0), running(movingVarianceName, 1)]
    return activate(normalizeBatch(x, scale, shift, mean, variance, settings).y, act)
  })
}

const affineKinds = { paramAttr: "attr", biasAttr: "attr", act: "act", name: "name" } as const

const batchNormKinds = {
  momentum: "number",
  epsilon: "number",
  isTest: "bool",
  useGlobalStats: "bool",
  dataLayout: ["NCHW", "NHWC"],
  movingMeanName: "name",
  movingVarianceName: "name",
  ...affineKinds,
} as const

/** Not to be trained where the user wants none. */
function orFixed(attr: ParamAttrLike): ParamAttrLike {
  return attr === false ? { trainable: false } : paramAttrOf(attr)
}

export interface LayerNormOptions extends LayerNormSettings, AffineOptions {
  /** Whether there is a scale, true unless said. */
  scale?: boolean
  /** Whether there is a shift, true unless said. */
  shift?: boolean
}

/** Layer normalization: each sample of x normalized over the axes from `beginNormAxis` on, times a scale, plus a shift. */
export function layerNorm(x: Variable, options: LayerNormOptions = {}): Variable {
  const init = { type: "layerNorm", fn: layerNorm, inputs: { x }, options, kinds: layerNormKinds }
  return layer(init, (own) => {
    const { scale = true, shift = true, paramAttr, biasAttr, act, name: _name, ...settings } = options
    requireFloat("x", x)
    const axis = resolveAxis(settings.beginNormAxis ?? 1, x.shape.length, "layerNorm")
    const weight = (letter: "w" | "b", attr: ParamAttrLike, value: number) => {
      const size = knownSize(x, numel(x.shape.slice(axis)), "the size of what is normalized")
      return own.parameter({ letter, shape: [size], dtype: x.dtype, attr, initializer: new Constant(value) })
    }
    const w = scale && paramAttr !== false ? weight("w", paramAttr, 1) : undefined
    const b = shift && biasAttr !== false ? weight("b", biasAttr, 0) : undefined
    return activate(normalizeSamples(x, w, b, settings), act)
  })
}

const layerNormKinds = {
  scale: "bool",
  shift: "bool",
  beginNormAxis: "int",
  epsilon: "number",
  ...affineKinds,
} as const

function knownSize(x: Variable, size: Dim | undefined, what: string): number {
  if (typeof size === "number") return size
  return fail("CF_SHAPE_MISMATCH", `${what} must be known when the program is built, got ${formatShape(x.shape)}`)
}
