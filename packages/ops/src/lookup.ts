// Reading and writing at places that are data: `gatherNd` looks elements up, `scatterNdAdd`, its adjoint, adds them up.
// Places count from 0; a negative one, or one beyond its axis, is refused when the program runs (CF_INDEX_RANGE).

import {
  type DType,
  fail,
  formatShape,
  type Shape,
  type TensorType,
  unifyShapes,
  type Variable,
  site,
} from "@counterflow/ir"
import { requireSizes } from "./creation.ts"
import { primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { numericDTypes, requireDType } from "./shapes.ts"

export const indexDTypes: readonly DType[] = ["int32", "int64"]

/** x[index[…, 0], index[…, 1], …]: the last axis of `index` holds places along the leading axes of x. */
export function gatherNd(x: Variable, index: Variable): Variable {
  return emit(gatherNdOp, { x, index }, { axis: 0 }, gatherNd).z
}

/** The same along the axes from `axis` on. */
export function gatherNdAt(x: Variable, index: Variable, axis: number): Variable {
  return emit(gatherNdOp, { x, index }, { axis }, gatherNdAt).z
}

/** Primitive: what is read depends on values; nothing else looks elements up. */
export const gatherNdOp = /*#__PURE__*/ primitive({
  name: "gatherNd",
  inputs: { x: "tensor", index: "index" },
  outputs: ["z"],
  attrs: { axis: "int" },
  infer: ({ x, index }, { axis }) => {
    const depth = indexDepth(index, x.shape, axis)
    const shape = [...x.shape.slice(0, axis), ...index.shape.slice(0, -1), ...x.shape.slice(axis + depth)]
    return { z: { shape, dtype: x.dtype } }
  },
  // forward   z[o, i, r] = x[o, index[i, 0], index[i, 1], …, r]
  // backward  dx[o, index[i, 0], …, r] = Σ dz[o, i, r] over all i that name this place
  grad: ({ x, index }, _outputs, { z: dz }, { axis }) => ({ x: scatterNdAddTo(dz, index, x.shape, axis) }),
  facts: { kind: "gather", canFail: true },
})

/** How many axes an index names: the size of its last axis, which must be known. */
function indexDepth(index: TensorType, shape: Shape, axis: number): number {
  requireDType("index", index, indexDTypes)
  const depth = index.shape.at(-1)
  if (typeof depth !== "number")
    return fail("CF_SHAPE_MISMATCH", "index needs a last axis of known size, one place for each axis it indexes")
  if (axis + depth > shape.length) {
    fail(
      "CF_SHAPE_MISMATCH",
      `index names places along ${depth} axes, ${formatShape(shape)} has ${shape.length - axis} from axis ${axis} on`,
    )
  }
  return depth
}

export const gatherNdDoc = /*#__PURE__*/ describe(gatherNdOp, {
  summary: "Parts of a tensor looked up by the places that index holds in its last axis.",
  formula: "z[o, i, r] = x[o, index[i, 0], …, r]",
  source: "Fluid 1.8, gather_nd; `axis` leading axes are kept as they are",
  samples: [
    { in: { x: [3, 4], index: { shape: [5, 1], dtype: "int32", values: [2, 0, 0, 1, 2] } }, attrs: { axis: 0 } },
    { in: { x: [3, 4, 2], index: { shape: [3, 2], dtype: "int64", values: [0, 3, 2, 1, 0, 3] } }, attrs: { axis: 0 } },
    { in: { x: [2, 3, 2], index: { shape: [2, 2, 1], dtype: "int32", values: [2, 2, 0, 1] } }, attrs: { axis: 1 } },
    {
      in: { x: [2, 1], index: { shape: [2], dtype: "int32", values: [1, 0] } },
      attrs: { axis: 0 },
      note: "one element",
    },
    { in: { x: [2, 3], index: { shape: [0, 1], dtype: "int32" } }, attrs: { axis: 0 } },
    {
      in: { x: [2, 3], index: { shape: [2, 0], dtype: "int32" } },
      attrs: { axis: 0 },
      note: "no places: all of x, twice",
    },
  ],
  errorSamples: [
    {
      in: { x: [3], index: [2, 1] },
      attrs: { axis: 0 },
      code: "CF_DTYPE_MISMATCH",
      text: /index must be int32 or int64, got float/,
    },
    {
      in: { x: [3], index: { shape: [2, 2], dtype: "int32", values: [0, 0, 0, 0] } },
      attrs: { axis: 0 },
      code: "CF_SHAPE_MISMATCH",
      text: /places along 2 axes, \[3\] has 1/,
    },
    {
      in: { x: [3], index: { shape: [], dtype: "int32", values: [0] } },
      attrs: { axis: 0 },
      code: "CF_SHAPE_MISMATCH",
      text: /needs a last axis/,
    },
  ],
  tolerance: 0,
})

/** Zeros of `shape` with the updates added at the places that the last axis of `index` holds: the adjoint of `gatherNd`. */
export function scatterNdAdd(updates: Variable, index: Variable, options: { shape: Shape }): Variable {
  return site(scatterNdAdd, () => {
    requireSizes(options.shape, "scatterNdAdd")
    return emit(scatterNdAddOp, { updates, index }, { shape: [...options.shape], axis: 0 }, scatterNdAdd).z
  })
}

/** The same along the axes from `axis` on. */
export function scatterNdAddTo(updates: Variable, index: Variable, shape: Shape, axis: number): Variable {
  return emit(scatterNdAddOp, { updates, index }, { shape, axis }, scatterNdAddTo).z
}

/** Primitive: where is written depends on values, and several updates may meet at one place. */
export const scatterNdAddOp = /*#__PURE__*/ primitive({
  name: "scatterNdAdd",
  inputs: { updates: "tensor", index: "index" },
  outputs: ["z"],
  attrs: { shape: "dims", axis: "int" },
  infer: ({ updates, index }, { shape, axis }) => {
    requireDType("updates", updates, numericDTypes)
    const depth = indexDepth(index, shape, axis)
    const wanted = [...shape.slice(0, axis), ...index.shape.slice(0, -1), ...shape.slice(axis + depth)]
    unifyShapes(updates.shape, wanted, () => `updates must have the shape ${formatShape(wanted)} of what index names`)
    return { z: { shape, dtype: updates.dtype } }
  },
  // forward   z[o, index[i, 0], …, r] = Σ updates[o, i, r] over all i that name this place
  // backward  dupdates[o, i, r] = dz[o, index[i, 0], …, r]
  grad: ({ index }, _outputs, { z: dz }, { axis }) => ({ updates: gatherNdAt(dz, index, axis) }),
  facts: { kind: "opaque", canFail: true },
})

export const scatterNdAddDoc = /*#__PURE__*/ describe(scatterNdAddOp, {
  summary: "Zeros with updates added at the places that index holds in its last axis.",
  formula: "z[o, index[i, 0], …, r] = Σ updates[o, i, r]",
  source: "Fluid 1.8, scatter_nd; the adjoint of gatherNd",
  samples: [
    {
      in: { updates: [5, 2], index: { shape: [5, 1], dtype: "int32", values: [2, 0, 0, 3, 2] } },
      attrs: { shape: [4, 2], axis: 0 },
      note: "updates that meet are added",
    },
    {
      in: { updates: [3], index: { shape: [3, 2], dtype: "int64", values: [0, 1, 2, 1, 0, 1] } },
      attrs: { shape: [3, 2], axis: 0 },
    },
    {
      in: { updates: [2, 2, 1, 3], index: { shape: [2, 1, 1], dtype: "int32", values: [3, 0] } },
      attrs: { shape: [2, 4, 3], axis: 1 },
    },
    { in: { updates: [0, 2], index: { shape: [0, 1], dtype: "int32" } }, attrs: { shape: [3, 2], axis: 0 } },
    {
      in: { updates: { shape: [2], dtype: "int32" }, index: { shape: [2, 1], dtype: "int32", values: [1, 1] } },
      attrs: { shape: [2], axis: 0 },
    },
  ],
  errorSamples: [
    {
      in: { updates: [3, 2], index: { shape: [2, 1], dtype: "int32", values: [0, 1] } },
      attrs: { shape: [4, 2], axis: 0 },
      code: "CF_SHAPE_MISMATCH",
      text: /updates must have the shape \[2, 2\]/,
    },
  ],
})
