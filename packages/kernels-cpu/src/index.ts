// The reference backend and its table of kernels. Importing it registers nothing: pass `cpu()` to an Executor.

export { cpu, type CpuOptions } from "./backend.ts"
export { bindElementwise } from "./elementwise.ts"
export type * from "./kernel.ts"
export { kernels } from "./kernels/index.ts"
