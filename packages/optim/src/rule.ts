// What makes one optimizer different from another, as data: the op that updates a parameter and the states it keeps for it.

import type { Attrs } from "@counterflow/ir"
import type { Op } from "@counterflow/ops"

export interface StateSpec {
  /** Behind the parameter's name, as in Fluid: fc_0.w_0_moment1_0. */
  readonly name: string
  /** What every element is at first. */
  readonly value: number
  /** One element instead of the parameter's shape. */
  readonly isScalar?: boolean
}

export interface UpdateRule {
  /** The optimizer's name in errors. */
  readonly name: string
  /** An op with the inputs `param`, `grad`, `learningRate` and the states, that declares what it writes. */
  readonly op: Op
  readonly attrs: Attrs
  /** By input slot of the op. */
  readonly states: Readonly<Record<string, StateSpec>>
}
