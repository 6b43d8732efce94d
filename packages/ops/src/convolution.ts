// Convolution of images with filters, and its two adjoints. The three are bilinear, and the gradient of each is written
// with the other two, so gradients of any order are at hand:
//
//   z  = conv2d(x, w)              dx = conv2dInputGrad(dz, w)     dw = conv2dFilterGrad(x, dz)
//   dx = conv2dInputGrad(dz, w)    ddz = conv2d(ddx, w)            dw = conv2dFilterGrad(ddx, dz)
//   dw = conv2dFilterGrad(x, dz)   dx = conv2dInputGrad(dz, ddw)   ddz = conv2d(x, ddw)

import { fail, type Shape, site, type Variable } from "@counterflow/ir"
import {
  checkResult,
  convAttrs,
  convFlops,
  type Conv2dOptions,
  convolvedShape,
  convSignature,
  requireImages,
  requirePlaces,
} from "./convolution-shape.ts"
import { primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { imageSize, shapeOf } from "./window.ts"

export type { Conv2dOptions } from "./convolution-shape.ts"
export type { Padding, Pair } from "./window.ts"

/**
 * Convolution (cross-correlation, as everywhere in deep learning) of images x [n, c, h, w] with filters
 * w [out, c/groups, kh, kw]: z[b, o, i, j] = Σ x[b, c, i·stride − top + p·dilation, j·stride − left + q·dilation] · w[o, c, p, q].
 *
 * z is [n, out, oh, ow] with oh = ⌊(h + top + bottom − dilation·(kh − 1) − 1) / stride⌋ + 1. `padding` is a number,
 * [height, width], [top, bottom, left, right], "valid" (none) or "same": oh = ⌈h / stride⌉, the smaller half before.
 */
export function conv2d(x: Variable, w: Variable, options: Conv2dOptions = {}): Variable {
  return site(conv2d, () => {
    return emit(conv2dOp, { x, w }, convAttrs(options, imageSize(x.shape), w.shape, "conv2d"), conv2d).z
  })
}

// Patches times a matrix of filters would need a primitive for the patches and kh·kw copies of x between the two.
export const conv2dOp = /*#__PURE__*/ primitive({
  name: "conv2d",
  inputs: { x: "tensor", w: "tensor" },
  outputs: ["z"],
  attrs: convSignature,
  infer: ({ x, w }, attrs) => {
    requireImages({ x, w })
    const shape = convolvedShape(x.shape, w.shape, attrs)
    requirePlaces(x.shape, w.shape, shape, attrs)
    return { z: { shape, dtype: x.dtype } }
  },
  // forward   z = x ∗ w
  // backward  dx = adjoint of (· ∗ w) at dz,  dw = adjoint of (x ∗ ·) at dz
  grad: ({ x, w }, _outputs, { z: dz }, attrs, { needs }) => ({
    x: needs("x") ? conv2dInputGrad(dz, w, { ...attrs, inputShape: x.shape }) : null,
    w: needs("w") ? conv2dFilterGrad(x, dz, { ...attrs, filterShape: w.shape }) : null,
  }),
  facts: { kind: "contract", flops: ({ w }, { z }) => convFlops(shapeOf(z), shapeOf(w)) },
})

const plain = { stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1], groups: 1 }

export const conv2dDoc = /*#__PURE__*/ describe(conv2dOp, {
  summary: "Convolution of images [n, c, h, w] with filters [out, c/groups, kh, kw].",
  formula: "z[b, o, i, j] = Σ x[b, c, i·s − t + p·d, j·s − l + q·d] · w[o, c, p, q]",
  source: "Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016); Fluid 1.8, conv2d",
  samples: [
    { in: { x: [2, 3, 5, 4], w: [4, 3, 3, 2] }, attrs: plain },
    { in: { x: [2, 3, 4, 3], w: [2, 3, 1, 1] }, attrs: plain, note: "1×1: a matrix product per image" },
    {
      in: { x: [1, 2, 6, 7], w: [3, 2, 3, 3] },
      attrs: { stride: [2, 3], padding: [1, 0, 2, 1], dilation: [1, 2], groups: 1 },
      note: "unequal strides, sides and dilations",
    },
    { in: { x: [2, 4, 4, 5], w: [6, 2, 2, 3] }, attrs: { ...plain, padding: [1, 1, 1, 1], groups: 2 } },
    { in: { x: [1, 3, 4, 4], w: [3, 1, 3, 3] }, attrs: { ...plain, stride: [2, 2], groups: 3 }, note: "depthwise" },
    {
      in: { x: [1, 1, 2, 2], w: [1, 1, 3, 3] },
      attrs: { ...plain, padding: [2, 2, 2, 2] },
      note: "a filter larger than x",
    },
    { in: { x: [0, 2, 3, 3], w: [2, 2, 2, 2] }, attrs: plain, note: "an empty batch" },
  ],
  errorSamples: [
    { in: { x: [2, 3, 5], w: [4, 3, 3, 2] }, attrs: plain, code: "CF_SHAPE_MISMATCH", text: /x must have rank 4/ },
    {
      in: { x: [2, 3, 5, 4], w: [4, 2, 3, 2] },
      attrs: plain,
      code: "CF_SHAPE_MISMATCH",
      text: /x has 3 channels, filters .* read 2/,
    },
    {
      in: { x: [2, 4, 5, 4], w: [3, 2, 3, 2] },
      attrs: { ...plain, groups: 2 },
      code: "CF_SHAPE_MISMATCH",
      text: /3 filters cannot be split into 2 groups/,
    },
    {
      in: { x: [2, 3, 2, 4], w: [4, 3, 3, 2] },
      attrs: plain,
      code: "CF_SHAPE_MISMATCH",
      text: /finds no place in x of height 2/,
    },
    {
      in: { x: { shape: [1, 1, 2, 2], dtype: "int32" }, w: { shape: [1, 1, 2, 2], dtype: "int32" } },
      attrs: plain,
      code: "CF_DTYPE_MISMATCH",
      text: /x must be float32 or float64/,
    },
    {
      in: { x: [1, 1, 2, 2], w: { shape: [1, 1, 2, 2], dtype: "float64" } },
      attrs: plain,
      code: "CF_DTYPE_MISMATCH",
      text: /must have one dtype/,
    },
    {
      in: { x: [1, 1, 2, 2], w: [1, 1, 0, 2] },
      attrs: plain,
      code: "CF_BAD_ATTRIBUTE",
      text: /the filter size must be/,
    },
    {
      in: { x: [1, 1, 2, 2], w: [1, 1, 2, 2] },
      attrs: { ...plain, stride: [0, 1] },
      code: "CF_BAD_ATTRIBUTE",
      text: /stride must be/,
    },
  ],
})

/** The adjoint of x ↦ conv2d(x, w): the gradient dx of shape `inputShape` from dz [n, out, oh, ow]. */
export function conv2dInputGrad(dz: Variable, w: Variable, options: Conv2dOptions & { inputShape: Shape }): Variable {
  const { inputShape } = options
  return site(conv2dInputGrad, () => {
    const attrs = convAttrs(options, imageSize(inputShape), w.shape, "conv2dInputGrad")
    return emit(conv2dInputGradOp, { dz, w }, { ...attrs, inputShape }, conv2dInputGrad).dx
  })
}

// As a conv2d it would need dz spread by the stride and the filters reversed, both copied; a kernel reads them in place.
export const conv2dInputGradOp = /*#__PURE__*/ primitive({
  name: "conv2dInputGrad",
  inputs: { dz: "tensor", w: "tensor" },
  outputs: ["dx"],
  attrs: { ...convSignature, inputShape: "dims" },
  infer: ({ dz, w }, { inputShape, ...attrs }) => {
    requireImages({ dz, w })
    requireFour("inputShape", inputShape)
    checkResult(dz, inputShape, w.shape, attrs)
    return { dx: { shape: inputShape, dtype: dz.dtype } }
  },
  // forward   ⟨dx, v⟩ = ⟨dz, v ∗ w⟩ for every v
  // backward  ddz = ddx ∗ w,  dw = adjoint of (ddx ∗ ·) at dz
  grad: ({ dz, w }, _outputs, { dx: ddx }, { inputShape: _shape, ...attrs }, { needs }) => ({
    dz: needs("dz") ? conv2d(ddx, w, attrs) : null,
    w: needs("w") ? conv2dFilterGrad(ddx, dz, { ...attrs, filterShape: w.shape }) : null,
  }),
  facts: { kind: "contract", flops: ({ dz, w }) => convFlops(shapeOf(dz), shapeOf(w)) },
})

export const conv2dInputGradDoc = /*#__PURE__*/ describe(conv2dInputGradOp, {
  summary: "Gradient of a convolution with respect to the images; also the transposed convolution.",
  formula: "dx[b, c, y, x] = Σ dz[b, o, i, j] · w[o, c, p, q] over all i·s − t + p·d = y, j·s − l + q·d = x",
  source: "the adjoint of a linear map",
  samples: [
    { in: { dz: [2, 4, 3, 3], w: [4, 3, 3, 2] }, attrs: { ...plain, inputShape: [2, 3, 5, 4] } },
    { in: { dz: [2, 2, 4, 3], w: [2, 3, 1, 1] }, attrs: { ...plain, inputShape: [2, 3, 4, 3] } },
    {
      in: { dz: [1, 3, 3, 2], w: [3, 2, 3, 3] },
      attrs: { stride: [2, 3], padding: [1, 0, 2, 1], dilation: [1, 2], groups: 1, inputShape: [1, 2, 6, 7] },
    },
    {
      in: { dz: [2, 6, 5, 5], w: [6, 2, 2, 3] },
      attrs: { ...plain, padding: [1, 1, 1, 1], groups: 2, inputShape: [2, 4, 4, 5] },
    },
    { in: { dz: [0, 2, 2, 2], w: [2, 2, 2, 2] }, attrs: { ...plain, inputShape: [0, 2, 3, 3] } },
  ],
  errorSamples: [
    {
      in: { dz: [2, 4, 2, 3], w: [4, 3, 3, 2] },
      attrs: { ...plain, inputShape: [2, 3, 5, 4] },
      code: "CF_SHAPE_MISMATCH",
      text: /dz must have the shape of a convolution .*, \[2, 4, 3, 3\], got \[2, 4, 2, 3\]/,
    },
    {
      in: { dz: [2, 4, 3, 3], w: [4, 3, 3, 2] },
      attrs: { ...plain, inputShape: [5, 4] },
      code: "CF_BAD_ATTRIBUTE",
      text: /inputShape must be four sizes/,
    },
  ],
})

/** The adjoint of w ↦ conv2d(x, w): the gradient dw of shape `filterShape` from dz [n, out, oh, ow]. */
export function conv2dFilterGrad(x: Variable, dz: Variable, options: Conv2dOptions & { filterShape: Shape }): Variable {
  const { filterShape } = options
  return site(conv2dFilterGrad, () => {
    const attrs = convAttrs(options, imageSize(x.shape), filterShape, "conv2dFilterGrad")
    return emit(conv2dFilterGradOp, { x, dz }, { ...attrs, filterShape }, conv2dFilterGrad).dw
  })
}

// As a conv2d it would need x and dz transposed to put the batch in the place of the channels, and groups unrolled.
export const conv2dFilterGradOp = /*#__PURE__*/ primitive({
  name: "conv2dFilterGrad",
  inputs: { x: "tensor", dz: "tensor" },
  outputs: ["dw"],
  attrs: { ...convSignature, filterShape: "dims" },
  infer: ({ x, dz }, { filterShape, ...attrs }) => {
    requireImages({ x, dz })
    requireFour("filterShape", filterShape)
    checkResult(dz, x.shape, filterShape, attrs)
    return { dw: { shape: filterShape, dtype: x.dtype } }
  },
  // forward   ⟨dw, v⟩ = ⟨dz, x ∗ v⟩ for every v
  // backward  dx = adjoint of (· ∗ ddw) at dz,  ddz = x ∗ ddw
  grad: ({ x, dz }, _outputs, { dw: ddw }, { filterShape: _shape, ...attrs }, { needs }) => ({
    x: needs("x") ? conv2dInputGrad(dz, ddw, { ...attrs, inputShape: x.shape }) : null,
    dz: needs("dz") ? conv2d(x, ddw, attrs) : null,
  }),
  facts: {
    kind: "contract",
    flops: ({ dz }, { dw }) => convFlops(shapeOf(dz), shapeOf(dw)),
    addsAlong: () => ({ x: 0, dz: 0 }),
  },
})

export const conv2dFilterGradDoc = /*#__PURE__*/ describe(conv2dFilterGradOp, {
  summary: "Gradient of a convolution with respect to the filters.",
  formula: "dw[o, c, p, q] = Σ x[b, c, i·s − t + p·d, j·s − l + q·d] · dz[b, o, i, j]",
  source: "the adjoint of a linear map",
  samples: [
    { in: { x: [2, 3, 5, 4], dz: [2, 4, 3, 3] }, attrs: { ...plain, filterShape: [4, 3, 3, 2] } },
    { in: { x: [2, 3, 4, 3], dz: [2, 2, 4, 3] }, attrs: { ...plain, filterShape: [2, 3, 1, 1] } },
    {
      in: { x: [1, 2, 6, 7], dz: [1, 3, 3, 2] },
      attrs: { stride: [2, 3], padding: [1, 0, 2, 1], dilation: [1, 2], groups: 1, filterShape: [3, 2, 3, 3] },
    },
    {
      in: { x: [2, 4, 4, 5], dz: [2, 6, 5, 5] },
      attrs: { ...plain, padding: [1, 1, 1, 1], groups: 2, filterShape: [6, 2, 2, 3] },
    },
    {
      in: { x: [0, 2, 3, 3], dz: [0, 2, 2, 2] },
      attrs: { ...plain, filterShape: [2, 2, 2, 2] },
      note: "an empty sum is 0",
    },
  ],
  errorSamples: [
    {
      in: { x: [2, 3, 5, 4], dz: [1, 4, 3, 3] },
      attrs: { ...plain, filterShape: [4, 3, 3, 2] },
      code: "CF_SHAPE_MISMATCH",
      text: /dz must have the shape of a convolution .*, \[2, 4, 3, 3\], got \[1, 4, 3, 3\]/,
    },
    {
      in: { x: [2, 3, 5, 4], dz: [2, 4, 3, 3] },
      attrs: { ...plain, filterShape: [3, 2] },
      code: "CF_BAD_ATTRIBUTE",
      text: /filterShape must be four sizes/,
    },
  ],
})

function requireFour(name: string, shape: Shape): void {
  if (shape.length !== 4) fail("CF_BAD_ATTRIBUTE", `${name} must be four sizes, got ${shape.length}`)
}
