// The matrix of columns: one row for each channel and tap, in it the elements of x that the places of z meet under that tap.
// With it a convolution is a matrix product, w · columns; so are both gradients.
//
//   columns[(c, p, q)][(i, j)] = x[c][i · stride − top + p · dilation][j · stride − left + q · dilation]

import { i32, type Local, type FunctionBuilder, type ModuleBuilder } from "../assembler/index.ts"
import { type Procedure, procedure } from "../gemm/procedure.ts"
import type { Geometry } from "../generate/space/taps.ts"
import { addBandFunction, bandBytes, bandFunction, type BandSpec } from "./band.ts"
import { addFloats, copyFloats } from "./rows.ts"

export interface ColumnsSpec {
  readonly channels: number
  readonly geometry: Geometry
  /** Rows of z whose columns are made. */
  readonly rows: number
  /** Elements from row to row of the matrix. */
  readonly length: number
}

/** What of a plane the columns of some rows of z read. */
export function bandOf({ image, taps, result, stride, dilation, before }: Geometry, rows: number): BandSpec {
  return {
    image,
    rows: (rows - 1) * stride[0] + (taps[0] - 1) * dilation[0] + 1,
    width: (result[1] - 1) * stride[1] + (taps[1] - 1) * dilation[1] + 1,
    left: before[1],
  }
}

/** Whether every place meets an element of x: then columns are read from where x lies. */
export function isInside({ image, taps, result, stride, dilation, before }: Geometry): boolean {
  return ([0, 1] as const).every((axis) => {
    const end = (result[axis] - 1) * stride[axis] + (taps[axis] - 1) * dilation[axis] + 1
    return before[axis] === 0 && end <= image[axis]
  })
}

/** Bytes of the band that `columnsFunction` and `foldFunction` want, of one channel. */
export function columnsBandBytes(geometry: Geometry, rows: number): number {
  return bandBytes(bandOf(geometry, rows))
}

/** A function (x, columns, band, first) for the rows of z from `first` on. The margins of the band are zeros. */
export function columnsFunction(module: ModuleBuilder, spec: ColumnsSpec): Procedure {
  const { channels, geometry, rows } = spec
  const { image, stride, before } = geometry
  const name = `columns${channels}x${geometry.taps.join("x")}`
  return procedure(module, name, spec, ["i32", "i32", "i32", "i32"], (f, x, columns, band, first) => {
    const row = f.let(i32.sub(i32.mul(first, stride[0]), before[0]))
    const inside = isInside(geometry)
    const width = inside ? image[1] : bandOf(geometry, rows).width
    const start = f.let(inside ? i32.add(x, i32.mul(row, 4 * image[1])) : band)
    const advance = [
      [x, 4 * image[0] * image[1]] as const,
      ...(inside ? [[start, 4 * image[0] * image[1]] as const] : []),
    ]
    f.forRange(
      channels,
      () => {
        if (!inside) f.run(bandFunction(module, bandOf(geometry, rows)), x, band, row)
        walkColumns(f, spec, start, width, columns, (from, to) => {
          copyFloats(f, to, from, geometry.result[1], stride[1])
        })
      },
      { advance },
    )
  })
}

/** A function (columns, x, band, first), the adjoint: each entry is added to the element of x that it would be a copy of. */
export function foldFunction(module: ModuleBuilder, spec: ColumnsSpec): Procedure {
  const { channels, geometry, rows } = spec
  const { image, stride, before } = geometry
  const name = `fold${channels}x${geometry.taps.join("x")}`
  return procedure(module, name, spec, ["i32", "i32", "i32", "i32"], (f, columns, x, band, first) => {
    const row = f.let(i32.sub(i32.mul(first, stride[0]), before[0]))
    const bandSpec = bandOf(geometry, rows)
    const add = addBandFunction(module, bandSpec)
    f.forRange(
      channels,
      () => {
        f.fill(band, 0, bandBytes(bandSpec))
        walkColumns(f, spec, band, bandSpec.width, columns, (to, from) => {
          addFloats(f, to, from, geometry.result[1], stride[1])
        })
        f.run(add, x, band, row)
      },
      { advance: [[x, 4 * image[0] * image[1]]] },
    )
  })
}

/** Runs `body` for every tap of one channel and every row of z, with pointers to the plane and to the columns. */
function walkColumns(
  f: FunctionBuilder,
  { geometry: { taps, result, stride, dilation }, rows, length }: ColumnsSpec,
  start: Local<"i32">,
  width: number,
  columns: Local<"i32">,
  body: (plane: Local<"i32">, column: Local<"i32">) => void,
): void {
  const line = f.let(start)
  f.forRange(
    taps[0],
    () => {
      const tap = f.let(line)
      f.forRange(
        taps[1],
        () => {
          const [plane, column] = [f.let(tap), f.let(columns)]
          f.forRange(rows, () => body(plane, column), {
            advance: [
              [plane, 4 * stride[0] * width],
              [column, 4 * result[1]],
            ],
          })
        },
        {
          advance: [
            [tap, 4 * dilation[1]],
            [columns, 4 * length],
          ],
        },
      )
    },
    { advance: [[line, 4 * dilation[0] * width]] },
  )
}
