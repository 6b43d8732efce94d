// Gradients through gradient descent: where they can be written down, against differences where they cannot, and at work.

import { Executor, gradients, layers, Program, programGuard, type Variable } from "counterflow"
import { describe, expect, test } from "vitest"
import { adapt, learn } from "../src/adaptation.ts"
import { descend } from "../src/descent.ts"
import { distance } from "../src/figures.ts"
import { closedForm, metaGradient } from "../src/quadratic.ts"
import { drawTasks, randomFrom, totalError } from "../src/sinusoids.ts"

describe("on a quadratic loss", () => {
  const matrix = [
    [1.5, -0.5],
    [-0.5, 0.75],
  ]
  const task = { matrix, minimum: [1, -2], start: [0.25, 3], rate: 0.3 }

  test.each([0, 1, 2, 7])("after %i steps of descent they are the closed form", async (steps) => {
    const [got, wanted] = [await metaGradient({ ...task, steps }), closedForm({ ...task, steps })]
    expect(distance([got.loss], [wanted.loss])).toBeLessThan(1e-13)
    expect(distance(got.start, wanted.start)).toBeLessThan(1e-13)
    expect(distance([got.rate], [wanted.rate])).toBeLessThan(1e-13)
  })

  test("the closed form is what differences say", () => {
    const h = 1e-5
    const lossAt = (change: Partial<typeof task>) => closedForm({ ...task, steps: 3, ...change }).loss
    const { start, rate } = closedForm({ ...task, steps: 3 })
    expect((lossAt({ rate: 0.3 + h }) - lossAt({ rate: 0.3 - h })) / (2 * h)).toBeCloseTo(rate, 7)
    expect((lossAt({ start: [0.25 + h, 3] }) - lossAt({ start: [0.25 - h, 3] })) / (2 * h)).toBeCloseTo(start[0]!, 7)
    expect((lossAt({ start: [0.25, 3 + h] }) - lossAt({ start: [0.25, 3 - h] })) / (2 * h)).toBeCloseTo(start[1]!, 7)
  })
})

test("on the network they are what differences say", async () => {
  const shapes = ["1 3", "1 3", "3 3", "1 3", "3 1", "1 1"].map((sizes) => sizes.split(" ").map(Number))
  const { weights, x, y, loss, slopes } = programGuard(new Program(), new Program(), () => {
    const given = (name: string, shape: readonly number[]) =>
      layers.data({ name, shape: [2, ...shape], dtype: "float64", appendBatchSize: false })
    const weights = shapes.map((shape, i) => given(`w${i}`, shape))
    for (const w of weights) w.stopGradient = false
    const [x, y] = [given("x", [4, 1]), given("y", [4, 1])]
    const rate = layers.fillConstant({ shape: [], value: 0.1, dtype: "float64" })
    const error = (at: readonly Variable[]) => totalError(at, x, y)
    const loss = error(descend(error, { weights, rate, steps: 3 }).weights)
    return { weights, x, y, loss, slopes: gradients(loss, weights) }
  })
  const random = randomFrom(3)
  const draw = (shape: readonly number[]) => Array.from({ length: 2 * shape[0]! * shape[1]! }, () => 2 * random() - 1)
  const [values, directions] = [shapes.map(draw), shapes.map(draw)]
  const points = { [x.name]: draw([4, 1]), [y.name]: draw([4, 1]) }
  const executor = new Executor()
  const runAt = (move: number) => {
    const moved = values.map((value, i) => value.map((each, j) => each + move * directions[i]![j]!))
    const feed = { ...points, ...Object.fromEntries(weights.map(({ name }, i) => [name, moved[i]!])) }
    return executor.run(loss.program, { feed, fetch: [loss, ...slopes.map((slope) => slope!)] })
  }
  const h = 1e-5
  const [[above], [below], [, ...found]] = [await runAt(h), await runAt(-h), await runAt(0)]
  const along = found.reduce(
    (sum, { data }, i) => sum + directions[i]!.reduce((part, d, j) => part + d * Number(data[j]), 0),
    0,
  )
  expect(Math.abs(along)).toBeGreaterThan(0.01)
  expect((above.item() - below.item()) / (2 * h)).toBeCloseTo(along, 7)
})

describe("on sine curves", () => {
  test("tasks are drawn by seed, within their ranges", () => {
    const tasks = drawTasks(50, { shown: 10, held: 20 }, randomFrom(1))
    expect(tasks).toEqual(drawTasks(50, { shown: 10, held: 20 }, randomFrom(1)))
    expect(tasks.shown.y).not.toEqual(drawTasks(50, { shown: 10, held: 20 }, randomFrom(2)).shown.y)
    expect([tasks.shown.x.length, tasks.held.y.length]).toEqual([500, 1000])
    const [left, right] = [Math.min(...tasks.held.x), Math.max(...tasks.held.x)]
    expect([left < -4.8, left >= -5, right > 4.8, right <= 5]).toEqual([true, true, true, true])
    // Amplitudes are even from 0.1 to 5, so the mean of a² sin² is about 4.3.
    const power = tasks.held.y.reduce((sum, y) => sum + y * y, 0) / 1000
    expect([power > 3, power < 5.6]).toEqual([true, true])
  })

  test(
    "meta-training prepares for the descent, training on all curves does not, and the same seed gives the same bits",
    { timeout: 30_000 },
    async () => {
      const learning = { seed: 1, width: 16, rounds: 600, tasks: 8, points: 10, steps: 2, rate: 0.03 }
      const unseen = drawTasks(40, { shown: 10, held: 40 }, randomFrom(77))
      const errorsOf = async (change: Partial<typeof learning>) =>
        adapt(await learn({ ...learning, ...change }), unseen, { width: 16, steps: 2, rate: 0.03 })
      const [meta, joint] = [await errorsOf({}), await errorsOf({ steps: 0 })]
      expect(await errorsOf({ rounds: 50 })).toEqual(await errorsOf({ rounds: 50 }))
      expect(meta).toHaveLength(3)
      expect(meta[2]).toBeLessThan(0.6 * meta[0]!)
      expect(meta[2]).toBeLessThan(0.6 * joint[2]!)
    },
  )
})
