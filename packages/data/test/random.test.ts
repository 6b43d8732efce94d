// Seeded shuffles: the generator against its definition in C, permutations that are permutations, and no position favoured.
import fc from "fast-check"
import { expect, test } from "vitest"
import { sfc32, shuffled } from "../src/index.ts"
import { refusal } from "./refusal.ts"

test("sfc32 draws the words of PractRand's C code", () => {
  const words = (seed: number, stream: number) => {
    const draw = sfc32(seed, stream)
    return [draw(), draw(), draw(), draw()]
  }
  expect(words(1, 0)).toEqual([1779833415, 2026416846, 1661539736, 2729060721])
  expect(words(0x123456789abcd, 7)).toEqual([3992374615, 2561154567, 986760354, 1547961175])
})

test("shuffles are permutations, fixed by seed and stream", () => {
  fc.assert(
    fc.property(fc.nat(200), fc.maxSafeNat(), fc.nat(), (n, seed, stream) => {
      const order = shuffled(n, seed, stream)
      expect([...order].toSorted((a, b) => a - b)).toEqual([...Array(n).keys()])
      expect(shuffled(n, seed, stream)).toEqual(order)
    }),
    { seed: 1, numRuns: 300 },
  )
  expect(shuffled(100, 1)).not.toEqual(shuffled(100, 2))
  expect(shuffled(100, 1, 0)).not.toEqual(shuffled(100, 1, 1))
})

test("all 24 orders of four rows come about equally often", () => {
  const counts = new Map<string, number>()
  const draws = 24_000
  for (let seed = 0; seed < draws; seed++) {
    const key = shuffled(4, seed).join()
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  expect(counts.size).toBe(24)
  const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
  expect(chiSquare).toBeLessThan(49.7) // 23 degrees of freedom, exceeded once in 1,000
})

test("refuses what is no seed", async () => {
  expect(await refusal(() => shuffled(3, -1))).toBe("CF_BAD_ARGUMENT expected an integer of at least 0, got -1 @ seed")
  expect(await refusal(() => shuffled(3, 0.5))).toBe(
    "CF_BAD_ARGUMENT expected an integer of at least 0, got 0.5 @ seed",
  )
  expect(await refusal(() => shuffled(NaN, 0))).toBe(
    "CF_BAD_ARGUMENT expected an integer of at least 0, got NaN @ shuffled: n",
  )
})
