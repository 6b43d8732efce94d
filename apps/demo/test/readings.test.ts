// What the report shows of the readings.

import { digits } from "@counterflow/data"
import { expect, test } from "vitest"
import { confusionGrid, misreadGallery } from "../src/readings.ts"

test("the grid tells right from wrong, and more of either is stronger", () => {
  const html = confusionGrid([
    [8, 2],
    [0, 5],
  ])
  expect(
    [...html.matchAll(/<td class="(\w+)"(?: style="--strength:(\d+)%")?/g)].map(([, kind, strength]) => [
      kind,
      strength,
    ]),
  ).toEqual([
    ["right", "51"],
    ["wrong", "87"],
    ["total", undefined],
    ["none", undefined],
    ["right", "60"],
    ["total", undefined],
  ])
  expect(html).toContain('title="2 of 10 images of 0 read as 1"')
})

test("the gallery shows what was misread, and not too much of it", async () => {
  const { test: images } = await digits()
  const labels = [...images.label.data]
  expect(misreadGallery(images, labels)).toBe("")
  const one = misreadGallery(images, [9 - (labels[0] ?? 0), ...labels.slice(1)])
  expect(one.match(/<figure>/g)).toHaveLength(1)
  expect(one).toContain(`${labels[0]} read as ${9 - (labels[0] ?? 0)}`)
  const all = misreadGallery(
    images,
    labels.map((digit) => (digit + 1) % 10),
  )
  expect(all.match(/<figure>/g)).toHaveLength(24)
  expect(all).toContain("Misread, 24 of 360")
})

test("images of any size and white, drawn by their ink", () => {
  const image = { data: Uint8Array.of(0, 255, 51, 0), shape: [1, 1, 2, 2] }
  const html = misreadGallery({ image, label: { data: [3] } }, [8], 255)
  expect(html).toContain('viewBox="0 0 2 2"')
  expect(
    [...html.matchAll(/<rect x="(\d)" y="(\d)".*?fill-opacity="([\d.]+)"/g)].map((found) => found.slice(1)),
  ).toEqual([
    ["1", "0", "1.00"],
    ["0", "1", "0.20"],
  ])
})
