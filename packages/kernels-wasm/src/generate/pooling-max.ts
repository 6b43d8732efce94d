// Max pooling: the largest element of each window with its place in the plane, and moving elements by such places.

import type { DType } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import { type Expr, f64, i32, i64, type Local, select } from "../assembler/index.ts"
import { emitFill } from "./copy.ts"
import { bytesOf, realOf } from "./element.ts"
import type { Kernel } from "./kernel.ts"
import { addToPlane, planeBytes, roundPlane } from "./plane.ts"
import type { Generators } from "./signature.ts"
import { eachElement, eachWindow, planesOf, type PoolSpec, windowsOf, type WindowSpec } from "./window.ts"

const maxPool2d: Kernel<"x" | "z" | "index", WindowSpec> = {
  name: "maxPool2d",
  build: ({ f }, { x, z, index }, spec) => {
    const element = realOf(spec.dtype)
    const [height, width] = spec.image
    const [largest, best] = [f.local("f64"), f.local("i32")]
    f.forRange(
      spec.planes,
      () =>
        eachWindow(f, spec, (rows, columns) => {
          f.set(largest, 0)
          f.set(best, -1)
          eachElement(f, rows, columns, width, (place) => {
            const value = f.let(element.load(i32.add(x, i32.mul(place, element.bytes))))
            // The first NaN wins and stays.
            const isNewNaN = i32.and(f64.ne(value, value), f64.eq(largest, largest))
            f.if(i32.or(i32.ltS(best, 0), i32.or(f64.gt(value, largest), isNewNaN)), () => {
              f.set(largest, value)
              f.set(best, place)
            })
          })
          element.store(f, z, largest)
          f.store("i32", index, best)
          f.increment(z, element.bytes)
          f.increment(index, 4)
        }),
      { advance: [[x, height * width * element.bytes]] },
    )
  },
}

interface PlaceSpec extends PoolSpec {
  readonly index: DType
}

/** The place in its plane that is named, as an unsigned number: larger than any plane where there is none. */
function placeAt(index: Local<"i32">, dtype: DType): Expr<"i32"> {
  if (dtype !== "int64") return i32.load(index)
  const place = i64.load(index)
  return select(i64.ltU(place, 2 ** 31), i32.wrapI64(place), i32.const(-1))
}

const poolScatter: Kernel<"dz" | "index" | "dx" | "sums", PlaceSpec> = {
  name: "poolScatter",
  build: ({ f }, { dz, index, dx, sums }, spec) => {
    const element = realOf(spec.dtype)
    const pixels = spec.image[0] * spec.image[1]
    f.forRange(
      spec.planes,
      () => {
        f.fill(sums, 0, 8 * pixels)
        const advance = [[dz, element.bytes] as const, [index, bytesOf(spec.index)] as const]
        f.forRange(
          spec.pooled[0] * spec.pooled[1],
          () => {
            const place = f.let(placeAt(index, spec.index))
            f.if(i32.ltU(place, pixels), () => addToPlane(f, sums, place, f.let(element.load(dz))))
          },
          { advance },
        )
        roundPlane(f, sums, dx, pixels, spec.dtype)
      },
      { advance: [[dx, pixels * element.bytes]] },
    )
  },
}

const poolGather: Kernel<"x" | "index" | "z", PlaceSpec> = {
  name: "poolGather",
  build: ({ f }, { x, index, z }, spec) => {
    const element = realOf(spec.dtype)
    const pixels = spec.image[0] * spec.image[1]
    const value = f.local("f64")
    f.forRange(
      spec.planes,
      () => {
        const advance = [[z, element.bytes] as const, [index, bytesOf(spec.index)] as const]
        f.forRange(
          spec.pooled[0] * spec.pooled[1],
          () => {
            const place = f.let(placeAt(index, spec.index))
            f.set(value, 0)
            f.if(i32.ltU(place, pixels), () => {
              f.set(value, element.load(i32.add(x, i32.mul(place, element.bytes))))
            })
            element.store(f, z, value)
          },
          { advance },
        )
      },
      { advance: [[x, pixels * element.bytes]] },
    )
  },
}

export const maxPooling = {
  maxPool2d: ({ inputs: { x }, outputs: { z, index }, attrs }, emit) => {
    if (z.elements === 0) return
    emit.run(maxPool2d, { x: x.place, z: z.place, index: index.place }, windowsOf(x, z, attrs))
  },

  poolScatter: {
    workspace: ({ outputs: { dx } }) => planeBytes(dx.shape),
    emit: ({ inputs: { dz, index }, outputs: { dx }, workspace }, emit) => {
      if (dz.elements === 0) return emitFill(dx, 0, emit)
      if (dx.elements === 0) return
      const at = { dz: dz.place, index: index.place, dx: dx.place, sums: workspace }
      emit.run(poolScatter, at, { ...planesOf(dx, dz), index: index.dtype })
    },
  },

  poolGather: ({ inputs: { x, index }, outputs: { z } }, emit) => {
    if (z.elements === 0) return
    emit.run(poolGather, { x: x.place, index: index.place, z: z.place }, { ...planesOf(x, z), index: index.dtype })
  },
} satisfies Generators<Registry>
