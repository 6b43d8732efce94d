// Flat feeds of variables with unknown sizes: what their length, and the other feeds, tell of the shape.

import { type Dim, symbolsOf } from "@counterflow/ir"
import { type FeedTarget, refuseFeed } from "./feed.ts"

/** The shape of a feed that brought none: sizes already known are taken, one unknown symbol follows from the length. */
export function shapeOfFlat(target: FeedTarget, length: number, known: ReadonlyMap<string, number>): readonly number[] {
  const open = new Set<string>()
  const sizes = target.shape.map((dim) => sizeOf(dim, known, open))
  const [symbol, ...others] = open
  if (others.length > 0) {
    return refuseFeed(
      target,
      `its shape leaves ${[...open].join(" and ")} open, which a flat array does not tell`,
      "feed { data, shape }",
    )
  }
  const product = sizes.reduce((total: number, size) => total * (size ?? 1), 1)
  if (symbol === undefined) {
    if (product !== length) {
      const sizes = symbolsOf(target.shape).flatMap((name) => (known.has(name) ? [`${name} = ${known.get(name)}`] : []))
      const given = sizes.length === 0 ? "" : ` with ${sizes.join(", ")} as the other feeds say`
      refuseFeed(target, `it takes ${product} elements${given}, got ${length}`)
    }
    return sizes.map((size) => size ?? 0)
  }
  const times = sizes.filter((size) => size === null).length
  const size = Math.round((product === 0 ? 0 : length / product) ** (1 / times))
  if (size ** times * product !== length) {
    refuseFeed(target, `its ${length} elements are no multiple of ${product}, the elements of one ${symbol}`)
  }
  return sizes.map((known) => known ?? size)
}

function sizeOf(dim: Dim, known: ReadonlyMap<string, number>, open: Set<string>): number | null {
  if (typeof dim === "number") return dim
  const value = known.get(dim.key)
  if (value !== undefined) return value
  for (const name of symbolsOf(dim)) open.add(name)
  return null
}
