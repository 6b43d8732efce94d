// Jobs of programs: training and forward passes are fed at each step, as in a training loop; the operands and results of kernels
// stay in the executor's memory, as state.

import { type Executor, ops, Program, programGuard, type Variable } from "counterflow"
import type { Source, Values } from "../data.ts"
import { probe } from "../probe.ts"
import type { Job } from "../protocol.ts"
import type { Model } from "./model.ts"

type Typed = Float32Array | Int32Array

/** What one step is fed, by the names of data variables. */
export type Batch = Readonly<Record<string, Values>>

/** A model that is trained on one batch over and over. */
export interface Training {
  readonly model: Model
  /** Of its initial weights. */
  readonly source: Source
  readonly batch: Batch
  /** The check is the loss of the last of so many first steps. */
  readonly steps: number
}

/** Gives a model the initial weights of `source`. */
export function start(executor: Executor, { main, startup }: Model, source: Source): void {
  executor.runSync(startup)
  for (const { name } of main.allParameters()) executor.scope.set(name, source(name))
}

/** A model with its initial weights, compiled for the sizes of this batch. */
function compile(executor: Executor, model: Model, source: Source, batch: Batch) {
  start(executor, model, source)
  const { main, result } = model
  const shapes = Object.entries(batch).map(([name, { shape }]) => [name, shape] as const)
  const step = executor.compileSync(main, { feed: Object.fromEntries(shapes), fetch: [result] })
  const feed: Record<string, Typed> = {}
  for (const [name, { data }] of Object.entries(batch)) feed[name] = data
  return { step, feed }
}

/** Trains, and reads the loss at each step. */
export function training(executor: Executor, { model, source, batch, steps }: Training): Job {
  const { step, feed } = compile(executor, model, source, batch)
  const loss = new Float32Array(1)
  const options = { into: [loss] }
  const run = () => {
    step.runSync(feed, options)
  }
  for (let i = 0; i < steps; i++) run()
  return { step: run, check: loss[0] ?? NaN }
}

/** The same without a compiled step in hand: each run names the program, its feeds and what it fetches. */
export function trainingByRun(executor: Executor, { model, source, batch, steps }: Training): Job {
  start(executor, model, source)
  const options = { feed: batch, fetch: [model.result] } as const
  const run = () => executor.runSync(model.main, options)[0].item()
  let loss = NaN
  for (let i = 0; i < steps; i++) loss = run()
  return { step: run, check: loss }
}

/** A forward pass whose result is read. */
export function forward(executor: Executor, model: Model, source: Source, batch: Batch): Job {
  const { step, feed } = compile(executor, model, source, batch)
  const [first] = step.runSync(feed)
  if (first === undefined) throw new Error("a forward pass fetches one result")
  const { data } = first
  if (!(data instanceof Float32Array)) throw new Error(`float32 results are expected, got ${first.dtype}`)
  const options = { into: [data] }
  return { step: () => step.runSync(feed, options), check: probe(data) }
}

/** A kernel over state: `build` gets the inputs and answers, by name, what is to be written to state as results. */
export function kernel<Name extends string>(
  executor: Executor,
  inputs: Readonly<Record<Name, Values>>,
  build: (inputs: Readonly<Record<Name, Variable>>) => Readonly<Record<string, Variable>>,
): Job {
  const main = new Program()
  const results = programGuard(main, new Program(), () => {
    const given = Object.fromEntries(
      Object.entries<Values>(inputs).map(([name, { data, shape }]) => {
        executor.scope.set(name, { data, shape })
        return [
          name,
          main.globalBlock().createVar({ name, shape, dtype: "float32", persistable: true, stopGradient: false }),
        ]
      }),
    ) as Record<Name, Variable>
    return Object.entries(build(given)).map(([name, value]) => {
      const { shape, dtype } = value
      ops.write(main.globalBlock().createVar({ name, shape, dtype, persistable: true }), value)
      return name
    })
  })
  const step = executor.compileSync(main)
  step.runSync()
  const check = results.reduce((total, name) => total + probe(numbers(executor.scope.get(name).data)), 0)
  return { step: () => step.runSync(), check }
}

function numbers(data: ArrayLike<number> | BigInt64Array): ArrayLike<number> {
  if (data instanceof BigInt64Array) throw new Error("float32 results are expected")
  return data
}
