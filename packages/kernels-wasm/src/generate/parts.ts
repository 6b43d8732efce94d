// Cutting an operator into parts that may run at the same time. How it is cut follows from shapes alone.

import type { Emit } from "./signature.ts"

/** Work of a part, at least: less is not worth handing to a thread. */
const leastNanoseconds = 30_000
/** Of any operator: more threads than this would find nothing to do. */
export const mostParts = 8

/**
 * `run` for all of `count` equal pieces of work, in parts of neighbours where that pays. All parts but the last are of one size,
 * a multiple of `unit`. Answers how many there are.
 */
export function emitParts(
  count: number,
  nanosecondsEach: number,
  emit: Emit,
  run: (start: number, count: number, part: number) => void,
  unit = 1,
): number {
  const parts = partsOf(count, nanosecondsEach, unit)
  const size = Math.ceil(count / unit / parts) * unit
  if (parts === 1) run(0, count, 0)
  else {
    const starts = Array.from({ length: parts }, (_, part) => part * size)
    emit.parallel(starts.map((start, part) => () => run(start, Math.min(size, count - start), part)))
  }
  return parts
}

/** How many parts those are, for scratch memory. */
export function partsOf(count: number, nanosecondsEach: number, unit = 1): number {
  const units = Math.ceil(count / unit)
  const wanted = Math.min(mostParts, units, Math.floor((count * nanosecondsEach) / leastNanoseconds))
  return wanted < 2 ? 1 : Math.ceil(units / Math.ceil(units / wanted))
}
