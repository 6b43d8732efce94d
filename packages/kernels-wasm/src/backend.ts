// The WebAssembly backend: each plan becomes one module, compiled for its shapes, that runs a whole step in one call.

import { type BoundOp, type BoundVar, scalarsOf } from "@counterflow/compiler"
import type { Backend, Memory } from "@counterflow/executor"
import { fail, type VarId } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import { CompiledModules, requireVectors } from "./compiled.ts"
import { hasRelaxed } from "./features.ts"
import { basics } from "./generate/basics.ts"
import { familyNamed } from "./generate/family-names.ts"
import { type AnyHostTypes, HostKernel } from "./generate/hostkernel.ts"
import { missingFamily } from "./generate/expression/functions.ts"
import { functions, generators, kept } from "./generate/index.ts"
import { mostParts } from "./generate/parts.ts"
import { bySlot, seen, type WasmKernel } from "./generate/program.ts"
import type { AnyGenerator, AnyShapes, Family, TensorShape } from "./generate/signature.ts"
import { EmittedPlan, scratchOf } from "./loaded.ts"
import type { FunctionFamily } from "./math/families.ts"
import type { FunctionBuilders } from "./math/index.ts"
import { storageOf, WasmMemory } from "./memory.ts"
import { type ThreadFamily, type Threading, threads } from "./threads/family.ts"

export interface WasmOptions {
  /**
   * How many threads work on a step: 1, or "auto" for as many as the machine has cores. Results are the same, bit for bit. Where
   * memory cannot be shared (a page that is not cross-origin isolated), one thread does it all. For `wasmOf` this takes
   * the family `threads`.
   */
  threads?: number | "auto"
  /** Kernels in JavaScript for ops from outside, by op name. Elementwise ops need none: they are compiled from their expression. */
  kernels?: Readonly<Record<string, HostKernel>>
  /** Use no instruction whose result differs between machines: bits are then the same on all of them. Slower; off. */
  deterministic?: boolean
}

export interface WasmBackend extends Backend<WasmKernel> {
  /** How many threads work on a step at most; 1 where the host cannot share memory between threads. */
  readonly threads: number
}

/** What is taken or left together, a member of `@counterflow/kernels-wasm/families`: kernels, functions that expressions call, or threads. */
export type KernelFamily = Family<Registry> | FunctionFamily | ThreadFamily

type Table = Readonly<Record<string, WasmKernel>>

/** The WebAssembly backend: complete, in every dtype. It needs a host that allows to compile WebAssembly. */
export function wasm(options: WasmOptions = {}): WasmBackend {
  return wasmOf([generators, kept, { functions }, threads], options)
}

/**
 * The same with no other kernels than these: what a page does not need it does not load. Elementwise operators and those that
 * only make or move elements need no family. A program with an operator whose kernel was left out is refused when it is
 * compiled, with the name of the family to add; a composite is run as what it is made of.
 *
 * @example
 * ```ts
 * import * as families from "@counterflow/kernels-wasm/families"
 * const exe = new Executor(wasmOf([families.matmul, families.random, families.reduction]), { legalize })
 * ```
 */
export function wasmOf(chosen: readonly KernelFamily[], options: WasmOptions = {}): WasmBackend {
  const [own, builders] = [tableOf(chosen), functionsOf(chosen)]
  const kernels: Table = { ...own, ...options.kernels }
  const threading = threadingOf(chosen)
  const [size, relaxed] = [threadsOf(options, threading), isRelaxed(options)]
  const team = size > 1 ? threading : undefined
  const target = { relaxed, functions: builders, emitFork: team?.emitFork }
  const modules = new CompiledModules()
  return {
    name: "wasm",
    threads: size,
    kernels,
    // Primitives among them change nothing: they are not expanded anyway.
    keeps: Object.keys(own),
    canRunSync: true,
    fuses: true,
    updatesInPlace: true,
    supports: (op) => {
      const isThere = scalarsOf(op) !== undefined || Object.hasOwn(kernels, op.type)
      return isThere && missingFamily(op, builders) === undefined
    },
    wayOut: (op) => {
      const family = missingFamily(op, builders) ?? familyNamed(op.type)
      return family === undefined ? undefined : `make the backend with its family: wasmOf([…, families.${family}])`
    },
    absorbs: (op, vars) => fullKernelOf(kernels, op)?.absorbs?.(shapesOf(op, vars)) ?? false,
    views: (op, vars) => fullKernelOf(kernels, op)?.readsStrides?.(shapesOf(op, vars)) ?? false,
    computes: (op, vars) => fullKernelOf(kernels, op)?.computes?.(shapesOf(op, vars)) ?? false,
    storage: (dtype) => storageOf[dtype].BYTES_PER_ELEMENT,
    workspaceBytes: (op, vars) => workspaceOf(kernels, op, vars),
    openMemory: () => {
      requireVectors()
      return new WasmMemory(team && ((memory) => team.openTeam(memory, size)))
    },
    load: (plan, memory, states) => {
      return new EmittedPlan({ plan, table: kernels, target }, modules, asWasmMemory(memory), states)
    },
  }
}

/** As many as were asked for, where memory can be shared; one elsewhere. */
export function threadsOf({ threads: asked = 1 }: WasmOptions, threading: Threading | undefined): number {
  if (asked === 1) return 1
  if (threading === undefined) {
    return fail("CF_BAD_ARGUMENT", `there is no code for threads: ${asked} in this backend`, {
      op: "wasmOf",
      fix: "make it with the family: wasmOf([…, families.threads], options)",
    })
  }
  const wanted = asked === "auto" ? Math.min(threading.cores(), mostParts) : asked
  if (!Number.isSafeInteger(wanted) || wanted < 1 || wanted > mostParts) {
    fail("CF_BAD_ARGUMENT", `threads must be an integer from 1 to ${mostParts}, or "auto", got ${wanted}`, {
      op: "wasm",
    })
  }
  return wanted > 1 && threading.canShare() ? wanted : 1
}

export function isRelaxed({ deterministic = false }: WasmOptions): boolean {
  return !deterministic && hasRelaxed()
}

function tableOf(chosen: readonly KernelFamily[]): Table {
  // Each entry fits the signature of its op; from here on generators are called by what the plan says, like all operators.
  const entries = [basics, ...chosen.filter(isKernels)].flatMap((family): [string, unknown][] => Object.entries(family))
  return Object.fromEntries(entries) as Readonly<Record<string, AnyGenerator>>
}

function functionsOf(chosen: readonly KernelFamily[]): FunctionBuilders {
  const all = (builders: FunctionBuilders, family: KernelFamily) =>
    "functions" in family ? { ...builders, ...family.functions } : builders
  return chosen.reduce<FunctionBuilders>(all, {})
}

function threadingOf(chosen: readonly KernelFamily[]): Threading | undefined {
  return chosen.flatMap((family) => ("threading" in family ? [family.threading] : []))[0]
}

function isKernels(family: KernelFamily): family is Family<Registry> {
  return !("functions" in family || "threading" in family)
}

function kernelOf(kernels: Table, op: BoundOp): WasmKernel | undefined {
  return Object.hasOwn(kernels, op.type) ? kernels[op.type] : undefined
}

function fullKernelOf(kernels: Table, op: BoundOp): Exclude<AnyGenerator, (...call: never) => void> | undefined {
  const kernel = kernelOf(kernels, op)
  return typeof kernel !== "object" || kernel instanceof HostKernel ? undefined : kernel
}

function shapesOf(op: BoundOp, vars: readonly BoundVar[]): AnyShapes {
  const shapeOf = (id: VarId, slot: string): TensorShape => {
    return seen<TensorShape>(vars[id] ?? fail("CF_INTERNAL", `variable ${id} is not in the plan`), op, slot)
  }
  const { prologue } = op
  return {
    inputs: {
      ...bySlot(op.inputs, op.listInputs, shapeOf),
      ...(prologue === undefined ? {} : { [prologue.slot]: shapeOf(prologue.value, prologue.slot) }),
    },
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
