// Choosing elements along one axis: by index (gather and its adjoint, scatterAdd), as one-hot rows, the extreme one's place.
// Indices count from 0; a negative one, or one beyond its axis, is refused when the program runs (CF_INDEX_RANGE).

import {
  type DType,
  fail,
  formatShape,
  numel,
  type Shape,
  type TensorType,
  unifyShapes,
  type Variable,
  site,
} from "@counterflow/ir"
import { cast, equal } from "./comparison.ts"
import { ones, range, requireSizes } from "./creation.ts"
import { composite, noGrad, primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { concat } from "./joining.ts"
import { gatherNdAt, indexDTypes, scatterNdAdd, scatterNdAddTo } from "./lookup.ts"
import { reshapeTo } from "./reshape.ts"
import { numericDTypes, requireDType, resolveAxis } from "./shapes.ts"

/** Parts of x along an axis (the first unless said), in the order of `index`, which may have any shape and repeat. */
export function gather(x: Variable, index: Variable, options: { axis?: number } = {}): Variable {
  return site(
    gather,
    () => emit(gatherOp, { x, index }, { axis: resolveAxis(options.axis ?? 0, x.shape.length, "gather") }, gather).z,
  )
}

export const gatherOp = /*#__PURE__*/ composite({
  name: "gather",
  inputs: { x: "tensor", index: "index" },
  outputs: ["z"],
  attrs: { axis: "int" },
  infer: ({ x, index }, { axis }) => {
    requireDType("index", index, indexDTypes)
    if (x.shape.length === 0) fail("CF_SHAPE_MISMATCH", "x of rank 0 has no axis to be indexed")
    return { z: { shape: x.shape.toSpliced(axis, 1, ...index.shape), dtype: x.dtype } }
  },
  // forward   z[…, i, …] = x[…, index[i], …]
  // backward  dx[…, k, …] = Σ dz[…, i, …] over all i with index[i] = k
  grad: ({ x, index }, _outputs, { z: dz }, { axis }) => ({ x: scatterAdd(dz, index, { shape: x.shape, axis }) }),
  decompose: ({ x, index }, { axis }) => ({ z: gatherNdAt(x, places(index), axis) }),
})

/** An index of one axis as `gatherNd` has it: a place is a list of one. */
function places(index: Variable): Variable {
  return reshapeTo(index, [...index.shape, 1])
}

export const gatherDoc = /*#__PURE__*/ describe(gatherOp, {
  summary: "Parts of a tensor along one axis, looked up by index.",
  formula: "z[…, i, …] = x[…, index[i], …]",
  source: "Fluid 1.8, gather; an index of any rank as in NumPy's take",
  samples: [
    { in: { x: [3, 2], index: { shape: [4], dtype: "int32", values: [2, 0, 2, 1] } }, attrs: { axis: 0 } },
    { in: { x: [2, 3, 2], index: { shape: [2, 2], dtype: "int64", values: [1, 1, 0, 2] } }, attrs: { axis: 1 } },
    { in: { x: [3], index: { shape: [], dtype: "int32", values: [1] } }, attrs: { axis: 0 } },
    { in: { x: [1, 3], index: { shape: [0], dtype: "int32" } }, attrs: { axis: 0 } },
    {
      in: { x: { shape: [3], dtype: "int32" }, index: { shape: [2], dtype: "int32", values: [2, 0] } },
      attrs: { axis: 0 },
    },
  ],
  errorSamples: [
    {
      in: { x: [3], index: [2] },
      attrs: { axis: 0 },
      code: "CF_DTYPE_MISMATCH",
      text: /index must be int32 or int64, got float/,
    },
    {
      in: { x: [], index: { shape: [2], dtype: "int32", values: [0, 0] } },
      attrs: { axis: 0 },
      code: "CF_SHAPE_MISMATCH",
      text: /rank 0 has no axis/,
    },
  ],
  tolerance: 0,
})

/**
 * Zeros of `shape` with `updates` added along an axis at the places `index`: z[…, index[i], …] += updates[…, i, …], the adjoint
 * of `gather`. Updates that meet are added in their order.
 */
export function scatterAdd(updates: Variable, index: Variable, options: { shape: Shape; axis?: number }): Variable {
  return site(scatterAdd, () => {
    requireSizes(options.shape, "scatterAdd")
    const axis = resolveAxis(options.axis ?? 0, options.shape.length, "scatterAdd")
    return emit(scatterAddOp, { updates, index }, { shape: [...options.shape], axis }, scatterAdd).z
  })
}

export const scatterAddOp = /*#__PURE__*/ composite({
  name: "scatterAdd",
  inputs: { updates: "tensor", index: "index" },
  outputs: ["z"],
  attrs: { shape: "dims", axis: "int" },
  infer: ({ updates, index }, { shape, axis }) => {
    requireDType("index", index, indexDTypes)
    if (shape.length === 0) fail("CF_SHAPE_MISMATCH", "a result of rank 0 has no axis to be indexed")
    requireDType("updates", updates, numericDTypes)
    const wanted = shape.toSpliced(axis, 1, ...index.shape)
    unifyShapes(updates.shape, wanted, () => `updates must have the shape ${formatShape(wanted)} of what index names`)
    return { z: { shape, dtype: updates.dtype } }
  },
  // forward   z[…, k, …] = Σ updates[…, i, …] over all i with index[i] = k
  // backward  dupdates[…, i, …] = dz[…, index[i], …]
  grad: ({ index }, _outputs, { z: dz }, { axis }) => ({ updates: gather(dz, index, { axis }) }),
  decompose: ({ updates, index }, { shape, axis }) => ({ z: scatterNdAddTo(updates, places(index), shape, axis) }),
})

export const scatterAddDoc = /*#__PURE__*/ describe(scatterAddOp, {
  summary: "Zeros with updates added along one axis at the places that index holds.",
  formula: "z[…, index[i], …] += updates[…, i, …]",
  source: "the adjoint of gather",
  samples: [
    {
      in: { updates: [4, 2], index: { shape: [4], dtype: "int32", values: [2, 0, 2, 1] } },
      attrs: { shape: [3, 2], axis: 0 },
    },
    {
      in: { updates: [2, 2, 2, 1], index: { shape: [2, 2], dtype: "int64", values: [1, 1, 0, 2] } },
      attrs: { shape: [2, 3, 1], axis: 1 },
    },
    { in: { updates: [0, 3], index: { shape: [0], dtype: "int32" } }, attrs: { shape: [2, 3], axis: 0 } },
  ],
  errorSamples: [
    {
      in: { updates: [3, 2], index: { shape: [2], dtype: "int32", values: [0, 1] } },
      attrs: { shape: [4, 2], axis: 0 },
      code: "CF_SHAPE_MISMATCH",
      text: /updates must have the shape \[2, 2\]/,
    },
  ],
})

/**
 * Rows of zeros with a 1 at the place that x names: the shape of x with an axis of size `depth` at the end. A number outside
 * 0 … depth − 1 is refused when the program runs, or gives zeros where `allowOutOfRange` is set.
 */
export function oneHot(x: Variable, options: { depth: number; dtype?: DType; allowOutOfRange?: boolean }): Variable {
  const { depth, dtype = "float32", allowOutOfRange = false } = options
  return emit(oneHotOp, { x }, { depth, dtype, allowOutOfRange }, oneHot).z
}

export const oneHotOp = /*#__PURE__*/ composite({
  name: "oneHot",
  inputs: { x: "index" },
  outputs: ["z"],
  attrs: { depth: "int", dtype: "dtype", allowOutOfRange: "bool" },
  infer: ({ x }, { depth, dtype }) => {
    requireDType("x", x, indexDTypes)
    if (!Number.isSafeInteger(depth) || depth < 1)
      fail("CF_BAD_ATTRIBUTE", `depth must be a size of at least 1, got ${depth}`)
    return { z: { shape: [...x.shape, depth], dtype } }
  },
  grad: noGrad("x holds places, which are integers"),
  // Ones scattered, not compared: the scatter refuses places outside.
  decompose: ({ x }, { depth, dtype, allowOutOfRange }) => {
    const { program } = x
    if (allowOutOfRange) {
      return { z: cast(equal(places(x), range({ end: depth, dtype: x.dtype, program })), { dtype }) }
    }
    const count = numel(x.shape)
    const rows = reshapeTo(range({ end: count, dtype: x.dtype, program }), [count, 1])
    const index = concat([rows, reshapeTo(x, [count, 1])], { axis: 1 })
    const updates = ones({ shape: [count], dtype: dtype === "bool" ? "uint8" : dtype, program })
    const z = reshapeTo(scatterNdAdd(updates, index, { shape: [count, depth] }), [...x.shape, depth])
    return { z: dtype === "bool" ? cast(z, { dtype }) : z }
  },
})

export const oneHotDoc = /*#__PURE__*/ describe(oneHotOp, {
  summary: "Rows of zeros with a one at the place that x names.",
  formula: "z[i, k] = 1 if k = x[i], else 0",
  source: "Fluid 1.8, fluid.one_hot, which adds an axis",
  samples: [
    {
      in: { x: { shape: [4], dtype: "int64", values: [2, 0, 1, 2] } },
      attrs: { depth: 3, dtype: "float32", allowOutOfRange: false },
    },
    {
      in: { x: { shape: [2, 1], dtype: "int32", values: [1, 0] } },
      attrs: { depth: 2, dtype: "int32", allowOutOfRange: false },
    },
    {
      in: { x: { shape: [], dtype: "int32", values: [3] } },
      attrs: { depth: 5, dtype: "bool", allowOutOfRange: false },
    },
    {
      in: { x: { shape: [3], dtype: "int64", values: [-1, 4, 1] } },
      attrs: { depth: 4, dtype: "float64", allowOutOfRange: true },
      note: "places outside",
    },
    { in: { x: { shape: [0], dtype: "int32" } }, attrs: { depth: 3, dtype: "float32", allowOutOfRange: false } },
  ],
  errorSamples: [
    {
      in: { x: [2] },
      attrs: { depth: 3, dtype: "float32", allowOutOfRange: false },
      code: "CF_DTYPE_MISMATCH",
      text: /x must be int32/,
    },
    {
      in: { x: { shape: [2], dtype: "int32", values: [0, 0] } },
      attrs: { depth: 0, dtype: "float32", allowOutOfRange: false },
      code: "CF_BAD_ATTRIBUTE",
      text: /depth must be a size of at least 1, got 0/,
    },
  ],
  tolerance: 0,
})

export interface ArgOptions {
  axis?: number
  dtype?: "int32" | "int64"
}

/** The place of the largest element along an axis (the first axis unless said), the first one at ties; NaN is largest. */
export function argmax(x: Variable, options: ArgOptions = {}): Variable {
  return site(argmax, () => {
    const { axis = 0, dtype = "int32" } = options
    return emit(argmaxOp, { x }, { axis: resolveAxis(axis, x.shape.length, "argmax"), dtype }, argmax).z
  })
}

/** Primitive: as the least place that equals the maximum it would be four passes, and wrong for NaN. */
export const argmaxOp = /*#__PURE__*/ primitive({
  name: "argmax",
  inputs: { x: "index" },
  outputs: ["z"],
  attrs: { axis: "int", dtype: "dtype" },
  infer: ({ x }, { axis, dtype }) => ({ z: placeType(x, axis, dtype) }),
  grad: noGrad("a place is an integer"),
  facts: { kind: "reduce" },
})

function placeType(x: TensorType, axis: number, dtype: DType): TensorType {
  if (!indexDTypes.includes(dtype)) fail("CF_BAD_ATTRIBUTE", `dtype must be int32 or int64, got ${dtype}`)
  if (x.shape[axis] === 0)
    fail(
      "CF_SHAPE_MISMATCH",
      `axis ${axis} of ${formatShape(x.shape)} is empty: it has no largest and no smallest element`,
    )
  return { shape: x.shape.toSpliced(axis, 1), dtype }
}

const argSamples = [
  { in: { x: { shape: [2, 3], domain: { low: -2, high: 2, separated: 0.1 } } }, attrs: { axis: 1, dtype: "int32" } },
  { in: { x: { shape: [3, 1, 4], domain: { low: -2, high: 2, separated: 0.1 } } }, attrs: { axis: 0, dtype: "int64" } },
  { in: { x: [] }, attrs: { axis: 0, dtype: "int32" } },
  { in: { x: [0, 2] }, attrs: { axis: 1, dtype: "int32" } },
  {
    in: { x: { shape: [5], dtype: "int32", values: [1, 3, 1, 3, 2] } },
    attrs: { axis: 0, dtype: "int32" },
    note: "ties: the first",
  },
] as const

const argErrors = [
  {
    in: { x: [2, 0] },
    attrs: { axis: 1, dtype: "int32" },
    code: "CF_SHAPE_MISMATCH",
    text: /axis 1 of \[2, 0\] is empty/,
  },
  {
    in: { x: [2] },
    attrs: { axis: 0, dtype: "float32" },
    code: "CF_BAD_ATTRIBUTE",
    text: /int32 or int64, got float32/,
  },
] as const

export const argmaxDoc = /*#__PURE__*/ describe(argmaxOp, {
  summary: "The place of the largest element along an axis.",
  formula: "z = argmax x",
  source: "Fluid 1.8, argmax",
  policy: "the first place at ties; a NaN counts as larger than anything",
  samples: argSamples,
  errorSamples: argErrors,
  tolerance: 0,
})

/** The place of the smallest element along an axis (the first axis unless said), the first one at ties; NaN is smallest. */
export function argmin(x: Variable, options: ArgOptions = {}): Variable {
  return site(argmin, () => {
    const { axis = 0, dtype = "int32" } = options
    return emit(argminOp, { x }, { axis: resolveAxis(axis, x.shape.length, "argmin"), dtype }, argmin).z
  })
}

/** Primitive beside `argmax`: negating is wrong for uint8, for bool and for the least int32. */
export const argminOp = /*#__PURE__*/ primitive({
  name: "argmin",
  inputs: { x: "index" },
  outputs: ["z"],
  attrs: { axis: "int", dtype: "dtype" },
  infer: ({ x }, { axis, dtype }) => ({ z: placeType(x, axis, dtype) }),
  grad: noGrad("a place is an integer"),
  facts: { kind: "reduce" },
})

export const argminDoc = /*#__PURE__*/ describe(argminOp, {
  summary: "The place of the smallest element along an axis.",
  formula: "z = argmin x",
  source: "Fluid 1.8, argmin",
  policy: "the first place at ties; a NaN counts as smaller than anything",
  samples: argSamples,
  errorSamples: argErrors,
  tolerance: 0,
})
