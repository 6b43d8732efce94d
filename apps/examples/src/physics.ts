// Physics-informed networks: derivatives of a network in its input, inside the loss that trains it. First a network of one neuron,
// whose derivatives can be written down; then two equations, solved without seeing a single value of their solution.

import { gridOf, solve } from "./collocation.ts"
import { columns } from "./columns.ts"
import { type Equation, heat, poisson } from "./equations.ts"
import { example, type Output } from "./example.ts"
import { atMost, distance, equals, type Figure } from "./figures.ts"
import { closedDerivatives, derivatives } from "./neuron.ts"

export const physics = example(
  {
    name: "physics",
    summary: "Solves differential equations by a network with its second derivatives in the loss.",
    settings: {
      steps: { value: 3000, least: 1, says: "steps of training per equation" },
      width: { value: 32, least: 1, says: "width of the two hidden layers" },
      seed: { value: 0, says: "draws the first weights" },
    },
  },
  async (options, out) => {
    const figures = await oneNeuron(out)
    figures.push(await solved(poisson, { ...options, grid: 33, bound: 1e-3 }, out))
    figures.push(await solved(heat, { ...options, grid: 12, bound: 2e-3 }, out))
    return figures
  },
)

async function oneNeuron(out: Output): Promise<Figure[]> {
  out.write("The derivatives of one neuron, v tanh(w x + b), in float64\n\n")
  const neuron = { w: 1.5, b: -0.4, v: 0.8 }
  const points = [-1, -0.5, 0, 0.5, 1]
  const [got, wanted] = [await derivatives(neuron, points), closedDerivatives(neuron, points)]
  const names = ["u", "u′", "u″", "u‴"]
  const rows = got.orders.map((row, order) => [names[order] ?? "", ...row.map((value) => value.toFixed(6))])
  out.write(columns(["x", ...points.map(String)], rows))
  return [
    ...[1, 2, 3].map((order) => {
      const difference = distance(got.orders[order] ?? [], wanted.orders[order] ?? [])
      return atMost(`${names[order]} of one neuron, distance from the closed form`, difference, 1e-13)
    }),
    equals("gradient of the mean of u″² in w", got.slope, wanted.slope, 1e-13),
  ]
}

interface Trial {
  readonly seed: number
  readonly width: number
  readonly steps: number
  readonly grid: number
  /** The largest error there may be. */
  readonly bound: number
}

async function solved(equation: Equation, { bound, ...fit }: Trial, out: Output): Promise<Figure> {
  const { title, solution } = equation
  out.write(`\n${title}\n\n`)
  const start = performance.now()
  const { losses, at } = await solve(equation, fit)
  const seconds = (performance.now() - start) / 1000

  const shown = gridOf(equation, 5).filter(([, t = 1]) => t === 1)
  const values = await at(shown)
  const rows = shown.map((point, i) => {
    const [value, wanted] = [values[i] ?? NaN, solution(point)]
    return [`u(${point.join(", ")})`, value.toFixed(5), wanted.toFixed(5), (value - wanted).toExponential(1)]
  })
  out.write(columns(["", "network", "closed form", "difference"], rows))
  const [first = NaN, last = NaN] = [losses[0], losses.at(-1)]
  const residual = `${first.toExponential(1)} to ${last.toExponential(1)}`
  out.write(`\n  Mean squared residual from ${residual} in ${losses.length} steps, ${seconds.toFixed(1)} s.\n`)

  // Three times as fine as the grid of the training, so that most points are new.
  const points = gridOf(equation, 3 * fit.grid + 2)
  const error = (await at(points)).map((value, i) => Math.abs(value - solution(points[i] ?? [])))
  return atMost(`${title}: largest error at ${points.length} points`, Math.max(...error), bound)
}
