// Networks whose backward part takes the batch whole or in micro-batches, and their training.

import { microBatches } from "@counterflow/autodiff"
import { type Backend, Executor, type Feeds } from "@counterflow/executor"
import { Program, programGuard, type Variable, verify } from "@counterflow/ir"
import { data, fc } from "@counterflow/layers"
import { accuracy, legalize, mean, softmax, softmaxWithCrossEntropy } from "@counterflow/ops"
import { type MinimizeOptions, SGD } from "@counterflow/optim"
import { expect } from "vitest"

export const wave = (size: number, phase = 0) => Array.from({ length: size }, (_, i) => Math.sin(1.3 * i + phase))

export interface Net {
  readonly main: Program
  readonly startup: Program
  readonly loss: Variable
  readonly fetch: readonly Variable[]
}

/** A program that `minimize` or another function of the loss completes. */
export function net(
  body: () => readonly [loss: Variable, ...others: Variable[]],
  finish: (loss: Variable) => unknown,
): Net {
  const [main, startup] = [new Program(), new Program()]
  main.randomSeed = startup.randomSeed = 11
  const fetch = programGuard(main, startup, () => {
    const made = body()
    finish(made[0])
    return made
  })
  verify(main)
  return { main, startup, loss: fetch[0], fetch }
}

export const sgd =
  (options: MinimizeOptions = {}) =>
  (loss: Variable) =>
    new SGD({ learningRate: 0.1 }).minimize(loss, options)
export const inParts = (count: number) => sgd({ backward: microBatches(count) })

/** What some steps answer, and the state after them. */
export function train(
  backend: Backend,
  { main, startup, fetch }: Net,
  feed: Feeds,
  more: readonly string[] = [],
  steps = 3,
) {
  const executor = new Executor(backend, { legalize })
  executor.runSync(startup)
  const all = [...fetch, ...more]
  const values = Array.from({ length: steps }, () =>
    executor.runSync(main, { feed, fetch: all }).map(({ data: elements }) => Array.from(elements, Number)),
  )
  const state = executor.scope.names().map((name) => Array.from(executor.scope.get(name).data, Number))
  executor.close()
  return [...values.flat(), ...state]
}

export function expectClose(
  got: readonly (readonly number[])[],
  wanted: readonly (readonly number[])[],
  digits: number,
) {
  expect(got.map((list) => list.length)).toEqual(wanted.map((list) => list.length))
  got.forEach((list, i) => list.forEach((value, j) => expect(value).toBeCloseTo(wanted[i]![j]!, digits)))
}

export function classifier(dtype: "float32" | "float64" = "float32") {
  const x = data({ name: "x", shape: [5], dtype })
  const label = data({ name: "label", shape: [1], dtype: "int64" })
  const logits = fc(fc(x, { size: 4, act: "tanh" }), { size: 3 })
  return [mean(softmaxWithCrossEntropy(logits, label)), accuracy(logits, label), softmax(logits)] as const
}

export const digits: Feeds = {
  x: { data: Float32Array.from(wave(40)), shape: [8, 5] },
  label: [0, 2, 1, 1, 0, 2, 1, 0].map((label) => [label]),
}
