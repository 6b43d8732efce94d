// Windows that slide over the last two axes of an image: what convolution and pooling share. Reading the user's spelling
// (a number or a list, "same", "valid"), checking it, and counting the places of a window.

import {
  addDims,
  compareDims,
  type Dim,
  DimExpr,
  fail,
  floorDivDims,
  formatDim,
  maxDims,
  mulDims,
  sameDim,
  type Shape,
  subDims,
  type TensorType,
  unifyDims,
} from "@counterflow/ir"

/** Wherever Fluid takes an int or a list: one number for both axes, or [height, width]. */
export type Pair = number | readonly number[]

/** One number, [height, width], [top, bottom, left, right]; "same" gives ⌈size/stride⌉ places, "valid" pads nothing. */
export type Padding = Dim | readonly Dim[] | "same" | "valid" | "SAME" | "VALID"

/** A window's geometry along height and width. */
export interface Geometry {
  /** Height and width of what is slid over. */
  readonly size: readonly [Dim, Dim]
  /** How far the window reaches: dilation · (filter − 1) + 1. */
  readonly span: readonly [Dim, Dim]
  readonly stride: readonly number[]
}

/** Height and width of an image [n, c, h, w]; the shape rule refuses other ranks. */
export function imageSize(shape: Shape): [Dim, Dim] {
  return [shape[2] ?? 1, shape[3] ?? 1]
}

export function spanOf(size: Dim, dilation: number): Dim {
  return addDims(mulDims(dilation, subDims(size, 1)), 1)
}

/** A number or a list of two → two integers of at least `least`. */
export function resolvePair(value: Pair, name: string, op: string, least = 1): [number, number] {
  const given: readonly unknown[] = Array.isArray(value) ? (value as readonly unknown[]) : [value]
  const [height, width = height, ...rest] = given
  if (!isSize(height, least) || !isSize(width, least) || rest.length > 0) {
    fail("CF_BAD_ATTRIBUTE", `${name} must be an integer of at least ${least}, or two of them, got ${textOf(value)}`, {
      op,
    })
  }
  return [height, width]
}

/** The user's padding → [top, bottom, left, right]. */
export function resolvePadding(padding: Padding, geometry: Geometry, name: string, op: string): Dim[] {
  const word = typeof padding === "string" ? padding.toLowerCase() : null
  if (word === "valid") return [0, 0, 0, 0]
  if (word === "same") return [...samePadding(geometry, 0), ...samePadding(geometry, 1)]
  const list: readonly unknown[] = Array.isArray(padding) ? padding : [padding, padding]
  const sides = list.length === 2 ? [list[0], list[0], list[1], list[1]] : list
  if (sides.length === 4 && sides.every(isPad)) return [...sides]
  return fail(
    "CF_BAD_ATTRIBUTE",
    `${name} must be "same", "valid", or one, two or four sizes, got ${textOf(padding)}`,
    {
      op,
      fix: "sizes are integers of at least 0: one for all sides, [height, width] or [top, bottom, left, right]",
    },
  )
}

/** Before and after, so that a window finds ⌈size/stride⌉ places; an odd one goes after. */
function samePadding({ size, span, stride }: Geometry, axis: 0 | 1): [Dim, Dim] {
  const step = stride[axis] ?? 1
  const places = ceilDiv(size[axis], step)
  const reach = addDims(mulDims(subDims(places, 1), step), span[axis])
  const total = maxDims(subDims(reach, size[axis]), 0)
  const before = floorDivDims(total, 2)
  return [before, subDims(total, before)]
}

/** Refuses lists of a wrong length and numbers out of range, which a program file may hold. */
export function checkSizes(name: string, sizes: Shape, length: number, least: number): void {
  const bad = sizes.length !== length || sizes.some((size) => typeof size === "number" && !isSize(size, least))
  if (bad) fail("CF_BAD_ATTRIBUTE", `${name} must be ${length} integers of at least ${least}, got ${textOf(sizes)}`)
}

/** How many places the window has along one axis. With `ceilMode` the last may hang over the edge. */
export function placesOf(geometry: Geometry, padding: Shape, axis: 0 | 1, ceilMode = false): Dim {
  const { size, span, stride } = geometry
  const step = stride[axis] ?? 1
  const [before, after] = [padding[2 * axis] ?? 0, padding[2 * axis + 1] ?? 0]
  const total = addDims(before, after)
  // The padding of "same" was made for this number; as an expression it would not be seen to be that.
  if (!ceilMode && typeof total !== "number" && sameDim(total, addDims(...samePadding(geometry, axis)))) {
    return ceilDiv(size[axis], step)
  }
  const room = subDims(addDims(size[axis], total), span[axis])
  return addDims(ceilMode ? ceilDiv(room, step) : floorDivDims(room, step), 1)
}

/** The window must find a place. For a symbolic size this is recorded, and checked when the size is known. */
export function requirePlace(what: string, geometry: Geometry, padding: Shape, axis: 0 | 1, places: Dim): void {
  const least = maxDims(places, 1)
  if (compareDims(places, least) === "different") {
    const side = axis === 0 ? "height" : "width"
    const padded = addDims(geometry.size[axis], padding[2 * axis] ?? 0, padding[2 * axis + 1] ?? 0)
    const [span, room] = [formatDim(geometry.span[axis]), formatDim(padded)]
    fail(
      "CF_SHAPE_MISMATCH",
      `a ${what} of ${side} ${span} finds no place in x of ${side} ${room}, its padding included`,
      {
        fix: `take a smaller ${what}, or pad x more`,
      },
    )
  }
  unifyDims(places, least)
}

function ceilDiv(a: Dim, b: number): Dim {
  return floorDivDims(addDims(a, b - 1), b)
}

/** For cost rules, which see slots of any kind: the shape of one that holds a single tensor. */
export function shapeOf(slot: TensorType | readonly TensorType[] | undefined): Shape {
  return slot !== undefined && "shape" in slot ? slot.shape : fail("CF_INTERNAL", "a single tensor was expected")
}

function isPad(value: unknown): value is Dim {
  return value instanceof DimExpr || isSize(value, 0)
}

function isSize(value: unknown, least: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(textOf).join(", ")}]`
  return typeof value === "string" ? `"${value}"` : String(value)
}
