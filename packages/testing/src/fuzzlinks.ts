// How a value becomes one of another shape or range: the views and moves that programs are full of.

import { isFloat } from "@counterflow/ir"
import type { Wanted } from "./fuzzsample.ts"
import type { Random } from "./random.ts"

export interface Link {
  readonly name: string
  readonly attrs: Readonly<Record<string, unknown>>
}

interface Source {
  readonly shape: readonly number[]
  readonly values: readonly number[]
}

/** Operators that lead from a value to what is wanted, as far as known; none if there is no way. */
export function linksTo(from: Source, wanted: Wanted, random: Random): Link[] {
  const shaped = shapeLinks(from.shape, wanted.shape, random)
  if (shaped === null) return []
  return isFloat(wanted.dtype) && !liesWithin(from, wanted) ? [...shaped, ...rangeLinks(wanted)] : shaped
}

function liesWithin({ values }: Source, { domain: { low, high } }: Wanted): boolean {
  return values.every((value) => value >= low && value <= high)
}

/** sin x, scaled into the middle of the range. */
function rangeLinks({ domain: { low, high } }: Wanted): Link[] {
  const [bias, scale] = [(low + high) / 2, 0.45 * (high - low)]
  return [
    { name: "sin", attrs: {} },
    { name: "scale", attrs: { scale, bias } },
  ]
}

function shapeLinks(from: readonly number[], to: readonly number[], random: Random): Link[] | null {
  if (from.join() === to.join()) return []
  const ways = [transposed, reshaped, stretched, sliced, summed, padded]
  for (const at of random.order(ways.length)) {
    const links = ways[at]?.(from, to, random)
    if (links !== null && links !== undefined) return links
  }
  return null
}

type Way = (from: readonly number[], to: readonly number[], random: Random) => Link[] | null

const reshaped: Way = (from, to) => (count(from) === count(to) ? [{ name: "reshape", attrs: { shape: to } }] : null)

const transposed: Way = (from, to) => {
  const free = new Set(from.keys())
  const perm = to.map((size) => {
    const axis = [...free].find((candidate) => from[candidate] === size)
    if (axis !== undefined) free.delete(axis)
    return axis
  })
  const isWhole = free.size === 0 && perm.every((axis) => axis !== undefined)
  return isWhole && perm.length > 1 ? [{ name: "transpose", attrs: { perm } }] : null
}

const stretched: Way = (from, to) => {
  const missing = to.length - from.length
  const fits = missing >= 0 && from.every((size, axis) => size === 1 || size === to[axis + missing])
  return fits ? [{ name: "broadcastTo", attrs: { shape: to } }] : null
}

const sliced: Way = (from, to, random) => {
  if (from.length !== to.length || from.some((size, axis) => size < (to[axis] ?? 0))) return null
  const strides = from.map((size, axis) => {
    const wanted = to[axis] ?? 0
    const widest = wanted > 1 ? Math.floor((size - 1) / (wanted - 1)) : 1
    const stride = random.integer(1, Math.min(widest, 3))
    return random.next() < 0.25 ? -stride : stride
  })
  const starts = strides.map((stride, axis) => {
    const [size, wanted] = [from[axis] ?? 0, to[axis] ?? 0]
    const span = Math.abs(stride) * Math.max(wanted - 1, 0)
    const first = random.integer(0, Math.max(size - 1 - span, 0))
    return stride > 0 ? first : first + span
  })
  return [{ name: "stridedSlice", attrs: { starts, sizes: to, strides } }]
}

/** Leading axes, or those that become 1, are summed. */
const summed: Way = (from, to) => {
  const surplus = from.length - to.length
  if (surplus > 0 && from.slice(surplus).join() === to.join()) {
    return [{ name: "reduceSum", attrs: { axis: Array.from({ length: surplus }, (_, i) => i), keepDim: false } }]
  }
  const axis = from.flatMap((size, at) => (to[at] === 1 && size !== 1 ? [at] : []))
  const fits = surplus === 0 && axis.length > 0 && from.every((size, at) => to[at] === 1 || to[at] === size)
  return fits ? [{ name: "reduceMax", attrs: { axis, keepDim: true } }] : null
}

const padded: Way = (from, to, random) => {
  if (from.length !== to.length || from.some((size, axis) => size > (to[axis] ?? 0))) return null
  const starts = from.map((size, axis) => random.integer(0, (to[axis] ?? 0) - size))
  return [{ name: "stridedPad", attrs: { shape: to, starts, strides: from.map(() => 1), padValue: 0.5 } }]
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}
