// Kernels that choose elements: by places that are data, which they check, and by comparing along an axis.

import { fail } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import type { CpuKernels, HostTensor } from "../kernel.ts"
import { count, lanesOf, rowMajor } from "../strides.ts"

/** How a tensor of `shape` is addressed: `outer` blocks, in each the places along `depth` axes, at each `inner` elements. */
interface Places {
  readonly outer: number
  readonly inner: number
  /** Elements of one of the outer blocks. */
  readonly block: number
  /** How many places the index names. */
  readonly rows: number
  /** Where, inside a block, the elements lie that row `row` of the index names. */
  readonly offset: (row: number) => number
}

function placesOf(shape: readonly number[], index: HostTensor, axis: number): Places {
  const depth = index.shape.at(-1) ?? 0
  const sizes = shape.slice(axis, axis + depth)
  const strides = rowMajor(shape).slice(axis, axis + depth)
  const inner = count(shape.slice(axis + depth))
  const offset = (row: number) => {
    let sum = 0
    for (let k = 0; k < depth; k++) {
      const place = index.data[row * depth + k]!
      const size = sizes[k]!
      if (!(place >= 0 && place < size)) outside(place, axis + k, size)
      sum += place * strides[k]!
    }
    return sum
  }
  return {
    outer: count(shape.slice(0, axis)),
    inner,
    block: count(sizes) * inner,
    rows: count(index.shape.slice(0, -1)),
    offset,
  }
}

/** Refuses a place. */
export function outside(place: number, axis: number, size: number): never {
  return fail("CF_INDEX_RANGE", `index ${place} lies outside axis ${axis} of size ${size}`, {
    fix:
      size === 0
        ? "the axis is empty: there is nothing to index"
        : `use places from 0 to ${size - 1}; negative ones do not count from the end`,
  })
}

/** The place of the first element that beats all before it, in every lane. */
function bindFirst(x: HostTensor, z: HostTensor, axis: number, beats: (a: number, b: number) => boolean): () => void {
  const { outer, length, inner } = lanesOf(x.shape, axis)
  return () => {
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const start = o * length * inner + i
        let best = 0
        let value = length > 0 ? x.data[start]! : NaN
        // Once a NaN is found it stays.
        for (let k = 1; k < length && value === value; k++) {
          const candidate = x.data[start + k * inner]!
          if (beats(candidate, value) || candidate !== candidate) [best, value] = [k, candidate]
        }
        z.data[o * inner + i] = best
      }
    }
  }
}

export const selection = {
  gatherNd: ({ inputs: { x, index }, outputs: { z }, attrs: { axis } }) => {
    const { outer, inner, block, rows, offset } = placesOf(x.shape, index, axis)
    return () => {
      for (let row = 0; row < rows; row++) {
        const place = offset(row)
        for (let o = 0; o < outer; o++) {
          const [from, to] = [o * block + place, (o * rows + row) * inner]
          for (let i = 0; i < inner; i++) z.data[to + i] = x.data[from + i]!
        }
      }
    }
  },

  // Updates are added in their order, in the dtype of the result: every sum is rounded, as a sum over `rows` steps would be.
  scatterNdAdd: ({ inputs: { updates, index }, outputs: { z }, attrs: { shape, axis } }) => {
    const { outer, inner, block, rows, offset } = placesOf(shape, index, axis)
    return () => {
      z.data.fill(0)
      for (let row = 0; row < rows; row++) {
        const place = offset(row)
        for (let o = 0; o < outer; o++) {
          const [from, to] = [(o * rows + row) * inner, o * block + place]
          for (let i = 0; i < inner; i++) z.data[to + i] = z.data[to + i]! + updates.data[from + i]!
        }
      }
    }
  },

  argmax: ({ inputs: { x }, outputs: { z }, attrs: { axis } }) => bindFirst(x, z, axis, (a, b) => a > b),

  argmin: ({ inputs: { x }, outputs: { z }, attrs: { axis } }) => bindFirst(x, z, axis, (a, b) => a < b),
} satisfies CpuKernels<Registry>
