// Training a network on an equation: at the points of a grid the residual is made small, and between them the answer is compared
// with the solution in closed form.

import { Executor, layers, optim, Program, programGuard, type Variable } from "counterflow"
import type { Equation } from "./equations.ts"

export interface Fit {
  readonly seed: number
  readonly width: number
  readonly steps: number
  /** Points of the grid along each coordinate. */
  readonly grid: number
}

export interface Fitted {
  /** The mean squared residual before each step. */
  readonly losses: readonly number[]
  /** What the network says at a point. */
  readonly at: (points: readonly (readonly number[])[]) => Promise<readonly number[]>
}

export async function solve(equation: Equation, { seed, width, steps, grid }: Fit): Promise<Fitted> {
  const [main, startup] = [new Program(), new Program()]
  startup.randomSeed = seed
  const { u, loss } = programGuard(main, startup, () => {
    const at = equation.coordinates.map((name) => layers.data({ name, shape: [1], dtype: "float64" }))
    for (const x of at) x.stopGradient = false
    const u = equation.trial(at, network(at, width))
    const loss = layers.mean(layers.square(equation.residual(at, u)))
    const learningRate = layers.cosineDecay({ learningRate: 1e-2, stepEachEpoch: 1, epochs: steps })
    new optim.Adam({ learningRate }).minimize(loss)
    return { u, loss }
  })
  const executor = new Executor()
  await executor.run(startup)
  const feed = feedOf(equation, gridOf(equation, grid))
  const losses: number[] = []
  for (let i = 0; i < steps; i++) losses.push((await executor.run(main, { feed, fetch: [loss] }))[0].item())
  const answer = main.prune(u)
  return {
    losses,
    at: async (points) => {
      const [values] = await executor.run(answer, { feed: feedOf(equation, points), fetch: [u] })
      return [...values.data].map(Number)
    },
  }
}

function network(at: readonly Variable[], width: number): Variable {
  const from = layers.concat(at, { axis: 1 })
  const hidden = layers.fc(layers.fc(from, { size: width, act: "tanh" }), { size: width, act: "tanh" })
  return layers.fc(hidden, { size: 1 })
}

/** All points of an even grid, ends included. */
export function gridOf({ coordinates }: Equation, places: number): readonly (readonly number[])[] {
  const axis = Array.from({ length: places }, (_, i) => i / (places - 1))
  return coordinates.reduce<readonly (readonly number[])[]>(
    (points) => points.flatMap((point) => axis.map((x) => [...point, x])),
    [[]],
  )
}

function feedOf({ coordinates }: Equation, points: readonly (readonly number[])[]): Record<string, Float64Array> {
  return Object.fromEntries(coordinates.map((name, i) => [name, Float64Array.from(points, (point) => point[i] ?? NaN)]))
}
