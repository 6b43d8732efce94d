// The relation of a convolution, plane by plane: under tap (p, q) of a filter, place (i, j) of the result z meets the element
//
//   row    = i · stride − top + p · dilation        of the image x, where that lies inside.
//   column = j · stride − left + q · dilation
//
// For each tap the places that meet an element are a rectangle, found once; inside it pointers just step along.

import { type Expr, type FunctionBuilder, i32, type Local, select } from "../../assembler/index.ts"
import type { Pair } from "./plane.ts"

export interface Geometry {
  /** Rows and columns of x, taps and z. */
  readonly image: Pair
  readonly taps: Pair
  readonly result: Pair
  readonly stride: Pair
  readonly dilation: Pair
  /** Rows above and columns left of the image. */
  readonly before: Pair
}

/** Runs `body` for every tap, row by row. It is given a function that walks the places of the tap. */
export function eachTap(f: FunctionBuilder, g: Geometry, body: (places: Places) => void): void {
  f.forRange(g.taps[0], (p) => {
    const rows = rangeOf(f, p, g, 0)
    f.forRange(g.taps[1], (q) => {
      const columns = rangeOf(f, q, g, 1)
      body({ rows, columns })
    })
  })
}

/** The rectangle of places of one tap. */
export interface Places {
  readonly rows: Range
  readonly columns: Range
}

interface Range {
  readonly count: Local<"i32">
  /** The first place of z, and the row or column of x that it meets. */
  readonly first: Local<"i32">
  readonly met: Local<"i32">
}

function rangeOf(f: FunctionBuilder, tap: Local<"i32">, g: Geometry, axis: 0 | 1): Range {
  const [size, places, stride] = [g.image[axis], g.result[axis], g.stride[axis]]
  // i meets row i · stride − shift: from the first i that is not above the image to the last that is not below it.
  const shift = f.let(i32.sub(g.before[axis], i32.mul(tap, g.dilation[axis])))
  const first = f.let(select(i32.gtS(shift, 0), quotient(i32.add(shift, stride - 1), stride), i32.const(0)))
  const room = f.let(i32.add(shift, size - 1))
  const end = f.let(select(i32.ltS(room, 0), i32.const(0), i32.add(quotient(room, stride), 1)))
  const last = f.let(select(i32.ltS(end, places), end, i32.const(places)))
  const count = f.let(select(i32.gtS(last, first), i32.sub(last, first), i32.const(0)))
  const met = f.let(i32.sub(i32.mul(first, stride), shift))
  return { count, first, met }
}

function quotient(x: Expr<"i32">, by: number): Expr<"i32"> {
  return by === 1 ? x : i32.divS(x, by)
}

/** A plane, its first element and the bytes of one. */
export interface Plane {
  readonly start: Expr<"i32">
  readonly bytes: number
}

/** Runs `body` at every place of a tap with pointers to the elements of x and z that meet there. */
export function walkPlaces(
  f: FunctionBuilder,
  g: Geometry,
  { rows, columns }: Places,
  x: Plane,
  z: Plane,
  body: (x: Local<"i32">, z: Local<"i32">) => void,
): void {
  const [width, across] = [g.image[1], g.result[1]]
  const xRow = f.let(i32.add(x.start, i32.mul(i32.add(i32.mul(rows.met, width), columns.met), x.bytes)))
  const zRow = f.let(i32.add(z.start, i32.mul(i32.add(i32.mul(rows.first, across), columns.first), z.bytes)))
  const advanceRow = [[xRow, g.stride[0] * width * x.bytes] as const, [zRow, across * z.bytes] as const]
  f.forRange(
    rows.count,
    () => {
      const [at, to] = [f.let(xRow), f.let(zRow)]
      const advance = [[at, g.stride[1] * x.bytes] as const, [to, z.bytes] as const]
      f.forRange(columns.count, () => body(at, to), { advance })
    },
    { advance: advanceRow },
  )
}
