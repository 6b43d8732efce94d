// The WebAssembly backend: each plan becomes one module, compiled for its shapes, that runs a whole step in one call.

import type { BoundOp, BoundVar, Plan } from "@counterflow/compiler"
import type { Backend, Memory } from "@counterflow/executor"
import { fail, type VarId } from "@counterflow/ir"
import { CompiledModules } from "./compiled.ts"
import { generators } from "./generate/index.ts"
import { type AnyHostTypes, HostKernel } from "./generate/hostkernel.ts"
import { bySlot, emitProgram, type WasmKernel } from "./generate/program.ts"
import type { AnyGenerator, AnyShapes, TensorShape } from "./generate/signature.ts"
import { scratchOf, WasmPlan } from "./loaded.ts"
import { storageOf, WasmMemory } from "./memory.ts"

export interface WasmOptions {
  /** Kernels in JavaScript for ops from outside, by op name. Elementwise ops need none: they are compiled from their expression. */
  kernels?: Readonly<Record<string, HostKernel>>
}

type Table = Readonly<Record<string, WasmKernel>>

/** The WebAssembly backend: complete, in every dtype. It needs a host that allows to compile WebAssembly. */
export function wasm(options: WasmOptions = {}): Backend<WasmKernel> {
  const kernels = tableOf(options)
  const modules = new CompiledModules()
  return {
    name: "wasm",
    kernels,
    keeps: [],
    canRunSync: true,
    fuses: true,
    updatesInPlace: true,
    supports: (op) => op.facts.scalar !== undefined || Object.hasOwn(kernels, op.type),
    absorbs: (op, vars) => {
      const kernel = kernelOf(kernels, op)
      if (typeof kernel !== "object" || kernel instanceof HostKernel) return false
      return kernel.absorbs?.(shapesOf(op, vars)) ?? false
    },
    storage: (dtype) => storageOf[dtype].BYTES_PER_ELEMENT,
    workspaceBytes: (op, vars) => workspaceOf(kernels, op, vars),
    openMemory: () => new WasmMemory(),
    load: (plan, memory, states) => new WasmPlan(kernels, modules, plan, asWasmMemory(memory), states),
  }
}

export interface PlanExplanation {
  /** The functions that serve each operator, in order. Views that lie where their input lies have none. */
  readonly kernels: ReadonlyMap<BoundOp, readonly string[]>
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
  return emitProgram(plan, tableOf(options), () => 0)
}

function tableOf({ kernels }: WasmOptions): Table {
  // Each entry fits the signature of its op; from here on generators are called by what the plan says, like all operators.
  const own: Readonly<Record<string, unknown>> = generators
  return { ...(own as Readonly<Record<string, AnyGenerator>>), ...kernels }
}

function kernelOf(kernels: Table, op: BoundOp): WasmKernel | undefined {
  return Object.hasOwn(kernels, op.type) ? kernels[op.type] : undefined
}

function shapesOf(op: BoundOp, vars: readonly BoundVar[]): AnyShapes {
  const shapeOf = (id: VarId): TensorShape => vars[id] ?? fail("CF_INTERNAL", `variable ${id} is not in the plan`)
  return {
    inputs: bySlot(op.inputs, op.listInputs, shapeOf),
    outputs: bySlot(op.outputs, op.listOutputs, shapeOf),
    attrs: op.attrs,
  }
}

function workspaceOf(kernels: Table, op: BoundOp, vars: readonly BoundVar[]): number {
  const kernel = kernelOf(kernels, op)
  if (typeof kernel !== "object" || kernel.workspace === undefined) return 0
  const shapes = shapesOf(op, vars)
  if (!(kernel instanceof HostKernel)) return kernel.workspace(shapes)
  const elements = (kernel.workspace as (types: AnyHostTypes) => number)(shapes)
  return elements * storageOf[scratchOf(op, vars)].BYTES_PER_ELEMENT
}

function asWasmMemory(memory: Memory): WasmMemory {
  return memory instanceof WasmMemory
    ? memory
    : fail("CF_INTERNAL", "the WebAssembly backend was given memory of another backend")
}
