// Mean pooling and its gradient.

import type { Registry } from "@counterflow/ops"
import { type Expr, f64, i32, select } from "../assembler/index.ts"
import { emitFill } from "./copy.ts"
import { realOf } from "./element.ts"
import type { Kernel } from "./kernel.ts"
import { addToPlane, planeBytes, roundPlane } from "./plane.ts"
import type { Generators } from "./signature.ts"
import { eachElement, eachWindow, type Range, windowsOf, type WindowSpec } from "./window.ts"

interface AverageSpec extends WindowSpec {
  /** Divide by the elements in the window, else by its whole area. */
  readonly counts: boolean
}

function countOf({ from, to }: Range): Expr<"i32"> {
  return i32.sub(to, from)
}

function divisorOf({ counts, window }: AverageSpec, rows: Range, columns: Range): Expr<"f64"> {
  if (!counts) return f64.const(window[0] * window[1])
  return f64.convertI32S(i32.mul(countOf(rows), countOf(columns)))
}

const avgPool2d: Kernel<"x" | "z", AverageSpec> = {
  name: "avgPool2d",
  build: ({ f }, { x, z }, spec) => {
    const element = realOf(spec.dtype)
    const [height, width] = spec.image
    const sum = f.local("f64")
    f.forRange(
      spec.planes,
      () =>
        eachWindow(f, spec, (rows, columns) => {
          f.set(sum, 0)
          eachElement(f, rows, columns, width, (place) => {
            f.set(sum, f64.add(sum, element.load(i32.add(x, i32.mul(place, element.bytes)))))
          })
          const divisor = f.let(divisorOf(spec, rows, columns))
          element.store(f, z, select(f64.eq(divisor, 0), f64.const(0), f64.div(sum, divisor)))
          f.increment(z, element.bytes)
        }),
      { advance: [[x, height * width * element.bytes]] },
    )
  },
}

/** Each window adds its share to all elements that it covers. */
const avgPool2dInputGrad: Kernel<"dz" | "dx" | "sums", AverageSpec> = {
  name: "avgPool2dInputGrad",
  build: ({ f }, { dz, dx, sums }, spec) => {
    const element = realOf(spec.dtype)
    const [height, width] = spec.image
    const pixels = height * width
    f.forRange(
      spec.planes,
      () => {
        f.fill(sums, 0, 8 * pixels)
        eachWindow(f, spec, (rows, columns) => {
          const share = f.let(f64.div(element.load(dz), divisorOf(spec, rows, columns)))
          eachElement(f, rows, columns, width, (place) => addToPlane(f, sums, place, share))
          f.increment(dz, element.bytes)
        })
        roundPlane(f, sums, dx, pixels, spec.dtype)
      },
      { advance: [[dx, pixels * element.bytes]] },
    )
  },
}

export const meanPooling = {
  avgPool2d: ({ inputs: { x }, outputs: { z }, attrs }, emit) => {
    if (z.elements === 0) return
    const counts = attrs.exclusive || attrs.adaptive
    emit.run(avgPool2d, { x: x.place, z: z.place }, { ...windowsOf(x, z, attrs), counts })
  },

  avgPool2dInputGrad: {
    workspace: ({ outputs: { dx } }) => planeBytes(dx.shape),
    emit: ({ inputs: { dz }, outputs: { dx }, attrs, workspace }, emit) => {
      if (dz.elements === 0) return emitFill(dx, 0, emit)
      if (dx.elements === 0) return
      const counts = attrs.exclusive || attrs.adaptive
      const at = { dz: dz.place, dx: dx.place, sums: workspace }
      emit.run(avgPool2dInputGrad, at, { ...windowsOf(dx, dz, attrs), counts })
    },
  },
} satisfies Generators<Registry>
