// Gradients through gradient descent, where they can be written down.

import { expect, test } from "vitest"
import { distance } from "../src/figures.ts"
import { closedForm, metaGradient } from "../src/quadratic.ts"

const matrix = [
  [1.5, -0.5],
  [-0.5, 0.75],
]

test.each([0, 1, 2, 7])("after %i steps of descent they are the closed form", async (steps) => {
  const task = { matrix, minimum: [1, -2], start: [0.25, 3], rate: 0.3, steps }
  const [got, wanted] = [await metaGradient(task), closedForm(task)]
  expect(distance([got.loss], [wanted.loss])).toBeLessThan(1e-13)
  expect(distance(got.start, wanted.start)).toBeLessThan(1e-13)
  expect(distance([got.rate], [wanted.rate])).toBeLessThan(1e-13)
})

test("the closed form is what differences say", () => {
  const task = { matrix, minimum: [1, -2], start: [0.25, 3], rate: 0.3, steps: 3 }
  const h = 1e-5
  const lossAt = (change: Partial<typeof task>) => closedForm({ ...task, ...change }).loss
  const { start, rate } = closedForm(task)
  expect((lossAt({ rate: 0.3 + h }) - lossAt({ rate: 0.3 - h })) / (2 * h)).toBeCloseTo(rate, 7)
  expect((lossAt({ start: [0.25 + h, 3] }) - lossAt({ start: [0.25 - h, 3] })) / (2 * h)).toBeCloseTo(start[0]!, 7)
  expect((lossAt({ start: [0.25, 3 + h] }) - lossAt({ start: [0.25, 3 - h] })) / (2 * h)).toBeCloseTo(start[1]!, 7)
})
