// What the backend makes of a plan, for people and tests: nothing that runs a plan needs it.

import type { BoundOp, Plan } from "@counterflow/compiler"
import { ModuleBuilder, printModule } from "./assembler/index.ts"
import { isRelaxed, threadsOf, wasm, type WasmOptions } from "./backend.ts"
import { functions } from "./generate/index.ts"
import { emitProgram } from "./generate/program.ts"
import { threads } from "./threads/family.ts"

export interface PlanExplanation {
  /** The functions that serve each operator, in order. Views that lie where their input lies have none. */
  readonly kernels: ReadonlyMap<BoundOp, readonly string[]>
  /** How often a step lets other threads help. */
  readonly stages: number
  /** The module in the binary format. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** The module in the WebAssembly text format. */
  toString(): string
}

/**
 * What the backend makes of a plan (`step.plan`): which kernels serve each operator, and the module as text. Nothing is compiled
 * or run. State stands at address 0, where an executor gives it its place.
 */
export function explainPlan(plan: Plan, options: WasmOptions = {}): PlanExplanation {
  const isShared = threadsOf(options, threads.threading) > 1
  const emitFork = isShared ? threads.threading.emitFork : undefined
  const target = { relaxed: isRelaxed(options), emitFork, functions }
  const module = new ModuleBuilder(target)
  const { kernels, stages, bytes } = emitProgram(plan, wasm(options).kernels, () => 0, target, module)
  return { kernels, stages, bytes, toString: () => printModule(module) }
}
