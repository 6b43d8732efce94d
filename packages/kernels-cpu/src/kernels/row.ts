// Kernels of rows of a stack at a place that is data.

import type { Registry } from "@counterflow/ops"
import { type CpuKernels, type HostTensor, isSamePlace } from "../kernel.ts"
import { outside } from "./selection.ts"

export const row = {
  rowAt: ({ inputs: { x, index, length }, outputs: { z } }) => {
    const size = x.shape[0] ?? 0
    return () => {
      const rows = length === undefined ? size : Math.min(length.data[0]!, size)
      copyTo(z, 0, x, placeOf(index, rows) * z.data.length, z.data.length)
    }
  },

  withRow: ({ inputs: { x, row, index }, outputs: { z } }) => {
    const [size, width] = [x.shape[0] ?? 0, row.data.length]
    const isInPlace = isSamePlace(x, z)
    return () => {
      const place = placeOf(index, size)
      if (!isInPlace) z.data.set(x.data)
      copyTo(z, place * width, row, 0, width)
    }
  },
} satisfies CpuKernels<Registry>

function placeOf(index: HostTensor, size: number): number {
  const place = index.data[0]!
  return place >= 0 && place < size ? place : outside(place, 0, size)
}

function copyTo({ data: to }: HostTensor, start: number, { data: from }: HostTensor, at: number, length: number): void {
  for (let i = 0; i < length; i++) to[start + i] = from[at + i]!
}
