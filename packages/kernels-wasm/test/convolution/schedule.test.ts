// Which way convolutions are computed, and how they are cut: decided by shapes alone.

import { describe, expect, test } from "vitest"
import { partsOf } from "../../src/convolution/parts.ts"
import { relationOf, type Wanted } from "../../src/convolution/relation.ts"
import { scheduleOf } from "../../src/convolution/schedule.ts"
import { workspaceBytes } from "../../src/convolution/index.ts"
import { type Convolution, convolutionOf, shapesOf, sizeOf } from "./operator.ts"

const wanted: readonly Wanted[] = ["result", "image", "filter"]
const same = [1, 1, 1, 1] as const

function plan(given: Partial<Convolution>, what: Wanted) {
  const conv = convolutionOf(given)
  const shapes = shapesOf(conv)
  const typed = (shape: number[]) => ({ shape, elements: sizeOf(shape), dtype: "float32" }) as const
  const relation = relationOf(typed(shapes.x), typed(shapes.w), typed(shapes.z), conv)
  const schedule = scheduleOf(what, relation, conv.images)
  return { schedule, parts: partsOf(relation, conv.images, schedule) }
}

/** The way for each of the three, the images of a matrix and its rows, and the number of parts. */
function describePlan(given: Partial<Convolution>): string {
  return wanted
    .map((what) => {
      const { schedule, parts } = plan(given, what)
      return `${schedule.kind} ${schedule.joined}×${schedule.rows} in ${parts.length}`
    })
    .join(", ")
}

test("the way follows from the shapes", () => {
  const cases: Record<string, Partial<Convolution>> = {
    "LeNet 1": { images: 32, channels: 1, filters: 8, taps: [5, 5], image: [28, 28] },
    "LeNet 2": { images: 32, channels: 8, filters: 16, taps: [5, 5], image: [12, 12] },
    "3 × 3": { images: 8, channels: 64, filters: 64, padding: same, image: [56, 56] },
    "3 × 3 of few channels": { images: 8, channels: 3, filters: 32, padding: same, image: [32, 32] },
    "3 × 3 of one channel": { images: 8, channels: 1, filters: 32, padding: same, image: [28, 28] },
    "3 × 3 of small planes": { images: 32, channels: 256, filters: 256, padding: same, image: [7, 7] },
    "3 × 3 of tiny planes": { images: 32, channels: 64, filters: 64, padding: same, image: [4, 4] },
    "3 × 3, stride 2": { images: 8, channels: 64, filters: 64, padding: same, image: [56, 56], stride: [2, 2] },
    "3 × 3, dilated": { images: 8, channels: 64, filters: 64, image: [20, 20], dilation: [2, 2] },
    "1 × 1": { images: 8, channels: 64, filters: 64, taps: [1, 1], image: [28, 28] },
    depthwise: { images: 8, groups: 64, channels: 1, filters: 1, padding: same, image: [28, 28] },
    "depthwise, stride 2": {
      images: 8,
      groups: 64,
      channels: 1,
      filters: 1,
      padding: same,
      image: [28, 28],
      stride: [2, 2],
    },
    "a single image": { images: 1, channels: 64, filters: 64, padding: same, image: [56, 56] },
    "a single image, stride 2": {
      images: 1,
      channels: 64,
      filters: 64,
      padding: same,
      image: [56, 56],
      stride: [2, 2],
    },
    "a dense layer": { images: 64, channels: 64, filters: 100, taps: [5, 5], image: [5, 5] },
    little: {},
  }
  const plans = Object.entries(cases).map(([name, given]) => [name, describePlan(given)])
  expect(Object.fromEntries(plans)).toMatchInlineSnapshot(`
    {
      "1 × 1": "columns 1×28 in 8, columns 1×28 in 8, columns 1×28 in 8",
      "3 × 3": "winograd 1×2 in 8, winograd 1×2 in 8, winograd 1×2 in 8",
      "3 × 3 of few channels": "winograd 1×8 in 8, winograd 1×8 in 8, columns 1×32 in 8",
      "3 × 3 of one channel": "columns 1×28 in 2, columns 1×28 in 2, columns 1×28 in 2",
      "3 × 3 of small planes": "winograd 3×4 in 6, winograd 3×4 in 6, winograd 3×4 in 6",
      "3 × 3 of tiny planes": "columns 8×4 in 4, columns 8×4 in 4, columns 8×4 in 4",
      "3 × 3, dilated": "columns 1×6 in 8, columns 1×6 in 8, columns 1×6 in 8",
      "3 × 3, stride 2": "columns 1×4 in 8, columns 1×4 in 8, columns 1×4 in 8",
      "LeNet 1": "columns 1×24 in 4, columns 1×24 in 4, columns 1×24 in 4",
      "LeNet 2": "columns 1×8 in 8, columns 1×8 in 8, columns 1×8 in 8",
      "a dense layer": "columns 16×1 in 4, columns 16×1 in 4, columns 16×1 in 4",
      "a single image": "winograd 1×2 in 7, winograd 1×2 in 7, winograd 1×2 in 7",
      "a single image, stride 2": "columns 1×4 in 7, columns 1×4 in 1, columns 1×4 in 7",
      "depthwise": "depthwise 1×28 in 4, depthwise 1×28 in 4, columns 1×28 in 4",
      "depthwise, stride 2": "depthwise 1×14 in 1, columns 1×14 in 1, columns 1×14 in 1",
      "little": "columns 2×4 in 1, columns 2×4 in 1, columns 2×4 in 1",
    }
  `)
})

describe("parts", () => {
  test("cover every row of every image once, in pieces of at most two sizes", () => {
    for (const images of [1, 2, 3, 5, 7, 8, 9, 17, 32, 100]) {
      for (const what of wanted) {
        for (const taps of [
          [3, 3],
          [5, 5],
          [1, 1],
        ] as const) {
          const { schedule, parts } = plan(
            { images, channels: 24, filters: 24, taps, image: [33, 29], padding: same },
            what,
          )
          const total =
            schedule.kind === "winograd" ? schedule.tiles[0] : Math.max(...parts.map(({ row, rows }) => row + rows))
          const covered = parts.flatMap(({ first, images: count, row, rows }) =>
            Array.from({ length: count * rows }, (_, i) => (first + Math.floor(i / rows)) * total + row + (i % rows)),
          )
          expect(covered).toEqual(Array.from({ length: images * total }, (_, i) => i))
          expect(parts.length).toBeLessThanOrEqual(8)
          expect(new Set(parts.map((part) => part.images * 1000 + part.rows)).size).toBeLessThanOrEqual(2)
        }
      }
    }
  })

  test("of a gradient of many filters do not copy them too often", () => {
    const conv = convolutionOf({ images: 32, channels: 512, filters: 512, padding: same, image: [7, 7] })
    const { x, w, z } = shapesOf(conv)
    const typed = (shape: number[]) => ({ shape, elements: sizeOf(shape), dtype: "float32" }) as const
    const relation = relationOf(typed(x), typed(w), typed(z), conv)
    expect(workspaceBytes("filter", relation, conv.images)).toBeLessThan(2 ** 26)
  })

  test("of one image are whole blocks", () => {
    const { schedule, parts } = plan({ images: 1, channels: 64, filters: 64, padding: same, image: [56, 56] }, "result")
    expect(parts.length).toBeGreaterThan(1)
    for (const { row } of parts) expect(row % schedule.rows).toBe(0)
  })
})
