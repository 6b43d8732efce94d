// What runs steps that are compiled already, and nothing that compiles: for backends that ship such steps. The whole driver has
// the same.

export type { LoadedPlan, Memory, StateRegion, StorageArray } from "./backend.ts"
export type { Feeds, FeedValue, TensorFeed } from "./feed.ts"
export { RunQueue, type RunQueueOptions } from "./queue.ts"
export { Scope, type StateType } from "./scope.ts"
export { type LimitOptions, Step, type StepOptions, type StepPlan, type StepVar } from "./step.ts"
export { Tensor } from "./tensor.ts"
export { type AbortSignalLike, type RunLimits, type StopSignal, Watch } from "./watch.ts"
