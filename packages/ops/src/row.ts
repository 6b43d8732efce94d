// Rows of a stack, which are its places along the leading axis, at a place that only a run knows: what arrays are made of. The two
// are each other's gradient. Places count from 0; one that is not there is refused when the program runs (CF_INDEX_RANGE).

import { compareDims, fail, formatShape, numel, type TensorType, unifyShapes, type Variable } from "@counterflow/ir"
import { add } from "./arithmetic.ts"
import { fillConstant } from "./creation.ts"
import { primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { indexDTypes } from "./lookup.ts"
import { requireDType } from "./shapes.ts"

/** x[index], without the leading axis; with `length`, an int32, only the first so many rows are there. */
export function rowAt(x: Variable, index: Variable, length?: Variable): Variable {
  return emit(rowAtOp, { x, index, length }, {}, rowAt).z
}

/** x with another row in the place of x[index]. */
export function withRow(x: Variable, row: Variable, index: Variable): Variable {
  return emit(withRowOp, { x, row, index }, {}, withRow).z
}

/** Primitive beside `gatherNd`: how many rows are there may be known only to the run. */
export const rowAtOp = /*#__PURE__*/ primitive({
  name: "rowAt",
  inputs: { x: "tensor", index: "index", length: "index?" },
  outputs: ["z"],
  infer: ({ x, index, length }) => {
    requireRows(x)
    requirePlace("index", index)
    if (length !== undefined) requirePlace("length", length)
    return { z: { shape: x.shape.slice(1), dtype: x.dtype } }
  },
  // forward   z = x[i]
  // backward  dx = zero, but dx[i] = dz: so dz is added to this row of what other readers of x send
  grad: ({ index }, _outputs, { z: dz }, _attrs, { addTo }) => ({
    x: addTo("x", (dx) => withRow(dx, add(rowAt(dx, index), dz), index)),
  }),
  facts: { kind: "gather", canFail: true },
})

/** Primitive: by all others a new row costs as much as the whole stack, and a loop that writes n of them costs n². */
export const withRowOp = /*#__PURE__*/ primitive({
  name: "withRow",
  inputs: { x: "tensor", row: "tensor", index: "index" },
  outputs: ["z"],
  infer: ({ x, row, index }) => {
    requireRows(x)
    requirePlace("index", index)
    if (row.dtype !== x.dtype) fail("CF_DTYPE_MISMATCH", `row must be ${x.dtype} as x is, got ${row.dtype}`)
    const wanted = x.shape.slice(1)
    unifyShapes(row.shape, wanted, () => `row must have the shape ${formatShape(wanted)} of a row of x`)
    return { z: x }
  },
  // forward   z = x, but z[i] = r
  // backward  dr = dz[i];  dx = dz, but dx[i] = 0: in this order, so that the row may be cleared in place
  grad: ({ row, index }, _outputs, { z: dz }, _attrs, { needs }) => {
    const dRow = needs("row") ? rowAt(dz, index) : null
    return { row: dRow, x: needs("x") ? withRow(dz, zerosLike(row, dz), index) : null }
  },
  facts: { kind: "opaque", canFail: true, overwrites: "x" },
})

function zerosLike({ shape, dtype }: TensorType, { program }: Variable): Variable {
  return fillConstant({ shape, dtype, value: 0, program })
}

function requireRows({ shape }: TensorType): void {
  if (shape.length === 0) fail("CF_SHAPE_MISMATCH", "x must have a leading axis, got a scalar")
}

/** One integer. */
export function requirePlace(name: string, place: TensorType): void {
  requireDType(name, place, indexDTypes)
  if (compareDims(numel(place.shape), 1) === "equal") return
  fail("CF_SHAPE_MISMATCH", `${name} must have one element, got shape ${formatShape(place.shape)}`)
}

const at = (...values: readonly number[]) => ({ shape: [], dtype: "int32", values }) as const

export const rowAtDoc = /*#__PURE__*/ describe(rowAtOp, {
  summary: "A row of a stack, at a place that is data.",
  formula: "z = x[index]",
  source: "linear; Fluid 1.8, array_read",
  samples: [
    { in: { x: [3, 2], index: at(1) } },
    { in: { x: [4, 2, 3], index: { shape: [1], dtype: "int64", values: [3] }, length: at(4) } },
    { in: { x: [3], index: at(0), length: at(1) }, note: "a number" },
    { in: { x: [1, 2], index: at(0) } },
    { in: { x: [2, 0], index: at(1) } },
    { in: { x: { shape: [3, 2], dtype: "bool" }, index: at(2) } },
  ],
  errorSamples: [
    { in: { x: [], index: at(0) }, code: "CF_SHAPE_MISMATCH", text: /x must have a leading axis, got a scalar/ },
    { in: { x: [3], index: [] }, code: "CF_DTYPE_MISMATCH", text: /index must be int32 or int64, got float/ },
    {
      in: { x: [3], index: { shape: [2], dtype: "int32", values: [0, 1] } },
      code: "CF_SHAPE_MISMATCH",
      text: /index must have one element, got shape \[2\]/,
    },
  ],
  tolerance: 0,
})

export const withRowDoc = /*#__PURE__*/ describe(withRowOp, {
  summary: "A stack with another row at a place that is data; in place, where nothing else reads the old stack.",
  formula: "z = x, but z[index] = row",
  source: "linear; Fluid 1.8, array_write; jax.lax.dynamic_update_index_in_dim",
  samples: [
    { in: { x: [3, 2], row: [2], index: at(1) } },
    { in: { x: [4, 2, 3], row: [2, 3], index: { shape: [1], dtype: "int64", values: [3] } } },
    { in: { x: [3], row: [], index: at(0) }, note: "a number" },
    { in: { x: [1, 2], row: [2], index: at(0) } },
    { in: { x: [2, 0], row: [0], index: at(1) } },
    { in: { x: { shape: [3, 2], dtype: "int64" }, row: { shape: [2], dtype: "int64" }, index: at(2) } },
  ],
  errorSamples: [
    {
      in: { x: [3, 2], row: [3], index: at(0) },
      code: "CF_SHAPE_MISMATCH",
      text: /row must have the shape \[2\] of a row of x/,
    },
    {
      in: { x: [3], row: { shape: [], dtype: "int32" }, index: at(0) },
      code: "CF_DTYPE_MISMATCH",
      text: /row must be float\d+ as x is, got int32/,
    },
    { in: { x: [], row: [], index: at(0) }, code: "CF_SHAPE_MISMATCH", text: /x must have a leading axis/ },
  ],
  tolerance: 0,
})
