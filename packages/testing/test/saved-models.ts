// Models for the tests of saved steps: what each is fed at step i, and with which shapes.

import type { Feeds } from "@counterflow/executor"
import type { Program, Variable } from "@counterflow/ir"
import { conv2d, data, dropout, fc, pool2d } from "@counterflow/layers"
import {
  add,
  arrayValue,
  matmul,
  mean,
  reduceMean,
  scan,
  softmaxWithCrossEntropy,
  square,
  sub,
  tanh,
} from "@counterflow/ops"
import { Adam, Momentum, SGD } from "@counterflow/optim"
import { build, parameter } from "./building.ts"

export interface Model {
  readonly main: Program
  readonly startup: Program
  readonly loss: Variable
  readonly feed: (i: number) => Feeds
  readonly shapes: Readonly<Record<string, readonly number[]>>
}

function wave(elements: number, i: number): Float32Array {
  return Float32Array.from({ length: elements }, (_, k) => Math.sin(1.3 * k + i))
}

function labels(count: number, classes: number, i: number): Int32Array {
  return Int32Array.from({ length: count }, (_, k) => (k * 7 + i) % classes)
}

export function mlp(): Model {
  const built = build((main, startup) => {
    startup.randomSeed = main.randomSeed = 3
    const h = fc(data({ name: "x", shape: [6] }), { size: 8, act: "relu" })
    const loss = mean(square(sub(fc(h, { size: 1 }), data({ name: "y", shape: [1] }))))
    new Adam({ learningRate: 0.01 }).minimize(loss)
    return { loss }
  })
  return { ...built, feed: (i) => ({ x: wave(24, i), y: wave(4, 2 * i) }), shapes: { x: [4, 6], y: [4, 1] } }
}

export function lenet(): Model {
  const built = build((main, startup) => {
    startup.randomSeed = main.randomSeed = 4
    const x = data({ name: "x", shape: [1, 12, 12] })
    const h = pool2d(conv2d(x, { numFilters: 4, filterSize: 5, act: "relu" }), { poolSize: 2, poolStride: 2 })
    const label = data({ name: "label", shape: [1], dtype: "int64" })
    const loss = mean(softmaxWithCrossEntropy(fc(h, { size: 3 }), label))
    new Momentum({ learningRate: 0.01, momentum: 0.9 }).minimize(loss)
    return { loss }
  })
  const shapes = { x: [2, 1, 12, 12], label: [2, 1] }
  return { ...built, feed: (i) => ({ x: wave(288, i), label: labels(2, 3, i) }), shapes }
}

/** Its draws differ from step to step. */
function dropping(): Model {
  const built = build((main, startup) => {
    startup.randomSeed = main.randomSeed = 5
    const h = dropout(fc(data({ name: "x", shape: [6] }), { size: 16, act: "tanh" }), { dropoutProb: 0.5 })
    const loss = reduceMean(h)
    new SGD({ learningRate: 0.1 }).minimize(loss)
    return { loss }
  })
  return { ...built, feed: (i) => ({ x: wave(24, i) }), shapes: { x: [4, 6] } }
}

/** A loop whose first state is a constant, which lies in the module as bytes. */
function recurrent(): Model {
  const built = build((main) => {
    const x = data({ name: "x", shape: [3, 2], appendBatchSize: false })
    const u = parameter(main, "u", [2, 2], { initialValue: 0.25 })
    const first = arrayValue({ values: [[0.5, -1]].flat(), shape: [1, 2], dtype: "float32", program: main })
    const step = (h: Variable, row: Variable) => {
      const next = tanh(add(matmul(h, u), row))
      return [next, next] as const
    }
    const [, ys] = scan(step, { init: first, xs: x })
    const loss = mean(square(ys))
    new SGD({ learningRate: 0.5 }).minimize(loss)
    return { loss }
  })
  return { ...built, feed: (i) => ({ x: wave(6, i) }), shapes: { x: [3, 2] } }
}

export const models: Readonly<Record<string, () => Model>> = {
  "an MLP with Adam": mlp,
  "LeNet with momentum": lenet,
  "a model with dropout": dropping,
  "a scan": recurrent,
}
