// The WebAssembly backend. Importing it compiles nothing and registers nothing: pass `wasm()` to an Executor.

export { type KernelFamily, wasm, type WasmBackend, wasmOf, type WasmOptions } from "./backend.ts"
export { explainPlan, type PlanExplanation } from "./explain.ts"
export { hostKernel } from "./callout.ts"
export {
  type HostBlock,
  type HostCallOf,
  type HostKernel,
  type HostKernelOf,
  type HostTensor,
} from "./generate/hostkernel.ts"
export { saveSteps, type SaveStepsOptions } from "./saved/save.ts"
