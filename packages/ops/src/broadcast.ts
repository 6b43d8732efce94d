// broadcastTo and its adjoint, the sum: the only place where broadcasting meets gradients.

import { fail, formatShape, sameDim, type Shape, site, unifyDims, type Variable } from "@counterflow/ir"
import { requireSizes } from "./creation.ts"
import { primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { reduceSum } from "./reduction.ts"
import { reshapeTo } from "./reshape.ts"
import { stretchedAxes } from "./shapes.ts"

/** x stretched to `shape`: axes of size 1 repeat, missing leading axes are added. */
export function broadcastTo(x: Variable, options: { shape: Shape }): Variable {
  return site(broadcastTo, () => {
    requireSizes(options.shape, "broadcastTo")
    return emit(broadcastToOp, { x }, { shape: options.shape }, broadcastTo, { suffix: "broadcast" }).z
  })
}

export const broadcastToOp = /*#__PURE__*/ primitive({
  name: "broadcastTo",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { shape: "dims" },
  infer: ({ x }, { shape }) => {
    const missing = shape.length - x.shape.length
    const why = () => `x of shape ${formatShape(x.shape)} cannot be broadcast to ${formatShape(shape)}`
    if (missing < 0) fail("CF_SHAPE_MISMATCH", why())
    x.shape.forEach((dim, axis) => {
      const wanted = shape[axis + missing]
      if (wanted !== undefined && !sameDim(dim, 1)) unifyDims(dim, wanted, why)
    })
    return { z: { shape, dtype: x.dtype } }
  },
  // forward   z[…, i, j] = x[…, 0 or i, j]
  // backward  dx = sum of dz over the stretched axes
  grad: ({ x }, _outputs, { z: dz }) => ({ x: sumTo(dz, x.shape) }),
  facts: { kind: "view", stretches: "x" },
})

export const broadcastToDoc = /*#__PURE__*/ describe(broadcastToOp, {
  summary: "A tensor stretched to a shape: axes of size 1 repeat, missing leading axes are added.",
  formula: "z[…, i, j] = x[…, i or 0, j]",
  source: "linear; the adjoint of copying is summing",
  samples: [
    { in: { x: [3] }, attrs: { shape: [2, 3] } },
    { in: { x: [2, 1] }, attrs: { shape: [4, 2, 3] } },
    { in: { x: [] }, attrs: { shape: [2, 2] } },
    { in: { x: [1, 2] }, attrs: { shape: [0, 2] } },
    { in: { x: { shape: [2, 1], dtype: "int32" } }, attrs: { shape: [2, 3] } },
  ],
  errorSamples: [
    {
      in: { x: [2, 3] },
      attrs: { shape: [3] },
      code: "CF_SHAPE_MISMATCH",
      text: /\[2, 3\] cannot be broadcast to \[3\]/,
    },
    { in: { x: [2] }, attrs: { shape: [4, 3] }, code: "CF_SHAPE_MISMATCH", text: /cannot be broadcast to \[4, 3\]/ },
  ],
  tolerance: 0,
})

/** The adjoint of broadcasting: x summed over the axes along which `shape` is stretched to reach it. */
export function sumTo(x: Variable, shape: Shape): Variable {
  return site(sumTo, () => {
    const axis = stretchedAxes(shape, x.shape)
    return reshapeTo(axis.length === 0 ? x : reduceSum(x, { axis }), shape)
  })
}
