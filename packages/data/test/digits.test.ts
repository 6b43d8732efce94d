// The digits against the counts of their source, and their split.
import { describe, expect, test } from "vitest"
import { digits, type DigitsData, parseDigits, readBytes } from "../src/index.ts"
import { latin, refusal } from "./refusal.ts"

const countOf = (labels: Int32Array) => {
  const counts = Array.from({ length: 10 }, () => 0)
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1
  return counts
}

/** All of a split as text: comparing element by element through the matchers takes seconds. */
const textOf = ({ train, test: rest }: DigitsData) =>
  [train, rest].map(({ image, label }) => [image.shape, image.data, label.shape, label.data].join(" ")).join("\n")

describe("digits", () => {
  test("are 1,797 images of 8 × 8 with the known numbers of each class", async () => {
    const { train, test: rest } = await digits({ heldOut: 0 })
    expect(rest.image.shape).toEqual([0, 1, 8, 8])
    expect(train.image.shape).toEqual([1797, 1, 8, 8])
    expect(train.label.shape).toEqual([1797, 1])
    expect(countOf(train.label.data)).toEqual([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    expect(train.image.data.reduce((sum, value) => sum + value, 0) * 16).toBe(561718)
    expect(train.image.data.every((value) => value >= 0 && value <= 1)).toBe(true)
  })

  test("a fifth is held out by default, each image once, the same for the same seed", async () => {
    const first = await digits({ seed: 3 })
    expect([first.train.label.shape, first.test.label.shape]).toEqual([
      [1437, 1],
      [360, 1],
    ])
    expect(textOf(await digits({ seed: 3 })) === textOf(first)).toBe(true)
    expect((await digits({ seed: 4 })).test.label.data).not.toEqual(first.test.label.data)
    const imageKeys = ({ train, test: rest }: typeof first) =>
      [train, rest].flatMap(({ image, label }) =>
        [...label.data].map((digit, i) => `${digit}: ${image.data.slice(64 * i, 64 * i + 64).join()}`),
      )
    expect(imageKeys(first).toSorted()).toEqual(imageKeys(await digits({ heldOut: 0 })).toSorted())
    expect(Math.min(...countOf(first.test.label.data))).toBeGreaterThan(20)
  })

  test("image and label stay together", async () => {
    // The first row of the file is a 0 that begins 0 0 5 13 9 1.
    const { train } = await digits({ heldOut: 0, seed: 9 })
    const rows = [...train.label.data].map((digit, i) => ({
      digit,
      start: train.image.data.slice(64 * i, 64 * i + 6).map((value) => value * 16),
    }))
    const found = rows.filter(({ start }) => start.join() === "0,0,5,13,9,1")
    expect(found.length).toBeGreaterThan(0)
    expect(found.every(({ digit }) => digit === 0)).toBe(true)
  })

  test("come from given bytes, gzipped or not", async () => {
    const url = new URL("../data/digits.csv.gz", import.meta.url)
    const plain = await readBytes(url)
    expect(plain[0]).toBe("0".charCodeAt(0))
    const expected = textOf(await digits())
    expect(textOf(await parseDigits(plain)) === expected).toBe(true)
    expect(textOf(await digits({ source: plain })) === expected).toBe(true)
  })

  test("refuse other tables", async () => {
    expect(await refusal(() => parseDigits(latin("1,2,3\n")))).toBe(
      "CF_BAD_FILE expected 64 pixels and a label a row, got 3 fields @ line 1",
    )
    const row = (label: string) => latin(`${"0,".repeat(64)}${label}\n`)
    expect(await refusal(() => parseDigits(row("10")))).toBe("CF_BAD_FILE 10 is not a digit @ line 1, column 65")
    expect(await refusal(() => parseDigits(row("1.5")))).toBe("CF_BAD_FILE 1.5 is not a digit @ line 1, column 65")
  })
})
