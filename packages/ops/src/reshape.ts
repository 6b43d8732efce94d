// Same elements in the same order under another shape.

import {
  type Dim,
  DimExpr,
  fail,
  floorDivDims,
  formatShape,
  mulDims,
  numel,
  sameShape,
  type Shape,
  site,
  unifyDims,
  type Variable,
} from "@counterflow/ir"
import { primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"

/** x under another shape. As in Fluid, a 0 copies x's dimension at that place and one −1 is inferred. */
export function reshape(x: Variable, options: { shape: Shape }): Variable {
  return site(reshape, () => reshapeTo(x, resolveShape(x.shape, options.shape)))
}

/** x under exactly this shape: no size is copied or inferred, a 0 is a 0. x itself if it has the shape already. */
export function reshapeTo(x: Variable, shape: Shape): Variable {
  return sameShape(x.shape, shape) ? x : emit(reshapeOp, { x }, { shape }, reshapeTo).z
}

export const reshapeOp = /*#__PURE__*/ primitive({
  name: "reshape",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { shape: "dims" },
  infer: ({ x }, { shape }) => {
    const why = () => `x of shape ${formatShape(x.shape)} has another number of elements than ${formatShape(shape)}`
    unifyDims(numel(x.shape), numel(shape), why)
    return { z: { shape, dtype: x.dtype } }
  },
  // forward   z = x, read in row-major order
  // backward  dx = dz, likewise
  grad: ({ x }, _outputs, { z: dz }) => ({ x: reshapeTo(dz, x.shape) }),
  facts: { kind: "view", aliases: "x" },
})

export const reshapeDoc = /*#__PURE__*/ describe(reshapeOp, {
  summary: "The same elements, in row-major order, under another shape.",
  formula: "z.flat[i] = x.flat[i]",
  source: "linear; its own adjoint",
  samples: [
    { in: { x: [2, 3] }, attrs: { shape: [3, 2] } },
    { in: { x: [4] }, attrs: { shape: [2, 1, 2] } },
    { in: { x: [1, 1] }, attrs: { shape: [] } },
    { in: { x: [0, 3] }, attrs: { shape: [3, 0] } },
  ],
  errorSamples: [
    { in: { x: [2, 3] }, attrs: { shape: [4, 2] }, code: "CF_SHAPE_MISMATCH", text: /another number of elements/ },
  ],
  tolerance: 0,
})

function resolveShape(from: Shape, wanted: Shape): Dim[] {
  const refuse = (why: string) => fail("CF_BAD_ATTRIBUTE", why, { op: "reshape" })
  const bad = wanted.find((dim) => !(dim instanceof DimExpr) && !(Number.isSafeInteger(dim) && dim >= -1))
  if (bad !== undefined || wanted.filter((dim) => dim === -1).length > 1) {
    refuse(`shape [${wanted.map(String).join(", ")}] may hold sizes, 0 to copy one and at most one −1`)
  }
  const copied = wanted.map((dim, axis) =>
    dim === 0
      ? (from[axis] ?? refuse(`the 0 at axis ${axis} copies an axis that x of ${formatShape(from)} has not`))
      : dim,
  )
  if (!copied.includes(-1)) return copied
  const known = mulDims(1, ...copied.filter((dim) => dim !== -1))
  if (known === 0) refuse(`the −1 in [${wanted.map(String).join(", ")}] could be any size: the others make 0 elements`)
  return copied.map((dim) => (dim === -1 ? floorDivDims(numel(from), known) : dim))
}
