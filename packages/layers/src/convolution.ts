// Convolution layers: filters and a bias per output channel.

import { fail, formatShape, type Shape, type Variable } from "@counterflow/ir"
import {
  add,
  conv2d as convolve,
  type Conv2dOptions as ConvolveOptions,
  conv2dTranspose as transposedConvolve,
  type Conv2dTransposeOptions as TransposedOptions,
  emit,
  requireFloat,
  requireRank,
  reshapeOp,
} from "@counterflow/ops"
import { activate, type Activation } from "./activation.ts"
import type { ParamAttrLike } from "./attribute.ts"
import { Xavier } from "./fans.ts"
import { Constant, Normal } from "./initializer.ts"
import { type Layer, layer } from "./layer.ts"
import { sizePair } from "./options.ts"

interface FilterOptions {
  numFilters: number
  paramAttr?: ParamAttrLike
  /** false for none. */
  biasAttr?: ParamAttrLike
  act?: Activation | null
  name?: string | null
}

export interface Conv2dOptions extends ConvolveOptions, FilterOptions {
  /** Height and width of the filters, one number for both. */
  filterSize: number | readonly number[]
}

const kinds = {
  numFilters: "required size",
  filterSize: "any",
  stride: "any",
  padding: "any",
  dilation: "any",
  groups: "size",
  paramAttr: "attr",
  biasAttr: "attr",
  act: "act",
  name: "name",
} as const

/**
 * Convolution of images x [n, c, h, w] with filters [numFilters, c/groups, kh, kw], plus a bias per filter. The filters start
 * from a normal draw with standard deviation √(2/(kh·kw·c)), the bias from zero.
 */
export function conv2d(x: Variable, options: Conv2dOptions): Variable {
  return layer({ type: "conv2d", fn: conv2d, inputs: { x }, options, kinds }, (own) => {
    const { numFilters, filterSize, paramAttr, biasAttr, act, name: _name, ...rest } = options
    const [height, width] = sizePair("filterSize", filterSize)
    const channels = channelsOf(x, rest.groups ?? 1)
    const shape = [numFilters, channels / (rest.groups ?? 1), height, width]
    const initializer = new Normal(0, Math.sqrt(2 / (height * width * channels)))
    const filters = own.parameter({ letter: "w", shape, dtype: x.dtype, attr: weights(paramAttr), initializer })
    return activate(withBias(own, convolve(x, filters, rest), biasAttr), act)
  })
}

export interface Conv2dTransposeOptions extends TransposedOptions, FilterOptions {
  /** Height and width of the filters; may be left out where outputSize says it. */
  filterSize?: number | readonly number[] | null
}

/**
 * Transposed convolution of images x [n, c, h, w] with filters [c, numFilters/groups, kh, kw], plus a bias per filter. The
 * filters start from Xavier's uniform draw, the bias from zero.
 */
export function conv2dTranspose(x: Variable, options: Conv2dTransposeOptions): Variable {
  const init = { type: "conv2dTranspose", fn: conv2dTranspose, inputs: { x }, options, kinds: transposeKinds }
  return layer(init, (own) => {
    const { numFilters, filterSize, paramAttr, biasAttr, act, name: _name, ...rest } = options
    const groups = rest.groups ?? 1
    const channels = channelsOf(x, groups)
    if (numFilters % groups !== 0) {
      fail("CF_BAD_ATTRIBUTE", `${numFilters} filters cannot be split into ${groups} groups`)
    }
    const size = filterSize ?? filterFor(x.shape, rest)
    const shape = [channels, numFilters / groups, ...sizePair("filterSize", size)]
    const initializer = new Xavier()
    const filters = own.parameter({ letter: "w", shape, dtype: x.dtype, attr: weights(paramAttr), initializer })
    return activate(withBias(own, transposedConvolve(x, filters, rest), biasAttr), act)
  })
}

const transposeKinds = { ...kinds, outputSize: "any" } as const

function weights(attr: ParamAttrLike): ParamAttrLike {
  return attr === false ? fail("CF_BAD_ATTRIBUTE", "paramAttr must not be false: the layer needs its filters") : attr
}

/** The channels of an image; how many there are must be known to make filters for them. */
function channelsOf(x: Variable, groups: number): number {
  requireFloat("x", x)
  requireRank("x", x, 4)
  const channels = x.shape[1]
  if (typeof channels !== "number") {
    return fail(
      "CF_SHAPE_MISMATCH",
      `the channels of x must be known when the program is built, got ${formatShape(x.shape)}`,
    )
  }
  if (channels % groups !== 0) {
    fail("CF_SHAPE_MISMATCH", `the ${channels} channels of x cannot be split into ${groups} groups`)
  }
  return channels
}

/** The filter that makes images of `outputSize`, as Fluid computes it. */
function filterFor([, , height, width]: Shape, options: TransposedOptions): [number, number] {
  const { outputSize, stride = 1, padding = 0, dilation = 1 } = options
  const sizes = pairOf(outputSize)
  if (sizes === null || typeof height !== "number" || typeof width !== "number") {
    return fail("CF_BAD_ATTRIBUTE", "filterSize is missing", {
      fix: "give filterSize; outputSize can stand for it where the sizes of x and outputSize are numbers",
    })
  }
  const [steps, spaces, pads] = [pairOf(stride), pairOf(dilation), padsOf(padding)]
  if (steps === null || spaces === null || pads === null) {
    return fail("CF_BAD_ATTRIBUTE", "filterSize is missing, and follows from outputSize only with padding in numbers")
  }
  const along = (axis: 0 | 1, size: number) =>
    Math.floor((sizes[axis] - (size - 1) * steps[axis] + pads[axis] - 1) / spaces[axis]) + 1
  return [along(0, height), along(1, width)]
}

function pairOf(value: unknown): [number, number] | null {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  const [height, width = height] = list
  return typeof height === "number" && typeof width === "number" ? [height, width] : null
}

/** Padding before and after together, along height and width. */
function padsOf(padding: unknown): [number, number] | null {
  const list: readonly unknown[] = Array.isArray(padding) ? padding : [padding, padding]
  const [top, bottom, left, right] = list.length === 2 ? [list[0], list[0], list[1], list[1]] : list
  if (typeof top !== "number" || typeof bottom !== "number") return null
  return typeof left === "number" && typeof right === "number" ? [top + bottom, left + right] : null
}

/** One number added to each channel. */
function withBias(own: Layer, z: Variable, attr: ParamAttrLike): Variable {
  if (attr === false) return z
  const channels = z.shape[1]
  if (typeof channels !== "number") return fail("CF_INTERNAL", "a convolution lost the number of its channels")
  const { dtype } = z
  const b = own.parameter({ letter: "b", shape: [channels], dtype, attr, initializer: new Constant(0) })
  // Named as a broadcast: fc_0.tmp_k and conv2d_0.tmp_k are the product, the sum and the activation alone.
  const spread = emit(reshapeOp, { x: b }, { shape: [channels, 1, 1] }, withBias, { suffix: "broadcast" }).z
  return add(z, spread)
}
