// Linear regression on the housing data, as in the documentation of Paddle Fluid. The loss is convex, so with right
// gradients descent ends at the least-squares optimum from any weights; reaching it proves the gradients.

import { housing } from "@counterflow/data"
import { appendBackward, Executor, layers, optim, Program, programGuard } from "counterflow"
import { type Figure, isWithin, within } from "./figures.ts"
import { type Curve, recordStages, type Trained } from "./model.ts"
import { type Output, withProgress } from "./progress.ts"

/** Mean squared errors of the least-squares fit to the training rows, on those and on the held-out rows. */
export const optimum = { train: 22.778, heldOut: 32.8 } as const
const tolerance = { train: 0.01, heldOut: 0.02 } as const

export interface Regression extends Trained {
  readonly figures: readonly Figure[]
  /** The errors by step. */
  readonly curves: readonly Curve[]
  /** The step from which on both errors stay within their tolerances; null if the last one does not. */
  readonly settledAt: number | null
}

function build(seed: number) {
  const main = new Program()
  const startup = new Program()
  main.randomSeed = seed
  startup.randomSeed = seed
  const { stages, mark } = recordStages(main)
  return programGuard(main, startup, () => {
    const x = layers.data({ name: "x", shape: [13] })
    const y = layers.data({ name: "y", shape: [1] })
    const prediction = layers.fc(x, { size: 1 })
    const loss = layers.mean(layers.squareErrorCost(prediction, y))
    mark("before appendBackward")
    const paramGrads = appendBackward(loss)
    mark("after appendBackward")
    new optim.Momentum({ learningRate: 0.2, momentum: 0.9 }).applyGradients(paramGrads)
    mark("with the updates")
    return { main, startup, prediction, loss, stages }
  })
}

/** Trains on all rows at once. The errors are those before each step, and after the last. */
export async function trainRegression(options: { seed: number; steps: number }, out: Output): Promise<Regression> {
  const { seed, steps } = options
  const { train, test } = await housing()
  const { main, startup, prediction, loss, stages } = build(seed)
  const heldOut = main.clone({ forTest: true })
  const executor = new Executor()
  await executor.run(startup)

  const errors: { train: number; heldOut: number }[] = []
  const course = { title: "housing", total: steps, unit: "steps", speedUnit: "steps", perUnit: 1 }
  await withProgress(out, course, async (update) => {
    for (let step = 0; step <= steps; step++) {
      const [testError] = await executor.run(heldOut, { feed: test, fetch: [loss] })
      const [trainError] = await executor.run(step < steps ? main : heldOut, { feed: train, fetch: [loss] })
      const error = { train: trainError.item(), heldOut: testError.item() }
      errors.push(error)
      update(step, error.train)
    }
  })

  const program = heldOut.prune(prediction.name)
  const [predicted] = await executor.run(program, { feed: { x: test.x }, fetch: [prediction] })
  const last = errors.at(-1) ?? { train: NaN, heldOut: NaN }
  return {
    name: "housing",
    executor,
    program,
    prediction,
    predictions: Float32Array.from(predicted.data, Number),
    stages,
    figures: [
      within("training error", last.train, optimum.train, tolerance.train),
      within("held-out error", last.heldOut, optimum.heldOut, tolerance.heldOut),
    ],
    curves: [
      { name: "training rows", points: errors.map((error, step) => [step, error.train]) },
      { name: "held-out rows", points: errors.map((error, step) => [step, error.heldOut]) },
    ],
    settledAt: settling(errors),
  }
}

function settling(errors: readonly { train: number; heldOut: number }[]): number | null {
  const unsettled = errors.findLastIndex(
    (error) =>
      !isWithin(error.train, optimum.train, tolerance.train) ||
      !isWithin(error.heldOut, optimum.heldOut, tolerance.heldOut),
  )
  return unsettled + 1 < errors.length ? unsettled + 1 : null
}
