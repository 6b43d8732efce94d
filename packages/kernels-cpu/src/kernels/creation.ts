// Kernels that make a tensor from attributes or copy one.

import type { Registry } from "@counterflow/ops"
import type { CpuKernels } from "../kernel.ts"

export const creation = {
  fillConstant:
    ({ outputs: { z }, attrs: { value } }) =>
    () => {
      z.data.fill(value)
    },

  dimValue:
    ({ outputs: { z }, attrs: { dim } }) =>
    () => {
      z.data[0] = dim
    },

  range:
    ({ outputs: { z }, attrs: { start, step } }) =>
    () => {
      for (let i = 0; i < z.data.length; i++) z.data[i] = start + i * step
    },

  assign:
    ({ inputs: { x }, outputs: { z } }) =>
    () => {
      z.data.set(x.data)
    },
} satisfies CpuKernels<Registry>
