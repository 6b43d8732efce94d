// Matrix products, batched and transposed.

import {
  type Dim,
  fail,
  formatShape,
  mulDims,
  sameShape,
  type Shape,
  site,
  type TensorType,
  unifyDims,
  unifyShapes,
  type Variable,
  numel,
} from "@counterflow/ir"
import { composite, primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { broadcastTo } from "./broadcast.ts"
import { reshapeTo } from "./reshape.ts"
import { broadcastShapes, requireFloat } from "./shapes.ts"

export interface MatmulOptions {
  transposeX?: boolean
  transposeY?: boolean
  alpha?: number
}

/**
 * z = α · op(x) op(y), where op transposes the last two axes if asked. Leading axes are a batch and broadcast; a vector counts
 * as one row (x) or one column (y), as in NumPy.
 */
export function matmul(x: Variable, y: Variable, options: MatmulOptions = {}): Variable {
  const { transposeX = false, transposeY = false, alpha = 1 } = options
  return site(matmul, () => {
    const product = (a: Variable, b: Variable) =>
      emit(matmulOp, { x: a, y: b }, { transposeX, transposeY, alpha }, matmul).z
    if (x.shape.length === 0 || y.shape.length === 0) return product(x, y)
    if (x.shape.length === 1 || y.shape.length === 1) return withVectors(x, y, options)
    const [bx, by] = [x.shape.slice(0, -2), y.shape.slice(0, -2)]
    if (sameShape(bx, by)) return product(x, y)
    if (by.length === 0 && !transposeX) {
      // A shared matrix: one large product instead of a batch of small ones with a broadcast matrix.
      const rows = reshapeTo(x, [numel(x.shape.slice(0, -1)), ...x.shape.slice(-1)])
      const z = product(rows, y)
      return reshapeTo(z, [...x.shape.slice(0, -1), ...z.shape.slice(-1)])
    }
    const batch = broadcastShapes([bx, by])
    const stretch = (v: Variable, own: Shape) =>
      sameShape(own, batch) ? v : broadcastTo(v, { shape: [...batch, ...v.shape.slice(-2)] })
    return product(stretch(x, bx), stretch(y, by))
  })
}

function withVectors(x: Variable, y: Variable, options: MatmulOptions): Variable {
  const row = x.shape.length === 1
  const column = y.shape.length === 1
  const rows = row ? reshapeTo(x, [1, ...x.shape]) : x
  const columns = column ? reshapeTo(y, [...y.shape, 1]) : y
  const z = matmul(rows, columns, {
    alpha: options.alpha ?? 1,
    transposeX: !row && (options.transposeX ?? false),
    transposeY: !column && (options.transposeY ?? false),
  })
  const shape = z.shape.filter(
    (_, axis) => !(row && axis === z.shape.length - 2) && !(column && axis === z.shape.length - 1),
  )
  return reshapeTo(z, shape)
}

export const matmulOp = /*#__PURE__*/ primitive({
  name: "matmul",
  inputs: { x: "tensor", y: "tensor" },
  outputs: ["z"],
  attrs: { transposeX: "bool", transposeY: "bool", alpha: "number" },
  infer: ({ x, y }, { transposeX, transposeY }) => {
    if (x.dtype !== y.dtype) fail("CF_DTYPE_MISMATCH", `x and y must have one dtype, got ${x.dtype} and ${y.dtype}`)
    if (x.shape.length < 2 || x.shape.length !== y.shape.length) {
      fail("CF_SHAPE_MISMATCH", `x and y must be matrices or equal batches of them`)
    }
    const [m, k] = matrix(x, transposeX)
    const [k2, n] = matrix(y, transposeY)
    unifyDims(
      k,
      k2,
      () => `x has ${String(k)} columns where y has ${String(k2)} rows${transposed(transposeX, transposeY)}`,
    )
    const batch = unifyShapes(x.shape.slice(0, -2), y.shape.slice(0, -2), () => "the batch dimensions must be equal")
    return { z: { shape: [...batch, m, n], dtype: x.dtype } }
  },
  // forward   Z = α op(X) op(Y)
  // backward  d op(X) = α dZ op(Y)ᵀ,  d op(Y) = α op(X)ᵀ dZ
  grad: ({ x, y }, _outputs, { z: dz }, { transposeX: tx, transposeY: ty, alpha }, { needs }) => ({
    x: !needs("x")
      ? null
      : tx
        ? matmul(y, dz, { transposeX: ty, transposeY: true, alpha })
        : matmul(dz, y, { transposeY: !ty, alpha }),
    y: !needs("y")
      ? null
      : ty
        ? matmul(dz, x, { transposeX: true, transposeY: tx, alpha })
        : matmul(x, dz, { transposeX: !tx, alpha }),
  }),
  facts: {
    kind: "contract",
    flops: ({ x }, { z }, { transposeX }) => mulDims(2, numel(one(z).shape), matrix(one(x), transposeX === true)[1]),
    addsAlong: ({ transposeX, transposeY }) => ({ x: transposeX === true ? -2 : -1, y: transposeY === true ? -1 : -2 }),
  },
})

function one(type: TensorType | readonly TensorType[] | undefined): TensorType {
  return type === undefined || Array.isArray(type)
    ? fail("CF_INTERNAL", "a single tensor was expected")
    : (type as TensorType)
}

/** Rows and columns of op(x). */
function matrix({ shape }: TensorType, transpose: boolean): [Dim, Dim] {
  const [rows = 1, columns = 1] = shape.slice(-2)
  return transpose ? [columns, rows] : [rows, columns]
}

function transposed(x: boolean, y: boolean): string {
  return x || y
    ? ` (after transposing ${[x ? "x" : "", y ? "y" : ""].filter((name) => name !== "").join(" and ")})`
    : ""
}

export const matmulDoc = /*#__PURE__*/ describe(matmulOp, {
  summary: "Matrix product of the last two axes, batched over the leading ones.",
  formula: "z = α · op(x) op(y)",
  source: "Giles, An extended collection of matrix derivative results (2008), 2.2.2",
  samples: [
    { in: { x: [2, 3], y: [3, 4] }, attrs: { transposeX: false, transposeY: false, alpha: 1 } },
    { in: { x: [3, 2], y: [4, 3] }, attrs: { transposeX: true, transposeY: true, alpha: 0.5 } },
    { in: { x: [2, 2, 3], y: [2, 3, 1] }, attrs: { transposeX: false, transposeY: false, alpha: 1 } },
    { in: { x: [3, 2, 4], y: [3, 2, 4] }, attrs: { transposeX: false, transposeY: true, alpha: 1 } },
    {
      in: { x: [2, 0], y: [0, 3] },
      attrs: { transposeX: false, transposeY: false, alpha: 1 },
      note: "an empty sum is 0",
    },
  ],
  errorSamples: [
    {
      in: { x: [2, 3], y: [4, 5] },
      attrs: { transposeX: false, transposeY: false, alpha: 1 },
      code: "CF_SHAPE_MISMATCH",
      text: /x has 3 columns where y has 4 rows/,
    },
  ],
})

/** Fluid's `mul`: x flattened to a matrix after `xNumColDims` axes, y after `yNumColDims`, multiplied. */
export function flattenMatmul(
  x: Variable,
  y: Variable,
  options: { xNumColDims?: number; yNumColDims?: number } = {},
): Variable {
  const { xNumColDims = 1, yNumColDims = 1 } = options
  return emit(flattenMatmulOp, { x, y }, { xNumColDims, yNumColDims }, flattenMatmul).z
}

export const flattenMatmulOp = /*#__PURE__*/ composite({
  name: "flattenMatmul",
  inputs: { x: "tensor", y: "tensor" },
  outputs: ["z"],
  attrs: { xNumColDims: "int", yNumColDims: "int" },
  infer: ({ x, y }, { xNumColDims, yNumColDims }) => {
    requireFloat("x", x)
    if (x.dtype !== y.dtype) fail("CF_DTYPE_MISMATCH", `x and y must have one dtype, got ${x.dtype} and ${y.dtype}`)
    const [k, k2] = [numel(x.shape.slice(xNumColDims)), numel(y.shape.slice(0, yNumColDims))]
    unifyDims(
      k,
      k2,
      () =>
        `x = ${formatShape(x.shape)} flattens to ${String(k)} columns, y = ${formatShape(y.shape)} to ${String(k2)} rows`,
    )
    return { z: { shape: [...x.shape.slice(0, xNumColDims), ...y.shape.slice(yNumColDims)], dtype: x.dtype } }
  },
  // forward   Z = X Y on the flattened matrices
  // backward  dX = dZ Yᵀ,  dY = Xᵀ dZ
  grad: ({ x, y }, _outputs, { z: dz }, { xNumColDims, yNumColDims }, { needs }) => {
    const d = flatten2(dz, xNumColDims)
    return {
      x: needs("x") ? reshapeTo(matmul(d, flatten2(y, yNumColDims), { transposeY: true }), x.shape) : null,
      y: needs("y") ? reshapeTo(matmul(flatten2(x, xNumColDims), d, { transposeX: true }), y.shape) : null,
    }
  },
  decompose: ({ x, y }, { xNumColDims, yNumColDims }) => {
    const product = matmul(flatten2(x, xNumColDims), flatten2(y, yNumColDims))
    return { z: reshapeTo(product, [...x.shape.slice(0, xNumColDims), ...y.shape.slice(yNumColDims)]) }
  },
})

function flatten2(x: Variable, axis: number): Variable {
  return reshapeTo(x, [numel(x.shape.slice(0, axis)), numel(x.shape.slice(axis))])
}

export const flattenMatmulDoc = /*#__PURE__*/ describe(flattenMatmulOp, {
  summary: "Matrix product of two tensors flattened to matrices: the core of fc.",
  formula: "z = flatten(x) flatten(y)",
  source: "Fluid 1.8, mul",
  samples: [
    { in: { x: [2, 3], y: [3, 4] }, attrs: { xNumColDims: 1, yNumColDims: 1 } },
    { in: { x: [2, 3, 2], y: [3, 2, 4] }, attrs: { xNumColDims: 1, yNumColDims: 2 } },
    { in: { x: [2, 2, 3], y: [3, 1] }, attrs: { xNumColDims: 2, yNumColDims: 1 } },
  ],
})
