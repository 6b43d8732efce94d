// The bounds of slices as users write them (negative, beyond the end, symbolic) resolved to a first element and a size.

import { addDims, type Dim, DimExpr, fail, floorDivDims, maxDims, sameDim, type Shape, subDims } from "@counterflow/ir"
import { resolveAxis } from "./shapes.ts"

/** Elements start, start + stride, …, `size` of them, along an axis. */
export interface Span {
  readonly axis: number
  readonly start: Dim
  readonly size: Dim
  readonly stride: number
}

interface Bounds {
  readonly axes: readonly number[]
  readonly starts: Shape
  readonly ends: Shape
  readonly strides: readonly number[]
}

/** From here on a bound means "as far as it goes", as in Fluid. */
const farAway = 2 ** 31 - 1

/** One span for each of `axes`, sorted by axis. */
export function resolveSpans(shape: Shape, { axes, starts, ends, strides }: Bounds, op: string): Span[] {
  const refuse = (why: string) => fail("CF_BAD_ATTRIBUTE", why, { op })
  if ([starts, ends, strides].some((list) => list.length !== axes.length)) {
    refuse(
      `each of the ${axes.length} axes needs a start, an end and a stride, got ${starts.length}, ${ends.length} and ${strides.length}`,
    )
  }
  const spans = axes.map((given, i): Span => {
    const axis = resolveAxis(given, shape.length, op)
    const dim = shape[axis]
    if (dim === undefined) return refuse("a tensor of rank 0 has no axis to be sliced along")
    const [start, end, stride] = [starts[i] ?? 0, ends[i] ?? dim, strides[i] ?? 1]
    for (const [name, bound] of [
      ["start", start],
      ["end", end],
    ] as const) {
      const isBound = bound instanceof DimExpr || Number.isSafeInteger(bound) || Math.abs(bound) === Infinity
      if (!isBound) refuse(`the ${name} along axis ${axis} must be an integer, got ${String(bound)}`)
    }
    if (!Number.isSafeInteger(stride) || stride === 0)
      refuse(`the stride along axis ${axis} must be an integer other than 0, got ${stride}`)
    return { axis, stride, ...(stride > 0 ? ahead(start, end, dim, stride) : back(start, end, dim, -stride)) }
  })
  if (new Set(spans.map(({ axis }) => axis)).size < spans.length) refuse(`axes [${axes.join(", ")}] name an axis twice`)
  return spans.sort((a, b) => a.axis - b.axis)
}

/** From `start` up to before `end`. A start behind the end gives size 0; nothing then reads the start. */
function ahead(start: Dim, end: Dim, dim: Dim, stride: number): { start: Dim; size: Dim } {
  const [first, last] = [fromFront(start, dim), fromFront(end, dim)]
  // No clamping where it changes nothing: x[1:] and x[:-1] of a symbolic axis have one shape.
  const stop = isInside(end) ? last : minDims(last, dim)
  const gap = first === 0 ? stop : isInside(start) && sameDim(stop, dim) ? subDims(dim, first) : surplus(stop, first)
  return { start: typeof dim === "number" ? minDims(first, dim) : first, size: steps(gap, stride) }
}

/** Whether a bound is never beyond the end of its axis, whatever the size. */
function isInside(bound: Dim): boolean {
  return typeof bound === "number" && (bound <= 0 || bound >= farAway)
}

/** From `start` down to behind `end`, −1 being before the first element. */
function back(start: Dim, end: Dim, dim: Dim, stride: number): { start: Dim; size: Dim } {
  const top = addDims(dim, -1)
  const bound = (given: Dim) => {
    if (typeof given !== "number") return minDims(given, top)
    if (given >= farAway) return top
    if (given < -farAway) return -1
    return given < 0 ? maxDims(addDims(dim, given), -1) : minDims(given, top)
  }
  const first = bound(start)
  return { start: first, size: steps(surplus(first, bound(end)), stride) }
}

/** A bound counted from the front, at least 0. */
function fromFront(bound: Dim, dim: Dim): Dim {
  if (typeof bound !== "number") return maxDims(bound, 0)
  if (bound >= farAway) return dim
  if (bound < -farAway) return 0
  return bound < 0 ? surplus(dim, -bound) : bound
}

/** How many steps of a stride start within a gap. */
function steps(gap: Dim, stride: number): Dim {
  return floorDivDims(addDims(gap, stride - 1), stride)
}

/** By how much a exceeds b: max(a − b, 0), written so that the terms of b can cancel. */
function surplus(a: Dim, b: Dim): Dim {
  return subDims(maxDims(a, b), b)
}

function minDims(a: Dim, b: Dim): Dim {
  return subDims(addDims(a, b), maxDims(a, b))
}
