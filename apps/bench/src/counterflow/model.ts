// Models as programs: what is fed, what is fetched, which initial weight has which name.

import { type optim, Program, programGuard, type Variable } from "counterflow"
import type { Source } from "../data.ts"

export interface Model {
  readonly main: Program
  readonly startup: Program
  /** What a step answers: the loss, or the logits. */
  readonly result: Variable
}

/** A model in programs of its own; with an optimizer it trains, and the result is the loss. */
export function model(
  build: () => Variable,
  optimizer: InstanceType<typeof optim.Optimizer> | null,
  options: () => optim.MinimizeOptions = () => ({}),
): Model {
  const main = new Program()
  const startup = new Program()
  const result = programGuard(main, startup, () => {
    const built = build()
    optimizer?.minimize(built, options())
    return built
  })
  return { main, startup, result }
}

/** The arrays of one model: `part("w1")` of `partOf(source, "mlp")` is mlp.w1. */
export function partOf(source: Source, prefix: string): Source {
  return (name) => source(`${prefix}.${name}`)
}
