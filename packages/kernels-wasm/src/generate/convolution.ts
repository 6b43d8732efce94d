// The generators of convolution: float32 by matrix products, in parts that may run at the same time; float64 plainly.

import type { Registry } from "@counterflow/ops"
import {
  emitConvolution,
  plainConv,
  plainFilterGrad,
  plainInputGrad,
  type PlainSpec,
  relationOf,
  workspaceBytes,
} from "../convolution/index.ts"
import { emitFill } from "./movement/copy.ts"
import { emitElementwise } from "./elementwise/elementwise.ts"
import { matrixEpilogue } from "./elementwise/epilogue.ts"
import { planeBytes } from "./space/plane.ts"
import type { Generators, TensorShape } from "./signature.ts"

type Attrs = Parameters<typeof relationOf>[3]

function specOf(x: TensorShape, w: TensorShape, z: TensorShape, attrs: Attrs): PlainSpec {
  return { ...relationOf(x, w, z, attrs), dtype: x.dtype, images: x.shape[0] ?? 0 }
}

/** Whether the products have anything to do. */
function isFast(x: TensorShape, w: TensorShape, z: TensorShape): boolean {
  return x.dtype === "float32" && x.elements > 0 && w.elements > 0 && z.elements > 0
}

export const convolution = {
  conv2d: {
    workspace: ({ inputs: { x, w }, outputs: { z }, attrs }) =>
      isFast(x, w, z) ? workspaceBytes("result", relationOf(x, w, z, attrs), x.shape[0] ?? 0) : planeBytes(z.shape),
    absorbs: ({ inputs: { x, w }, outputs: { z } }) => isFast(x, w, z),
    emit: ({ inputs: { x, w }, outputs: { z }, attrs, workspace, epilogue }, emit) => {
      if (z.elements === 0) return
      const spec = specOf(x, w, z, attrs)
      const at = { x: x.place, w: w.place, z: z.place }
      if (!isFast(x, w, z)) return emit.run(plainConv, { ...at, sums: workspace }, spec)
      const relation = relationOf(x, w, z, attrs)
      const fitting = epilogue && matrixEpilogue(epilogue, z, 2)
      emitConvolution("result", relation, spec.images, { ...at, workspace }, emit, fitting)
      if (epilogue === undefined || fitting !== undefined) return
      const { x: _x, w: _w, ...others } = epilogue.inputs
      emitElementwise(epilogue.scalar, { ...others, "": { tensor: z } }, z, emit)
    },
  },

  conv2dInputGrad: {
    workspace: ({ inputs: { dz, w }, outputs: { dx }, attrs }) =>
      isFast(dx, w, dz)
        ? workspaceBytes("image", relationOf(dx, w, dz, attrs), dx.shape[0] ?? 0)
        : planeBytes(dx.shape),
    emit: ({ inputs: { dz, w }, outputs: { dx }, attrs, workspace }, emit) => {
      if (dz.elements === 0 || w.elements === 0) return emitFill(dx, 0, emit)
      if (dx.elements === 0) return
      const spec = specOf(dx, w, dz, attrs)
      if (!isFast(dx, w, dz)) {
        return emit.run(plainInputGrad, { dz: dz.place, w: w.place, dx: dx.place, sums: workspace }, spec)
      }
      const at = { x: dx.place, w: w.place, z: dz.place, workspace }
      emitConvolution("image", relationOf(dx, w, dz, attrs), spec.images, at, emit)
    },
  },

  conv2dFilterGrad: {
    workspace: ({ inputs: { x, dz }, outputs: { dw }, attrs }) =>
      isFast(x, dw, dz) ? workspaceBytes("filter", relationOf(x, dw, dz, attrs), x.shape[0] ?? 0) : 0,
    emit: ({ inputs: { x, dz }, outputs: { dw }, attrs, workspace }, emit) => {
      if (dz.elements === 0 || x.elements === 0) return emitFill(dw, 0, emit)
      if (dw.elements === 0) return
      const spec = specOf(x, dw, dz, attrs)
      if (!isFast(x, dw, dz)) return emit.run(plainFilterGrad, { x: x.place, dz: dz.place, dw: dw.place }, spec)
      const at = { x: x.place, w: dw.place, z: dz.place, workspace }
      emitConvolution("filter", relationOf(x, dw, dz, attrs), spec.images, at, emit)
    },
  },
} satisfies Generators<Registry>
