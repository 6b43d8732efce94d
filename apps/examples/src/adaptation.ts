// First weights for a task nobody has seen yet: by meta-learning (MAML), by training on all tasks at once, or as they are drawn.
// All are measured the same way: the error on unseen points after each of a few steps of descent on the points shown.

import { Executor, layers, optim, Program, programGuard, type Variable } from "counterflow"
import { descend } from "./descent.ts"
import { copyWeights, createWeights, drawTasks, randomFrom, type Tasks, totalError } from "./sinusoids.ts"

export interface Learning {
  readonly seed: number
  readonly width: number
  /** Updates of the first weights. */
  readonly rounds: number
  /** Tasks drawn for each. */
  readonly tasks: number
  /** Points of a task that are shown, and as many that are not. */
  readonly points: number
  /** Steps of descent that the first weights are to prepare for; without any, they are made to fit all tasks at once. */
  readonly steps: number
  /** The step size of that descent. */
  readonly rate: number
}

/** First weights, in the scope of the executor that comes back. */
export async function learn({ seed, width, rounds, tasks, points, steps, rate }: Learning): Promise<Executor> {
  const [main, startup] = [new Program(), new Program()]
  startup.randomSeed = seed
  programGuard(main, startup, () => {
    const { first, eta, shown, held } = setting(width)
    const { weights } = steps === 0 ? { weights: first } : descend(shown, { weights: first, rate: eta, steps })
    const learningRate = layers.cosineDecay({ learningRate: 4e-3, stepEachEpoch: 1, epochs: Math.max(rounds, 1) })
    new optim.Adam({ learningRate }).minimize(layers.scale(held(weights), { scale: 1 / tasks }))
  })
  const executor = new Executor()
  await executor.run(startup)
  const random = randomFrom(seed)
  for (let round = 0; round < rounds; round++) {
    await executor.run(main, { feed: feedOf(drawTasks(tasks, { shown: points, held: points }, random), rate) })
  }
  return executor
}

/** The mean error on unseen points of these tasks before the descent and after each of its steps. */
export async function adapt(
  executor: Executor,
  tasks: Tasks,
  { width, steps, rate }: { width: number; steps: number; rate: number },
): Promise<number[]> {
  const errors = programGuard(new Program(), new Program(), () => {
    const { first, eta, shown, held } = setting(width)
    return [held(first), ...descend(shown, { weights: first, rate: eta, steps, watch: held }).watched]
  })
  const results = await executor.run(errors[0]!.program, { feed: feedOf(tasks, rate), fetch: errors })
  return results.flatMap(({ data }) => [...data]).map((error) => Number(error) / tasks.count)
}

/** What both programs begin with: the tasks, the weights of each before it is learnt, and its two errors. */
function setting(width: number) {
  const given = (name: string, points: string) =>
    layers.data({ name, shape: ["tasks", points, 1], appendBatchSize: false })
  const [xShown, yShown] = [given("xShown", "shown"), given("yShown", "shown")]
  const [xHeld, yHeld] = [given("xHeld", "held"), given("yHeld", "held")]
  return {
    first: copyWeights(createWeights(width), xShown.shape[0]!),
    eta: layers.data({ name: "eta", shape: [], appendBatchSize: false }),
    shown: (weights: readonly Variable[]) => totalError(weights, xShown, yShown),
    held: (weights: readonly Variable[]) => totalError(weights, xHeld, yHeld),
  }
}

function feedOf({ count, shown, held }: Tasks, eta: number) {
  const tensor = (data: Float32Array) => ({ data, shape: [count, data.length / count, 1] })
  return { xShown: tensor(shown.x), yShown: tensor(shown.y), xHeld: tensor(held.x), yHeld: tensor(held.y), eta }
}
