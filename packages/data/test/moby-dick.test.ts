// The novel against what is known of it.
import { expect, test } from "vitest"
import { mobyDick } from "../src/index.ts"

test("Moby-Dick is 135 chapters in their order, of few kinds of characters", async () => {
  const text = await mobyDick()
  expect(text.length).toBe(1_189_651)
  expect(new Set(text).size).toBe(81)
  expect(text.startsWith("CHAPTER 1. Loomings.\n\nCall me Ishmael. ")).toBe(true)
  const chapters = [...text.matchAll(/^CHAPTER (\d+)\. /gm)].map(([, number]) => Number(number))
  expect(chapters).toEqual(Array.from({ length: 135 }, (_, i) => i + 1))
})

test("a text from elsewhere", async () => {
  expect(await mobyDick({ source: new TextEncoder().encode("Call me—") })).toBe("Call me—")
})
