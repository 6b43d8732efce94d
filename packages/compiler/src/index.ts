// From a LoweredProgram to an executable plan: phases 3-bind, 4-simplify, 7-memory (prune and legalize come before, in ops).

export { type Bindings, bindProgram, bindSymbols } from "./3-bind.ts"
export { mergeCommonSubexpressions } from "./4-simplify.ts"
export { fuseElementwise } from "./5-fuse.ts"
export { type MemoryModel, type MemoryPlan, type Placement, planMemory } from "./7-memory.ts"
export * from "./bound.ts"
export * from "./plan.ts"
