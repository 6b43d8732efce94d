// Mean pooling and its adjoint: two linear ops, each the gradient of the other.

import { fail, formatShape, type Shape, unifyShapes, type Variable } from "@counterflow/ir"
import { primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { type PoolAttrs, pooledShape, poolFlops, poolSignature, requireImage, requireWindows } from "./pooling-shape.ts"
import { shapeOf } from "./window.ts"

export interface MeanPoolAttrs extends PoolAttrs {
  /** Divide by the number of elements of the image in the window, not by the area of the window. */
  readonly exclusive: boolean
}

const signature = { ...poolSignature, exclusive: "bool" } as const

/** The mean of each window of x [n, c, h, w]; a window in padding altogether gives 0. `pool2d` is the usual way here. */
export function avgPool2d(x: Variable, attrs: MeanPoolAttrs): Variable {
  return emit(avgPool2dOp, { x }, pick(attrs), avgPool2d).z
}

// A convolution with a constant filter would divide windows at the edge by the wrong count and multiply where adding does.
export const avgPool2dOp = /*#__PURE__*/ primitive({
  name: "avgPool2d",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: signature,
  infer: ({ x }, attrs) => {
    requireImage("x", x)
    const shape = pooledShape(x.shape, attrs)
    requireWindows(x.shape, shape, attrs)
    return { z: { shape, dtype: x.dtype } }
  },
  // forward   z[i, j] = Σ x / count over the window of (i, j)
  // backward  dx[y, x] = Σ dz[i, j] / count over the windows that hold (y, x)
  grad: ({ x }, _outputs, { z: dz }, attrs) => ({ x: avgPool2dInputGrad(dz, { ...attrs, inputShape: x.shape }) }),
  facts: { kind: "opaque", flops: ({ x }, { z }, attrs) => poolFlops(shapeOf(x), shapeOf(z), attrs) },
})

const plain = {
  poolSize: [2, 2],
  poolStride: [2, 2],
  poolPadding: [0, 0, 0, 0],
  ceilMode: false,
  adaptive: false,
  exclusive: true,
}

export const avgPool2dDoc = /*#__PURE__*/ describe(avgPool2dOp, {
  summary: "Mean of each window of images [n, c, h, w].",
  formula: "z[b, c, i, j] = Σ x[b, c, i·s − t + p, j·s − l + q] / count over the window's p, q",
  source: "Fluid 1.8, pool2d",
  samples: [
    { in: { x: [2, 3, 4, 6] }, attrs: plain },
    { in: { x: [1, 2, 5, 4] }, attrs: { ...plain, poolSize: [3, 2], poolStride: [1, 1], poolPadding: [1, 1, 0, 1] } },
    {
      in: { x: [1, 2, 5, 4] },
      attrs: {
        ...plain,
        poolSize: [3, 2],
        poolStride: [2, 1],
        poolPadding: [1, 1, 0, 1],
        ceilMode: true,
        exclusive: false,
      },
      note: "padding counts",
    },
    {
      in: { x: [1, 1, 3, 4] },
      attrs: { ...plain, poolSize: [1, 1], poolStride: [3, 3], ceilMode: true },
      note: "the last row of windows lies outside: 0",
    },
    { in: { x: [2, 2, 5, 7] }, attrs: { ...plain, poolSize: [3, 2], adaptive: true } },
    { in: { x: [2, 1, 1, 3] }, attrs: { ...plain, poolSize: [1, 1], poolStride: [1, 1] } },
    { in: { x: [0, 2, 4, 4] }, attrs: plain },
  ],
  errorSamples: [
    { in: { x: [2, 4, 4] }, attrs: plain, code: "CF_SHAPE_MISMATCH", text: /x must have rank 4/ },
    {
      in: { x: [1, 1, 4, 1] },
      attrs: plain,
      code: "CF_SHAPE_MISMATCH",
      text: /a window of width 2 finds no place in x of width 1/,
    },
    {
      in: { x: { shape: [1, 1, 4, 4], dtype: "int32" } },
      attrs: plain,
      code: "CF_DTYPE_MISMATCH",
      text: /x must be float32 or float64/,
    },
    {
      in: { x: [1, 1, 4, 4] },
      attrs: { ...plain, poolPadding: [1, 1] },
      code: "CF_BAD_ATTRIBUTE",
      text: /poolPadding must be 4 integers/,
    },
  ],
})

/** The adjoint of `avgPool2d`: dz [n, c, oh, ow], divided by the count of its window, spread over a result of `inputShape`. */
export function avgPool2dInputGrad(dz: Variable, options: MeanPoolAttrs & { readonly inputShape: Shape }): Variable {
  return emit(avgPool2dInputGradOp, { dz }, { ...pick(options), inputShape: options.inputShape }, avgPool2dInputGrad).dx
}

// Written with pads and adds it would be a chain of poolHeight · poolWidth copies of dx.
export const avgPool2dInputGradOp = /*#__PURE__*/ primitive({
  name: "avgPool2dInputGrad",
  inputs: { dz: "tensor" },
  outputs: ["dx"],
  attrs: { ...signature, inputShape: "dims" },
  infer: ({ dz }, { inputShape, ...attrs }) => {
    requireImage("dz", dz)
    if (inputShape.length !== 4) fail("CF_BAD_ATTRIBUTE", `inputShape must be four sizes, got ${inputShape.length}`)
    const z = pooledShape(inputShape, attrs)
    unifyShapes(dz.shape, z, () => {
      return `dz must have the shape that pooling ${formatShape(inputShape)} gives, ${formatShape(z)}, got ${formatShape(dz.shape)}`
    })
    return { dx: { shape: inputShape, dtype: dz.dtype } }
  },
  // forward   dx[y, x] = Σ dz[i, j] / count over the windows that hold (y, x)
  // backward  ddz[i, j] = Σ ddx / count over the window of (i, j)
  grad: (_inputs, _outputs, { dx: ddx }, attrs) => ({ dz: avgPool2d(ddx, attrs) }),
  facts: { kind: "opaque", flops: ({ dz }, { dx }, attrs) => poolFlops(shapeOf(dx), shapeOf(dz), attrs) },
})

export const avgPool2dInputGradDoc = /*#__PURE__*/ describe(avgPool2dInputGradOp, {
  summary: "Gradient of mean pooling: each element spread evenly over its window.",
  formula: "dx[b, c, y, x] = Σ dz[b, c, i, j] / count over the windows (i, j) that hold (y, x)",
  source: "the adjoint of a linear map",
  samples: [
    { in: { dz: [2, 3, 2, 3] }, attrs: { ...plain, inputShape: [2, 3, 4, 6] } },
    {
      in: { dz: [1, 2, 5, 4] },
      attrs: { ...plain, poolSize: [3, 2], poolStride: [1, 1], poolPadding: [1, 1, 0, 1], inputShape: [1, 2, 5, 4] },
    },
    { in: { dz: [2, 2, 3, 2] }, attrs: { ...plain, poolSize: [3, 2], adaptive: true, inputShape: [2, 2, 5, 7] } },
    {
      in: { dz: [1, 1, 2, 2] },
      attrs: {
        ...plain,
        poolSize: [1, 1],
        poolStride: [3, 3],
        ceilMode: true,
        exclusive: false,
        inputShape: [1, 1, 3, 4],
      },
    },
    { in: { dz: [0, 2, 2, 2] }, attrs: { ...plain, inputShape: [0, 2, 4, 4] } },
  ],
  errorSamples: [
    {
      in: { dz: [1, 1, 2, 2] },
      attrs: { ...plain, inputShape: [1, 1, 4, 6] },
      code: "CF_SHAPE_MISMATCH",
      text: /dz must have the shape that pooling \[1, 1, 4, 6\] gives/,
    },
    {
      in: { dz: [1, 1, 2, 2] },
      attrs: { ...plain, inputShape: [4, 4] },
      code: "CF_BAD_ATTRIBUTE",
      text: /inputShape must be four sizes/,
    },
  ],
})

function pick({ poolSize, poolStride, poolPadding, ceilMode, adaptive, exclusive }: MeanPoolAttrs): MeanPoolAttrs {
  return { poolSize, poolStride, poolPadding, ceilMode, adaptive, exclusive }
}
