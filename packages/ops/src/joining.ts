// Joining tensors along an axis, old or new, and cutting them apart again.

import {
  addDims,
  type Dim,
  fail,
  floorDivDims,
  formatDim,
  formatShape,
  type Shape,
  subDims,
  type TensorType,
  unifyDims,
  unifyShapes,
  type Variable,
  site,
} from "@counterflow/ir"
import { zerosLike } from "./creation.ts"
import { composite, primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { unsqueeze } from "./movement.ts"
import { reshapeTo } from "./reshape.ts"
import { resolveAxis } from "./shapes.ts"
import { sliceAt } from "./slicing.ts"

/** Tensors joined along an axis; they agree along all others. */
export function concat(xs: readonly Variable[], options: { axis?: number } = {}): Variable {
  return site(concat, () => {
    const rank = xs[0]?.shape.length ?? 0
    return emit(concatOp, { xs }, { axis: resolveAxis(options.axis ?? 0, rank, "concat") }, concat).z
  })
}

/** Primitive: padding every part to the full size and adding would cost as many passes as there are parts. */
export const concatOp = /*#__PURE__*/ primitive({
  name: "concat",
  inputs: { xs: "tensors" },
  outputs: ["z"],
  attrs: { axis: "int" },
  infer: ({ xs }, { axis }) => {
    const [first, ...rest] = xs
    if (first === undefined) return fail("CF_BAD_SLOT", "xs is empty: there is nothing to join")
    if (first.shape.length === 0)
      fail("CF_SHAPE_MISMATCH", "tensors of rank 0 have no axis to be joined along", { fix: "use stack" })
    let shape = first.shape
    rest.forEach((x, i) => {
      const name = `xs[${i + 1}]`
      if (x.dtype !== first.dtype)
        fail("CF_DTYPE_MISMATCH", `xs[0] and ${name} must have one dtype, got ${first.dtype} and ${x.dtype}`)
      const why = () => `xs[0] and ${name} must agree along all axes but ${axis}`
      if (x.shape.length !== shape.length) fail("CF_SHAPE_MISMATCH", why())
      shape = shape.map((dim, at) => {
        const other = x.shape[at] ?? 1
        return at === axis ? addDims(dim, other) : unifyDims(dim, other, why)
      })
    })
    return { z: { shape, dtype: first.dtype } }
  },
  // forward   z = xs, one after the other along the axis
  // backward  dxs = dz, cut at the same places
  grad: ({ xs }, _outputs, { z: dz }, { axis }, { needs }) => {
    let start: Dim = 0
    const parts = xs.map((x, i) => {
      const size = x.shape[axis] ?? 1
      const part = needs("xs", i) ? sliceAt(dz, axis, start, size) : null
      start = addDims(start, size)
      return part
    })
    return { xs: parts }
  },
  facts: { kind: "opaque" },
})

export const concatDoc = /*#__PURE__*/ describe(concatOp, {
  summary: "Tensors joined along an axis.",
  formula: "z = [x₀, x₁, …]",
  source: "Fluid 1.8, concat",
  samples: [
    {
      in: {
        xs: [
          [2, 3],
          [1, 3],
        ],
      },
      attrs: { axis: 0 },
    },
    {
      in: {
        xs: [
          [2, 1, 2],
          [2, 3, 2],
          [2, 0, 2],
        ],
      },
      attrs: { axis: 1 },
    },
    { in: { xs: [[4]] }, attrs: { axis: 0 } },
    {
      in: {
        xs: [
          { shape: [2], dtype: "int64" },
          { shape: [3], dtype: "int64" },
        ],
      },
      attrs: { axis: 0 },
    },
  ],
  errorSamples: [
    {
      in: {
        xs: [
          [2, 3],
          [2, 4],
        ],
      },
      attrs: { axis: 0 },
      code: "CF_SHAPE_MISMATCH",
      text: /agree along all axes but 0/,
    },
    { in: { xs: [[], []] }, attrs: { axis: 0 }, code: "CF_SHAPE_MISMATCH", text: /rank 0/ },
    {
      in: { xs: [[2], { shape: [2], dtype: "int32" }] },
      attrs: { axis: 0 },
      code: "CF_DTYPE_MISMATCH",
      text: /float\d+ and int32/,
    },
    { in: { xs: [] }, attrs: { axis: 0 }, code: "CF_BAD_SLOT", text: /nothing to join/ },
  ],
  tolerance: 0,
})

/** x cut along an axis: into so many equal parts, or into sections of these sizes, of which one −1 is inferred. */
export function split(x: Variable, options: { numOrSections: number | Shape; axis?: number }): readonly Variable[] {
  return site(split, () => {
    const axis = resolveAxis(options.axis ?? -1, x.shape.length, "split")
    const sections = sectionsOf(x.shape[axis] ?? 1, options.numOrSections)
    return emit(splitOp, { x }, { axis, sections }, split).zs
  })
}

function sectionsOf(dim: Dim, wanted: number | Shape): Shape {
  const refuse = (why: string) => fail("CF_BAD_ATTRIBUTE", why, { op: "split" })
  if (typeof wanted === "number") {
    if (!Number.isSafeInteger(wanted) || wanted < 1) refuse(`numOrSections must be at least 1, got ${wanted}`)
    if (typeof dim === "number" && dim % wanted !== 0) {
      fail("CF_SHAPE_MISMATCH", `an axis of size ${dim} cannot be cut into ${wanted} equal parts`, {
        op: "split",
        fix: "give the sizes of the sections: numOrSections: [2, 3, -1]",
      })
    }
    return Array.from({ length: wanted }, () => floorDivDims(dim, wanted))
  }
  const bad = wanted.find((size) => typeof size === "number" && !(Number.isSafeInteger(size) && size >= -1))
  if (bad !== undefined || wanted.filter((size) => size === -1).length > 1 || wanted.length === 0) {
    refuse(`numOrSections [${wanted.map(formatDim).join(", ")}] may hold sizes and at most one −1`)
  }
  const known = addDims(...wanted.filter((size) => size !== -1))
  return wanted.map((size) => (size === -1 ? subDims(dim, known) : size))
}

export const splitOp = /*#__PURE__*/ composite({
  name: "split",
  inputs: { x: "tensor" },
  outputs: ["...zs"],
  attrs: { axis: "int", sections: "dims" },
  infer: ({ x }, { axis, sections }) => {
    const dim =
      x.shape[axis] ?? fail("CF_SHAPE_MISMATCH", `${formatShape(x.shape)} has no axis ${axis} to be cut along`)
    const why = () =>
      `sections [${sections.map(formatDim).join(", ")}] do not add up to ${formatDim(dim)}, the size of axis ${axis}`
    if (sections.some((size) => typeof size === "number" && size < 0)) fail("CF_SHAPE_MISMATCH", why())
    unifyDims(addDims(...sections), dim, why)
    return { zs: sections.map((size) => ({ shape: x.shape.with(axis, size), dtype: x.dtype })) }
  },
  // forward   zs = x, cut along the axis
  // backward  dx = dzs, one after the other; what nothing used is 0
  grad: (_inputs, { zs }, { zs: dzs }, { axis }) => ({
    x: concat(
      zs.map((z, i) => dzs[i] ?? zerosLike(z)),
      { axis },
    ),
  }),
  decompose: ({ x }, { axis, sections }) => {
    let start: Dim = 0
    const zs = sections.map((size) => {
      const z = sliceAt(x, axis, start, size)
      start = addDims(start, size)
      return z
    })
    return { zs }
  },
})

export const splitDoc = /*#__PURE__*/ describe(splitOp, {
  summary: "A tensor cut into parts along an axis.",
  formula: "[z₀, z₁, …] = x",
  source: "Fluid 1.8, split",
  samples: [
    { in: { x: [4, 3] }, attrs: { axis: 0, sections: [1, 3] } },
    { in: { x: [2, 1, 6] }, attrs: { axis: 2, sections: [2, 2, 2] } },
    { in: { x: [3] }, attrs: { axis: 0, sections: [3] } },
    { in: { x: [2, 2] }, attrs: { axis: 1, sections: [0, 2] }, note: "an empty part" },
  ],
  errorSamples: [
    { in: { x: [4] }, attrs: { axis: 0, sections: [1, 2] }, code: "CF_SHAPE_MISMATCH", text: /do not add up to 4/ },
    { in: { x: [] }, attrs: { axis: 0, sections: [1] }, code: "CF_SHAPE_MISMATCH", text: /has no axis 0/ },
  ],
  tolerance: 0,
})

/** Equal tensors side by side along a new axis, which the result has at `axis`. */
export function stack(xs: readonly Variable[], options: { axis?: number } = {}): Variable {
  return site(stack, () => {
    const rank = xs[0]?.shape.length ?? 0
    return emit(stackOp, { xs }, { axis: resolveAxis(options.axis ?? 0, rank + 1, "stack") }, stack).z
  })
}

export const stackOp = /*#__PURE__*/ composite({
  name: "stack",
  inputs: { xs: "tensors" },
  outputs: ["z"],
  attrs: { axis: "int" },
  infer: ({ xs }, { axis }) => {
    const { shape, dtype } = equalTypes(xs)
    return { z: { shape: shape.toSpliced(axis, 0, xs.length), dtype } }
  },
  // forward   z[…, i, …] = xᵢ
  // backward  dxᵢ = dz[…, i, …]
  grad: ({ xs }, _outputs, { z: dz }, { axis }, { needs }) => ({
    xs: xs.map((x, i) => (needs("xs", i) ? reshapeTo(sliceAt(dz, axis, i, 1), x.shape) : null)),
  }),
  decompose: ({ xs }, { axis }) => ({
    z: concat(
      xs.map((x) => unsqueeze(x, { axes: axis })),
      { axis },
    ),
  }),
})

function equalTypes(xs: readonly TensorType[]): TensorType {
  const [first, ...rest] = xs
  if (first === undefined) return fail("CF_BAD_SLOT", "xs is empty: there is nothing to stack")
  let { shape } = first
  rest.forEach((x, i) => {
    if (x.dtype !== first.dtype)
      fail("CF_DTYPE_MISMATCH", `xs[0] and xs[${i + 1}] must have one dtype, got ${first.dtype} and ${x.dtype}`)
    shape = unifyShapes(shape, x.shape, () => `xs[0] and xs[${i + 1}] must have equal shapes`)
  })
  return { shape, dtype: first.dtype }
}

export const stackDoc = /*#__PURE__*/ describe(stackOp, {
  summary: "Equal tensors side by side along a new axis.",
  formula: "z[…, i, …] = xᵢ",
  source: "Fluid 1.8, stack",
  samples: [
    {
      in: {
        xs: [
          [2, 3],
          [2, 3],
        ],
      },
      attrs: { axis: 0 },
    },
    {
      in: {
        xs: [
          [2, 3],
          [2, 3],
          [2, 3],
        ],
      },
      attrs: { axis: 2 },
    },
    { in: { xs: [[]] }, attrs: { axis: 0 } },
    { in: { xs: [[0], [0]] }, attrs: { axis: 1 } },
  ],
  errorSamples: [
    {
      in: { xs: [[2], [3]] },
      attrs: { axis: 0 },
      code: "CF_SHAPE_MISMATCH",
      text: /xs\[0\] and xs\[1\] must have equal shapes/,
    },
    { in: { xs: [] }, attrs: { axis: 0 }, code: "CF_BAD_SLOT", text: /nothing to stack/ },
  ],
  tolerance: 0,
})

/** The parts of x along an axis of known size, each without that axis. */
export function unstack(x: Variable, options: { axis?: number } = {}): readonly Variable[] {
  return site(
    unstack,
    () => emit(unstackOp, { x }, { axis: resolveAxis(options.axis ?? 0, x.shape.length, "unstack") }, unstack).zs,
  )
}

export const unstackOp = /*#__PURE__*/ composite({
  name: "unstack",
  inputs: { x: "tensor" },
  outputs: ["...zs"],
  attrs: { axis: "int" },
  infer: ({ x }, { axis }) => {
    const size = x.shape[axis]
    if (typeof size !== "number") {
      return fail(
        "CF_SHAPE_MISMATCH",
        `axis ${axis} of ${formatShape(x.shape)} has no size that is known when the program is built`,
      )
    }
    const part = { shape: x.shape.toSpliced(axis, 1), dtype: x.dtype }
    return { zs: Array.from({ length: size }, () => part) }
  },
  // forward   zᵢ = x[…, i, …]
  // backward  dx[…, i, …] = dzᵢ
  grad: (_inputs, { zs }, { zs: dzs }, { axis }) => ({
    x: stack(
      zs.map((z, i) => dzs[i] ?? zerosLike(z)),
      { axis },
    ),
  }),
  decompose: ({ x }, { axis }) => {
    const shape = x.shape.toSpliced(axis, 1)
    const size = x.shape[axis]
    const length = typeof size === "number" ? size : 0
    return { zs: Array.from({ length }, (_, i) => reshapeTo(sliceAt(x, axis, i, 1), shape)) }
  },
})

export const unstackDoc = /*#__PURE__*/ describe(unstackOp, {
  summary: "The parts of a tensor along one axis.",
  formula: "zᵢ = x[…, i, …]",
  source: "Fluid 1.8, unstack",
  samples: [
    { in: { x: [2, 3] }, attrs: { axis: 0 } },
    { in: { x: [2, 3, 2] }, attrs: { axis: 1 } },
    { in: { x: [1] }, attrs: { axis: 0 } },
    { in: { x: [2, 0] }, attrs: { axis: 0 } },
  ],
  errorSamples: [{ in: { x: [] }, attrs: { axis: 0 }, code: "CF_SHAPE_MISMATCH", text: /axis 0 of \[\] has no size/ }],
  tolerance: 0,
})
