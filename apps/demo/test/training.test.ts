// All trainings as functions: they learn, and the seed decides everything.

import { describe, expect, test } from "vitest"
import { trainDigits } from "../src/digits.ts"
import { trainMnist } from "../src/mnist.ts"
import { mnist, mnistTest } from "../src/mnistdata.ts"
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

describe("MNIST", () => {
  test("is there: 60,000 images to train on and 10,000 to test on, or fewer", async () => {
    const { train, test: held } = await mnist(60_000)
    expect([train, held].map(({ image, label }) => [image.shape, label.shape])).toEqual([
      [
        [60_000, 1, 28, 28],
        [60_000, 1],
      ],
      [
        [10_000, 1, 28, 28],
        [10_000, 1],
      ],
    ])
    expect([...train.label.data.subarray(0, 8)]).toEqual([5, 0, 4, 1, 9, 2, 1, 3])
    expect([...held.label.data.subarray(0, 8)]).toEqual([7, 2, 1, 0, 4, 1, 4, 9])
    const few = await mnist(60)
    expect([few.train.image.shape, few.test.image.shape]).toEqual([
      [60, 1, 28, 28],
      [10, 1, 28, 28],
    ])
    expect(few.test).toEqual(await mnistTest(60))
    expect([...few.train.image.data]).toEqual([...train.image.data.subarray(0, 60 * 28 * 28)])
  })

  test("a part of an epoch learns; the same seed gives the same bits, and losses, accuracies and times are kept", async () => {
    const options = { seed: 1, mnistEpochs: 2, mnistImages: 1200 }
    const out = screen()
    const first = await trainMnist(options, out)
    const again = await trainMnist(options, screen())
    expect(first.epochs).toHaveLength(2)
    expect(first.epochs[1]?.accuracy).toBeGreaterThan(0.6)
    expect(first.epochs[1]?.train).toBeLessThan(first.epochs[0]?.train ?? 0)
    expect(first.epochs.every(({ seconds }) => seconds > 0)).toBe(true)
    expect(first.losses.map(({ points }) => points.length)).toEqual([38, 2])
    expect([first.trainedOn, first.read.length, first.predictions.length]).toEqual([1200, 200, 2000])
    expect(again.predictions).toEqual(first.predictions)
    expect(out.text().match(/epoch \d {2}training loss/g)).toHaveLength(2)
  })
})
