// Runs of elements along an axis, and passes over them: elements that follow each other go through as vectors, runs that lie
// side by side four together. A kernel that reduces along an axis is written once for both.
//
//   rows      [.., n]        the axis is the last one: a run is contiguous
//   columns   [.., n, k]     runs are k apart: four neighbours at a time

import type { Local } from "../../assembler/index.ts"
import type { Numbers, NumberType, Sum } from "./numbers.ts"

/** `outer` × `inner` runs of `length` elements that are `inner` apart. */
export interface RunSpace {
  readonly outer: number
  readonly length: number
  readonly inner: number
}

/** Part of a pass: these many elements at this byte offset from the pointers. */
export interface Piece {
  readonly offset: number
  readonly count: number
  /** Of every two vectors of a row the first or the second. */
  readonly half: 0 | 1
}

type Pointers<P extends string> = Readonly<Record<P, Local<"i32">>>

/** As many runs as fit into one value; a row alone is in all lanes of what is reduced along it. */
export interface Runs<T extends NumberType> {
  /** How many runs these are. */
  readonly count: number
  /** Visits all elements, given where they begin in several tensors. */
  each<P extends string>(pointers: Pointers<P>, visit: (at: Pointers<P>, piece: Piece) => void): void
  sum(): { add(value: Local<T>, piece: Piece): void; total(): Local<T> }
  /** The largest element, −∞ if there is none; anything where one is NaN. */
  largest(x: Local<"i32">): Local<T>
}

/** Contiguous elements: `rows` times `length` of them, `step` bytes from row to row. */
export function rowRuns<T extends NumberType>(
  numbers: Numbers<T>,
  length: number,
  { rows, step }: { readonly rows: number; readonly step: number } = { rows: 1, step: 0 },
): Runs<T> {
  const { f, bytes, width } = numbers
  const pair = 2 * width
  const each: Runs<T>["each"] = (pointers, visit) => {
    const row = copied(numbers, pointers)
    const advance = entriesOf(row).map(([, pointer]) => [pointer, step] as const)
    f.forRange(
      rows,
      () => {
        const at = copied(numbers, row)
        const stepped = entriesOf(at).map(([, pointer]) => [pointer, pair * bytes] as const)
        const vector = (half: 0 | 1, count: number) => {
          if (count > 0) visit(at, { offset: half * width * bytes, count, half })
        }
        const both = (count: number) => {
          vector(0, Math.min(count, width))
          vector(1, Math.max(count - width, 0))
        }
        f.forRange(Math.floor(length / pair), () => both(pair), { advance: stepped })
        both(length % pair)
      },
      { advance: rows === 1 ? [] : advance },
    )
  }
  return {
    count: 1,
    each,
    sum: () => {
      const sum: Sum<T> = numbers.sums.across()
      const zero = numbers.constant(0)
      return {
        add: (value, { count, half }) =>
          sum.add(count === width ? value : f.let(numbers.only(count, value, zero)), half),
        total: () => sum.total(),
      }
    },
    largest: (x) => {
      const least = numbers.constant(-Infinity)
      const best = [0, 1].map(() => f.let(least))
      each({ x }, (at, { offset, count, half }) => {
        const own = best[half]
        if (own === undefined) return
        const value = f.let(numbers.only(count, numbers.load(at.x, offset, count), least))
        f.set(own, numbers.larger(own, value))
      })
      return numbers.largestLane(best.reduce((x, y) => f.let(numbers.larger(x, y))))
    },
  }
}

/** `count` runs side by side, elements of one `step` bytes apart. */
export function columnRuns<T extends NumberType>(
  numbers: Numbers<T>,
  length: number,
  step: number,
  count: number,
): Runs<T> {
  const { f } = numbers
  const piece = { offset: 0, count, half: 0 } as const
  const each: Runs<T>["each"] = (pointers, visit) => {
    const at = copied(numbers, pointers)
    const advance = entriesOf(at).map(([, pointer]) => [pointer, step] as const)
    f.forRange(length, () => visit(at, piece), { advance })
  }
  return {
    count,
    each,
    sum: () => {
      const sum = numbers.sums.beside()
      return { add: (value) => sum.add(value, 0), total: () => sum.total() }
    },
    largest: (x) => {
      const best = f.let(numbers.constant(-Infinity))
      each({ x }, (at) => f.set(best, numbers.larger(best, f.let(numbers.load(at.x, 0, count)))))
      return best
    },
  }
}

function copied<P extends string>({ f }: Numbers<NumberType>, pointers: Pointers<P>): Pointers<P> {
  return Object.fromEntries(entriesOf(pointers).map(([name, pointer]) => [name, f.let(pointer)])) as Pointers<P>
}

function entriesOf<P extends string>(pointers: Pointers<P>): [P, Local<"i32">][] {
  return Object.entries(pointers) as [P, Local<"i32">][]
}

/**
 * Runs `body` for all runs of a space. Pointers of `full` tensors stand at the first element of the runs; those of `single` ones,
 * which have one element for each run, at the first of theirs, `bytes` each.
 */
export function eachRuns<T extends NumberType>(
  numbers: Numbers<T>,
  { outer, length, inner }: RunSpace,
  full: readonly Local<"i32">[],
  single: readonly { readonly pointer: Local<"i32">; readonly bytes: number }[],
  body: (runs: Runs<T>) => void,
): void {
  const { f, bytes, width } = numbers
  const perRun = single.map(({ pointer, bytes: own }) => [pointer, own] as const)
  if (inner === 1) {
    const advance = [...full.map((pointer) => [pointer, length * bytes] as const), ...perRun]
    return f.forRange(outer, () => body(rowRuns(numbers, length)), { advance })
  }
  const move = (runs: number) =>
    [...full.map((pointer) => [pointer, bytes] as const), ...perRun].map(
      ([pointer, step]) => [pointer, step * runs] as const,
    )
  const some = (runs: number) => body(columnRuns(numbers, length, inner * bytes, runs))
  f.forRange(
    outer,
    () => {
      f.forRange(Math.floor(inner / width), () => some(width), { advance: move(width) })
      const rest = inner % width
      if (rest === 0) return
      some(rest)
      for (const [pointer, step] of move(rest)) f.increment(pointer, step)
    },
    { advance: full.map((pointer) => [pointer, (length - 1) * inner * bytes] as const) },
  )
}
