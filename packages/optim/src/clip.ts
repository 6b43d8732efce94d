// Clipping of gradients, between the backward part and the regularizers.

import type { ParamGrad } from "@counterflow/autodiff"
import { describeValue, fail, type Variable } from "@counterflow/ir"
import { cast, clip, div, max, mul, reduceSum, sqrt, square, sum } from "@counterflow/ops"
import { checkOptions, numberIn, positive } from "./arguments.ts"

export interface GradientClip {
  /** Appends operators and answers the clipped gradients, in order. */
  clip(paramGrads: readonly ParamGrad[]): ParamGrad[]
}

export function checkClip(op: string, value: GradientClip | null | undefined): GradientClip | null {
  if (value === null || value === undefined) return null
  if (typeof value === "object" && "clip" in value && typeof value.clip === "function") return value
  return fail("CF_BAD_ATTRIBUTE", `gradClip must be a clip such as new ClipByNorm(1), got ${describeValue(value)}`, {
    op,
  })
}

/** Every element between `min` and `max`; `min` is −max unless said. */
export class ClipByValue implements GradientClip {
  readonly max: number
  readonly min: number

  constructor(options: { max: number; min?: number }) {
    const op = "ClipByValue"
    checkOptions(op, options, ["max", "min"])
    this.max = numberIn(op, "max", options.max)
    this.min = numberIn(op, "min", options.min ?? -this.max)
    if (this.min > this.max) fail("CF_BAD_ATTRIBUTE", `min ${this.min} is greater than max ${this.max}`, { op })
  }

  clip(paramGrads: readonly ParamGrad[]): ParamGrad[] {
    return named("clip_by_value", paramGrads, () =>
      paramGrads.map(([param, gradient]) => [param, clip(gradient, { min: this.min, max: this.max })]),
    )
  }
}

/** Every gradient scaled down to the norm `clipNorm` where its own is larger. */
export class ClipByNorm implements GradientClip {
  readonly clipNorm: number

  constructor(clipNorm: number) {
    this.clipNorm = numberIn("ClipByNorm", "clipNorm", clipNorm, positive)
  }

  clip(paramGrads: readonly ParamGrad[]): ParamGrad[] {
    return named("clip_by_norm", paramGrads, () =>
      paramGrads.map(([param, gradient]) => [param, mul(gradient, shrink(sqrt(squaredNorm(gradient)), this.clipNorm))]),
    )
  }
}

/** All gradients scaled down together where the norm of all of them, taken as one vector, is larger than `clipNorm`. */
export class ClipByGlobalNorm implements GradientClip {
  readonly clipNorm: number

  constructor(clipNorm: number) {
    this.clipNorm = numberIn("ClipByGlobalNorm", "clipNorm", clipNorm, positive)
  }

  clip(paramGrads: readonly ParamGrad[]): ParamGrad[] {
    const [first] = paramGrads
    if (first === undefined) return []
    const { dtype } = first[1]
    return named("clip_by_global_norm", paramGrads, () => {
      const norm = sqrt(sum(paramGrads.map(([, gradient]) => as(squaredNorm(gradient), dtype))))
      const factor = shrink(norm, this.clipNorm)
      return paramGrads.map(([param, gradient]) => [param, mul(gradient, as(factor, gradient.dtype))])
    })
  }
}

/** Operators are named after the clip: clip_by_norm_0.update_3. */
function named(stem: string, paramGrads: readonly ParamGrad[], body: () => ParamGrad[]): ParamGrad[] {
  const program = paramGrads[0]?.[0].program
  return program === undefined ? [] : program.within({ stem: program.uniqueName(stem) }, body)
}

function squaredNorm(gradient: Variable): Variable {
  return reduceSum(square(gradient))
}

/** clipNorm / max(norm, clipNorm): exactly 1 where nothing is to be clipped. */
function shrink(norm: Variable, clipNorm: number): Variable {
  return div(clipNorm, max(norm, clipNorm))
}

function as(x: Variable, dtype: Variable["dtype"]): Variable {
  return x.dtype === dtype ? x : cast(x, { dtype })
}
