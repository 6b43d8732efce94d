// Depthwise convolution: every channel has filters of its own and nothing is summed over channels, so there is no matrix to
// multiply. Four vectors of neighbouring places are summed in registers, tap by tap, from a copy of the plane with its margins.
// The gradient to the image is the same with the taps in reverse, if the stride is 1.

import { f32x4, type FunctionBuilder, i32, type Local, type ModuleBuilder, v128 } from "../assembler/index.ts"
import { storeLanes } from "../gemm/lanes.ts"
import { more, type Procedure, procedure } from "../gemm/procedure.ts"
import { finishOf, type ReadyFinish } from "../gemm/store.ts"
import type { KernelContext } from "../generate/kernel.ts"
import type { Geometry } from "../generate/space/taps.ts"
import { bandBytes, bandFunction } from "./band.ts"
import { bandOf } from "./columns.ts"
import { channelSteps, type ConvolutionFinish, imageSteps, movable } from "./finish.ts"
import type { Part } from "./parts.ts"
import { type Relation, sizesOf, type Wanted } from "./relation.ts"
import { loadSpaced } from "./rows.ts"

export interface DepthwiseSchedule {
  readonly kind: "depthwise"
  /** From what is read to what is made. */
  readonly view: Geometry
  readonly isFlipped: boolean
  readonly joined: 1
  readonly rows: number
  readonly canCut: false
  readonly bytes: number
}

/** Vectors that are summed at a time. */
const vectors = 4

export function depthwiseSchedule(wanted: Wanted, relation: Relation): DepthwiseSchedule | undefined {
  const { groups, channels, filters, geometry } = relation
  if (groups === 1 || channels !== 1 || filters !== 1 || wanted === "filter") return undefined
  const isFlipped = wanted === "image"
  const view = isFlipped ? reversed(geometry) : geometry
  if (view === undefined) return undefined
  // The last vector of the last row is read whole.
  const bytes = bandBytes(bandOf(view, view.result[0])) + 16 * view.stride[1]
  return { kind: "depthwise", view, isFlipped, joined: 1, rows: view.result[0], canCut: false, bytes: align(bytes) }
}

function align(bytes: number): number {
  return 64 * Math.ceil(bytes / 64)
}

/** The convolution from z to x, where that is one. */
function reversed({ image, taps, result, stride, dilation, before }: Geometry): Geometry | undefined {
  const margin = (axis: 0 | 1) => (taps[axis] - 1) * dilation[axis] - before[axis]
  if (stride.some((step) => step !== 1) || margin(0) < 0 || margin(1) < 0) return undefined
  return { image: result, taps, result: image, stride, dilation, before: [margin(0), margin(1)] }
}

export interface DepthwiseWork {
  readonly relation: Relation
  readonly part: Omit<Part, "first">
  readonly schedule: DepthwiseSchedule
}

type At = Readonly<Record<"x" | "w" | "z" | "workspace", Local<"i32">>>

/** Runs through all images of a part. */
export function convolveDepthwise(
  { f, module }: KernelContext,
  wanted: Wanted,
  { x, w, z, workspace }: At,
  { relation, part, schedule }: DepthwiseWork,
  finish?: ConvolutionFinish,
): void {
  const { view, isFlipped, bytes } = schedule
  const sizes = sizesOf(relation)
  const [from, to] = wanted === "image" ? [z, x] : [x, z]
  const [fromPlane, toPlane] = wanted === "image" ? [sizes.z, sizes.x] : [sizes.x, sizes.z]
  f.fill(workspace, 0, bytes)
  const band = bandOf(view, view.result[0])
  const copy = bandFunction(module, band)
  const plane = planeFunction(module, { view, width: band.width, isFlipped }, finish)
  const image = () => {
    const [filter, own] = [f.let(w), movable(f, finish)]
    const round = () => {
      f.run(copy, from, workspace, -view.before[0])
      f.run(plane, workspace, filter, to, ...(own?.operands ?? []))
    }
    const advance = [[from, 4 * fromPlane] as const, [filter, 4 * sizes.w] as const, [to, 4 * toPlane] as const]
    f.forRange(relation.groups, round, { advance: [...advance, ...channelSteps(own, 1)] })
  }
  f.forRange(part.images, image, { advance: imageSteps(finish, 1) })
}

interface PlaneSpec {
  readonly view: Geometry
  /** Of the band. */
  readonly width: number
  readonly isFlipped: boolean
}

/** A function (band, w, z, …operands of the epilogue) for one plane. */
function planeFunction(module: ModuleBuilder, spec: PlaneSpec, finish?: ConvolutionFinish): Procedure {
  const { view, width, isFlipped } = spec
  const { taps, result, stride } = view
  const params = ["i32", "i32", "i32", ...more(finish?.epilogue.operands ?? 0)] as const
  const key = { ...spec, epilogue: finish?.epilogue.key }
  return procedure(module, `depthwise${taps.join("x")}`, key, params, (f, band, w, z, ...operands) => {
    const ready = finishOf(f, finish?.epilogue, operands)
    const place = f.local("i32", 0)
    if (isFlipped) f.increment(w, 4 * (taps[0] * taps[1] - 1))
    const row = () => {
      const at = f.let(band)
      const sum = (count: number, lanes: number) => {
        const sums = sumTaps(f, spec, at, w, count)
        storeSums(f, sums, z, place, lanes, ready)
        const places = 4 * (count - 1) + lanes
        f.increment(at, 4 * places * stride[1])
        f.increment(z, 4 * places)
        f.increment(place, places)
      }
      const block = 4 * vectors
      f.forRange(Math.floor(result[1] / block), () => sum(vectors, 4))
      const rest = result[1] % block
      if (rest > 0) sum(Math.ceil(rest / 4), 1 + ((rest - 1) % 4))
    }
    f.forRange(result[0], row, { advance: [[band, 4 * stride[0] * width]] })
  })
}

/** The sums of `count` vectors of places over all taps. */
function sumTaps(
  f: FunctionBuilder,
  { view: { taps, stride, dilation }, width, isFlipped }: PlaneSpec,
  band: Local<"i32">,
  w: Local<"i32">,
  count: number,
): Local<"v128">[] {
  const sums = Array.from({ length: count }, () => f.let(f32x4.const(0, 0, 0, 0)))
  const [line, weight] = [f.let(band), f.let(w)]
  f.forRange(
    taps[0],
    () => {
      const at = f.let(line)
      f.forRange(
        taps[1],
        () => {
          const factor = f.let(v128.load32Splat(weight))
          sums.forEach((sum, i) => {
            const values = loadSpaced(at, 16 * stride[1] * i, 4, stride[1])
            f.set(sum, f32x4.add(sum, f32x4.mul(factor, values)))
          })
        },
        {
          advance: [
            [at, 4 * dilation[1]],
            [weight, isFlipped ? -4 : 4],
          ],
        },
      )
    },
    { advance: [[line, 4 * dilation[0] * width]] },
  )
  return sums
}

function storeSums(
  f: FunctionBuilder,
  sums: readonly Local<"v128">[],
  z: Local<"i32">,
  column: Local<"i32">,
  lanes: number,
  finish: ReadyFinish | undefined,
): void {
  const row = i32.const(0)
  sums.forEach((sum, i) => {
    const count = i === sums.length - 1 ? lanes : 4
    if (finish !== undefined) {
      const { epilogue, operands, constants } = finish
      const at = { row, column: i32.add(column, 4 * i), tile: { row, column }, offset: { row: 0, column: 4 * i } }
      f.set(sum, epilogue.apply(f, { ...at, acc: sum, lanes: count, operands, constants }))
    }
    storeLanes(f, z, sum, 16 * i, count)
  })
}
