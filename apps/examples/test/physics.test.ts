// Derivatives of a network in its input: of one neuron by hand, and two equations solved at a small size.

import { describe, expect, test } from "vitest"
import { gridOf, solve } from "../src/collocation.ts"
import { columns } from "../src/columns.ts"
import { type Equation, heat, poisson } from "../src/equations.ts"
import { distance } from "../src/figures.ts"
import { closedDerivatives, derivatives } from "../src/neuron.ts"

describe("one neuron", () => {
  const neuron = { w: -1.25, b: 0.3, v: 1.5 }
  const points = [-0.7, 0.1, 1.3]

  test("its first three derivatives, and the gradient of the second, are the closed forms", async () => {
    const [got, wanted] = [await derivatives(neuron, points), closedDerivatives(neuron, points)]
    expect(got.orders).toHaveLength(4)
    for (const [order, values] of wanted.orders.entries()) {
      expect(distance(got.orders[order]!, values), `order ${order}`).toBeLessThan(1e-14)
    }
    expect(distance([got.slope], [wanted.slope])).toBeLessThan(1e-14)
  })

  test("the closed forms are what differences say", () => {
    const h = 1e-5
    const at = (move: number) =>
      closedDerivatives(
        neuron,
        points.map((x) => x + move),
      ).orders
    const [above, here, below] = [at(h), at(0), at(-h)]
    for (const order of [0, 1, 2]) {
      const slopes = points.map((_, i) => (above[order]![i]! - below[order]![i]!) / (2 * h))
      expect(distance(slopes, here[order + 1]!), `order ${order}`).toBeLessThan(1e-8)
    }
    const meanAt = (w: number) =>
      closedDerivatives({ ...neuron, w }, points).orders[2]!.reduce((sum, value) => sum + value ** 2, 0) / 3
    const slope = (meanAt(neuron.w + h) - meanAt(neuron.w - h)) / (2 * h)
    expect(distance([slope], [closedDerivatives(neuron, points).slope])).toBeLessThan(1e-8)
  })
})

describe.each([
  ["Poisson's equation", poisson, 17],
  ["the heat equation", heat, 6],
])("%s", (_name, equation: Equation, grid) => {
  const largestError = async (steps: number) => {
    const { losses, at } = await solve(equation, { seed: 0, width: 8, steps, grid })
    const points = gridOf(equation, 15)
    const errors = (await at(points)).map((value, i) => Math.abs(value - equation.solution(points[i]!)))
    return { losses, error: Math.max(...errors) }
  }

  test("is solved, better with every step", { timeout: 30_000 }, async () => {
    const [few, many] = [await largestError(1), await largestError(400)]
    expect(many.losses).toHaveLength(400)
    expect(many.losses[0]).toBe(few.losses[0])
    expect(many.losses.at(-1)).toBeLessThan(many.losses[0]! / 100)
    expect(few.error).toBeGreaterThan(0.05)
    expect(many.error).toBeLessThan(0.02)
  })

  test("its boundary and initial values hold without any training", async () => {
    const { at } = await solve(equation, { seed: 3, width: 8, steps: 1, grid })
    const edge = gridOf(equation, 9).filter(([x = 0.5, t = 0.5]) => x === 0 || x === 1 || t === 0)
    const values = await at(edge)
    expect(edge.length).toBeGreaterThan(1)
    for (const [i, value] of values.entries()) expect(value).toBeCloseTo(equation.solution(edge[i]!), 14)
  })
})

test("columns are as wide as what they hold", () => {
  expect(
    columns(
      ["", "got"],
      [
        ["first", "1.25"],
        ["x", "-10.5"],
      ],
    ),
  ).toMatchInlineSnapshot(`
    "            got
      first    1.25
      x       -10.5
    "
  `)
})
