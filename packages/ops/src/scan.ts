// Ops along one axis whose result has an element for each element: running sums, products of the others.

import { numel, site, type Variable } from "@counterflow/ir"
import { mul } from "./arithmetic.ts"
import { broadcastTo } from "./broadcast.ts"
import { where } from "./comparison.ts"
import { eye } from "./creation.ts"
import { primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { transpose, unsqueeze } from "./movement.ts"
import { reduceSum } from "./reduction.ts"
import { reshapeTo } from "./reshape.ts"
import { numericDTypes, requireDType, requireFloat, requireRank, resolveAxes, resolveAxis } from "./shapes.ts"

/** z_k = x_0 + … + x_k along an axis. `exclusive` leaves x_k out; `reverse` sums from the end. */
export function cumsum(x: Variable, options: { axis?: number; exclusive?: boolean; reverse?: boolean } = {}): Variable {
  return site(cumsum, () => {
    const { axis = -1, exclusive = false, reverse = false } = options
    return emit(cumsumOp, { x }, { axis: resolveAxis(axis, x.shape.length, "cumsum"), exclusive, reverse }, cumsum).z
  })
}

/** Primitive: as a product with a triangular matrix it would cost n² for n elements. */
export const cumsumOp = /*#__PURE__*/ primitive({
  name: "cumsum",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axis: "int", exclusive: "bool", reverse: "bool" },
  infer: ({ x }) => {
    requireDType("x", x, numericDTypes)
    return { z: x }
  },
  // forward   z_k = Σ_{j≤k} x_j
  // backward  dx_j = Σ_{k≥j} dz_k
  grad: (_inputs, _outputs, { z: dz }, { axis, exclusive, reverse }) => ({
    x: cumsum(dz, { axis, exclusive, reverse: !reverse }),
  }),
  facts: { kind: "opaque" },
})

export const cumsumDoc = /*#__PURE__*/ describe(cumsumOp, {
  summary: "Running sum along an axis.",
  formula: "z_k = Σ_{j≤k} x_j",
  source: "linear; the adjoint sums from the other end",
  samples: [
    { in: { x: [2, 3] }, attrs: { axis: 1, exclusive: false, reverse: false } },
    { in: { x: [3, 1, 2] }, attrs: { axis: 0, exclusive: true, reverse: false } },
    { in: { x: [2, 4, 3] }, attrs: { axis: 1, exclusive: false, reverse: true } },
    { in: { x: [4] }, attrs: { axis: 0, exclusive: true, reverse: true } },
    { in: { x: [2, 0] }, attrs: { axis: 1, exclusive: false, reverse: false } },
    { in: { x: { shape: [2, 3], dtype: "int64" } }, attrs: { axis: 1, exclusive: false, reverse: false } },
  ],
  errorSamples: [
    {
      in: { x: { shape: [2], dtype: "bool" } },
      attrs: { axis: 0, exclusive: false, reverse: false },
      code: "CF_DTYPE_MISMATCH",
      text: /x must be float32 or .* got bool/,
    },
  ],
})

/** z_k = Π_{j≠k} x_j along an axis, or several, without division: the gradient of a product. */
export function productOfOthers(x: Variable, options: { axis: number | readonly number[] }): Variable {
  return site(productOfOthers, () => {
    const axes = resolveAxes(options.axis, x.shape.length, "productOfOthers")
    const [axis = 0] = axes
    if (axes.length === 1) return emit(productOfOthersOp, { x }, { axis }, productOfOthers).z
    // Several axes become one, at the end.
    const kept = x.shape.flatMap((_, i) => (axes.includes(i) ? [] : [i]))
    const perm = [...kept, ...axes]
    const sizes = (of: readonly number[]) => of.map((i) => x.shape[i] ?? 1)
    const moved = transpose(x, { perm })
    const lanes = reshapeTo(moved, [...sizes(kept), numel(sizes(axes))])
    const others = reshapeTo(productOfOthers(lanes, { axis: kept.length }), moved.shape)
    return transpose(others, { perm: perm.map((_, i) => perm.indexOf(i)) })
  })
}

/** Primitive: a quotient fails at zeros, products of all pairs cost n², and doubling prefixes needs a size known in advance. */
export const productOfOthersOp = /*#__PURE__*/ primitive({
  name: "productOfOthers",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axis: "int" },
  infer: ({ x }) => {
    requireFloat("x", x)
    requireRank("x", x, [1, Infinity])
    return { z: x }
  },
  // forward   z_k = Π_{j≠k} x_j, the product of row k of X, which is x with a 1 in place k
  // backward  dx_j = Σ_{k≠j} dz_k Π_{i≠j,k} x_i = Σ_{k≠j} dz_k · (product of the others in row k of X)_j
  grad: ({ x }, _outputs, { z: dz }, { axis }) => {
    const n = x.shape[axis] ?? 1
    const square = [...x.shape.slice(0, axis), n, ...x.shape.slice(axis)]
    const spread = (v: Variable, at: number) => broadcastTo(unsqueeze(v, { axes: at }), { shape: square })
    const own = spreadMatrix(eye({ numRows: n, dtype: "bool", program: x.program }), axis, square)
    const rows = where(own, 1, spread(x, axis))
    const terms = where(own, 0, mul(spread(dz, axis + 1), productOfOthers(rows, { axis: axis + 1 })))
    return { x: reduceSum(terms, { axis: [axis] }) }
  },
  facts: { kind: "opaque" },
})

/** A matrix repeated along all axes of `shape` but `axis` and the next one. */
function spreadMatrix(matrix: Variable, axis: number, shape: Variable["shape"]): Variable {
  const behind = Array.from({ length: shape.length - axis - 2 }, (_, i) => i + 2)
  return broadcastTo(behind.length === 0 ? matrix : unsqueeze(matrix, { axes: behind }), { shape })
}

export const productOfOthersDoc = /*#__PURE__*/ describe(productOfOthersOp, {
  summary: "For each element along an axis, the product of the others.",
  formula: "z_k = Π_{j≠k} x_j",
  source: "prefix times suffix products",
  samples: [
    { in: { x: [2, 3] }, attrs: { axis: 1 } },
    { in: { x: [3, 1, 2] }, attrs: { axis: 0 } },
    { in: { x: { shape: [4], values: [1.5, 0, -0.5, 2] } }, attrs: { axis: 0 }, note: "one zero" },
    { in: { x: [2, 1] }, attrs: { axis: 1 }, note: "no others: 1" },
    { in: { x: [0, 2] }, attrs: { axis: 0 } },
  ],
  errorSamples: [
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { axis: 0 },
      code: "CF_DTYPE_MISMATCH",
      text: /float32 or float64, got int32/,
    },
  ],
})
