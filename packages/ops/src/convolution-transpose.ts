// The transposed convolution: the adjoint of a convolution used in forward direction, to enlarge images.

import {
  addDims,
  type Dim,
  fail,
  floorDivDims,
  formatDim,
  mulDims,
  type Shape,
  site,
  subDims,
  unifyDims,
  type Variable,
} from "@counterflow/ir"
import { conv2d, conv2dFilterGrad, conv2dInputGrad } from "./convolution.ts"
import {
  checkFilters,
  convAttrs,
  type Conv2dOptions,
  convSignature,
  geometryOf,
  requireImages,
} from "./convolution-shape.ts"
import { composite } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { checkSizes, type Geometry, imageSize, resolvePair } from "./window.ts"

export interface Conv2dTransposeOptions extends Conv2dOptions {
  /**
   * Height and width of the result, one number for both. A convolution with stride s maps s sizes to one, so there is a
   * choice; unless said, the smallest.
   */
  outputSize?: Dim | readonly Dim[] | null
}

/**
 * Transposed convolution of images x [n, c, h, w] with filters w [c, out/groups, kh, kw]: the adjoint of `conv2d` with the same
 * filters and options. The result is [n, out, oh, ow] with oh = (h − 1)·stride − top − bottom + dilation·(kh − 1) + 1, or up
 * to stride − 1 more if `outputSize` says so; with padding "same" oh = h·stride.
 */
export function conv2dTranspose(x: Variable, w: Variable, options: Conv2dTransposeOptions = {}): Variable {
  return site(conv2dTranspose, () => {
    const { outputSize = null, ...rest } = options
    const given = outputSize === null ? null : sizePair(outputSize)
    const [height, width] = imageSize(x.shape)
    const [down, across] = resolvePair(rest.stride ?? 1, "stride", "conv2dTranspose")
    // "same" pads the larger image, whose size is then known; any other padding is known first.
    const stretched: [Dim, Dim] = [mulDims(height, down), mulDims(width, across)]
    const attrs = convAttrs(rest, given ?? stretched, w.shape, "conv2dTranspose")
    const isSame = typeof rest.padding === "string" && rest.padding.toLowerCase() === "same"
    const usual = () => (isSame ? stretched : smallestSize(geometryOf(x.shape, w.shape, attrs), attrs.padding))
    return emit(conv2dTransposeOp, { x, w }, { ...attrs, outputSize: given ?? usual() }, conv2dTranspose).z
  })
}

function sizePair(size: Dim | readonly Dim[]): [Dim, Dim] {
  if (!isList(size)) return [size, size]
  const [height, width = height, ...rest] = size
  if (height === undefined || width === undefined || rest.length > 0) {
    return fail("CF_BAD_ATTRIBUTE", `outputSize must be a size or two, got ${size.length}`, { op: "conv2dTranspose" })
  }
  return [height, width]
}

function isList(size: Dim | readonly Dim[]): size is readonly Dim[] {
  return Array.isArray(size)
}

/** The smallest image that the convolution maps to one of this size. */
function smallestSize({ size, span, stride }: Geometry, padding: Shape): [Dim, Dim] {
  const along = (axis: 0 | 1) => {
    const pads = addDims(padding[2 * axis] ?? 0, padding[2 * axis + 1] ?? 0)
    return subDims(addDims(mulDims(subDims(size[axis], 1), stride[axis] ?? 1), span[axis]), pads)
  }
  return [along(0), along(1)]
}

export const conv2dTransposeOp = /*#__PURE__*/ composite({
  name: "conv2dTranspose",
  inputs: { x: "tensor", w: "tensor" },
  outputs: ["z"],
  attrs: { ...convSignature, outputSize: "dims" },
  infer: ({ x, w }, { outputSize, ...attrs }) => {
    requireImages({ x, w })
    checkSizes("outputSize", outputSize, 2, 1)
    const z = enlargedShape(x.shape, w.shape, attrs.groups, outputSize)
    checkFilters(z, w.shape, attrs)
    unifyDims(x.shape[1] ?? 0, w.shape[0] ?? 0, () => {
      return `x has ${formatDim(x.shape[1] ?? 0)} channels, filters w [c, out/groups, kh, kw] read ${formatDim(w.shape[0] ?? 0)}`
    })
    const least = smallestSize(geometryOf(x.shape, w.shape, attrs), attrs.padding)
    for (const axis of [0, 1] as const) {
      const step = attrs.stride[axis] ?? 1
      const excess = floorDivDims(subDims(outputSize[axis] ?? 1, least[axis]), step)
      unifyDims(excess, 0, () => {
        const range = `${formatDim(least[axis])} to ${formatDim(addDims(least[axis], step - 1))}`
        return `the ${axis === 0 ? "height" : "width"} of the result may be ${range}, got outputSize ${formatDim(outputSize[axis] ?? 1)}`
      })
    }
    return { z: { shape: z, dtype: x.dtype } }
  },
  // forward   z = adjoint of (· ∗ w) at x
  // backward  dx = dz ∗ w,  dw = adjoint of (dz ∗ ·) at x
  grad: ({ x, w }, _outputs, { z: dz }, { outputSize: _size, ...attrs }, { needs }) => ({
    x: needs("x") ? conv2d(dz, w, attrs) : null,
    w: needs("w") ? conv2dFilterGrad(dz, x, { ...attrs, filterShape: w.shape }) : null,
  }),
  decompose: ({ x, w }, { outputSize, ...attrs }) => ({
    z: conv2dInputGrad(x, w, { ...attrs, inputShape: enlargedShape(x.shape, w.shape, attrs.groups, outputSize) }),
  }),
})

function enlargedShape(x: Shape, filters: Shape, groups: number, [height = 1, width = 1]: Shape): Dim[] {
  return [x[0] ?? 0, mulDims(filters[1] ?? 0, groups), height, width]
}

const plain = { stride: [1, 1], padding: [0, 0, 0, 0], dilation: [1, 1], groups: 1 }

export const conv2dTransposeDoc = /*#__PURE__*/ describe(conv2dTransposeOp, {
  summary: "Transposed convolution of images [n, c, h, w] with filters [c, out/groups, kh, kw].",
  formula: "⟨z, v⟩ = ⟨x, conv2d(v, w)⟩ for every v",
  source:
    "Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016), chapter 4; Fluid 1.8, conv2d_transpose",
  samples: [
    { in: { x: [2, 3, 2, 3], w: [3, 2, 3, 2] }, attrs: { ...plain, outputSize: [4, 4] } },
    {
      in: { x: [1, 2, 3, 2], w: [2, 1, 2, 3] },
      attrs: { stride: [2, 3], padding: [1, 0, 0, 1], dilation: [1, 2], groups: 1, outputSize: [6, 7] },
      note: "a height one more than the smallest",
    },
    { in: { x: [1, 4, 2, 2], w: [4, 3, 2, 2] }, attrs: { ...plain, stride: [2, 2], groups: 2, outputSize: [4, 4] } },
    { in: { x: [0, 2, 3, 3], w: [2, 2, 2, 2] }, attrs: { ...plain, outputSize: [4, 4] } },
  ],
  errorSamples: [
    {
      in: { x: [2, 3, 2, 3], w: [2, 3, 3, 2] },
      attrs: { ...plain, outputSize: [4, 4] },
      code: "CF_SHAPE_MISMATCH",
      text: /x has 3 channels, filters .* read 2/,
    },
    {
      in: { x: [2, 3, 2, 3], w: [3, 2, 3, 2] },
      attrs: { ...plain, outputSize: [5, 4] },
      code: "CF_SHAPE_MISMATCH",
      text: /the height of the result may be 4 to 4, got outputSize 5/,
    },
    {
      in: { x: [1, 1, 1, 1], w: [1, 1, 1, 1] },
      attrs: { ...plain, padding: [1, 1, 1, 1], outputSize: [-1, -1] },
      code: "CF_BAD_ATTRIBUTE",
      text: /outputSize must be 2 integers of at least 1/,
    },
    {
      in: { x: [3, 2, 3], w: [3, 2, 3, 2] },
      attrs: { ...plain, outputSize: [4, 4] },
      code: "CF_SHAPE_MISMATCH",
      text: /x must have rank 4/,
    },
  ],
})
