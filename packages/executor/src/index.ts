// The driver: runs programs on a backend that plugs in through the contract in backend.ts.

export * from "./backend.ts"
export * from "./executor.ts"
export type { Feeds, FeedValue, TensorFeed } from "./feed.ts"
export type { Advise, OverBudget, Savings, WaysDown } from "./overbudget.ts"
export { Scope } from "./scope.ts"
export { type LimitOptions, Step, type StepOptions, type StepPlan, type StepVar } from "./step.ts"
export { Tensor } from "./tensor.ts"
export { waysDown } from "./waysdown.ts"
export { type AbortSignalLike, fuelOf, type RunLimits, type StopSignal, Watch } from "./watch.ts"
