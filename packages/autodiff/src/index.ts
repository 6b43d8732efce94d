// Static-graph automatic differentiation: appends the backward part of a program to that program.

export { type Backward, microBatches } from "./accumulate.ts"
export { appendBackward, type BackwardOptions, checkLoss, type ParamGrad } from "./backward.ts"
export { gradients, type GradientsOfInputs, type GradientsOptions } from "./gradients.ts"
export { type Recompute, recomputeSavings, type RecomputeSavings } from "./recompute.ts"
export type { BackwardCallback, BackwardContext } from "./pass.ts"
