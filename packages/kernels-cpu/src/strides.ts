// Row-major strides, and walking several views of one index space at once without tables: what movement, reduction and
// selection kernels share. Axes along which all views run on are merged first, so most walks are one or two plain loops.

import type { NumberArray } from "./kernel.ts"

/** Elements from one index to the next, per axis. */
export function rowMajor(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1)
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = (strides[axis + 1] ?? 1) * (shape[axis + 1] ?? 1)
  return strides
}

export function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** The runs of a tensor along one axis: `outer` × `inner` of them, with `length` elements `inner` apart. */
export function lanesOf(shape: readonly number[], axis: number): { outer: number; length: number; inner: number } {
  return { outer: count(shape.slice(0, axis)), length: shape[axis] ?? 1, inner: count(shape.slice(axis + 1)) }
}

/** The strides by which a tensor of shape `from` is read under the shape `to` that it broadcasts to: 0 where it stretches. */
export function broadcastStrides(from: readonly number[], to: readonly number[]): number[] {
  const missing = to.length - from.length
  const own = rowMajor(from)
  return to.map((_, axis) => (from[axis - missing] === 1 ? 0 : (own[axis - missing] ?? 0)))
}

/** An index space and, for each of several views of it, the stride along every axis. */
export interface Space {
  readonly sizes: readonly number[]
  readonly strides: readonly (readonly number[])[]
}

/** The same walk with fewer axes: those of size 1 dropped, neighbours merged where every view just runs on. */
export function collapse({ sizes, strides }: Space): Space {
  const kept: number[] = []
  const merged: number[][] = strides.map(() => [])
  sizes.forEach((size, axis) => {
    if (size === 1) return
    const last = kept.length - 1
    const runsOn = last >= 0 && strides.every((view, v) => merged[v]?.[last] === (view[axis] ?? 0) * size)
    if (runsOn) kept[last] = (kept[last] ?? 1) * size
    else kept.push(size)
    strides.forEach((view, v) => {
      const own = merged[v]
      if (own !== undefined) own[kept.length - 1] = view[axis] ?? 0
    })
  })
  return { sizes: kept, strides: merged }
}

/** Walks an index space in row-major order and keeps the offsets of two views of it (of one, if the other is not given). */
export class Odometer {
  readonly count: number
  offset = 0
  other = 0
  readonly #sizes: readonly number[]
  readonly #own: readonly number[]
  readonly #others: readonly number[]
  readonly #index: number[]

  constructor(sizes: readonly number[], own: readonly number[], others: readonly number[] = sizes.map(() => 0)) {
    this.count = count(sizes)
    this.#sizes = sizes
    this.#own = own
    this.#others = others
    this.#index = sizes.map(() => 0)
  }

  /** Back to the first element, which lies at these offsets. */
  start(offset: number, other = 0): void {
    this.offset = offset
    this.other = other
    this.#index.fill(0)
  }

  next(): void {
    const index = this.#index
    for (let axis = index.length - 1; axis >= 0; axis--) {
      const at = index[axis]! + 1
      const size = this.#sizes[axis]!
      if (at < size) {
        index[axis] = at
        this.offset += this.#own[axis]!
        this.other += this.#others[axis]!
        return
      }
      index[axis] = 0
      this.offset -= this.#own[axis]! * (size - 1)
      this.other -= this.#others[axis]! * (size - 1)
    }
  }
}

/** Some elements of an array: strides per axis, and where the first one lies. */
export interface View {
  readonly data: NumberArray
  readonly strides: readonly number[]
  readonly start: number
}

/** All of a tensor, in row-major order. */
export function wholeView({ data, shape }: { data: NumberArray; shape: readonly number[] }): View {
  return { data, strides: rowMajor(shape), start: 0 }
}

/** Prepares copying one view of an index space to another: `to[…] = from[…]`. */
export function bindCopy(sizes: readonly number[], from: View, to: View): () => void {
  const space = collapse({ sizes, strides: [from.strides, to.strides] })
  const [own = [], others = []] = space.strides
  const rank = space.sizes.length
  if (space.sizes.includes(0)) return () => {}
  if (rank === 0 || (rank === 1 && own[0] === 1 && others[0] === 1)) {
    const total = space.sizes[0] ?? 1
    const source = from.data.subarray(from.start, from.start + total)
    const target = to.data.subarray(to.start, to.start + total)
    return () => target.set(source)
  }
  const [rows, columns] = [space.sizes[rank - 2] ?? 1, space.sizes[rank - 1] ?? 1]
  const [fromRow, fromColumn] = [own[rank - 2] ?? 0, own[rank - 1] ?? 0]
  const [toRow, toColumn] = [others[rank - 2] ?? 0, others[rank - 1] ?? 0]
  const planes = new Odometer(space.sizes.slice(0, -2), own.slice(0, -2), others.slice(0, -2))
  return () => {
    planes.start(from.start, to.start)
    for (let plane = 0; plane < planes.count; plane++) {
      for (let row = 0; row < rows; row++) {
        const target = planes.other + row * toRow
        // A row that repeats (a bias under a matrix) is copied from the one before, which the host does fastest.
        if (row > 0 && fromRow === 0 && toColumn === 1)
          to.data.copyWithin(target, target - toRow, target - toRow + columns)
        else copyRow(columns, from.data, planes.offset + row * fromRow, fromColumn, to.data, target, toColumn)
      }
      planes.next()
    }
  }
}

function copyRow(
  length: number,
  source: NumberArray,
  from: number,
  fromStride: number,
  target: NumberArray,
  to: number,
  toStride: number,
): void {
  if (fromStride === 0 && toStride === 1) target.fill(source[from]!, to, to + length)
  else if (fromStride === 1 && toStride === 1) for (let i = 0; i < length; i++) target[to + i] = source[from + i]!
  else for (let i = 0; i < length; i++) target[to + i * toStride] = source[from + i * fromStride]!
}
