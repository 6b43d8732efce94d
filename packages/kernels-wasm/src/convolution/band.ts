// Rows of an image plane between margins of zeros, as a small copy: what reads it need not know of edges.
//
//   plane   [height][width]     band   [rows][left zeros | as much of a row as fits | zeros]
//
// The margins are cleared once by whoever owns the band; here only the middle is written.

import { f32x4, i32, type ModuleBuilder } from "../assembler/index.ts"
import { type Procedure, procedure } from "../gemm/procedure.ts"
import type { Pair } from "../generate/space/plane.ts"
import { addFloats, copyFloats, fillFloats } from "./rows.ts"

export interface BandSpec {
  readonly image: Pair
  /** Of the band. */
  readonly rows: number
  readonly width: number
  readonly left: number
}

export function bandBytes({ rows, width }: BandSpec): number {
  return 4 * rows * width
}

/** Elements of a row of the plane that lie inside the band. */
function middleOf({ image, width, left }: BandSpec): number {
  return Math.max(0, Math.min(image[1], width - left))
}

/** A function (plane, band, first): row 0 of the band is row `first` of the plane, which may be negative. */
export function bandFunction(module: ModuleBuilder, spec: BandSpec): Procedure {
  const { image, rows, width, left } = spec
  const middle = middleOf(spec)
  return procedure(module, `band${rows}x${width}`, spec, ["i32", "i32", "i32"], (f, plane, band, first) => {
    if (middle === 0) return
    const to = f.let(i32.add(band, 4 * left))
    const zero = f.let(f32x4.const(0, 0, 0, 0))
    f.forRange(
      rows,
      () => {
        f.if(
          i32.ltU(first, image[0]),
          () => copyFloats(f, to, f.let(i32.add(plane, i32.mul(first, 4 * image[1]))), middle),
          () => fillFloats(f, to, zero, middle),
        )
      },
      {
        advance: [
          [to, 4 * width],
          [first, 1],
        ],
      },
    )
  })
}

/** A function (plane, band, first) that adds a band to the plane. */
export function addBandFunction(module: ModuleBuilder, spec: BandSpec): Procedure {
  const { image, rows, width, left } = spec
  const middle = middleOf(spec)
  return procedure(module, `addBand${rows}x${width}`, spec, ["i32", "i32", "i32"], (f, plane, band, first) => {
    if (middle === 0) return
    const from = f.let(i32.add(band, 4 * left))
    f.forRange(
      rows,
      () => {
        f.if(i32.ltU(first, image[0]), () => {
          addFloats(f, f.let(i32.add(plane, i32.mul(first, 4 * image[1]))), from, middle)
        })
      },
      {
        advance: [
          [from, 4 * width],
          [first, 1],
        ],
      },
    )
  })
}
