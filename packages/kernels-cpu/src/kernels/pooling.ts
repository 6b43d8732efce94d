// Pooling: windows clipped to the image, plane by plane. Along each axis a window is a range of rows or columns, prepared
// when a kernel is bound; ranges begin and end in order, so those that hold a given row are neighbours, too.

import type { Registry } from "@counterflow/ops"
import type { CpuKernels } from "../kernel.ts"
import { doublesOf, realsOf, scratchSize } from "../scratch.ts"

interface PoolAttrs {
  readonly poolSize: readonly number[]
  readonly poolStride: readonly number[]
  readonly poolPadding: readonly number[]
  readonly adaptive: boolean
}

/** For each window along one axis the rows it covers, `from` to `to` − 1; none if it lies in padding. */
interface Ranges {
  readonly from: Int32Array
  readonly to: Int32Array
}

/** Windows over the planes of images [n, c, h, w]. */
interface Plan {
  readonly planes: number
  readonly h: number
  readonly w: number
  readonly oh: number
  readonly ow: number
}

function planOf([images = 0, channels = 0, h = 0, w = 0]: readonly number[], pooled: readonly number[]): Plan {
  return { planes: images * channels, h, w, oh: pooled[2] ?? 0, ow: pooled[3] ?? 0 }
}

function rangesOf(size: number, places: number, axis: 0 | 1, attrs: PoolAttrs): Ranges {
  const [from, to] = [new Int32Array(places), new Int32Array(places)]
  const step = attrs.poolStride[axis] ?? 1
  const before = attrs.poolPadding[2 * axis] ?? 0
  const reach = attrs.poolSize[axis] ?? 1
  for (let i = 0; i < places; i++) {
    const [first, end] = attrs.adaptive
      ? [Math.floor((i * size) / places), Math.ceil(((i + 1) * size) / places)]
      : [i * step - before, i * step - before + reach]
    from[i] = Math.min(Math.max(first, 0), size)
    to[i] = Math.min(Math.max(end, 0), size)
  }
  return { from, to }
}

/** The other way round: for each row the windows that cover it. */
function holdersOf({ from, to }: Ranges, size: number): Ranges {
  const holders = { from: new Int32Array(size), to: new Int32Array(size) }
  let [first, end] = [0, 0]
  for (let row = 0; row < size; row++) {
    while (first < to.length && to[first]! <= row) first++
    while (end < from.length && from[end]! <= row) end++
    holders.from[row] = first
    holders.to[row] = Math.max(first, end)
  }
  return holders
}

/** What a mean divides by: the elements in the window, or its whole area. */
function counter(
  rows: Ranges,
  columns: Ranges,
  attrs: PoolAttrs & { readonly exclusive: boolean },
): (i: number, j: number) => number {
  const area = (attrs.poolSize[0] ?? 1) * (attrs.poolSize[1] ?? 1)
  if (!attrs.exclusive && !attrs.adaptive) return () => area
  return (i, j) => (rows.to[i]! - rows.from[i]!) * (columns.to[j]! - columns.from[j]!)
}

export const pooling = {
  maxPool2d: ({ inputs: { x }, outputs: { z, index }, attrs }) => {
    const { planes, h, w, oh, ow } = planOf(x.shape, z.shape)
    const [rows, columns] = [rangesOf(h, oh, 0, attrs), rangesOf(w, ow, 1, attrs)]
    const data = realsOf(x.data)
    return () => {
      for (let plane = 0, k = 0; plane < planes; plane++) {
        for (let i = 0; i < oh; i++) {
          for (let j = 0; j < ow; j++, k++) {
            let largest = 0
            let place = -1
            for (let row = rows.from[i]!; row < rows.to[i]!; row++) {
              for (let column = columns.from[j]!; column < columns.to[j]!; column++) {
                const value = data[plane * h * w + row * w + column]!
                // The first NaN wins and stays.
                if (place < 0 || value > largest || (Number.isNaN(value) && !Number.isNaN(largest))) {
                  largest = value
                  place = row * w + column
                }
              }
            }
            z.data[k] = largest
            index.data[k] = place
          }
        }
      }
    }
  },

  poolScatter: {
    workspace: ({ outputs: { dx } }) => scratchSize(dx, 0, planeSize(dx.shape)),

    bind: ({ inputs: { dz, index }, outputs: { dx }, workspace }) => {
      const { planes, h, w, oh, ow } = planOf(dx.shape, dz.shape)
      const sums = doublesOf(workspace, 0, h * w)
      return () => {
        for (let plane = 0; plane < planes; plane++) {
          sums.fill(0)
          for (let k = plane * oh * ow; k < (plane + 1) * oh * ow; k++) {
            const place = index.data[k]!
            if (place >= 0 && place < h * w) sums[place] = sums[place]! + dz.data[k]!
          }
          dx.data.set(sums, plane * h * w)
        }
      }
    },
  },

  poolGather: ({ inputs: { x, index }, outputs: { z } }) => {
    const { planes, h, w, oh, ow } = planOf(x.shape, z.shape)
    return () => {
      for (let plane = 0; plane < planes; plane++) {
        for (let k = plane * oh * ow; k < (plane + 1) * oh * ow; k++) {
          const place = index.data[k]!
          z.data[k] = place >= 0 && place < h * w ? x.data[plane * h * w + place]! : 0
        }
      }
    }
  },

  avgPool2d: ({ inputs: { x }, outputs: { z }, attrs }) => {
    const { planes, h, w, oh, ow } = planOf(x.shape, z.shape)
    const [rows, columns] = [rangesOf(h, oh, 0, attrs), rangesOf(w, ow, 1, attrs)]
    const countOf = counter(rows, columns, attrs)
    return () => {
      for (let plane = 0, k = 0; plane < planes; plane++) {
        for (let i = 0; i < oh; i++) {
          for (let j = 0; j < ow; j++, k++) {
            let sum = 0
            for (let row = rows.from[i]!; row < rows.to[i]!; row++) {
              for (let column = columns.from[j]!; column < columns.to[j]!; column++) {
                sum += x.data[plane * h * w + row * w + column]!
              }
            }
            const count = countOf(i, j)
            z.data[k] = count === 0 ? 0 : sum / count
          }
        }
      }
    }
  },

  avgPool2dInputGrad: ({ inputs: { dz }, outputs: { dx }, attrs }) => {
    const { planes, h, w, oh, ow } = planOf(dx.shape, dz.shape)
    const [rows, columns] = [rangesOf(h, oh, 0, attrs), rangesOf(w, ow, 1, attrs)]
    const [above, beside] = [holdersOf(rows, h), holdersOf(columns, w)]
    const countOf = counter(rows, columns, attrs)
    return () => {
      for (let plane = 0, k = 0; plane < planes; plane++) {
        for (let row = 0; row < h; row++) {
          for (let column = 0; column < w; column++, k++) {
            let sum = 0
            for (let i = above.from[row]!; i < above.to[row]!; i++) {
              for (let j = beside.from[column]!; j < beside.to[column]!; j++) {
                sum += dz.data[plane * oh * ow + i * ow + j]! / countOf(i, j)
              }
            }
            dx.data[k] = sum
          }
        }
      }
    }
  },
} satisfies CpuKernels<Registry>

function planeSize([, , h = 0, w = 0]: readonly number[]): number {
  return h * w
}
