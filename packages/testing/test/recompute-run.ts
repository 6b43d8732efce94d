// Training of the models of recomputation, to the last bit.

import { type PassName, verifyBound } from "@counterflow/compiler"
import { type Backend, Executor } from "@counterflow/executor"
import { type Program, type Variable, verify } from "@counterflow/ir"
import { legalize } from "@counterflow/ops"
import { Adam, type MinimizeOptions } from "@counterflow/optim"
import { build } from "./building.ts"
import type { Model } from "./recompute-models.ts"

export interface Built {
  readonly main: Program
  readonly startup: Program
  readonly loss: Variable
  readonly gradients: readonly Variable[]
}

/** A model with its training; `options` is given what may be kept. */
export function trained(model: Model, options: (kept: readonly Variable[]) => MinimizeOptions): Built {
  return build((main, startup) => {
    main.randomSeed = startup.randomSeed = 11
    const kept: Variable[] = []
    const loss = model.build((variable) => {
      kept.push(variable)
      return variable
    })
    const [, pairs] = new Adam({ learningRate: 0.01 }).minimize(loss, options(kept))
    verify(main)
    return { loss, gradients: pairs.map(([, gradient]) => gradient) }
  })
}

/** Loss and gradients of three steps, and all state behind them, as bits by name. */
export function bitsOf(
  backend: Backend,
  { main, startup, loss, gradients }: Built,
  model: Model,
  off: PassName[] = [],
) {
  const exe = new Executor(backend, { legalize, passes: { off, observe: (_name, program) => verifyBound(program) } })
  exe.runSync(startup)
  const found: Record<string, string> = {}
  const note = (name: string, { data }: { data: ArrayLike<number | bigint> }) => {
    found[name] = Array.from(data, (value) => (Object.is(value, -0) ? "-0" : String(value))).join(" ")
  }
  const fetch = [loss, ...gradients]
  for (let step = 0; step < 3; step++) {
    exe
      .runSync(main, { feed: model.feed, fetch })
      .forEach((tensor, i) => note(`step ${step} ${fetch[i]?.name}`, tensor))
  }
  for (const name of exe.scope.names()) note(name, exe.scope.get(name))
  exe.close()
  return found
}

/** What was emitted once more: copies are named after the first. */
export function copies(program: Program): Variable[] {
  return program.globalBlock().ops.flatMap((op) => op.outputList().filter(({ name }) => name.includes("@AGAIN")))
}
