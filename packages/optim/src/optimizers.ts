// The optimizers: hyperparameters with Fluid's names and defaults, checked, and the rule made of them.

import { adagradOp, adamOp, adamWOp, centeredRmspropOp, momentumOp, rmspropOp, sgdOp } from "@counterflow/ops"
import { checkOptions, flag, fraction, notNegative, numberIn, positive } from "./arguments.ts"
import { commonOptions, Optimizer, type OptimizerOptions } from "./optimizer.ts"
import type { StateSpec, UpdateRule } from "./rule.ts"

/** Reads the hyperparameters of an optimizer, after refusing options it does not have. */
function rule<O extends OptimizerOptions>(
  name: string,
  options: O,
  own: readonly (keyof O & string)[],
  make: (options: O) => Omit<UpdateRule, "name">,
): UpdateRule {
  checkOptions(name, options, [...commonOptions, ...own])
  return { name, ...make(options) }
}

const zeros = (name: string): StateSpec => ({ name, value: 0 })

/** Gradient descent: w ← w − lr · g. */
export class SGD extends Optimizer {
  constructor(options: OptimizerOptions) {
    super(
      rule("SGD", options, [], () => ({ op: sgdOp, attrs: {}, states: {} })),
      options,
    )
  }
}

export interface MomentumOptions extends OptimizerOptions {
  /** How much of the velocity is kept, 0.9 unless said. */
  momentum?: number
  useNesterov?: boolean
}

/** Gradient descent with momentum: v ← μ v + g, w ← w − lr · v (Nesterov: w ← w − lr · (g + μ v)). */
export class Momentum extends Optimizer {
  constructor(options: MomentumOptions) {
    super(
      rule("Momentum", options, ["momentum", "useNesterov"], ({ momentum = 0.9, useNesterov = false }) => ({
        op: momentumOp,
        attrs: {
          mu: numberIn("Momentum", "momentum", momentum),
          useNesterov: flag("Momentum", "useNesterov", useNesterov),
        },
        states: { velocity: zeros("velocity") },
      })),
      options,
    )
  }
}

export interface AdagradOptions extends OptimizerOptions {
  epsilon?: number
  initialAccumulatorValue?: number
}

/** AdaGrad: m ← m + g², w ← w − lr · g / (√m + ε). */
export class Adagrad extends Optimizer {
  constructor(options: AdagradOptions) {
    const own = ["epsilon", "initialAccumulatorValue"] as const
    super(
      rule("Adagrad", options, own, ({ epsilon = 1e-6, initialAccumulatorValue: value = 0 }) => ({
        op: adagradOp,
        attrs: { epsilon: numberIn("Adagrad", "epsilon", epsilon, positive) },
        states: {
          moment: { name: "moment", value: numberIn("Adagrad", "initialAccumulatorValue", value, notNegative) },
        },
      })),
      options,
    )
  }
}

export interface RMSPropOptions extends OptimizerOptions {
  /** How much of the mean square is kept, 0.95 unless said. */
  rho?: number
  epsilon?: number
  momentum?: number
  /** Divide by the variance instead of the mean square. */
  centered?: boolean
}

/** RMSProp: s ← ρ s + (1 − ρ) g², m ← μ m + lr · g / √(s + ε), w ← w − m. */
export class RMSProp extends Optimizer {
  constructor(options: RMSPropOptions) {
    const op = "RMSProp"
    super(
      rule(op, options, ["rho", "epsilon", "momentum", "centered"], (given) => {
        const { rho = 0.95, epsilon = 1e-6, momentum = 0, centered = false } = given
        const attrs = {
          rho: numberIn(op, "rho", rho, fraction),
          epsilon: numberIn(op, "epsilon", epsilon, positive),
          mu: numberIn(op, "momentum", momentum),
        }
        const states = { meanSquare: zeros("mean_square"), moment: zeros("momentum") }
        return flag(op, "centered", centered)
          ? { op: centeredRmspropOp, attrs, states: { ...states, meanGrad: zeros("mean_grad") } }
          : { op: rmspropOp, attrs, states }
      }),
      options,
    )
  }
}

export interface AdamOptions extends OptimizerOptions {
  /** How much of the mean gradient is kept, 0.9 unless said. */
  beta1?: number
  /** How much of the mean square is kept, 0.999 unless said. */
  beta2?: number
  epsilon?: number
}

/** Adam: m and v running means of g and g², w ← w − lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε). */
export class Adam extends Optimizer {
  constructor(options: AdamOptions) {
    super(
      rule("Adam", options, adamOptions, (given) => ({ op: adamOp, ...adamRule("Adam", given) })),
      options,
    )
  }
}

export interface AdamWOptions extends AdamOptions {
  /** 0.01 unless said. */
  weightDecay?: number
}

/** Adam with decoupled weight decay: w ← w − lr · (Adam's step + weightDecay · w). */
export class AdamW extends Optimizer {
  constructor(options: AdamWOptions) {
    super(
      rule("AdamW", options, [...adamOptions, "weightDecay"], (given) => {
        const { attrs, states } = adamRule("AdamW", given)
        const weightDecay = numberIn("AdamW", "weightDecay", given.weightDecay ?? 0.01)
        return { op: adamWOp, attrs: { ...attrs, weightDecay }, states }
      }),
      options,
    )
  }
}

const adamOptions = ["beta1", "beta2", "epsilon"] as const

function adamRule(op: string, { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: AdamOptions) {
  const attrs = {
    beta1: numberIn(op, "beta1", beta1, fraction),
    beta2: numberIn(op, "beta2", beta2, fraction),
    epsilon: numberIn(op, "epsilon", epsilon, positive),
  }
  const states = {
    moment1: zeros("moment1"),
    moment2: zeros("moment2"),
    beta1Pow: { name: "beta1_pow_acc", value: beta1, isScalar: true },
    beta2Pow: { name: "beta2_pow_acc", value: beta2, isScalar: true },
  }
  return { attrs, states }
}
