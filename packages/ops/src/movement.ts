// Moving elements without computing: permuted axes, axes of size 1, repetition, reversed order.

import { addDims, fail, formatShape, mulDims, numel, type Shape, unifyDims, type Variable, site } from "@counterflow/ir"
import { broadcastTo } from "./broadcast.ts"
import { composite, primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { reduceSum } from "./reduction.ts"
import { reshapeTo } from "./reshape.ts"
import { resolveAxes, resolveAxis } from "./shapes.ts"
import { stridedSliceTo } from "./slicing.ts"

/** z's axis i is x's axis perm[i]; without `perm` the axes are reversed. */
export function transpose(x: Variable, options: { perm?: readonly number[] } = {}): Variable {
  return site(transpose, () => {
    const rank = x.shape.length
    const wanted = options.perm ?? x.shape.map((_, i) => rank - 1 - i)
    const perm = wanted.map((axis) => resolveAxis(axis, rank, "transpose"))
    return emit(transposeOp, { x }, { perm }, transpose).z
  })
}

/** Primitive: no other op changes the order of axes. */
export const transposeOp = /*#__PURE__*/ primitive({
  name: "transpose",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { perm: "ints" },
  infer: ({ x }, { perm }) => {
    const isPermutation = perm.length === x.shape.length && x.shape.every((_, axis) => perm.includes(axis))
    if (!isPermutation) {
      fail("CF_BAD_ATTRIBUTE", `perm [${perm.join(", ")}] does not name each axis of ${formatShape(x.shape)} once`, {
        fix: `give ${x.shape.length} different axes, such as [${x.shape.map((_, i) => x.shape.length - 1 - i).join(", ")}]`,
      })
    }
    return { z: { shape: perm.map((axis) => x.shape[axis] ?? 1), dtype: x.dtype } }
  },
  // forward   axis i of z is axis perm[i] of x
  // backward  dx = dz under the inverse permutation
  grad: (_inputs, _outputs, { z: dz }, { perm }) => ({
    x: transpose(dz, { perm: perm.map((_, i) => perm.indexOf(i)) }),
  }),
  facts: { kind: "view", permutes: ({ perm }) => perm as readonly number[] },
})

export const transposeDoc = /*#__PURE__*/ describe(transposeOp, {
  summary: "A tensor with its axes in another order.",
  formula: "axis i of z = axis perm[i] of x",
  source: "linear; a permutation's adjoint is its inverse",
  samples: [
    { in: { x: [2, 3] }, attrs: { perm: [1, 0] } },
    { in: { x: [2, 3, 4] }, attrs: { perm: [1, 2, 0] }, note: "a permutation that is not its own inverse" },
    { in: { x: [2, 1, 3, 2] }, attrs: { perm: [0, 2, 3, 1] } },
    { in: { x: [] }, attrs: { perm: [] } },
    { in: { x: { shape: [0, 2], dtype: "int32" } }, attrs: { perm: [1, 0] } },
    { in: { x: { shape: [3, 2], dtype: "bool", values: [1, 0, 0, 1, 1, 0] } }, attrs: { perm: [1, 0] } },
  ],
  errorSamples: [
    {
      in: { x: [2, 3] },
      attrs: { perm: [0, 0] },
      code: "CF_BAD_ATTRIBUTE",
      text: /does not name each axis of \[2, 3\] once/,
    },
    { in: { x: [2, 3] }, attrs: { perm: [0] }, code: "CF_BAD_ATTRIBUTE", text: /perm \[0\]/ },
  ],
  tolerance: 0,
})

/** x without axes of size 1: those named, or all that are known to have size 1. */
export function squeeze(x: Variable, options: { axes?: number | readonly number[] } = {}): Variable {
  return site(squeeze, () => {
    const given = typeof options.axes === "number" || (options.axes?.length ?? 0) > 0
    const axes = given
      ? resolveAxes(options.axes, x.shape.length, "squeeze")
      : x.shape.flatMap((dim, axis) => (dim === 1 ? [axis] : []))
    return emit(squeezeOp, { x }, { axes }, squeeze).z
  })
}

export const squeezeOp = /*#__PURE__*/ composite({
  name: "squeeze",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axes: "ints" },
  infer: ({ x }, { axes }) => {
    for (const axis of axes) {
      const why = () => `axis ${axis} of ${formatShape(x.shape)} cannot be dropped: its size is not 1`
      unifyDims(
        x.shape[axis] ?? fail("CF_BAD_ATTRIBUTE", `there is no axis ${axis} in ${formatShape(x.shape)}`),
        1,
        why,
      )
    }
    return { z: { shape: without(x.shape, axes), dtype: x.dtype } }
  },
  // forward   z = x, read in row-major order
  // backward  dx = dz, likewise
  grad: ({ x }, _outputs, { z: dz }) => ({ x: reshapeTo(dz, x.shape) }),
  decompose: ({ x }, { axes }) => ({ z: reshapeTo(x, without(x.shape, axes)) }),
})

function without(shape: Shape, axes: readonly number[]): Shape {
  return shape.filter((_, axis) => !axes.includes(axis))
}

export const squeezeDoc = /*#__PURE__*/ describe(squeezeOp, {
  summary: "A tensor without some of its axes of size 1.",
  formula: "z.flat[i] = x.flat[i]",
  source: "Fluid 1.8, squeeze",
  samples: [
    { in: { x: [1, 3, 1, 2] }, attrs: { axes: [0, 2] } },
    { in: { x: [3, 1] }, attrs: { axes: [1] } },
    { in: { x: [2, 3] }, attrs: { axes: [] } },
    { in: { x: [0, 1] }, attrs: { axes: [1] } },
  ],
  errorSamples: [
    {
      in: { x: [2, 3] },
      attrs: { axes: [1] },
      code: "CF_SHAPE_MISMATCH",
      text: /axis 1 of \[2, 3\] cannot be dropped/,
    },
    { in: { x: [1] }, attrs: { axes: [1] }, code: "CF_BAD_ATTRIBUTE", text: /there is no axis 1/ },
  ],
  tolerance: 0,
})

/** x with new axes of size 1, which the result has at the places `axes`. */
export function unsqueeze(x: Variable, options: { axes: number | readonly number[] }): Variable {
  return site(unsqueeze, () => {
    const count = typeof options.axes === "number" ? 1 : options.axes.length
    return emit(unsqueezeOp, { x }, { axes: resolveAxes(options.axes, x.shape.length + count, "unsqueeze") }, unsqueeze)
      .z
  })
}

export const unsqueezeOp = /*#__PURE__*/ composite({
  name: "unsqueeze",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axes: "ints" },
  infer: ({ x }, { axes }) => ({ z: { shape: withOnes(x.shape, axes), dtype: x.dtype } }),
  // forward   z = x, read in row-major order
  // backward  dx = dz, likewise
  grad: ({ x }, _outputs, { z: dz }) => ({ x: reshapeTo(dz, x.shape) }),
  decompose: ({ x }, { axes }) => ({ z: reshapeTo(x, withOnes(x.shape, axes)) }),
})

function withOnes(shape: Shape, axes: readonly number[]): Shape {
  const rest = [...shape]
  return Array.from({ length: shape.length + axes.length }, (_, axis) =>
    axes.includes(axis) ? 1 : (rest.shift() ?? 1),
  )
}

export const unsqueezeDoc = /*#__PURE__*/ describe(unsqueezeOp, {
  summary: "A tensor with new axes of size 1.",
  formula: "z.flat[i] = x.flat[i]",
  source: "Fluid 1.8, unsqueeze",
  samples: [
    { in: { x: [2, 3] }, attrs: { axes: [0, 3] } },
    { in: { x: [] }, attrs: { axes: [0] } },
    { in: { x: [0, 2] }, attrs: { axes: [1] } },
  ],
  tolerance: 0,
})

/** x as a matrix: the axes before `axis` make its rows, the others its columns. */
export function flatten(x: Variable, options: { axis?: number } = {}): Variable {
  return site(flatten, () => {
    const { axis = 1 } = options
    const rank = x.shape.length
    const resolved = axis < 0 ? axis + rank : axis
    if (!Number.isInteger(axis) || resolved < 0 || resolved > rank) {
      fail("CF_BAD_ATTRIBUTE", `axis ${axis} does not lie between 0 and the rank ${rank}`, { op: "flatten" })
    }
    return emit(flattenOp, { x }, { axis: resolved }, flatten).z
  })
}

export const flattenOp = /*#__PURE__*/ composite({
  name: "flatten",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axis: "int" },
  infer: ({ x }, { axis }) => ({ z: { shape: matrixShape(x.shape, axis), dtype: x.dtype } }),
  // forward   z = x, read in row-major order
  // backward  dx = dz, likewise
  grad: ({ x }, _outputs, { z: dz }) => ({ x: reshapeTo(dz, x.shape) }),
  decompose: ({ x }, { axis }) => ({ z: reshapeTo(x, matrixShape(x.shape, axis)) }),
})

function matrixShape(shape: Shape, axis: number): Shape {
  return [numel(shape.slice(0, axis)), numel(shape.slice(axis))]
}

export const flattenDoc = /*#__PURE__*/ describe(flattenOp, {
  summary: "A tensor as a matrix: rows from the leading axes, columns from the others.",
  formula: "z.flat[i] = x.flat[i]",
  source: "Fluid 1.8, flatten",
  samples: [
    { in: { x: [2, 3, 2] }, attrs: { axis: 1 } },
    { in: { x: [2, 1, 3] }, attrs: { axis: 3 }, note: "one column" },
    { in: { x: [4] }, attrs: { axis: 0 }, note: "one row" },
    { in: { x: [0, 2, 2] }, attrs: { axis: 1 } },
  ],
  tolerance: 0,
})

/** x repeated `expandTimes[i]` times along axis i (Fluid's expand; to reach a shape from size 1 use `broadcastTo`). */
export function expand(x: Variable, options: { expandTimes: Shape }): Variable {
  return site(expand, () => {
    const bad = options.expandTimes.find(
      (times) => typeof times === "number" && !(Number.isSafeInteger(times) && times >= 0),
    )
    if (bad !== undefined)
      fail("CF_BAD_ATTRIBUTE", `expandTimes must hold counts of at least 0, got ${String(bad)}`, { op: "expand" })
    return emit(expandOp, { x }, { expandTimes: [...options.expandTimes] }, expand).z
  })
}

export const expandOp = /*#__PURE__*/ composite({
  name: "expand",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { expandTimes: "dims" },
  infer: ({ x }, { expandTimes }) => {
    if (expandTimes.length !== x.shape.length) {
      fail("CF_BAD_ATTRIBUTE", `expandTimes has ${expandTimes.length} counts for the ${x.shape.length} axes of x`)
    }
    return { z: { shape: repeated(x.shape, expandTimes), dtype: x.dtype } }
  },
  // forward   z[i] = x[i mod size], along every axis
  // backward  dx = sum of dz over the repetitions
  grad: ({ x }, _outputs, { z: dz }, { expandTimes }) => {
    const copies = reshapeTo(
      dz,
      expandTimes.flatMap((times, axis) => [times, x.shape[axis] ?? 1]),
    )
    return { x: reduceSum(copies, { axis: expandTimes.map((_, axis) => 2 * axis) }) }
  },
  decompose: ({ x }, { expandTimes }) => {
    const copies = reshapeTo(
      x,
      x.shape.flatMap((dim) => [1, dim]),
    )
    const shape = expandTimes.flatMap((times, axis) => [times, x.shape[axis] ?? 1])
    return { z: reshapeTo(broadcastTo(copies, { shape }), repeated(x.shape, expandTimes)) }
  },
})

function repeated(shape: Shape, times: Shape): Shape {
  return shape.map((dim, axis) => mulDims(dim, times[axis] ?? 1))
}

export const expandDoc = /*#__PURE__*/ describe(expandOp, {
  summary: "A tensor repeated along its axes, as tiles.",
  formula: "z[i] = x[i mod size]",
  source: "Fluid 1.8, expand",
  samples: [
    { in: { x: [2, 3] }, attrs: { expandTimes: [3, 2] } },
    { in: { x: [1, 2, 1] }, attrs: { expandTimes: [2, 1, 3] } },
    { in: { x: [] }, attrs: { expandTimes: [] } },
    { in: { x: [2] }, attrs: { expandTimes: [0] }, note: "repeated no times" },
  ],
  errorSamples: [
    { in: { x: [2, 3] }, attrs: { expandTimes: [2] }, code: "CF_BAD_ATTRIBUTE", text: /1 counts for the 2 axes/ },
  ],
  tolerance: 0,
})

/** x with the order along an axis, or several, reversed. */
export function reverse(x: Variable, options: { axis: number | readonly number[] }): Variable {
  return site(
    reverse,
    () => emit(reverseOp, { x }, { axis: resolveAxes(options.axis, x.shape.length, "reverse") }, reverse).z,
  )
}

export const reverseOp = /*#__PURE__*/ composite({
  name: "reverse",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axis: "ints" },
  infer: ({ x }) => ({ z: x }),
  // forward   z[i] = x[n − 1 − i], along each axis
  // backward  dx = dz, reversed again
  grad: (_inputs, _outputs, { z: dz }, { axis }) => ({ x: reverse(dz, { axis }) }),
  decompose: ({ x }, { axis }) => ({
    z: stridedSliceTo(x, {
      starts: x.shape.map((dim, i) => (axis.includes(i) ? addDims(dim, -1) : 0)),
      sizes: x.shape,
      strides: x.shape.map((_, i) => (axis.includes(i) ? -1 : 1)),
    }),
  }),
})

export const reverseDoc = /*#__PURE__*/ describe(reverseOp, {
  summary: "A tensor with the order along some axes reversed.",
  formula: "z[i] = x[n − 1 − i]",
  source: "Fluid 1.8, reverse",
  samples: [
    { in: { x: [2, 3] }, attrs: { axis: [1] } },
    { in: { x: [2, 1, 3] }, attrs: { axis: [0, 1, 2] } },
    { in: { x: [0, 2] }, attrs: { axis: [0] } },
    { in: { x: { shape: [4], dtype: "int64" } }, attrs: { axis: [0] } },
  ],
  tolerance: 0,
})
