// Operators that move elements without computing: one view of the elements copied to another.

import type { Registry } from "@counterflow/ops"
import { emitCopy, emitFill, emitWhole, wholeView, windowView } from "./copy.ts"
import { bytesOf } from "../expression/element.ts"
import { behind, type Generators } from "../signature.ts"
import { broadcastSteps, rowMajor } from "../space/space.ts"

export const movement = {
  assign: ({ inputs: { x }, outputs: { z } }, emit) => emitWhole(x, z, emit),

  reshape: ({ inputs: { x }, outputs: { z } }, emit) => emitWhole(x, z, emit),

  broadcastTo: ({ inputs: { x }, outputs: { z } }, emit) => {
    const steps = broadcastSteps(x.shape, z.shape, bytesOf(x.dtype))
    emitCopy(z.shape, { place: x.place, steps }, wholeView(z), z.dtype, emit)
  },

  transpose: ({ inputs: { x }, outputs: { z }, attrs: { perm } }, emit) => {
    const own = rowMajor(x.shape, bytesOf(x.dtype))
    emitCopy(z.shape, { place: x.place, steps: perm.map((axis) => own[axis] ?? 0) }, wholeView(z), z.dtype, emit)
  },

  stridedSlice: ({ inputs: { x }, outputs: { z }, attrs: { starts, strides } }, emit) => {
    emitCopy(z.shape, windowView(x, starts, strides), wholeView(z), z.dtype, emit)
  },

  stridedPad: ({ inputs: { x }, outputs: { z }, attrs: { starts, strides, padValue } }, emit) => {
    emitFill(z, padValue, emit)
    emitCopy(x.shape, wholeView(x), windowView(z, starts, strides), z.dtype, emit)
  },

  concat: ({ inputs: { xs }, outputs: { z }, attrs: { axis } }, emit) => {
    const { place, steps } = wholeView(z)
    let at = 0
    for (const x of xs) {
      emitCopy(x.shape, wholeView(x), { place: behind(place, at * (steps[axis] ?? 0)), steps }, z.dtype, emit)
      at += x.shape[axis] ?? 0
    }
  },
} satisfies Generators<Registry>
