// The points of a curve on their way to a line: cut where a value cannot be drawn, averaged, and thinned to what a picture
// can show.

export type Point = readonly [x: number, y: number]
/** Points that one unbroken line joins. */
export type Run = readonly Point[]

// Beyond, differences and sums of values are no numbers any more.
const largestValue = 1e290

/** The pieces of a line between points that cannot be drawn. */
export function runsOf(points: readonly Point[], yScale: "linear" | "log"): Run[] {
  const runs: Point[][] = []
  let open: Point[] | null = null
  for (const [x, y] of points) {
    const isDrawn = Math.abs(x) <= largestValue && Math.abs(y) <= largestValue && (yScale === "linear" || y > 0)
    if (!isDrawn) open = null
    else if (open === null) runs.push((open = [[x, y]]))
    else open.push([x, y])
  }
  return runs
}

/** Each point the mean of about `count` around it, of fewer towards the ends. Linear time, by sums of prefixes. */
export function smoothed(run: Run, count: number): Run {
  const sums = [0]
  for (const [, y] of run) sums.push((sums.at(-1) ?? 0) + y)
  return run.map(([x], index) => {
    // As many to both sides: a mean of more from one side would bend the ends of a slope.
    const half = Math.min(Math.floor(count / 2), index, run.length - 1 - index)
    const [from, to] = [index - half, index + half + 1]
    return [x, ((sums[to] ?? 0) - (sums[from] ?? 0)) / (to - from)]
  })
}

/**
 * At most four points a pixel column, its first, lowest, highest and last: the picture is the same and its size no longer
 * depends on the length of the run.
 */
export function thinned(points: readonly Point[]): readonly Point[] {
  const kept: Point[] = []
  let start = 0
  while (start < points.length) {
    const column = Math.floor(points[start]?.[0] ?? 0)
    let end = start
    while (end < points.length && Math.floor(points[end]?.[0] ?? 0) === column) end++
    kept.push(...(end - start > 4 ? extremes(points.slice(start, end)) : points.slice(start, end)))
    start = end
  }
  return kept
}

function extremes(points: readonly Point[]): Point[] {
  let [low, high] = [0, 0]
  points.forEach(([, y], index) => {
    if (y < (points[low]?.[1] ?? y)) low = index
    if (y > (points[high]?.[1] ?? y)) high = index
  })
  const indices = [...new Set([0, Math.min(low, high), Math.max(low, high), points.length - 1])]
  return indices.flatMap((index) => points.slice(index, index + 1))
}
