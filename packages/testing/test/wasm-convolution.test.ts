// Convolution and both gradients on the WebAssembly backend, against the reference in float64: sizes that blocks, tiles and
// vectors do not divide, every combination of options, and the shapes for which each way of computing is meant.

import { Executor } from "@counterflow/executor"
import { Program } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { conv2d, type Conv2dOptions, conv2dFilterGrad, conv2dInputGrad, legalize } from "@counterflow/ops"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { checkClose } from "../src/case.ts"
import { input } from "./building.ts"
import { holds } from "./wasm-pair.ts"

const reference = new Executor(cpu(), { legalize, maxPlans: 2 })
const fast = new Executor(wasm(), { legalize, maxPlans: 2 })

/** As the ops document it: relative to the largest value. */
const tolerance = 1e-5

interface Sizes extends Required<Pick<Conv2dOptions, "stride" | "dilation" | "groups">> {
  readonly images: number
  /** Of one group. */
  readonly channels: number
  readonly filters: number
  readonly image: readonly [number, number]
  readonly taps: readonly [number, number]
  readonly padding: readonly [number, number, number, number]
}

const plain = {
  images: 2,
  channels: 2,
  filters: 3,
  image: [6, 7],
  taps: [3, 3],
  padding: [0, 0, 0, 0],
  stride: [1, 1],
  dilation: [1, 1],
  groups: 1,
} as const

function placesOf({ image, taps, padding, stride, dilation }: Sizes): [number, number] {
  const along = (axis: 0 | 1) => {
    const span = (taps[axis] - 1) * pair(dilation)[axis] + 1
    const room = image[axis] + padding[(2 * axis) as 0 | 2] + padding[(2 * axis + 1) as 1 | 3] - span
    return Math.floor(room / pair(stride)[axis]) + 1
  }
  return [along(0), along(1)]
}

function pair(sizes: Sizes["stride"]): [number, number] {
  const [first = 1, second = first] = typeof sizes === "number" ? [sizes] : sizes
  return [first, second]
}

/** Numbers in [−1, 1) of a linear congruential generator, the same float32 for both backends. */
function numbers(count: number, seed: number): number[] {
  let state = seed >>> 0
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.fround(state / 2 ** 31 - 1)
  })
}

function run(executor: Executor, dtype: "float32" | "float64", sizes: Sizes) {
  const { images, channels, filters, image, taps, padding, stride, dilation, groups } = sizes
  const options = { padding, stride, dilation, groups }
  const places = placesOf(sizes)
  const shapes = {
    x: [images, groups * channels, ...image],
    w: [groups * filters, channels, ...taps],
    dz: [images, groups * filters, ...places],
  }
  const program = new Program()
  const x = input(program, "x", shapes.x, dtype)
  const w = input(program, "w", shapes.w, dtype)
  const dz = input(program, "dz", shapes.dz, dtype)
  const feed = Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => {
      const count = shape.reduce((product, size) => product * size, 1)
      return [name, { dtype, shape, data: numbers(count, 17 * i + count) }]
    }),
  )
  const fetch = [
    conv2d(x, w, options),
    conv2dInputGrad(dz, w, { ...options, inputShape: shapes.x }),
    conv2dFilterGrad(x, dz, { ...options, filterShape: shapes.w }),
  ]
  return executor.runSync(program, { feed, fetch })
}

function expectCloseness(given: Partial<Sizes>): void {
  const sizes: Sizes = { ...plain, ...given }
  const expected = run(reference, "float64", sizes)
  const got = run(fast, "float32", sizes)
  expect(got.length).toBe(3)
  got.forEach((value, i) => {
    const wanted = expected[i]
    if (wanted !== undefined)
      checkClose(value, wanted, tolerance, `${["z", "dx", "dw"][i]} of ${JSON.stringify(sizes)}`)
  })
}

describe("columns", () => {
  const cases: Record<string, Partial<Sizes>> = {
    "as it comes": {},
    "one place": { image: [3, 3] },
    "1 × 1": { taps: [1, 1], channels: 9, filters: 5 },
    "1 × 1 of small planes, joined": { taps: [1, 1], images: 7, image: [2, 3], channels: 9, filters: 5 },
    "1 × 1 with a stride": { taps: [1, 1], stride: [2, 2] },
    "1 × 1 with padding": { taps: [1, 1], padding: [1, 0, 2, 1] },
    "small planes, joined, and a rest": { images: 70, image: [3, 4], padding: [1, 1, 1, 1], groups: 2 },
    "single places, joined": { images: 9, image: [3, 3], channels: 5, filters: 17 },
    "stride 2": { stride: [2, 2], image: [9, 12] },
    "stride 2, wide": { stride: [2, 2], image: [11, 41], padding: [1, 1, 1, 1] },
    "stride 3 and 4": { stride: [3, 4], image: [10, 23], taps: [2, 5] },
    "a stride beyond the filter": { stride: [4, 5], image: [9, 11], taps: [2, 2] },
    dilation: { dilation: [2, 3], image: [9, 12] },
    "dilation, padding and stride": { dilation: [2, 1], padding: [3, 1, 0, 2], stride: [1, 2], image: [9, 12] },
    "more padding than taps": { padding: [5, 4, 6, 7], image: [2, 3] },
    "padding whole windows": { padding: [9, 0, 0, 9], image: [1, 1], taps: [2, 2] },
    "a stride that skips the image": { padding: [3, 0, 3, 0], image: [1, 1], taps: [1, 1], stride: [5, 5] },
    groups: { groups: 3, padding: [1, 1, 1, 1] },
    depthwise: { groups: 8, channels: 1, filters: 1, padding: [1, 1, 1, 1], image: [9, 13] },
    "depthwise, stride 2, two filters each": { groups: 5, channels: 1, filters: 2, stride: [2, 2] },
    "5 × 5": { taps: [5, 5], image: [12, 12], channels: 8, filters: 16, images: 3 },
    "7 × 7, three channels": {
      taps: [7, 7],
      padding: [3, 3, 3, 3],
      stride: [2, 2],
      image: [33, 30],
      channels: 3,
      filters: 9,
    },
    "4 × 6": { taps: [4, 6], image: [9, 14] },
    "one filter": { filters: 1, channels: 7, image: [17, 9] },
    "bands and a rest": { images: 1, channels: 24, filters: 5, image: [61, 47], taps: [5, 3], padding: [2, 2, 1, 1] },
    "bands with a stride": {
      images: 1,
      channels: 40,
      filters: 5,
      image: [81, 63],
      stride: [2, 2],
      padding: [1, 1, 1, 1],
    },
    "enough work for parts": { images: 11, channels: 16, filters: 16, taps: [2, 2], image: [20, 20] },
  }
  for (const [name, sizes] of Object.entries(cases)) test(`${name}`, () => expectCloseness(sizes))
})

describe("Winograd", () => {
  const wide = { channels: 16, filters: 16, padding: [1, 1, 1, 1] } as const
  const cases: Record<string, Partial<Sizes>> = {
    "even planes": { ...wide, image: [8, 8] },
    "odd planes": { ...wide, image: [9, 11] },
    "odd planes of whole vectors": { ...wide, image: [7, 15] },
    "a flat plane": { ...wide, image: [1, 9] },
    "no padding": { ...wide, padding: [0, 0, 0, 0], image: [11, 12] },
    "padding 2": { ...wide, padding: [2, 2, 2, 2], image: [6, 10] },
    "unequal sides": { ...wide, padding: [0, 2, 1, 0], image: [9, 10] },
    "padding 3": { ...wide, padding: [3, 0, 0, 3], image: [9, 10] },
    "channels that vectors do not divide": { channels: 19, filters: 21, padding: [1, 1, 1, 1], image: [10, 13] },
    groups: { ...wide, groups: 2, image: [9, 9] },
    "blocks and a rest": { channels: 64, filters: 32, padding: [1, 1, 1, 1], image: [38, 50], images: 1 },
    "enough work for parts": { ...wide, image: [16, 15], images: 9 },
    "a single image, 14 × 14": { channels: 40, filters: 40, padding: [1, 1, 1, 1], image: [14, 14], images: 1 },
  }
  for (const [name, sizes] of Object.entries(cases)) test(`${name}`, () => expectCloseness(sizes))
})

test("nothing", () => {
  expectCloseness({ images: 0 })
  expectCloseness({ channels: 0 })
  expectCloseness({ filters: 0 })
})

test("random sizes and options", () => {
  const size = (most: number, least = 1) => fc.integer({ min: least, max: most })
  const sizes = fc
    .record({
      images: size(5),
      channels: fc.oneof(size(4), fc.constantFrom(16, 18)),
      filters: fc.oneof(size(5), fc.constantFrom(16, 17)),
      groups: fc.constantFrom(1, 1, 2, 3),
      taps: fc.oneof(fc.tuple(size(7), size(7)), fc.constant<[number, number]>([3, 3])),
      stride: fc.oneof(fc.constant<[number, number]>([1, 1]), fc.tuple(size(3), size(3))),
      dilation: fc.oneof(fc.constant<[number, number]>([1, 1]), fc.tuple(size(2), size(2))),
      padding: fc.tuple(size(3, 0), size(3, 0), size(3, 0), size(3, 0)),
      room: fc.tuple(size(12, 0), size(20, 0)),
    })
    .map(({ room, ...rest }) => {
      const along = (axis: 0 | 1) => (rest.taps[axis] - 1) * rest.dilation[axis] + 1 + room[axis]
      return { ...rest, image: [along(0), along(1)] as const }
    })
  holds([sizes], expectCloseness, 120)
}, 60_000)
