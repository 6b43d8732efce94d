// The front door: what a user of counterflow imports. Re-exports and default wiring, nothing else.

export {
  appendBackward,
  type Backward,
  type BackwardCallback,
  type BackwardContext,
  type BackwardOptions,
  gradients,
  type GradientsOfInputs,
  type GradientsOptions,
  microBatches,
  type ParamGrad,
  type Recompute,
  recomputeSavings,
  type RecomputeSavings,
} from "@counterflow/autodiff"
export { memoryReport } from "@counterflow/compiler"
export { Scope, Step, Tensor } from "@counterflow/executor"
export {
  Block,
  CounterflowError,
  defaultMainProgram,
  defaultStartupProgram,
  type Dim,
  type DType,
  isCounterflowError,
  nameScope,
  Operator,
  Parameter,
  Program,
  programGuard,
  type Shape,
  symbol,
  uniqueName,
  Variable,
  verify,
} from "@counterflow/ir"
export { cpu } from "@counterflow/kernels-cpu"
export { saveSteps, type SaveStepsOptions, wasm } from "@counterflow/kernels-wasm"
export * as initializers from "./initializers.ts"
export * as layers from "./layers.ts"
export * as ops from "@counterflow/ops"
export * as optim from "@counterflow/optim"
export { extend, registry, resolve } from "@counterflow/ops"
export { Executor, type ExecutorOptions } from "./executor.ts"
export { parseProgram } from "./text.ts"
