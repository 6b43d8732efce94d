// Cutting an axis into equal parts that become a leading axis: what a loop over parts of a batch scans.

import {
  fail,
  floorDivDims,
  formatDim,
  formatShape,
  modDims,
  mulDims,
  type Shape,
  site,
  unifyDims,
  type Variable,
} from "@counterflow/ir"
import { composite } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { transpose } from "./movement.ts"
import { reshapeTo } from "./reshape.ts"
import { resolveAxis } from "./shapes.ts"

/**
 * x cut into `parts` equal parts along an axis (the first unless said), one behind the other along a new leading axis: of shape
 * [parts, …, n / parts, …] where x has n places along the axis. CF_SHAPE_MISMATCH, or CF_SYMBOL_CONFLICT once sizes are known, where
 * the parts cannot be equal.
 */
export function partition(x: Variable, options: { parts: number; axis?: number }): Variable {
  return site(partition, () => {
    const { parts, axis = 0 } = options
    return emit(partitionOp, { x }, { parts, axis: resolveAxis(axis, x.shape.length, "partition") }, partition).z
  })
}

/**
 * The inverse of `partition`: parts [k, …, n, …] one behind the other along an axis of the result, of shape […, k n, …], or of a
 * shape that is equal to it once sizes are known.
 */
export function joinParts(z: Variable, options: { axis?: number; shape?: Shape } = {}): Variable {
  return site(joinParts, () => {
    const [parts = 1, ...others] = z.shape
    const axis = resolveAxis(options.axis ?? 0, others.length, "joinParts")
    const { shape = others.map((dim, i) => (i === axis ? mulDims(parts, dim) : dim)) } = options
    const behind = others.map((_, i) => i + 1)
    return reshapeTo(moved(z, [...behind.slice(0, axis), 0, ...behind.slice(axis)]), shape)
  })
}

function moved(x: Variable, perm: readonly number[]): Variable {
  return perm.every((from, to) => from === to) ? x : transpose(x, { perm })
}

function partShape(shape: Shape, parts: number, axis: number): Shape {
  return shape.map((dim, i) => (i === axis ? floorDivDims(dim, parts) : dim))
}

export const partitionOp = /*#__PURE__*/ composite({
  name: "partition",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { parts: "int", axis: "int" },
  infer: ({ x }, { parts, axis }) => {
    if (!(parts >= 1)) fail("CF_BAD_ATTRIBUTE", `parts must be at least 1, got ${parts}`)
    const size = x.shape[axis] ?? fail("CF_BAD_ATTRIBUTE", `there is no axis ${axis} in ${formatShape(x.shape)}`)
    const why = () => `axis ${axis}, of size ${formatDim(size)}, must be cut into ${parts} equal parts`
    unifyDims(modDims(size, parts), 0, why)
    return { z: { shape: [parts, ...partShape(x.shape, parts, axis)], dtype: x.dtype } }
  },
  // forward   z[p, …, i, …] = x[…, p n / parts + i, …]
  // backward  dx = the parts of dz, joined
  grad: ({ x }, _outputs, { z: dz }, { axis }) => ({ x: joinParts(dz, { axis, shape: x.shape }) }),
  decompose: ({ x }, { parts, axis }) => {
    const split = partShape(x.shape, parts, axis)
    const cut = reshapeTo(x, [...split.slice(0, axis), parts, ...split.slice(axis)])
    const others = cut.shape.flatMap((_, i) => (i === axis ? [] : [i]))
    return { z: moved(cut, [axis, ...others]) }
  },
})

export const partitionDoc = /*#__PURE__*/ describe(partitionOp, {
  summary: "An axis cut into equal parts, which become a leading axis.",
  formula: "z[p, …, i, …] = x[…, p n / parts + i, …], n the size of the axis",
  source: "linear; its adjoint joins the parts",
  samples: [
    { in: { x: [6, 2] }, attrs: { parts: 3, axis: 0 } },
    { in: { x: [2, 4, 3] }, attrs: { parts: 2, axis: 1 } },
    { in: { x: [4] }, attrs: { parts: 1, axis: 0 }, note: "one part" },
    { in: { x: [0, 2] }, attrs: { parts: 2, axis: 0 } },
    { in: { x: { shape: [2, 1, 4], dtype: "int32" } }, attrs: { parts: 4, axis: 2 } },
  ],
  errorSamples: [
    {
      in: { x: [5, 2] },
      attrs: { parts: 2, axis: 0 },
      code: "CF_SHAPE_MISMATCH",
      text: /axis 0, of size 5, must be cut into 2 equal parts/,
    },
    { in: { x: [4] }, attrs: { parts: 0, axis: 0 }, code: "CF_BAD_ATTRIBUTE", text: /parts must be at least 1, got 0/ },
    { in: { x: [4] }, attrs: { parts: 2, axis: 1 }, code: "CF_BAD_ATTRIBUTE", text: /there is no axis 1 in \[4\]/ },
  ],
  tolerance: 0,
})
