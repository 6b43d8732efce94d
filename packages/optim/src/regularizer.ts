// Penalties on parameters, as plain data, and the operators that add their derivative to a gradient.

import { describeValue, fail, Parameter, type Regularizer, type Variable } from "@counterflow/ir"
import type { ParamGrad } from "@counterflow/autodiff"
import { add, scale, sign } from "@counterflow/ops"
import { numberIn } from "./arguments.ts"

/** The penalty coefficient · Σ |w|: its derivative is coefficient · sign(w). */
export class L1Decay implements Regularizer {
  readonly kind = "l1"
  readonly coefficient: number

  constructor(coefficient = 0) {
    this.coefficient = numberIn("L1Decay", "coefficient", coefficient)
  }
}

/** The penalty coefficient / 2 · Σ w²: its derivative is coefficient · w. */
export class L2Decay implements Regularizer {
  readonly kind = "l2"
  readonly coefficient: number

  constructor(coefficient = 0) {
    this.coefficient = numberIn("L2Decay", "coefficient", coefficient)
  }
}

export function checkRegularizer(op: string, value: Regularizer | null | undefined): Regularizer | null {
  if (value === null || value === undefined) return null
  const { kind, coefficient }: { kind?: unknown; coefficient?: unknown } = value
  if ((kind !== "l1" && kind !== "l2") || typeof coefficient !== "number" || !Number.isFinite(coefficient)) {
    fail("CF_BAD_ATTRIBUTE", `regularization must be an L1Decay or L2Decay, got ${describeValue(value)}`, { op })
  }
  return value
}

/** The gradients with the penalties' derivatives added. A parameter's own penalty goes before the optimizer's. */
export function regularize(paramGrads: readonly ParamGrad[], general: Regularizer | null): ParamGrad[] {
  return paramGrads.map(([param, gradient]) => {
    const own = param instanceof Parameter ? param.regularizer : null
    const penalty = own ?? general
    if (penalty === null || penalty.coefficient === 0) return [param, gradient]
    const { program } = param
    const stem = program.uniqueName(`${penalty.kind}_decay`)
    return [param, program.within({ stem }, () => add(gradient, derivative(penalty, param)))]
  })
}

function derivative({ kind, coefficient }: Regularizer, param: Variable): Variable {
  return scale(kind === "l1" ? sign(param) : param, { scale: coefficient })
}
