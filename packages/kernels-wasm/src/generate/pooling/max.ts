// Max pooling: the largest element of each window with its place in the plane.

import type { Registry } from "@counterflow/ops"
import { type Expr, f32x4, f64, type FunctionBuilder, i32, i32x4, type Local, v128 } from "../../assembler/index.ts"
import type { Lanes } from "../../math/simd/lanes.ts"
import { bytesOf, realOf } from "../expression/element.ts"
import type { Kernel } from "../kernel.ts"
import { emitParts } from "../parts.ts"
import { poolPlaces } from "./places.ts"
import { eachColumn, eachRow, rowPlan } from "./rows.ts"
import { behind, type Generators, type PlacedTensor } from "../signature.ts"
import { withConstants } from "../expression/vector.ts"
import { type Clipped, eachElement, eachWindow, windowsCost, windowsOf, type WindowSpec } from "./window.ts"

const maxPool2d: Kernel<"x" | "z" | "index", WindowSpec> = {
  name: "maxPool2d",
  build: ({ f }, { x, z, index }, spec) => {
    const element = realOf(spec.dtype)
    const plane = [x, spec.image[0] * spec.image[1] * element.bytes] as const
    const plan = rowPlan(spec)
    const planes = (to: FunctionBuilder, body: (one: (window: Clipped) => void) => void) => {
      const [largest, best] = [to.local("f64"), to.local("i32")]
      const one = (window: Clipped) => {
        scanWindow(to, window, spec, largest, best)
        element.store(to, z, largest)
        to.store("i32", index, best)
      }
      to.forRange(spec.planes, () => body(one), { advance: [plane] })
    }
    const advance = (to: FunctionBuilder, results: number) => {
      to.increment(z, element.bytes * results)
      to.increment(index, 4 * results)
    }
    if (plan === undefined) {
      return planes(f, (one) =>
        eachWindow(f, x, spec, (window) => {
          one(window)
          advance(f, 1)
        }),
      )
    }
    withConstants(f, (lanes) => {
      const offsets = lanes.f.let(i32x4.const(0, 1, 2, 3))
      const beside = lanes.f.let(i32x4.mul(offsets, i32x4.splat(i32.const(spec.stride[1]))))
      planes(lanes.f, (one) =>
        eachRow(lanes.f, x, spec, plan, {
          four: (rows, pointer, place) => {
            const found = scanFour(lanes, rows, pointer, spec)
            lanes.f.store("v128", z, found.largest, 0, 4)
            const first = i32x4.add(i32x4.splat(place), beside)
            lanes.f.store("v128", index, i32x4.add(first, found.place), 0, 4)
          },
          one,
          advance: (results) => advance(lanes.f, results),
        }),
      )
    })
  },
}

/** The largest element of a window and its place; of an empty window 0 and −1. */
function scanWindow(
  f: FunctionBuilder,
  window: Clipped,
  spec: WindowSpec,
  largest: Local<"f64">,
  best: Local<"i32">,
): void {
  const element = realOf(spec.dtype)
  f.set(largest, 0)
  f.set(best, -1)
  eachElement(f, window, spec, (pointer, place) => {
    const value = f.let(element.load(pointer))
    // The first NaN wins and stays.
    const isNewNaN = i32.and(f64.ne(value, value), f64.eq(largest, largest))
    f.if(i32.or(i32.ltS(best, 0), i32.or(f64.gt(value, largest), isNewNaN)), () => {
      f.set(largest, value)
      f.set(best, place)
    })
  })
}

/** Windows of up to so many elements are written out. */
const longest = 16

/** The same of four windows; places count from the first element of each. */
function scanFour(
  lanes: Lanes,
  rows: number,
  pointer: Local<"i32">,
  spec: WindowSpec,
): Record<"largest" | "place", Local<"v128">> {
  const { f } = lanes
  const [largest, place, sum] = [f.local("v128"), f.local("v128"), f.local("v128")]
  const take = (values: Local<"v128">, at: Expr<"v128">) => {
    f.set(place, v128.bitselect(at, place, f.let(f32x4.gt(values, largest))))
    f.set(largest, f32x4.pmax(largest, values))
    f.set(sum, f32x4.add(sum, values))
  }
  visitFour(lanes, rows, pointer, spec, take, (values, at) => {
    f.set(largest, values)
    f.set(sum, values)
    f.set(place, at)
  })
  // A NaN makes the sum one, as infinities of both signs may; then all is looked through with more care.
  f.if(i32.eqz(i32x4.allTrue(f32x4.eq(sum, sum))), () => {
    const takeNaN = (values: Local<"v128">, at: Expr<"v128">) => {
      // Not "greater", so that a NaN is taken; and once there is one, nothing is.
      const isTaken = f.let(v128.andnot(f32x4.eq(largest, largest), f32x4.le(values, largest)))
      f.set(largest, v128.bitselect(values, largest, isTaken))
      f.set(place, v128.bitselect(at, place, isTaken))
    }
    visitFour(lanes, rows, pointer, spec, takeNaN, (values, at) => {
      f.set(largest, values)
      f.set(place, at)
    })
  })
  return { largest, place }
}

type Visit = (values: Local<"v128">, place: Expr<"v128">) => void

/** The elements of four windows with their places, in order: `start` with the first, `take` with all others. */
function visitFour(
  lanes: Lanes,
  rows: number,
  pointer: Local<"i32">,
  spec: WindowSpec,
  take: Visit,
  start: Visit,
): void {
  const { f, bits } = lanes
  const width = spec.image[1]
  if (rows * spec.window[1] <= longest) {
    for (let row = 0; row < rows; row++) {
      eachColumn(f, pointer, 4 * width * row, spec, (column, values) => {
        const visit = row + column === 0 ? start : take
        visit(values, bits(row * width + column))
      })
    }
    return
  }
  const [row, first] = [f.let(pointer), f.let(bits(0))]
  eachColumn(f, pointer, 0, { ...spec, window: [1, 1] }, (_, values) => start(values, bits(0)))
  f.forRange(
    rows,
    () => {
      // The first element is seen a second time, which changes nothing.
      eachColumn(f, row, 0, spec, (column, values) => take(values, i32x4.add(first, bits(column))))
      f.set(first, i32x4.add(first, bits(width)))
    },
    { advance: [[row, 4 * width]] },
  )
}

export const maxPooling = {
  maxPool2d: ({ inputs: { x }, outputs: { z, index }, attrs }, emit) => {
    if (z.elements === 0) return
    const spec = windowsOf(x, z, attrs)
    const bytesOfPlane = ({ elements, dtype }: PlacedTensor) => (elements / spec.planes) * bytesOf(dtype)
    const [from, to, places] = [bytesOfPlane(x), bytesOfPlane(z), bytesOfPlane(index)]
    emitParts(spec.planes, windowsCost(spec), emit, (start, planes) => {
      const at = {
        x: behind(x.place, start * from),
        z: behind(z.place, start * to),
        index: behind(index.place, start * places),
      }
      emit.run(maxPool2d, at, { ...spec, planes })
    })
  },

  ...poolPlaces,
} satisfies Generators<Registry>
