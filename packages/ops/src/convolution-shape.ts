// Shapes of convolution. Three bilinear ops share one relation between an image x, filters w and a result z:
//
//   x [n, c, h, w] ∗ w [out, c/groups, kh, kw] = z [n, out, oh, ow]
//
// conv2d knows x and w, conv2dInputGrad z and w, conv2dFilterGrad x and z; each checks the third against the relation.

import {
  compareDims,
  type Dim,
  fail,
  formatDim,
  formatShape,
  modDims,
  mulDims,
  type Shape,
  type TensorType,
  unifyDims,
  unifyShapes,
} from "@counterflow/ir"
import { requireFloat, requireRank } from "./shapes.ts"
import {
  checkSizes,
  type Geometry,
  imageSize,
  type Padding,
  type Pair,
  placesOf,
  requirePlace,
  resolvePadding,
  resolvePair,
  spanOf,
} from "./window.ts"

export interface Conv2dOptions {
  /** Step of the filter, 1 unless said. */
  stride?: Pair
  /** 0 unless said. */
  padding?: Padding
  /** Distance between neighbouring taps of the filter, 1 unless said. */
  dilation?: Pair
  /** The channels are split into this many independent convolutions. */
  groups?: number
}

/** The attributes of all three ops. */
export const convSignature = { stride: "ints", padding: "dims", dilation: "ints", groups: "int" } as const

export interface ConvAttrs {
  readonly stride: readonly number[]
  /** [top, bottom, left, right] */
  readonly padding: Shape
  readonly dilation: readonly number[]
  readonly groups: number
}

/** The user's options for an image of size [h, w] and filters of shape [out, c/groups, kh, kw]. */
export function convAttrs(options: Conv2dOptions, size: readonly [Dim, Dim], filters: Shape, op: string): ConvAttrs {
  const stride = resolvePair(options.stride ?? 1, "stride", op)
  const dilation = resolvePair(options.dilation ?? 1, "dilation", op)
  const { groups = 1 } = options
  if (!Number.isSafeInteger(groups) || groups < 1) {
    fail("CF_BAD_ATTRIBUTE", `groups must be an integer of at least 1, got ${String(groups)}`, { op })
  }
  const padding = resolvePadding(options.padding ?? 0, { size, span: spans(filters, dilation), stride }, "padding", op)
  return { stride, padding, dilation, groups }
}

function spans(filters: Shape, dilation: readonly number[]): [Dim, Dim] {
  const [kh, kw] = imageSize(filters)
  return [spanOf(kh, dilation[0] ?? 1), spanOf(kw, dilation[1] ?? 1)]
}

export function geometryOf(image: Shape, filters: Shape, { stride, dilation }: ConvAttrs): Geometry {
  return { size: imageSize(image), span: spans(filters, dilation), stride }
}

/** Attributes, ranks and channels: what holds whatever the sizes are. */
export function checkFilters(image: Shape, filters: Shape, attrs: ConvAttrs): void {
  checkSizes("stride", attrs.stride, 2, 1)
  checkSizes("dilation", attrs.dilation, 2, 1)
  checkSizes("padding", attrs.padding, 4, 0)
  checkSizes("groups", [attrs.groups], 1, 1)
  const [channels = 0] = image.slice(1)
  const [out = 0, own = 0, ...taps] = filters
  checkSizes("the filter size", taps, 2, 1)
  const read = mulDims(own, attrs.groups)
  if (compareDims(channels, read) === "different") {
    const shared = attrs.groups === 1 ? "" : ` in each of ${attrs.groups} groups`
    const why = `x has ${formatDim(channels)} channels, filters of shape ${formatShape(filters)} read ${formatDim(own)}${shared}`
    fail("CF_SHAPE_MISMATCH", why, {
      fix: "x is [n, c, h, w], filters are [out, c/groups, kh, kw]: the two c must agree",
    })
  }
  unifyDims(channels, read)
  unifyDims(
    modDims(out, attrs.groups),
    0,
    () => `${formatDim(out)} filters cannot be split into ${attrs.groups} groups`,
  )
}

/** The shape of z. */
export function convolvedShape(image: Shape, filters: Shape, attrs: ConvAttrs): Dim[] {
  checkFilters(image, filters, attrs)
  const geometry = geometryOf(image, filters, attrs)
  const places = ([0, 1] as const).map((axis) => placesOf(geometry, attrs.padding, axis))
  return [image[0] ?? 0, filters[0] ?? 0, ...places]
}

/** z has at least one row and column. */
export function requirePlaces(image: Shape, filters: Shape, z: Shape, attrs: ConvAttrs): void {
  const geometry = geometryOf(image, filters, attrs)
  for (const axis of [0, 1] as const) requirePlace("filter", geometry, attrs.padding, axis, imageSize(z)[axis])
}

/** Both operands are images or filters, of one float dtype. */
export function requireImages(types: Readonly<Record<string, TensorType>>): void {
  const [[firstName, first] = ["", undefined]] = Object.entries(types)
  for (const [name, type] of Object.entries(types)) {
    requireRank(name, type, 4)
    requireFloat(name, type)
    if (first !== undefined && type.dtype !== first.dtype) {
      fail("CF_DTYPE_MISMATCH", `${firstName} and ${name} must have one dtype, got ${first.dtype} and ${type.dtype}`)
    }
  }
}

/** dz must have the shape that the convolution of these shapes gives. */
export function checkResult(dz: TensorType, image: Shape, filters: Shape, attrs: ConvAttrs): void {
  const z = convolvedShape(image, filters, attrs)
  unifyShapes(dz.shape, z, () => {
    const taken = `a convolution of x ${formatShape(image)} with w ${formatShape(filters)}`
    return `dz must have the shape of ${taken}, ${formatShape(z)}, got ${formatShape(dz.shape)}`
  })
}

/** Floating point operations of any of the three: each element of z meets each tap of its filter once. */
export function convFlops(z: Shape, filters: Shape): Dim {
  return mulDims(2, ...z, ...filters.slice(1))
}
