// The WebAssembly backend. Importing it compiles nothing and registers nothing: pass `wasm()` to an Executor.

export { explainPlan, type PlanExplanation, wasm, type WasmOptions } from "./backend.ts"
export {
  type HostBlock,
  type HostCallOf,
  type HostKernel,
  hostKernel,
  type HostKernelOf,
  type HostTensor,
} from "./generate/hostkernel.ts"
