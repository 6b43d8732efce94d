// The kernel of values that stand in the program.

import type { Registry } from "@counterflow/ops"
import type { CpuKernels } from "../kernel.ts"

export const literal = {
  arrayValue:
    ({ outputs: { z }, attrs: { values } }) =>
    () => {
      z.data.set(values)
    },
} satisfies CpuKernels<Registry>
