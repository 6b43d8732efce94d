// A model of characters on a small excerpt: it learns more than how often each character comes, and writes what the seed says.

import { mobyDick } from "@counterflow/data"
import { beforeAll, describe, expect, test } from "vitest"
import { alphabetOf, unigramEntropy } from "../src/alphabet.ts"
import { type Trained, trainOn, write } from "../src/characters.ts"
import { screen } from "./screen.ts"

const settings = { size: 24, batch: 8, length: 16, steps: 120, seed: 2 }
const out = screen()
let trained: Trained

beforeAll(async () => {
  const text = (await mobyDick()).slice(0, 20_000)
  trained = await trainOn({ text, ...settings }, out)
})

describe("a model of characters", () => {
  test("is better than the frequencies of characters, also on text it has not seen", () => {
    const { bits, testBits, entropy } = trained
    expect(entropy).toBeGreaterThan(4)
    expect(bits).toBeLessThan(entropy - 0.5)
    expect(testBits).toBeLessThan(entropy - 0.5)
    expect(out.text()).toMatch(/^step {4}12: \d\.\d{3} bits per character\n/)
  })

  test("writes the same for the same seed", async () => {
    const written = (seed: number) => write(trained, { prompt: "Call ", length: 40, temperature: 0.8, seed })
    const [first, again, other] = [await written(1), await written(1), await written(2)]
    expect(first.length).toBe(45)
    expect(first.startsWith("Call ")).toBe(true)
    expect(again).toBe(first)
    expect(other).not.toBe(first)
  })

  test("is the same model after the same training", async () => {
    const text = "to be or not to be, that is the question; ".repeat(8)
    const bits = async () => (await trainOn({ text, ...settings, steps: 4 }, screen())).testBits
    expect(await bits()).toBe(await bits())
  })
})

test("an alphabet knows its characters and no other", () => {
  const { characters, encode } = alphabetOf("a tale")
  expect(characters).toEqual([" ", "a", "e", "l", "t"])
  expect(encode("late")).toEqual(Int32Array.of(3, 1, 4, 2))
  expect(() => encode("whale")).toThrow(`the alphabet has no "w"`)
  expect(unigramEntropy(encode("ate "))).toBe(2)
})
