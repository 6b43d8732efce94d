// Every model that is trained, in small: the losses of the first steps are those of plain loops and gradients from differences.

import { Executor } from "counterflow"
import { describe, expect, test } from "vitest"
import { mlpForward, mlpTraining, regression } from "../src/counterflow/dense.ts"
import { type GptSizes, gptTraining, withMask } from "../src/counterflow/gpt.ts"
import { type Batch, forward, training } from "../src/counterflow/job.ts"
import { lenetForward, lenetTraining } from "../src/counterflow/lenet.ts"
import { backends } from "../src/counterflow/peer.ts"
import { lstmTraining } from "../src/counterflow/lstm.ts"
import type { Model } from "../src/counterflow/model.ts"
import { draw, elementsOf, type Source, type Values } from "../src/data.ts"
import { probe } from "../src/probe.ts"
import * as models from "./models.ts"
import * as plain from "./reference.ts"

const uniform = { kind: "uniform", low: -1, high: 1 } as const

function values(shape: readonly number[], stream: number): Values {
  return { data: draw(uniform, elementsOf(shape), stream), shape }
}

function labels(shape: readonly number[], below: number, stream: number): Values {
  return { data: draw({ kind: "integers", below }, elementsOf(shape), stream), shape }
}

/** Random weights for all parameters of a model, as counterflow and as the reference takes them. */
function weightsOf({ main }: Model): { source: Source; weights: models.Weights } {
  const drawn = new Map(main.allParameters().map(({ name, shape }, i) => [name, values(shape.map(Number), 100 + i)]))
  const source: Source = (name) => drawn.get(name) ?? { data: new Float32Array(), shape: [] }
  const weights = [...drawn].flatMap(([name, { data }]) => (name === "mask" ? [] : [[name, Float64Array.from(data)]]))
  return { source, weights: Object.fromEntries(weights) as models.Weights }
}

function gptLoss(weights: models.Weights, sizes: GptSizes): number {
  const sequences = plain.matrixOf(gptBatch.tokens.data, sizes.length)
  const logits = sequences.flatMap((tokens) => models.gptLogits(tokens, weights, sizes))
  return plain.crossEntropy(logits, gptBatch.label.data)
}

interface Case {
  readonly model: () => Model
  readonly batch: Batch
  readonly loss: (weights: models.Weights) => number
  readonly update: models.Update
  readonly steps: number
  readonly source?: (source: Source) => Source
}

const regressionBatch = { x: values([6, 3], 1), y: values([6, 1], 2) }
const mlp = { width: 5, hidden: [4, 3], classes: 3 }
const mlpBatch = { x: values([4, 5], 3), label: labels([4], 3, 4) }
const lenet = { image: [2, 10, 10], filters: [2, 3], filterSize: 3, hidden: [4], classes: 3 }
const lenetBatch = { x: values([2, 2, 10, 10], 5), label: labels([2], 3, 6) }
const gpt = { vocabulary: 5, length: 3, width: 4, heads: 2, blocks: 1 }
const gptBatch = { tokens: labels([2, 3], 5, 7), label: labels([2, 3], 5, 8) }

const lstm = { vocabulary: 5, length: 3, batch: 2, width: 2 }
const lstmBatch = { tokens: labels([2, 3], 5, 9), label: labels([2, 3], 5, 10) }

const lstmCase = (isUnrolled: boolean): Case => ({
  model: () => lstmTraining(lstm, isUnrolled),
  batch: lstmBatch,
  loss: (weights) => {
    const sequences = plain.matrixOf(lstmBatch.tokens.data, lstm.length)
    const logits = sequences.flatMap((tokens) => models.lstmLogits(tokens, weights, lstm))
    return plain.crossEntropy(logits, lstmBatch.label.data)
  },
  update: models.adam(1e-3),
  steps: 2,
})

const rowsOf = ({ data, shape }: Values) => plain.matrixOf(data, shape.at(-1) ?? NaN)

const mlpCase: Case = {
  model: () => mlpTraining(mlp),
  batch: mlpBatch,
  loss: (weights) => plain.crossEntropy(models.stackLogits(rowsOf(mlpBatch.x), weights, 3), mlpBatch.label.data),
  update: models.adam(1e-3),
  steps: 3,
}

const cases: Record<string, Case> = {
  regression: {
    model: () => regression({ width: 3, learningRate: 0.1 }),
    batch: regressionBatch,
    loss: (weights) => {
      const predicted = models.linear(rowsOf(regressionBatch.x), weights, "w", "b")
      const squares = predicted.map(([y = NaN], i) => (y - (regressionBatch.y.data[i] ?? NaN)) ** 2)
      return squares.reduce((sum, x) => sum + x, 0) / squares.length
    },
    update: models.sgd(0.1),
    steps: 4,
  },
  mlp: mlpCase,
  lenet: {
    model: () => lenetTraining(lenet),
    batch: lenetBatch,
    loss: (weights) => {
      const x = plain.imagesOf(lenetBatch.x.data, lenetBatch.x.shape)
      return plain.crossEntropy(models.lenetLogits(x, weights, lenet), lenetBatch.label.data)
    },
    update: models.momentum(0.01, 0.9),
    steps: 3,
  },
  gpt: {
    model: () => gptTraining(gpt),
    batch: gptBatch,
    loss: (weights) => gptLoss(weights, gpt),
    update: models.adam(1e-3),
    steps: 2,
    source: (source) => withMask(source, gpt.length),
  },
  "an lstm": lstmCase(false),
  "an unrolled lstm": lstmCase(true),
}

/** The losses of the reference, computed once for all backends. */
const references = new Map<string, { expected: readonly number[]; source: Source; weights: models.Weights }>()

function referenceOf(name: string, { model, loss, update, steps, source: extend }: Case) {
  const known = references.get(name)
  if (known !== undefined) return known
  const { source, weights } = weightsOf(model())
  const made = { expected: models.trained(loss, weights, update, steps), source: extend?.(source) ?? source, weights }
  references.set(name, made)
  return made
}

describe.each(Object.entries(backends))("on %s", (_backend, backend) => {
  const executor = () => new Executor(backend())

  test.each(Object.entries(cases))("%s trains as the reference does", (name, each) => {
    const { expected, source } = referenceOf(name, each)
    expect(expected.at(-1)).toBeLessThan(expected[0] ?? NaN)
    expected.forEach((loss, i) => {
      const job = training(executor(), { model: each.model(), source, batch: each.batch, steps: i + 1 })
      expect(Math.abs(job.check / loss - 1)).toBeLessThan(1e-5)
    })
  })

  test("a gpt of two blocks starts from the same loss, and learns its batch", () => {
    const sizes = { ...gpt, blocks: 2 }
    const { source, weights } = weightsOf(gptTraining(sizes))
    const losses = [1, 30].map((steps) => {
      const own = withMask(source, sizes.length)
      return training(executor(), { model: gptTraining(sizes), source: own, batch: gptBatch, steps }).check
    })
    expect(Math.abs((losses[0] ?? NaN) / gptLoss(weights, sizes) - 1)).toBeLessThan(1e-5)
    expect(losses[1]).toBeLessThan((losses[0] ?? NaN) - 0.1)
  })

  test("a job goes on from where its check left off", () => {
    const { source, weights } = referenceOf("mlp", mlpCase)
    const own = executor()
    const { step } = training(own, { model: mlpTraining(mlp), source, batch: mlpBatch, steps: 1 })
    for (let done = 1; done < mlpCase.steps; done++) step()
    const trained = own.scope.get("w1").data
    weights["w1"]?.forEach((expected, i) => expect(Number(trained[i])).toBeCloseTo(expected, 5))
  })

  test("the mlp's forward pass", () => {
    const model = mlpForward(mlp)
    const { source, weights } = weightsOf(model)
    const job = forward(executor(), model, source, { x: mlpBatch.x })
    const expected = probe(models.stackLogits(rowsOf(mlpBatch.x), weights, 3).flat())
    expect(Math.abs(job.check / expected - 1)).toBeLessThan(1e-5)
  })

  test("lenet's forward pass", () => {
    const model = lenetForward(lenet)
    const { source, weights } = weightsOf(model)
    const job = forward(executor(), model, source, { x: lenetBatch.x })
    const x = plain.imagesOf(lenetBatch.x.data, lenetBatch.x.shape)
    const expected = probe(models.lenetLogits(x, weights, lenet).flat())
    expect(Math.abs(job.check / expected - 1)).toBeLessThan(1e-5)
  })
})
