// Both trainings as functions: they learn, and the seed decides everything.

import { describe, expect, test } from "vitest"
import { trainDigits } from "../src/digits.ts"
import { trainRegression } from "../src/regression.ts"
import { screen } from "./screen.ts"

describe("the linear regression", () => {
  test("reaches the least-squares optimum, from two seeds", async () => {
    for (const seed of [0, 1]) {
      const { figures, settledAt, curves } = await trainRegression({ seed, steps: 400 }, screen())
      expect(figures.map(({ what, isMet }) => [what, isMet])).toEqual([
        ["training error", true],
        ["held-out error", true],
      ])
      expect(settledAt).toBeGreaterThan(100)
      expect(curves[0]?.points).toHaveLength(401)
    }
  })

  test("says so when it stops too early", async () => {
    const { figures, settledAt } = await trainRegression({ seed: 0, steps: 5 }, screen())
    expect(figures.map(({ isMet }) => isMet)).toEqual([false, false])
    expect(settledAt).toBeNull()
  })
})

describe("the digits", () => {
  test("one epoch learns; the same seed gives the same bits, another one others", async () => {
    const first = await trainDigits({ seed: 2, epochs: 1 }, screen())
    const again = await trainDigits({ seed: 2, epochs: 1 }, screen())
    const other = await trainDigits({ seed: 3, epochs: 1 }, screen())
    const accuracy = first.accuracies[0]?.points[0]?.[1]
    expect(accuracy).toBeGreaterThan(60)
    expect(first.predictions).toHaveLength(3600)
    expect(again.predictions).toEqual(first.predictions)
    expect(other.predictions).not.toEqual(first.predictions)
  })

  test("the held-out rows are a fifth, and its program needs no label", async () => {
    const { images, program, read } = await trainDigits({ seed: 0, epochs: 1 }, screen())
    expect(images.label.shape).toEqual([360, 1])
    expect(read).toHaveLength(360)
    expect([...program.globalBlock().vars.values()].filter(({ isData }) => isData).map(({ name }) => name)).toEqual([
      "image",
    ])
  })
})
