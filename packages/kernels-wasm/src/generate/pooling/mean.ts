// Mean pooling and its gradient: sums in f64, in the order of rows and columns, rounded once.

import type { Registry } from "@counterflow/ops"
import {
  type Expr,
  f32x4,
  f64,
  f64x2,
  type FunctionBuilder,
  i32,
  type Local,
  select,
  v128,
} from "../../assembler/index.ts"
import { emitFill } from "../movement/copy.ts"
import { bytesOf, realOf } from "../expression/element.ts"
import type { Kernel } from "../kernel.ts"
import { emitParts, partsOf } from "../parts.ts"
import { planeBytes, roundPlane } from "../space/plane.ts"
import { roundFloats } from "./places.ts"
import { eachColumn, eachRow, pick, rowPlan } from "./rows.ts"
import { behind, type Generators, type PlacedTensor } from "../signature.ts"
import {
  type Clipped,
  eachElement,
  eachWindow,
  type PoolSpec,
  windowsCost,
  windowsOf,
  type WindowSpec,
} from "./window.ts"

interface AverageSpec extends WindowSpec {
  /** Divide by the elements in the window, else by its whole area. */
  readonly counts: boolean
}

function divisorOf({ counts, window }: AverageSpec, { rows, columns }: Pick<Clipped, "rows" | "columns">): Expr<"f64"> {
  if (!counts) return f64.const(window[0] * window[1])
  if (typeof rows === "number" && typeof columns === "number") return f64.const(rows * columns)
  return f64.convertI32S(i32.mul(rows, columns))
}

const avgPool2d: Kernel<"x" | "z", AverageSpec> = {
  name: "avgPool2d",
  build: ({ f }, { x, z }, spec) => {
    const element = realOf(spec.dtype)
    const [height, width] = spec.image
    const sum = f.local("f64")
    const one = (window: Clipped) => {
      f.set(sum, 0)
      eachElement(f, window, spec, (pointer) => f.set(sum, f64.add(sum, element.load(pointer))))
      const divisor = f.let(divisorOf(spec, window))
      element.store(f, z, select(f64.eq(divisor, 0), f64.const(0), f64.div(sum, divisor)))
    }
    const advance = (results: number) => f.increment(z, element.bytes * results)
    const plan = rowPlan(spec)
    const divisors = new Map<number, Local<"v128">>()
    // Rows that are clipped have divisors of their own; all stand before the loop.
    for (const rows of [spec.window[0], ...(plan?.rows.clipped ?? []).map(({ count }) => count)])
      divisors.set(rows, f.let(f64x2.splat(divisorOf(spec, { rows, columns: spec.window[1] }))))
    f.forRange(
      spec.planes,
      () => {
        if (plan === undefined) {
          return eachWindow(f, x, spec, (window) => {
            one(window)
            advance(1)
          })
        }
        eachRow(f, x, spec, plan, {
          four: (rows, pointer) => {
            const divisor = divisors.get(rows)
            if (divisor === undefined) return
            sumFour(f, rows, pointer, spec).forEach((sum, half) => {
              f.storeLane(64, 0, z, f32x4.demoteF64x2Zero(f64x2.div(sum, divisor)), 8 * half, 4)
            })
          },
          one,
          advance,
        })
      },
      { advance: [[x, height * width * element.bytes]] },
    )
  },
}

/** Windows of up to so many elements are written out. */
const longest = 16

/** The sums of four windows. */
function sumFour(
  f: FunctionBuilder,
  rows: number,
  pointer: Local<"i32">,
  spec: WindowSpec,
): readonly [Local<"v128">, Local<"v128">] {
  const [low, high] = [f.let(f64x2.splat(f64.const(0))), f.let(f64x2.splat(f64.const(0)))]
  const add = (_column: number, values: Local<"v128">) => {
    f.set(low, f64x2.add(low, f64x2.promoteLowF32x4(values)))
    f.set(high, f64x2.add(high, f64x2.promoteLowF32x4(pick([2, 3, 0, 1], values, values))))
  }
  const width = spec.image[1]
  if (rows * spec.window[1] <= longest) {
    for (let row = 0; row < rows; row++) eachColumn(f, pointer, 4 * width * row, spec, add)
  } else {
    const row = f.let(pointer)
    f.forRange(rows, () => eachColumn(f, row, 0, spec, add), { advance: [[row, 4 * width]] })
  }
  return [low, high]
}

/** Each window adds its share to all elements that it covers. */
const avgPool2dInputGrad: Kernel<"dz" | "dx" | "sums", AverageSpec> = {
  name: "avgPool2dInputGrad",
  build: ({ f }, { dz, dx, sums }, spec) => {
    const element = realOf(spec.dtype)
    const [height, width] = spec.image
    const pixels = height * width
    // The windows are walked over the sums, as over an image of f64.
    const plane = { ...spec, dtype: "float64" } as const
    f.forRange(
      spec.planes,
      () => {
        f.fill(sums, 0, 8 * pixels)
        eachWindow(f, sums, plane, (window) => {
          const share = f.let(f64.div(element.load(dz), divisorOf(spec, window)))
          eachElement(f, window, plane, (sum) => f.store("f64", sum, f64.add(f64.load(sum), share)))
          f.increment(dz, element.bytes)
        })
        if (spec.dtype === "float32") roundFloats(f, sums, dx, pixels)
        else roundPlane(f, sums, dx, pixels, spec.dtype)
      },
      { advance: [[dx, pixels * element.bytes]] },
    )
  },
}

/** The same of windows that do not meet, all inside the image: what an element gets it gets at once. */
const avgPool2dShares: Kernel<"dz" | "dx", AverageSpec> = {
  name: "avgPool2dShares",
  build: ({ f }, { dz, dx }, spec) => {
    const [height, width] = spec.image
    const [rows, columns] = spec.window
    const divisor = f.let(f64x2.splat(f64.const(rows * columns)))
    const row = f.local("i32")
    f.fill(dx, 0, isCovered(spec) ? 0 : 4 * spec.planes * height * width)
    f.forRange(
      spec.planes,
      () => {
        f.set(row, dx)
        f.forRange(
          spec.pooled[0],
          () => {
            const to = f.let(row)
            const share = (load: Expr<"v128">) => f32x4.demoteF64x2Zero(f64x2.div(f64x2.promoteLowF32x4(load), divisor))
            const move = (windows: number) => {
              f.increment(dz, 4 * windows)
              f.increment(to, 4 * windows * spec.stride[1])
            }
            const isPaired = columns === 2 && spec.stride[1] === 2
            const pairs = isPaired ? Math.floor(spec.pooled[1] / 2) : 0
            f.forRange(pairs, () => {
              const shares = f.let(share(v128.load64Zero(dz, 0, 4)))
              const doubled = f.let(pick([0, 0, 1, 1], shares, shares))
              for (let at = 0; at < rows; at++) f.store("v128", to, doubled, 4 * width * at, 4)
              move(2)
            })
            f.forRange(spec.pooled[1] - 2 * pairs, () => {
              const one = f.let(share(v128.load32Zero(dz)))
              fillWindow(f, to, f.let(pick([0, 0, 0, 0], one, one)), spec)
              move(1)
            })
          },
          { advance: [[row, 4 * spec.stride[0] * width]] },
        )
      },
      { advance: [[dx, 4 * height * width]] },
    )
  },
}

/** Stores the same everywhere in the window that begins at `to`. */
function fillWindow(f: FunctionBuilder, to: Local<"i32">, value: Local<"v128">, { window, image }: WindowSpec): void {
  const row = f.let(to)
  f.forRange(
    window[0],
    () => {
      const at = f.let(row)
      f.forRange(Math.floor(window[1] / 4), () => f.store("v128", at, value, 0, 4), { advance: [[at, 16]] })
      for (let lane = 0; lane < window[1] % 4; lane++) f.storeLane(32, 0, at, value, 4 * lane)
    },
    { advance: [[row, 4 * image[1]]] },
  )
}

/** Whether no two windows meet and none hangs over an edge. */
function areApart({ dtype, adaptive, before, stride, window, pooled, image }: WindowSpec): boolean {
  if (dtype !== "float32" || adaptive) return false
  return ([0, 1] as const).every(
    (axis) =>
      before[axis] === 0 &&
      stride[axis] >= window[axis] &&
      (pooled[axis] - 1) * stride[axis] + window[axis] <= image[axis],
  )
}

/** Whether windows that are apart cover every element. */
function isCovered({ stride, window, pooled, image }: WindowSpec): boolean {
  return ([0, 1] as const).every((axis) => stride[axis] === window[axis] && pooled[axis] * window[axis] === image[axis])
}

/** Nanoseconds to add the shares of a plane one by one, roughly. */
function spreadCost({ window, pooled }: WindowSpec): number {
  return pooled[0] * pooled[1] * (0.6 * window[0] * window[1] + 2)
}

function bytesOfPlane({ elements, dtype }: PlacedTensor, { planes }: PoolSpec): number {
  return (elements / planes) * bytesOf(dtype)
}

export const meanPooling = {
  avgPool2d: ({ inputs: { x }, outputs: { z }, attrs }, emit) => {
    if (z.elements === 0) return
    const spec = { ...windowsOf(x, z, attrs), counts: attrs.exclusive || attrs.adaptive }
    emitParts(spec.planes, windowsCost(spec), emit, (start, planes) => {
      const at = {
        x: behind(x.place, start * bytesOfPlane(x, spec)),
        z: behind(z.place, start * bytesOfPlane(z, spec)),
      }
      emit.run(avgPool2d, at, { ...spec, planes })
    })
  },

  avgPool2dInputGrad: {
    workspace: ({ inputs: { dz }, outputs: { dx }, attrs }) => {
      const spec = windowsOf(dx, dz, attrs)
      return areApart(spec) ? 0 : planeBytes(dx.shape) * partsOf(spec.planes, spreadCost(spec))
    },
    emit: ({ inputs: { dz }, outputs: { dx }, attrs, workspace }, emit) => {
      if (dz.elements === 0) return emitFill(dx, 0, emit)
      if (dx.elements === 0) return
      const spec = { ...windowsOf(dx, dz, attrs), counts: attrs.exclusive || attrs.adaptive }
      const isApart = areApart(spec)
      emitParts(spec.planes, isApart ? windowsCost(spec) : spreadCost(spec), emit, (start, planes, part) => {
        const at = {
          dz: behind(dz.place, start * bytesOfPlane(dz, spec)),
          dx: behind(dx.place, start * bytesOfPlane(dx, spec)),
        }
        if (isApart) return emit.run(avgPool2dShares, at, { ...spec, planes })
        const sums = behind(workspace, part * planeBytes(dx.shape))
        emit.run(avgPool2dInputGrad, { ...at, sums }, { ...spec, planes })
      })
    },
  },
} satisfies Generators<Registry>
