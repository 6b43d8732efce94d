// Sine curves of any amplitude and phase, as tasks to learn from a few points, and a network whose weights are values like any
// other: one set per task, so that many tasks are learnt side by side by batched matrix products.
//
// The tasks: Finn, Abbeel, Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks" (2017), section 5.1.

import { sfc32 } from "@counterflow/data"
import { type Dim, layers, type Variable } from "counterflow"

/** Points of some curves: x and y, each [tasks, points, 1]. */
export interface Points {
  readonly x: Float32Array
  readonly y: Float32Array
}

/** For each task, points to learn from and others to be measured by. */
export interface Tasks {
  readonly count: number
  readonly shown: Points
  readonly held: Points
}

/** Draws tasks: y = a sin(x − p), amplitude a from 0.1 to 5, phase p from 0 to π, x from −5 to 5. */
export function drawTasks(count: number, points: { shown: number; held: number }, random: () => number): Tasks {
  const make = (size: number): Points => ({ x: new Float32Array(count * size), y: new Float32Array(count * size) })
  const [shown, held] = [make(points.shown), make(points.held)]
  for (let task = 0; task < count; task++) {
    const [amplitude, phase] = [0.1 + 4.9 * random(), Math.PI * random()]
    for (const { x, y } of [shown, held]) {
      const size = x.length / count
      for (let i = task * size; i < (task + 1) * size; i++) {
        x[i] = 10 * random() - 5
        y[i] = amplitude * Math.sin(x[i]! - phase)
      }
    }
  }
  return { count, shown, held }
}

/** Draws from 0 to 1, the same for the same seed everywhere. */
export function randomFrom(seed: number): () => number {
  const draw = sfc32(seed)
  return () => draw() / 2 ** 32
}

/** The weights of a network from one number to one, with two hidden layers: parameters by these names. */
export function createWeights(width: number): readonly Variable[] {
  return [1, width, width].flatMap((from, i) => {
    const to = i < 2 ? width : 1
    return [
      layers.createParameter({ shape: [from, to], name: `w${i}` }),
      layers.createParameter({ shape: [1, to], name: `b${i}`, isBias: true }),
    ]
  })
}

/** Each task's own copy of the weights. */
export function copyWeights(weights: readonly Variable[], tasks: Dim): readonly Variable[] {
  return weights.map((w) => layers.broadcastTo(w, { shape: [tasks, ...w.shape] }))
}

/** The network with these weights: [tasks, points, 1] to [tasks, points, 1]. */
export function network(weights: readonly Variable[], x: Variable): Variable {
  const [w0, b0, w1, b1, w2, b2] = weights as readonly [Variable, Variable, Variable, Variable, Variable, Variable]
  const dense = (h: Variable, w: Variable, b: Variable) => layers.add(layers.matmul(h, w), b)
  return dense(layers.tanh(dense(layers.tanh(dense(x, w0, b0)), w1, b1)), w2, b2)
}

/** The mean squared error of each task, summed: so a task's own weights have the gradient of its own error. */
export function totalError(weights: readonly Variable[], x: Variable, y: Variable): Variable {
  const squares = layers.square(layers.sub(network(weights, x), y))
  return layers.reduceSum(layers.reduceMean(squares, { axis: [1, 2] }))
}
