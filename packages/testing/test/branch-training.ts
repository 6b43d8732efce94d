// A small network whose training stands in branches, the same network without branches, and steps of both beside one another.

import { type Backend, Executor } from "@counterflow/executor"
import type { Program, Variable } from "@counterflow/ir"
import { data, fc } from "@counterflow/layers"
import { equal, fillConstant, legalize, mean, square, sub } from "@counterflow/ops"
import { build, input } from "./building.ts"

export interface Net {
  readonly hidden: Variable
  readonly prediction: Variable
  /** Which branch is to be taken. */
  readonly which: Variable
  readonly is: (key: number) => Variable
  readonly squared: () => Variable
  readonly shifted: () => Variable
}

/** What `body` builds on a network of two layers; the weights are drawn alike every time. */
export function onNet<T extends object>(body: (net: Net, program: Program) => T) {
  return build((program, startup) => {
    startup.randomSeed = 3
    const which = input(program, "which", [], "int32")
    const hidden = fc(data({ name: "x", shape: [2] }), { size: 4, act: "tanh" })
    const prediction = fc(hidden, { size: 1 })
    const is = (key: number) => equal(which, fillConstant({ shape: [], value: key, dtype: "int32", program }))
    const squared = () => mean(square(prediction))
    const shifted = () => mean(square(sub(prediction, 1)))
    return body({ hidden, prediction, which, is, squared, shifted }, program)
  })
}

export interface StepOf {
  readonly program: Program
  readonly which: number
  readonly fetch?: readonly Variable[]
}

/** What each step fetched, and every state behind it by name. */
export function train(backend: Backend, startups: readonly Program[], steps: readonly StepOf[]) {
  const executor = new Executor(backend, { legalize })
  for (const startup of startups) {
    // Each of them draws the same weights.
    if (executor.scope.has("random_step")) executor.scope.set("random_step", 0)
    executor.runSync(startup, {})
  }
  const x = [
    [1, -2],
    [0.5, 0.25],
    [-1, 3],
  ]
  const history = steps.map(({ program, which, fetch = [] }) => {
    const fetched = executor.runSync(program, { feed: { x, which }, fetch })
    const names = executor.scope.names().filter((name) => name !== "random_step")
    const state = names.map((name) => [name, Array.from(executor.scope.get(name).data, Number)] as const)
    return { fetched: fetched.map(({ data }) => Array.from(data, Number)), state: new Map(state) }
  })
  executor.close()
  return history
}
