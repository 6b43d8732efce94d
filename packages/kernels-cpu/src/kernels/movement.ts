// Kernels that move elements without computing: one view of the elements copied to another.

import type { Registry } from "@counterflow/ops"
import type { CpuKernels, HostTensor } from "../kernel.ts"
import { bindCopy, broadcastStrides, rowMajor, type View, wholeView } from "../strides.ts"

/** The elements of a tensor at start + i·stride along every axis. */
function windowOf({ data, shape }: HostTensor, starts: readonly number[], strides: readonly number[]): View {
  const own = rowMajor(shape)
  const start = starts.reduce((sum, at, axis) => sum + at * (own[axis] ?? 0), 0)
  return { data, start, strides: own.map((step, axis) => step * (strides[axis] ?? 1)) }
}

export const movement = {
  reshape:
    ({ inputs: { x }, outputs: { z } }) =>
    () => {
      z.data.set(x.data)
    },

  broadcastTo: ({ inputs: { x }, outputs: { z } }) => {
    return bindCopy(z.shape, { data: x.data, strides: broadcastStrides(x.shape, z.shape), start: 0 }, wholeView(z))
  },

  transpose: ({ inputs: { x }, outputs: { z }, attrs: { perm } }) => {
    const own = rowMajor(x.shape)
    return bindCopy(z.shape, { data: x.data, strides: perm.map((axis) => own[axis] ?? 0), start: 0 }, wholeView(z))
  },

  stridedSlice: ({ inputs: { x }, outputs: { z }, attrs: { starts, strides } }) => {
    return bindCopy(z.shape, windowOf(x, starts, strides), wholeView(z))
  },

  stridedPad: ({ inputs: { x }, outputs: { z }, attrs: { starts, strides, padValue } }) => {
    const copy = bindCopy(x.shape, wholeView(x), windowOf(z, starts, strides))
    return () => {
      z.data.fill(padValue)
      copy()
    }
  },

  concat: ({ inputs: { xs }, outputs: { z }, attrs: { axis } }) => {
    const own = rowMajor(z.shape)
    let at = 0
    const copies = xs.map((x) => {
      const copy = bindCopy(x.shape, wholeView(x), { data: z.data, strides: own, start: at * (own[axis] ?? 0) })
      at += x.shape[axis] ?? 0
      return copy
    })
    return () => {
      for (const copy of copies) copy()
    }
  },
} satisfies CpuKernels<Registry>
