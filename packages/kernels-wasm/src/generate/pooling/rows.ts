// Windows of float32 four at a time: rows of results, of which those whose windows hang over an edge are made one by one, and
// the others as vectors along the row. All clipping is known before: pointers step along, and nothing is compared.

import { type Expr, type FunctionBuilder, i8x16, i32, type Local, v128 } from "../../assembler/index.ts"
import type { Clipped, WindowSpec } from "./window.ts"

/** Windows along one axis: those from `first` on, `count` of them, lie inside; the others are clipped. */
interface AxisPlan {
  readonly first: number
  readonly count: number
  readonly clipped: readonly ClippedRange[]
}

/** Window `at` covers so many rows or columns, from `from` on. */
interface ClippedRange {
  readonly at: number
  readonly from: number
  readonly count: number
}

interface RowPlan {
  readonly rows: AxisPlan
  readonly columns: AxisPlan
}

/** More windows at the edges, or wider ones, would make the function long. */
const [mostClipped, widest] = [8, 16]

/** How rows are made four results at a time; undefined where there is nothing to gain. */
export function rowPlan(spec: WindowSpec): RowPlan | undefined {
  if (spec.dtype !== "float32" || spec.adaptive || spec.window[1] > widest) return undefined
  const [rows, columns] = [axisPlan(spec, 0), axisPlan(spec, 1)]
  const isLong = rows.clipped.length > mostClipped || columns.clipped.length > mostClipped
  return isLong || columns.count < 4 || rows.clipped.some(({ count }) => count === 0) ? undefined : { rows, columns }
}

function axisPlan({ image, pooled, window, stride, before }: WindowSpec, axis: 0 | 1): AxisPlan {
  const starts = Array.from({ length: pooled[axis] }, (_, i) => i * stride[axis] - before[axis])
  const fits = (start: number) => start >= 0 && start + window[axis] <= image[axis]
  const clipped = starts.flatMap((start, at) => {
    const [from, end] = [Math.max(start, 0), Math.min(start + window[axis], image[axis])]
    return fits(start) ? [] : [{ at, from: end > from ? from : 0, count: Math.max(end - from, 0) }]
  })
  return { first: Math.max(starts.findIndex(fits), 0), count: starts.length - clipped.length, clipped }
}

/** What is made of windows. The pointers of results are moved by `advance` alone. */
export interface RowBody {
  /** Four windows of so many rows, of which the first begins here. */
  readonly four: (rows: number, pointer: Local<"i32">, place: Local<"i32">) => void
  readonly one: (window: Clipped) => void
  readonly advance: (results: number) => void
}

/** All windows of the plane at x. */
export function eachRow(f: FunctionBuilder, x: Local<"i32">, spec: WindowSpec, plan: RowPlan, body: RowBody): void {
  const width = spec.image[1]
  const single = ({ from, count }: ClippedRange) => {
    oneRow(
      f,
      { rows: count, row: f.let(i32.add(x, 4 * width * from)), place: f.let(i32.const(width * from)) },
      spec,
      plan,
      body,
    )
  }
  const { first, count, clipped } = plan.rows
  for (const each of clipped) if (each.at < first) single(each)
  const start = first * spec.stride[0] - spec.before[0]
  const [row, place] = [f.let(i32.add(x, 4 * width * start)), f.let(i32.const(width * start))]
  const advance = [[row, 4 * width * spec.stride[0]] as const, [place, width * spec.stride[0]] as const]
  f.forRange(count, () => oneRow(f, { rows: spec.window[0], row, place }, spec, plan, body), { advance })
  for (const each of clipped) if (each.at >= first) single(each)
}

interface Row {
  readonly rows: number
  readonly row: Local<"i32">
  readonly place: Local<"i32">
}

function oneRow(f: FunctionBuilder, { rows, row, place }: Row, spec: WindowSpec, plan: RowPlan, body: RowBody): void {
  const stride = spec.stride[1]
  const { first, count, clipped } = plan.columns
  const single = ({ from, count: columns }: ClippedRange) => {
    body.one({ rows, columns, pointer: f.let(i32.add(row, 4 * from)), place: f.let(i32.add(place, from)) })
    body.advance(1)
  }
  for (const each of clipped) if (each.at < first) single(each)
  const start = first * stride - spec.before[1]
  const [pointer, own] = [f.let(i32.add(row, 4 * start)), f.let(i32.add(place, start))]
  const four = () => {
    body.four(rows, pointer, own)
    body.advance(4)
  }
  const step = (results: number) => {
    f.increment(pointer, 4 * results * stride)
    f.increment(own, results * stride)
  }
  f.forRange(Math.floor(count / 4), () => {
    four()
    step(4)
  })
  const rest = count % 4
  if (rest > 0) {
    // The last four, of which some are made a second time.
    step(rest - 4)
    body.advance(rest - 4)
    four()
  }
  for (const each of clipped) if (each.at >= first) single(each)
}

/** Column after column of four windows that begin `stride` apart: their elements side by side. Nothing else is read. */
export function eachColumn(
  f: FunctionBuilder,
  pointer: Local<"i32">,
  offset: number,
  { window: [, columns], stride: [, stride] }: WindowSpec,
  visit: (column: number, values: Local<"v128">) => void,
): void {
  const load = (at: number) => v128.load(pointer, at, 4)
  let column = 0
  while (column < columns) {
    const at = offset + 4 * column
    if (stride === 2 && column + 1 < columns) {
      const [low, high] = [f.let(load(at)), f.let(load(at + 16))]
      visit(column, f.let(pick([0, 2, 4, 6], low, high)))
      visit(column + 1, f.let(pick([1, 3, 5, 7], low, high)))
      column += 2
      continue
    }
    if (stride === 1) visit(column, f.let(load(at)))
    else if (stride === 2) visit(column, f.let(pick([0, 2, 5, 7], load(at), load(at + 12))))
    else visit(column, f.let(apart(pointer, at, stride)))
    column++
  }
}

/** Four floats, `stride` apart. */
function apart(pointer: Local<"i32">, at: number, stride: number): Expr<"v128"> {
  return [1, 2, 3].reduce(
    (vector, lane) => v128.load32Lane(lane, pointer, vector, at + 4 * stride * lane),
    v128.load32Zero(pointer, at),
  )
}

/** Lanes of 32 bits, 0 to 3 of x and 4 to 7 of y. */
export function pick(lanes: readonly number[], x: Expr<"v128">, y: Expr<"v128">): Expr<"v128"> {
  const bytes = lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte))
  return i8x16.shuffle(bytes, x, y)
}
