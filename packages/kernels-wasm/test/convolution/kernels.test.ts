// What each way of computing a convolution reads and writes, how exact it is, and that its parts do not depend on each other.

import { describe, expect, test } from "vitest"
import {
  type Convolution,
  convolutionOf,
  convolve,
  differenceOf,
  exactly,
  operandsOf,
  type Wanted,
} from "./operator.ts"

const all: readonly Wanted[] = ["z", "dx", "dw"]

function expectExactness(conv: Convolution, isReversed = false): number {
  const data = operandsOf(conv)
  const parts = all.map((wanted) => {
    const ran = convolve(conv, wanted, data, { isReversed })
    const difference = differenceOf(ran.result, exactly(conv, wanted, data))
    expect({ conv, wanted, isClose: difference <= 2e-6 }).toEqual({ conv, wanted, isClose: true })
    return ran.parts
  })
  return Math.min(...parts)
}

const same = [1, 1, 1, 1] as const

describe("memory and accuracy", () => {
  const cases: Record<string, Partial<Convolution>> = {
    "columns of planes in place": {},
    "columns of one place": { image: [3, 3] },
    "columns with padding": { padding: [2, 1, 0, 3] },
    "columns with stride 2": { stride: [2, 2], image: [7, 19] },
    "columns with stride 2 and padding": { stride: [2, 2], padding: same, image: [8, 18] },
    "columns with stride 3": { stride: [3, 3], dilation: [2, 1], image: [8, 17] },
    "joined images": { images: 50, image: [4, 5], padding: same, groups: 2 },
    "joined images and a rest": { images: 47, image: [3, 3], filters: 9 },
    planes: { taps: [1, 1], channels: 5 },
    "joined planes": { taps: [1, 1], images: 19, image: [2, 3], channels: 5 },
    depthwise: { groups: 6, channels: 1, filters: 1, padding: same },
    "depthwise, wide, dilated": {
      groups: 3,
      channels: 1,
      filters: 1,
      padding: [2, 1, 0, 3],
      image: [9, 39],
      dilation: [2, 1],
    },
    "depthwise, stride 2": { groups: 3, channels: 1, filters: 1, padding: same, image: [9, 43], stride: [2, 2] },
    "depthwise, stride 3, 5 × 4": { groups: 3, channels: 1, filters: 1, taps: [5, 4], image: [11, 60], stride: [1, 3] },
    "depthwise, more padding than taps": { groups: 3, channels: 1, filters: 1, padding: [4, 4, 5, 5], image: [4, 4] },
    "bands and a rest": { images: 1, channels: 40, image: [37, 50], taps: [2, 3] },
    "tiles of even planes": { channels: 16, filters: 16, padding: same, image: [6, 8] },
    "tiles of odd planes": { channels: 16, filters: 17, padding: same, image: [7, 9] },
    "tiles without padding": { channels: 17, filters: 16, image: [10, 9] },
    "joined images of tiles and a rest": { images: 7, channels: 16, filters: 16, padding: same, image: [7, 7] },
    "blocks of tiles": { images: 1, channels: 24, filters: 40, padding: same, image: [40, 34] },
    "groups of tiles": { channels: 16, filters: 16, groups: 2, padding: same, image: [5, 8] },
  }
  for (const [name, given] of Object.entries(cases)) {
    test(`${name}`, () => {
      expectExactness(convolutionOf(given))
    })
  }
})

describe("parts", () => {
  const cases: Record<string, Partial<Convolution>> = {
    columns: { images: 11, channels: 16, filters: 16, taps: [2, 2], image: [24, 24] },
    "joined columns": { images: 90, channels: 32, filters: 16, taps: [2, 2], image: [6, 6] },
    "rows of a single image": {
      images: 1,
      channels: 8,
      filters: 16,
      taps: [5, 5],
      image: [44, 52],
      padding: [2, 2, 2, 2],
    },
    "rows of two images of planes": { images: 2, channels: 32, filters: 40, taps: [1, 1], image: [37, 40] },
    "rows of tiles": { images: 1, channels: 20, filters: 16, padding: same, image: [37, 41] },
    depthwise: { groups: 32, channels: 1, filters: 1, images: 5, padding: same, image: [40, 44] },
    "many filters for tiles": { channels: 112, filters: 104, padding: same, image: [3, 8] },
    "joined tiles": { images: 19, channels: 48, filters: 40, padding: same, image: [7, 7] },
    tiles: { images: 9, channels: 16, filters: 16, padding: same, image: [18, 21] },
  }
  for (const [name, given] of Object.entries(cases)) {
    test(`${name} do not depend on each other`, () => {
      const conv = convolutionOf(given)
      const data = operandsOf(conv)
      for (const wanted of all) {
        const [forward, backward] = [false, true].map((isReversed) => convolve(conv, wanted, data, { isReversed }))
        // Rows of x that are added to by several rows of z stay together.
        const isCut = conv.images > 1 || wanted !== "dx" || name === "rows of tiles"
        expect(forward?.parts).toBeGreaterThan(isCut ? 1 : 0)
        expect(forward?.parts).toBeLessThanOrEqual(8)
        const isSame = forward?.result.every((value, i) => Object.is(value, backward?.result[i]))
        expect({ wanted, isSame }).toEqual({ wanted, isSame: true })
      }
      expectExactness(conv, true)
    })
  }

  test("small work is one", () => {
    expect(expectExactness(convolutionOf({ images: 4 }))).toBe(1)
  })
})
