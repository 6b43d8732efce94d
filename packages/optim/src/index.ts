// Optimizers, what they are made of, schedules, clips and regularizers: all append operators to the program.

export { ClipByGlobalNorm, ClipByNorm, ClipByValue, type GradientClip } from "./clip.ts"
export { type BackwardOptions, type MinimizeOptions, Optimizer, type OptimizerOptions } from "./optimizer.ts"
export {
  Adagrad,
  type AdagradOptions,
  Adam,
  type AdamOptions,
  AdamW,
  type AdamWOptions,
  Momentum,
  type MomentumOptions,
  RMSProp,
  type RMSPropOptions,
  SGD,
} from "./optimizers.ts"
export type { LearningRate } from "./rate.ts"
export { L1Decay, L2Decay } from "./regularizer.ts"
export type { StateSpec, UpdateRule } from "./rule.ts"
export {
  cosineDecay,
  type DecayOptions,
  exponentialDecay,
  inverseTimeDecay,
  linearLrWarmup,
  naturalExpDecay,
  noamDecay,
  piecewiseDecay,
  polynomialDecay,
  type PolynomialDecayOptions,
  type WarmupOptions,
} from "./schedule.ts"
