// Learning rates: a number becomes state, so that it can be changed between steps; a schedule is a variable of the program.

import {
  compareDims,
  describeValue,
  fail,
  formatShape,
  isFloat,
  numel,
  type Program,
  programGuard,
  Variable,
} from "@counterflow/ir"
import { cast, createState, scale } from "@counterflow/ops"
import { numberIn } from "./arguments.ts"

/** A number, a variable such as a schedule, or a function that makes one in the program that is optimized. */
export type LearningRate = number | Variable | (() => Variable)

export function checkLearningRate(op: string, rate: unknown): LearningRate {
  if (rate instanceof Variable) return rate
  if (typeof rate === "function") return () => requireRate(op, (rate as () => unknown)())
  if (typeof rate === "number") return numberIn(op, "learningRate", rate)
  return fail(
    "CF_BAD_ATTRIBUTE",
    `learningRate must be a number, a Variable or a function, got ${describeValue(rate)}`,
    { op },
  )
}

/** The learning rate as a variable of the program: the state `learning_rate_0` of a number. */
export function rateIn(main: Program, startup: Program, rate: LearningRate, like: Variable, op: string): Variable {
  if (typeof rate === "number") {
    const name = main.uniqueName("learning_rate")
    return createState({ name, shape: [], dtype: like.dtype, value: rate, main, startup })
  }
  // Made once for all branches, so outside of them: a schedule advances with the step, whichever branch is taken.
  const position = { block: main.globalBlock(), role: "schedule" } as const
  const variable = rate instanceof Variable ? rate : programGuard(main, startup, () => main.within(position, rate))
  if (variable.program !== main) {
    fail("CF_FOREIGN_VARIABLE", `the learning rate ${variable.name} belongs to another program than the loss`, {
      op,
      notes: [`${variable}   built at ${variable.site}`],
      fix: "make the schedule under the programGuard of the loss, or pass a function that makes it",
    })
  }
  return requireRate(op, variable)
}

function requireRate(op: string, rate: unknown): Variable {
  if (!(rate instanceof Variable)) {
    return fail("CF_BAD_ATTRIBUTE", `learningRate must make a Variable, got ${describeValue(rate)}`, { op })
  }
  if (!isFloat(rate.dtype) || compareDims(numel(rate.shape), 1) !== "equal") {
    fail("CF_BAD_ATTRIBUTE", `the learning rate must be one float, got ${rate.dtype}${formatShape(rate.shape)}`, {
      op,
      notes: [`${rate}   built at ${rate.site}`],
    })
  }
  return rate
}

/** The rate of one parameter: times its own factor, in its dtype. Made once per factor and dtype. */
export class RateTable {
  readonly #rate: Variable
  readonly #made: { factor: number; rate: Variable }[]

  constructor(rate: Variable) {
    this.#rate = rate
    this.#made = [{ factor: 1, rate }]
  }

  of(dtype: Variable["dtype"], factor: number): Variable {
    const known = this.#made.find((each) => each.factor === factor && each.rate.dtype === dtype)
    if (known !== undefined) return known.rate
    const { program, name } = this.#rate
    const rate = program.within({ stem: name }, () =>
      factor === 1 ? cast(this.#rate, { dtype }) : scale(this.of(dtype, 1), { scale: factor }),
    )
    this.#made.push({ factor, rate })
    return rate
  }
}
