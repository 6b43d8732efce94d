// Index spaces as numbers: row-major strides, and merging axes along which every view just runs on, so that most walks
// become one or two plain loops.

export function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** From one index to the next, per axis, in units of `unit`. */
export function rowMajor(shape: readonly number[], unit = 1): number[] {
  const steps = shape.map(() => unit)
  for (let axis = shape.length - 2; axis >= 0; axis--) steps[axis] = (steps[axis + 1] ?? unit) * (shape[axis + 1] ?? 1)
  return steps
}

/** The runs of a tensor along one axis: `outer` × `inner` of them, with `length` elements `inner` apart. */
export function lanesOf(shape: readonly number[], axis: number): { outer: number; length: number; inner: number } {
  return { outer: count(shape.slice(0, axis)), length: shape[axis] ?? 1, inner: count(shape.slice(axis + 1)) }
}

/** The steps by which a tensor is read under a shape that it broadcasts to: 0 where it stretches. */
export function broadcastSteps(from: readonly number[], to: readonly number[], unit = 1): number[] {
  const missing = to.length - from.length
  const own = rowMajor(from, unit)
  return to.map((_, axis) => (from[axis - missing] === 1 ? 0 : (own[axis - missing] ?? 0)))
}

/** An index space and, for each of several views of it, the step along every axis. */
export interface Space {
  readonly sizes: readonly number[]
  readonly steps: readonly (readonly number[])[]
}

/** The same walk with fewer axes: those of size 1 dropped, neighbours merged where every view runs on. */
export function collapse({ sizes, steps }: Space): Space {
  const kept: number[] = []
  const merged: number[][] = steps.map(() => [])
  sizes.forEach((size, axis) => {
    if (size === 1) return
    const last = kept.length - 1
    const runsOn = last >= 0 && steps.every((view, v) => merged[v]?.[last] === (view[axis] ?? 0) * size)
    if (runsOn) kept[last] = (kept[last] ?? 1) * size
    else kept.push(size)
    steps.forEach((view, v) => {
      const own = merged[v]
      if (own !== undefined) own[kept.length - 1] = view[axis] ?? 0
    })
  })
  return { sizes: kept, steps: merged }
}
