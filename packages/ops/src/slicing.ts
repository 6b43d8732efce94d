// Parts of tensors: strided slices, and their opposite, padding. Two primitives carry it, each the other's adjoint:
// `stridedSlice` reads z[i] = x[start + i·stride], `stridedPad` writes z[start + i·stride] = x[i] into a constant tensor.

import {
  addDims,
  type Dim,
  fail,
  formatShape,
  sameShape,
  type Shape,
  subDims,
  type Variable,
  site,
} from "@counterflow/ir"
import { requireValue } from "./creation.ts"
import { composite, primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { resolveSpans } from "./spans.ts"

/** A window of a tensor, every axis spelled out: index i along an axis lies at start + i·stride. */
export interface Window {
  readonly starts: Shape
  readonly sizes: Shape
  readonly strides: readonly number[]
}

/**
 * x[start : end] along each of `axes`. Negative bounds count from the end, bounds outside are clamped, and an end of 2^31 − 1
 * or more (or Infinity) is the end of the axis. Bounds may be symbolic.
 */
export function slice(x: Variable, options: { axes: readonly number[]; starts: Shape; ends: Shape }): Variable {
  return site(slice, () => {
    const spans = resolveSpans(x.shape, { ...options, strides: options.axes.map(() => 1) }, "slice")
    const attrs = {
      axes: spans.map(({ axis }) => axis),
      starts: spans.map(({ start }) => start),
      ends: spans.map(({ start, size }) => addDims(start, size)),
    }
    return emit(sliceOp, { x }, attrs, slice).z
  })
}

/** x[start : start + size] along one axis, nothing clamped: for callers that know what they cut. */
export function sliceAt(x: Variable, axis: number, start: Dim, size: Dim): Variable {
  return emit(sliceOp, { x }, { axes: [axis], starts: [start], ends: [addDims(start, size)] }, sliceAt).z
}

interface SliceAttrs {
  readonly axes: readonly number[]
  readonly starts: Shape
  readonly ends: Shape
}

export const sliceOp = /*#__PURE__*/ composite({
  name: "slice",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { axes: "ints", starts: "dims", ends: "dims" },
  infer: ({ x }, attrs) => {
    const window = windowOf(x.shape, attrs)
    checkWindow(x.shape, window)
    return { z: { shape: window.sizes, dtype: x.dtype } }
  },
  // forward   z[i] = x[start + i]
  // backward  dx[start + i] = dz[i], 0 elsewhere
  grad: ({ x }, _outputs, { z: dz }, attrs) => ({ x: stridedPadTo(dz, x.shape, windowOf(x.shape, attrs)) }),
  decompose: ({ x }, attrs) => ({ z: stridedSliceTo(x, windowOf(x.shape, attrs)) }),
})

function windowOf(shape: Shape, { axes, starts, ends }: SliceAttrs): Window {
  const start = (axis: number) => starts[axes.indexOf(axis)] ?? 0
  return {
    starts: shape.map((_, axis) => start(axis)),
    sizes: shape.map((dim, axis) => subDims(ends[axes.indexOf(axis)] ?? dim, start(axis))),
    strides: shape.map(() => 1),
  }
}

export const sliceDoc = /*#__PURE__*/ describe(sliceOp, {
  summary: "A contiguous part of a tensor along some axes.",
  formula: "z[i] = x[start + i]",
  source: "Fluid 1.8, slice",
  samples: [
    { in: { x: [4, 3] }, attrs: { axes: [0], starts: [1], ends: [3] } },
    { in: { x: [3, 1, 4] }, attrs: { axes: [0, 2], starts: [2, 0], ends: [3, 3] } },
    { in: { x: [5] }, attrs: { axes: [0], starts: [2], ends: [2] }, note: "an empty part" },
    { in: { x: { shape: [2, 3], dtype: "int32" } }, attrs: { axes: [1], starts: [1], ends: [3] } },
  ],
  errorSamples: [
    {
      in: { x: [4, 3] },
      attrs: { axes: [0], starts: [1], ends: [6] },
      code: "CF_BAD_ATTRIBUTE",
      text: /outside axis 0 of \[4, 3\]/,
    },
    { in: { x: [4] }, attrs: { axes: [0], starts: [3], ends: [1] }, code: "CF_BAD_ATTRIBUTE", text: /size -2/ },
  ],
  tolerance: 0,
})

/**
 * x[start : end : stride] along each of `axes`, as in Python: with a negative stride it runs backwards from `start` to before
 * `end`, and an end of −2^31 or less (or −Infinity) includes the first element.
 */
export function stridedSlice(
  x: Variable,
  options: { axes: readonly number[]; starts: Shape; ends: Shape; strides: readonly number[] },
): Variable {
  return site(stridedSlice, () => {
    const spans = resolveSpans(x.shape, options, "stridedSlice")
    const span = (axis: number) => spans.find((candidate) => candidate.axis === axis)
    const attrs = {
      starts: x.shape.map((_, axis) => span(axis)?.start ?? 0),
      sizes: x.shape.map((dim, axis) => span(axis)?.size ?? dim),
      strides: x.shape.map((_, axis) => span(axis)?.stride ?? 1),
    }
    return emit(stridedSliceOp, { x }, attrs, stridedSlice).z
  })
}

/** The window of x, nothing clamped; x itself if that is all of it. */
export function stridedSliceTo(x: Variable, window: Window): Variable {
  const isWhole = sameShape(window.sizes, x.shape) && window.strides.every((stride) => stride === 1)
  const { starts, sizes, strides } = window
  return isWhole ? x : emit(stridedSliceOp, { x }, { starts, sizes, strides }, stridedSliceTo).z
}

/** Primitive: it reads a part of a tensor, which no elementwise op, reduction or permutation does. */
export const stridedSliceOp = /*#__PURE__*/ primitive({
  name: "stridedSlice",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { starts: "dims", sizes: "dims", strides: "ints" },
  infer: ({ x }, window) => {
    checkWindow(x.shape, window)
    return { z: { shape: window.sizes, dtype: x.dtype } }
  },
  // forward   z[i] = x[start + i·stride]
  // backward  dx[start + i·stride] = dz[i], 0 elsewhere
  grad: ({ x }, _outputs, { z: dz }, window) => ({ x: stridedPadTo(dz, x.shape, window) }),
  facts: { kind: "view" },
})

export const stridedSliceDoc = /*#__PURE__*/ describe(stridedSliceOp, {
  summary: "Elements of a tensor at regular steps along every axis.",
  formula: "z[i] = x[start + i·stride]",
  source: "Fluid 1.8, strided_slice; the bounds as in Python",
  samples: [
    { in: { x: [5, 3] }, attrs: { starts: [1, 0], sizes: [2, 3], strides: [3, 1] } },
    { in: { x: [4, 1, 3] }, attrs: { starts: [3, 0, 2], sizes: [2, 1, 3], strides: [-2, 1, -1] } },
    { in: { x: [] }, attrs: { starts: [], sizes: [], strides: [] } },
    { in: { x: [3] }, attrs: { starts: [0], sizes: [0], strides: [1] } },
    { in: { x: { shape: [5], dtype: "int64" } }, attrs: { starts: [4], sizes: [5], strides: [-1] } },
  ],
  errorSamples: [
    {
      in: { x: [5] },
      attrs: { starts: [1], sizes: [3], strides: [2] },
      code: "CF_BAD_ATTRIBUTE",
      text: /element 5 lies outside axis 0/,
    },
    { in: { x: [5] }, attrs: { starts: [0], sizes: [1], strides: [0] }, code: "CF_BAD_ATTRIBUTE", text: /stride 0/ },
    {
      in: { x: [5] },
      attrs: { starts: [], sizes: [], strides: [] },
      code: "CF_BAD_ATTRIBUTE",
      text: /each of the 1 axes/,
    },
  ],
  tolerance: 0,
})

/** Refuses a window that is known to leave the `whole`; where sizes are symbolic, whoever resolved it has clamped it. */
function checkWindow(whole: Shape, { starts, sizes, strides }: Window): void {
  if ([starts, sizes, strides].some((list) => list.length !== whole.length)) {
    fail(
      "CF_BAD_ATTRIBUTE",
      `starts, sizes and strides need one entry for each of the ${whole.length} axes of ${formatShape(whole)}`,
    )
  }
  whole.forEach((dim, axis) => {
    const [start = 0, size = 0, stride = 1] = [starts[axis], sizes[axis], strides[axis]]
    if (stride === 0) fail("CF_BAD_ATTRIBUTE", `stride 0 along axis ${axis} goes nowhere`)
    if (typeof size !== "number") return
    if (size < 0) fail("CF_BAD_ATTRIBUTE", `the part along axis ${axis} would have size ${size}`)
    if (size === 0 || typeof start !== "number") return
    for (const element of [start, start + (size - 1) * stride]) {
      if (element < 0 || (typeof dim === "number" && element >= dim)) {
        fail("CF_BAD_ATTRIBUTE", `element ${element} lies outside axis ${axis} of ${formatShape(whole)}`)
      }
    }
  })
}

/**
 * x with `padValue` around it: `paddings` holds how many before and after, axis by axis: [before₀, after₀, before₁, …].
 */
export function pad(x: Variable, options: { paddings: Shape; padValue?: number }): Variable {
  return site(pad, () => {
    const { paddings, padValue = 0 } = options
    const bad = paddings.find((dim) => typeof dim === "number" && !(Number.isSafeInteger(dim) && dim >= 0))
    if (bad !== undefined)
      fail("CF_BAD_ATTRIBUTE", `paddings must hold counts of at least 0, got ${String(bad)}`, { op: "pad" })
    return emit(padOp, { x }, { paddings: [...paddings], padValue }, pad).z
  })
}

export const padOp = /*#__PURE__*/ composite({
  name: "pad",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { paddings: "dims", padValue: "number" },
  infer: ({ x }, { paddings, padValue }) => {
    if (paddings.length !== 2 * x.shape.length) {
      fail("CF_BAD_ATTRIBUTE", `paddings has ${paddings.length} entries, ${formatShape(x.shape)} needs 2 for each axis`)
    }
    requireValue("padValue", padValue, x.dtype)
    return { z: { shape: paddedShape(x.shape, paddings), dtype: x.dtype } }
  },
  // forward   z[before + i] = x[i], padValue elsewhere
  // backward  dx[i] = dz[before + i]
  grad: ({ x }, _outputs, { z: dz }, { paddings }) => ({ x: stridedSliceTo(dz, inside(x.shape, paddings)) }),
  decompose: ({ x }, { paddings, padValue }) => ({
    z: stridedPadTo(x, paddedShape(x.shape, paddings), inside(x.shape, paddings), padValue),
  }),
})

function paddedShape(shape: Shape, paddings: Shape): Dim[] {
  return shape.map((dim, axis) => addDims(paddings[2 * axis] ?? 0, dim, paddings[2 * axis + 1] ?? 0))
}

function inside(shape: Shape, paddings: Shape): Window {
  return { starts: shape.map((_, axis) => paddings[2 * axis] ?? 0), sizes: shape, strides: shape.map(() => 1) }
}

export const padDoc = /*#__PURE__*/ describe(padOp, {
  summary: "A tensor with a constant border.",
  formula: "z[before + i] = x[i], padValue elsewhere",
  source: "Fluid 1.8, pad",
  samples: [
    { in: { x: [2, 3] }, attrs: { paddings: [1, 0, 0, 2], padValue: 0.5 } },
    { in: { x: [1, 2, 1] }, attrs: { paddings: [0, 0, 1, 1, 0, 0], padValue: 0 } },
    { in: { x: [] }, attrs: { paddings: [], padValue: 1 } },
    { in: { x: { shape: [0], dtype: "int32" } }, attrs: { paddings: [1, 2], padValue: 7 } },
  ],
  errorSamples: [
    {
      in: { x: [2, 3] },
      attrs: { paddings: [1, 1], padValue: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /2 entries.*2 for each axis/,
    },
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { paddings: [1, 1], padValue: 0.5 },
      code: "CF_BAD_ATTRIBUTE",
      text: /padValue 0.5 is no int32/,
    },
  ],
  tolerance: 0,
})

/** x put into a constant tensor of `shape` at the places of a window (its `sizes` are x's); x itself if that is all of it. */
export function stridedPadTo(x: Variable, shape: Shape, { starts, strides }: Window, padValue = 0): Variable {
  const isWhole = sameShape(shape, x.shape) && strides.every((stride) => stride === 1)
  return isWhole ? x : emit(stridedPadOp, { x }, { shape, starts, strides, padValue }, stridedPadTo).z
}

/** Primitive: the adjoint of `stridedSlice`; out of concatenations it would take 2 · rank of them and an interleaving. */
export const stridedPadOp = /*#__PURE__*/ primitive({
  name: "stridedPad",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { shape: "dims", starts: "dims", strides: "ints", padValue: "number" },
  infer: ({ x }, { shape, starts, strides, padValue }) => {
    checkWindow(shape, { starts, sizes: x.shape, strides })
    requireValue("padValue", padValue, x.dtype)
    return { z: { shape, dtype: x.dtype } }
  },
  // forward   z[start + i·stride] = x[i], padValue elsewhere
  // backward  dx[i] = dz[start + i·stride]
  grad: ({ x }, _outputs, { z: dz }, { starts, strides }) => ({
    x: stridedSliceTo(dz, { starts, sizes: x.shape, strides }),
  }),
  facts: { kind: "opaque" },
})

export const stridedPadDoc = /*#__PURE__*/ describe(stridedPadOp, {
  summary: "A tensor's elements put at regular steps into a constant tensor: the adjoint of stridedSlice.",
  formula: "z[start + i·stride] = x[i], padValue elsewhere",
  source: "linear in x; the pad with interior padding of StableHLO, with signed strides",
  samples: [
    { in: { x: [2, 3] }, attrs: { shape: [5, 4], starts: [1, 1], strides: [3, 1], padValue: -1 } },
    { in: { x: [2, 1, 2] }, attrs: { shape: [4, 1, 5], starts: [3, 0, 4], strides: [-2, 1, -3], padValue: 0 } },
    { in: { x: [0] }, attrs: { shape: [3], starts: [0], strides: [1], padValue: 2 } },
    { in: { x: { shape: [2], dtype: "uint8" } }, attrs: { shape: [3], starts: [0], strides: [2], padValue: 9 } },
  ],
  errorSamples: [
    {
      in: { x: [3] },
      attrs: { shape: [4], starts: [0], strides: [2], padValue: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /element 4 lies outside/,
    },
  ],
  tolerance: 0,
})
