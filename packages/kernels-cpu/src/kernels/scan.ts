// Kernels that walk one axis and leave a result at every place: running sums, products of the others. In float64.

import type { Registry } from "@counterflow/ops"
import type { CpuKernels } from "../kernel.ts"
import { doublesOf, scratchSize } from "../scratch.ts"
import { lanesOf } from "../strides.ts"

export const scan = {
  cumsum: ({ inputs: { x }, outputs: { z }, attrs: { axis, exclusive, reverse } }) => {
    const { outer, length, inner } = lanesOf(x.shape, axis)
    const [first, step] = reverse ? [(length - 1) * inner, -inner] : [0, inner]
    return () => {
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) {
          let [at, sum] = [o * length * inner + i + first, 0]
          for (let k = 0; k < length; k++) {
            const before = sum
            sum += x.data[at]!
            z.data[at] = exclusive ? before : sum
            at += step
          }
        }
      }
    }
  },

  productOfOthers: {
    workspace: ({ outputs: { z }, attrs: { axis } }) => scratchSize(z, 0, z.shape[axis] ?? 1),

    // The product of what comes before, then, on the way back, times the product of what comes after.
    bind: ({ inputs: { x }, outputs: { z }, attrs: { axis }, workspace }) => {
      const { outer, length, inner } = lanesOf(x.shape, axis)
      const before = doublesOf(workspace, 0, length)
      return () => {
        for (let o = 0; o < outer; o++) {
          for (let i = 0; i < inner; i++) {
            const start = o * length * inner + i
            let product = 1
            for (let k = 0; k < length; k++) {
              before[k] = product
              product *= x.data[start + k * inner]!
            }
            product = 1
            for (let k = length - 1; k >= 0; k--) {
              z.data[start + k * inner] = before[k]! * product
              product *= x.data[start + k * inner]!
            }
          }
        }
      }
    },
  },
} satisfies CpuKernels<Registry>
