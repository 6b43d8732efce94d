// The package in a page: its own files are fetched from beside the module, gunzipped and parsed there.
import { expect, test } from "vitest"
import { batches, digits, housing, parseHousing } from "../src/index.ts"

test("housing and digits load in a browser", async () => {
  const { train, test: rest } = await housing()
  expect([train.x.shape, rest.x.shape]).toEqual([
    [404, 13],
    [102, 13],
  ])
  const { train: images } = await digits({ seed: 1 })
  expect(images.image.shape).toEqual([1437, 1, 8, 8])
  expect([...batches(images, { batchSize: 100, shuffle: true })].length).toBe(15)
})

test("a text that the page fetched itself", () => {
  expect(parseHousing("a,price\n1,2\n3,4\n").train.y.data).toEqual(Float32Array.of(2))
})
