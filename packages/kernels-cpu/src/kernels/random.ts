// Kernels of random draws: key and counter from the attributes and the step state, the numbers from numeric/draws.ts.

import { fail } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import type { CpuKernels, HostTensor } from "../kernel.ts"
import { fillNormal, fillRandint, fillTruncatedNormal, fillUniform } from "../numeric/draws.ts"
import { realsOf } from "../scratch.ts"

/** Which run of the loops around it a draw belongs to; 0 outside of loops. */
function tripOf(trip: HostTensor | undefined): ArrayLike<number> {
  return trip?.data ?? outside
}

const outside = [0]

/** A seed's two's complement, low and high word: the key of Philox. */
function keyOf(seed: number | null): [number, number] {
  if (seed === null)
    return fail("CF_INTERNAL", "a draw without a seed reached a kernel: legalizing puts the program's in")
  return [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0]
}

function integersOf({ data, dtype }: HostTensor): Int32Array | Float64Array {
  if (data instanceof Int32Array || data instanceof Float64Array) return data
  return fail("CF_INTERNAL", `integers cannot be drawn into ${dtype}`)
}

export const random = {
  uniformRandom: ({ inputs: { step, trip }, outputs: { z }, attrs: { min, max, seed, stream } }) => {
    const [low, high] = keyOf(seed)
    const [data, trips] = [realsOf(z.data), tripOf(trip)]
    return () => fillUniform(data, min, max, low, high, stream, step.data[0] ?? 0, trips[0] ?? 0)
  },

  gaussianRandom: ({ inputs: { step, trip }, outputs: { z }, attrs: { mean, std, seed, stream } }) => {
    const [low, high] = keyOf(seed)
    const [data, trips] = [realsOf(z.data), tripOf(trip)]
    return () => fillNormal(data, mean, std, low, high, stream, step.data[0] ?? 0, trips[0] ?? 0)
  },

  truncatedGaussianRandom: ({ inputs: { step, trip }, outputs: { z }, attrs: { mean, std, seed, stream } }) => {
    const [low, high] = keyOf(seed)
    const [data, trips] = [realsOf(z.data), tripOf(trip)]
    return () => fillTruncatedNormal(data, mean, std, low, high, stream, step.data[0] ?? 0, trips[0] ?? 0)
  },

  randint: ({ inputs: { step, trip }, outputs: { z }, attrs: { low, high, seed, stream } }) => {
    const [key0, key1] = keyOf(seed)
    const [data, trips] = [integersOf(z), tripOf(trip)]
    return () => fillRandint(data, low, high, key0, key1, stream, step.data[0] ?? 0, trips[0] ?? 0)
  },
} satisfies CpuKernels<Registry>
