// Max pooling: the largest elements and where they were found. What the gradient needs is the places alone: it scatters to
// them, the gradient of that gathers from them, and so on for any order.

import {
  fail,
  formatDim,
  formatShape,
  numel,
  type Shape,
  type TensorType,
  unifyShapes,
  type Variable,
} from "@counterflow/ir"
import { primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { type PoolAttrs, pooledShape, poolFlops, poolSignature, requireImage, requireWindows } from "./pooling-shape.ts"
import { requireDType } from "./shapes.ts"
import { shapeOf } from "./window.ts"

/**
 * The largest element z of each window of x [n, c, h, w], and its index: row · w + column in its h × w plane, int32; of equal
 * elements the first. A window in padding altogether has z = 0 and index −1. `pool2d` is the usual way here.
 */
export function maxPool2d(
  x: Variable,
  { poolSize, poolStride, poolPadding, ceilMode, adaptive }: PoolAttrs,
): PooledMax {
  return emit(maxPool2dOp, { x }, { poolSize, poolStride, poolPadding, ceilMode, adaptive }, maxPool2d)
}

export interface PooledMax {
  readonly z: Variable
  readonly index: Variable
}

// Written with slices and maxima it would be a chain of poolHeight · poolWidth copies of x.
export const maxPool2dOp = /*#__PURE__*/ primitive({
  name: "maxPool2d",
  inputs: { x: "tensor" },
  outputs: ["z", "index"],
  attrs: poolSignature,
  infer: ({ x }, attrs) => {
    requireImage("x", x)
    const shape = pooledShape(x.shape, attrs)
    requireWindows(x.shape, shape, attrs)
    return { z: { shape, dtype: x.dtype }, index: { shape, dtype: "int32" } }
  },
  // forward   z = x[index],  index = the place of the largest element of the window
  // backward  dx[index] = dz, summed where windows share their maximum
  grad: ({ x }, { index }, { z: dz }) => ({ x: dz === null ? null : poolScatter(dz, index, { inputShape: x.shape }) }),
  facts: { kind: "opaque", flops: ({ x }, { z }, attrs) => poolFlops(shapeOf(x), shapeOf(z), attrs) },
})

const plain = { poolSize: [2, 2], poolStride: [2, 2], poolPadding: [0, 0, 0, 0], ceilMode: false, adaptive: false }
const separated = { low: -5, high: 5, separated: 0.02 }

export const maxPool2dDoc = /*#__PURE__*/ describe(maxPool2dOp, {
  summary: "Largest element of each window of images [n, c, h, w], and its place in the plane.",
  formula: "z[b, c, i, j] = max x[b, c, i·s − t + p, j·s − l + q] over the window's p, q",
  source: "Fluid 1.8, pool2d",
  policy: "of equal elements the first, row by row, gets the gradient",
  samples: [
    { in: { x: { shape: [2, 3, 4, 6], domain: separated } }, attrs: plain },
    {
      in: { x: { shape: [1, 2, 5, 4], domain: separated } },
      attrs: { ...plain, poolSize: [3, 2], poolStride: [1, 1], poolPadding: [1, 1, 0, 1] },
      note: "windows overlap, padding never wins",
    },
    {
      in: { x: { shape: [2, 1, 5, 5], domain: separated } },
      attrs: { ...plain, ceilMode: true },
      note: "clipped windows",
    },
    {
      in: { x: { shape: [1, 1, 3, 4], domain: separated } },
      attrs: { ...plain, poolSize: [1, 1], poolStride: [3, 3], ceilMode: true },
      note: "the last row of windows lies outside: 0",
    },
    { in: { x: { shape: [2, 2, 5, 7], domain: separated } }, attrs: { ...plain, poolSize: [3, 2], adaptive: true } },
    {
      in: { x: { shape: [2, 1, 1, 3], domain: separated } },
      attrs: { ...plain, poolSize: [1, 1], poolStride: [1, 1] },
    },
    { in: { x: [0, 2, 4, 4] }, attrs: plain },
  ],
  errorSamples: [
    { in: { x: [2, 4, 4] }, attrs: plain, code: "CF_SHAPE_MISMATCH", text: /x must have rank 4/ },
    {
      in: { x: [1, 1, 1, 4] },
      attrs: plain,
      code: "CF_SHAPE_MISMATCH",
      text: /a window of height 2 finds no place in x of height 1/,
    },
    {
      in: { x: { shape: [1, 1, 4, 4], dtype: "int32" } },
      attrs: plain,
      code: "CF_DTYPE_MISMATCH",
      text: /x must be float32 or float64/,
    },
    {
      in: { x: [1, 1, 4, 4] },
      attrs: { ...plain, poolSize: [0, 2] },
      code: "CF_BAD_ATTRIBUTE",
      text: /poolSize must be 2 integers/,
    },
    {
      in: { x: [1, 1, 4, 4] },
      attrs: { ...plain, poolStride: [2] },
      code: "CF_BAD_ATTRIBUTE",
      text: /poolStride must be 2 integers/,
    },
  ],
  tolerance: 0,
})

/**
 * Adds each element of dz [n, c, oh, ow] to the place that `index` names in its plane of a result of `inputShape`. An index
 * outside the plane names none. The gradient of `maxPool2d`.
 */
export function poolScatter(dz: Variable, index: Variable, options: { inputShape: Shape }): Variable {
  return emit(poolScatterOp, { dz, index }, { inputShape: options.inputShape }, poolScatter).dx
}

// With scatterAdd it would need the plane's offset added to every index and the windows without maximum masked: five more
// temporaries of the size of z, and indices to check that are right by construction.
export const poolScatterOp = /*#__PURE__*/ primitive({
  name: "poolScatter",
  inputs: { dz: "tensor", index: "index" },
  outputs: ["dx"],
  attrs: { inputShape: "dims" },
  infer: ({ dz, index }, { inputShape }) => {
    checkIndexed("dz", dz, index, inputShape)
    unifyShapes(dz.shape, index.shape, () => `dz and index must have equal shapes`)
    return { dx: { shape: inputShape, dtype: dz.dtype } }
  },
  // forward   dx[index] += dz
  // backward  ddz = ddx[index]
  grad: ({ index }, _outputs, { dx: ddx }) => ({ dz: poolGather(ddx, index) }),
  facts: { kind: "opaque", flops: ({ dz }) => numel(shapeOf(dz)) },
})

const places: readonly number[] = [0, 3, 5, -1, 7, 8, 2, 11]

export const poolScatterDoc = /*#__PURE__*/ describe(poolScatterOp, {
  summary: "Adds elements to given places of their h × w planes: the gradient of max pooling.",
  formula: "dx[b, c, index[b, c, i, j]] += dz[b, c, i, j]",
  source: "linear; the adjoint of gathering",
  samples: [
    {
      in: { dz: [1, 2, 2, 2], index: { shape: [1, 2, 2, 2], dtype: "int32", values: places } },
      attrs: { inputShape: [1, 2, 3, 4] },
      note: "index −1 adds nothing",
    },
    {
      in: { dz: [1, 1, 1, 3], index: { shape: [1, 1, 1, 3], dtype: "int32", values: [1, 1, 0] } },
      attrs: { inputShape: [1, 1, 1, 2] },
      note: "windows that share their maximum",
    },
    { in: { dz: [0, 1, 2, 2], index: { shape: [0, 1, 2, 2], dtype: "int32" } }, attrs: { inputShape: [0, 1, 4, 4] } },
  ],
  errorSamples: [
    {
      in: { dz: [1, 1, 2, 2], index: { shape: [1, 1, 2, 3], dtype: "int32" } },
      attrs: { inputShape: [1, 1, 4, 4] },
      code: "CF_SHAPE_MISMATCH",
      text: /dz and index must have equal shapes/,
    },
    {
      in: { dz: [1, 1, 2, 2], index: { shape: [1, 1, 2, 2], dtype: "int32" } },
      attrs: { inputShape: [1, 2, 4, 4] },
      code: "CF_SHAPE_MISMATCH",
      text: /planes of \[1, 2, 4, 4\]/,
    },
    {
      in: { dz: [1, 1, 2, 2], index: [1, 1, 2, 2] },
      attrs: { inputShape: [1, 1, 4, 4] },
      code: "CF_DTYPE_MISMATCH",
      text: /index must be int32/,
    },
    {
      in: { dz: [1, 1, 2, 2], index: { shape: [1, 1, 2, 2], dtype: "int32" } },
      attrs: { inputShape: [1, 1, 4] },
      code: "CF_BAD_ATTRIBUTE",
      text: /inputShape must be four sizes/,
    },
  ],
})

/** The elements of x [n, c, h, w] at the places that `index` [n, c, oh, ow] names in their planes; 0 for one outside the plane. */
export function poolGather(x: Variable, index: Variable): Variable {
  return emit(poolGatherOp, { x, index }, {}, poolGather).z
}

// The adjoint of poolScatter, primitive for the same reason.
export const poolGatherOp = /*#__PURE__*/ primitive({
  name: "poolGather",
  inputs: { x: "tensor", index: "index" },
  outputs: ["z"],
  infer: ({ x, index }) => {
    checkIndexed("x", x, index, x.shape)
    return { z: { shape: index.shape, dtype: x.dtype } }
  },
  // forward   z = x[index]
  // backward  dx[index] += dz
  grad: ({ x, index }, _outputs, { z: dz }) => ({ x: poolScatter(dz, index, { inputShape: x.shape }) }),
  facts: { kind: "opaque", flops: ({ index }) => numel(shapeOf(index)) },
})

export const poolGatherDoc = /*#__PURE__*/ describe(poolGatherOp, {
  summary: "Elements at given places of their h × w planes: max pooling with its maxima known.",
  formula: "z[b, c, i, j] = x[b, c, index[b, c, i, j]]",
  source: "linear; the adjoint of scattering",
  samples: [
    {
      in: { x: [1, 2, 3, 4], index: { shape: [1, 2, 2, 2], dtype: "int32", values: places } },
      note: "index −1 gives 0",
    },
    { in: { x: [1, 1, 1, 2], index: { shape: [1, 1, 1, 3], dtype: "int32", values: [1, 1, 0] } } },
    { in: { x: [0, 1, 4, 4], index: { shape: [0, 1, 2, 2], dtype: "int32" } } },
  ],
  errorSamples: [
    {
      in: { x: [2, 2, 4, 4], index: { shape: [2, 1, 2, 2], dtype: "int32" } },
      code: "CF_SHAPE_MISMATCH",
      text: /index of shape \[2, 1, 2, 2\] names places in 2 × 1 planes/,
    },
    { in: { x: [1, 1, 4, 4], index: [1, 1, 2, 2] }, code: "CF_DTYPE_MISMATCH", text: /index must be int32/ },
  ],
  tolerance: 0,
})

/** One index per pooled element, in as many planes as the image has. */
function checkIndexed(name: string, type: TensorType, index: TensorType, image: Shape): void {
  requireImage(name, type)
  requireDType("index", index, ["int32"])
  if (image.length !== 4) fail("CF_BAD_ATTRIBUTE", `inputShape must be four sizes, got ${image.length}`)
  unifyShapes(index.shape.slice(0, 2), image.slice(0, 2), () => {
    const planes = index.shape.slice(0, 2).map(formatDim).join(" × ")
    return `index of shape ${formatShape(index.shape)} names places in ${planes} planes, not in the planes of ${formatShape(image)}`
  })
}
