// A plan as one module: a function per distinct kernel, and `step(arena)`, which only calls them with constant addresses. It
// answers 0, or the number of the operator that failed.
//
//   step(arena) → part(arena) … → kernel(address, …)      kernels are shared by all operators with the same spec
//
// Many small functions, because engines compile and improve code function by function: a giant one would stay slow for long.

import type { BoundBlock, BoundOp, Plan } from "@counterflow/compiler"
import { fail, type Scalar, type VarId } from "@counterflow/ir"
import {
  call,
  type Expr,
  type FunctionBuilder,
  type FunctionRef,
  i32,
  type Local,
  ModuleBuilder,
} from "../assembler/index.ts"
import { type ElementwiseInput, emitElementwise } from "./elementwise.ts"
import { HostKernel } from "./hostkernel.ts"
import { type Kernel, keyOf } from "./kernel.ts"
import { checkLimits } from "./limits.ts"
import type { AnyCall, AnyGenerator, Emit, Place, PlacedTensor } from "./signature.ts"

/** What a table of this backend holds: a generator of kernels, or a kernel in JavaScript. */
export type WasmKernel = AnyGenerator | HostKernel

export interface EmittedProgram {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Operators by number, from 1. */
  readonly ops: readonly BoundOp[]
  /** Operators that call out, by the number that they pass to the import "call". */
  readonly hosts: readonly BoundOp[]
  /** Exported names of sub-blocks' functions. */
  readonly blocks: ReadonlyMap<BoundBlock, string>
  /** Names of the kernels that serve each operator, in order; a view that needs none is left out. */
  readonly kernels: ReadonlyMap<BoundOp, readonly string[]>
  /** The module in the text format. */
  toString(): string
}

/** Calls of one function: more would be compiled late, and at once. */
const callsPerPart = 500

interface Invocation {
  readonly target: FunctionRef<readonly "i32"[], readonly "i32"[]>
  readonly at: readonly Place[]
  /** Number of the operator. */
  readonly op: number
}

type Step = Invocation | { readonly write: (f: FunctionBuilder, arena: Local<"i32">) => void }

/** `stateAddress` says where a state variable of the plan lies. */
export function emitProgram(
  plan: Plan,
  table: Readonly<Record<string, WasmKernel>>,
  stateAddress: (id: VarId) => number,
): EmittedProgram {
  return new Emission(plan, table, stateAddress).finish()
}

class Emission implements Emit {
  readonly #plan: Plan
  readonly #table: Readonly<Record<string, WasmKernel>>
  readonly #stateAddress: (id: VarId) => number
  readonly #module = new ModuleBuilder()
  readonly #callOut: FunctionRef<readonly ["i32"], readonly []>
  readonly #functions = new Map<string, FunctionRef<readonly "i32"[], readonly "i32"[]>>()
  readonly #ops: BoundOp[] = []
  readonly #hosts: BoundOp[] = []
  readonly #blocks = new Map<BoundBlock, string>()
  readonly #kernels = new Map<BoundOp, string[]>()
  readonly #data = { segments: 0, bytes: 0 }
  #steps: Step[] = []

  constructor(plan: Plan, table: Readonly<Record<string, WasmKernel>>, stateAddress: (id: VarId) => number) {
    this.#plan = plan
    this.#table = table
    this.#stateAddress = stateAddress
    this.#module.importMemory("host", "memory", { minPages: 1 })
    this.#callOut = this.#module.importFunction("host", "call", ["i32"], [])
    this.#export("step", plan.block)
  }

  finish(): EmittedProgram {
    const module = this.#module
    // A segment's bytes are known before they are written: what is far too large must not be built first.
    checkLimits({ bytes: this.#data.bytes, functions: this.#functions.size, "data segments": this.#data.segments })
    const bytes = module.finish()
    checkLimits({ bytes: bytes.length, functions: this.#functions.size, "data segments": this.#data.segments })
    return {
      bytes,
      ops: this.#ops,
      hosts: this.#hosts,
      blocks: this.#blocks,
      kernels: this.#kernels,
      toString: () => module.toString(),
    }
  }

  run<P extends string, S>(kernel: Kernel<P, S>, at: Readonly<Record<P, Place>>, spec: S): void {
    const names = Object.keys(at) as P[]
    const key = `${kernel.name} ${names.join(" ")} ${keyOf(spec)}`
    let target = this.#functions.get(key)
    if (target === undefined) this.#functions.set(key, (target = this.#kernel(kernel, names, spec)))
    this.#served(target.name)
    this.#steps.push({ target, at: names.map((name) => at[name]), op: this.#ops.length })
  }

  write(bytes: Uint8Array, at: Place): void {
    const data = this.#module.data(bytes)
    this.#data.segments++
    this.#data.bytes += bytes.length
    this.#served("data")
    this.#steps.push({ write: (f, arena) => f.initialize(addressOf(at, arena), data) })
  }

  parallel(parts: readonly (() => void)[]): void {
    for (const part of parts) part()
  }

  #served(name: string): void {
    const op = this.#ops.at(-1)
    if (op === undefined) return
    const names = this.#kernels.get(op)
    if (names === undefined) this.#kernels.set(op, [name])
    else names.push(name)
  }

  #kernel<P extends string, S>(
    { name, canFail = false, build }: Kernel<P, S>,
    names: readonly P[],
    spec: S,
  ): FunctionRef<readonly "i32"[], readonly "i32"[]> {
    const params = names.map(() => "i32" as const)
    const results = canFail ? (["i32"] as const) : []
    const title = `${name}_${this.#functions.size}`
    return this.#module.function(title, params, results, (f, ...pointers) => {
      const entries = names.map((pointer, i) => [pointer, pointers[i]] as const)
      build({ f, module: this.#module }, Object.fromEntries(entries) as Record<P, Local<"i32">>, spec)
    })
  }

  /** The function of a block under a name: its operators in order. */
  #export(name: string, block: BoundBlock): void {
    const outer = this.#steps
    this.#steps = []
    for (const op of block.ops) if (!this.#isInPlace(op)) this.#operator(op)
    const steps = this.#steps
    this.#steps = outer
    const parts = Array.from({ length: Math.ceil(steps.length / callsPerPart) }, (_, i) => {
      const part = steps.slice(i * callsPerPart, (i + 1) * callsPerPart)
      return this.#function(`${name}_${i}`, part)
    })
    const whole = this.#module.function(name, ["i32"], ["i32"], (f, arena) => {
      for (const part of parts) {
        const failed = f.let(call(part, arena))
        f.if(failed, () => f.return(failed))
      }
      f.return(0)
    })
    this.#module.export(name, whole)
  }

  #function(name: string, steps: readonly Step[]): FunctionRef<readonly ["i32"], readonly ["i32"]> {
    return this.#module.function(name, ["i32"], ["i32"], (f, arena) => {
      for (const step of steps) {
        if ("write" in step) step.write(f, arena)
        else invoke(f, arena, step)
      }
      f.return(0)
    })
  }

  #operator(op: BoundOp): void {
    this.#ops.push(op)
    // An expression says all there is to say, and fused operators have nothing else.
    if (op.facts.scalar !== undefined) return this.#scalar(op, op.facts.scalar)
    const entry = Object.hasOwn(this.#table, op.type) ? this.#table[op.type] : undefined
    if (entry === undefined) return fail("CF_INTERNAL", `there is no kernel for ${op.type}`)
    if (entry instanceof HostKernel) return this.#host(op)
    const emit = typeof entry === "function" ? entry : entry.emit
    emit(this.#call(op), this)
  }

  #scalar(op: BoundOp, scalar: Scalar): void {
    const [output] = Object.values(op.outputs).flat()
    if (output === undefined) return fail("CF_INTERNAL", `${op.type} has no output`)
    emitElementwise(scalar, this.#read(op), this.#tensor(output), this)
  }

  #host(op: BoundOp): void {
    this.#hosts.push(op)
    const number = this.#hosts.length - 1
    this.#served("host")
    this.#steps.push({ write: (f) => f.run(this.#callOut, number) })
    for (const block of Object.values(op.blocks)) {
      const name = `block_${this.#blocks.size}`
      this.#blocks.set(block, name)
      this.#export(name, block)
    }
  }

  #call(op: BoundOp): AnyCall {
    const workspace = this.#plan.layout.workspaces.get(op)?.offset ?? 0
    return {
      inputs: bySlot(op.inputs, op.listInputs, (id) => this.#tensor(id)),
      outputs: bySlot(op.outputs, op.listOutputs, (id) => this.#tensor(id)),
      attrs: op.attrs,
      ...(op.epilogue === undefined ? {} : { epilogue: { scalar: op.epilogue, inputs: this.#read(op) } }),
      workspace: { base: "arena", offset: workspace },
    }
  }

  /** Inputs, and the steps of those that are not read as the output lies. */
  #read(op: BoundOp): Record<string, ElementwiseInput> {
    return Object.fromEntries(
      Object.entries(op.inputs).flatMap(([slot, [id]]) =>
        id === undefined ? [] : [[slot, { tensor: this.#tensor(id), strides: op.reads?.[slot] }] as const],
      ),
    )
  }

  #tensor(id: VarId): PlacedTensor {
    const variable = this.#plan.vars[id]
    const placement = this.#plan.layout.placements[id]
    if (variable === undefined || placement === undefined || placement === null)
      return fail("CF_INTERNAL", `the plan places no variable ${id}`)
    const { region, offset, state } = placement
    const place: Place =
      region === "arena" ? { base: "arena", offset } : { base: "fixed", offset: this.#stateAddress(state) }
    return { place, shape: variable.shape, elements: variable.elements, dtype: variable.dtype }
  }

  /** A view whose output lies where its input lies needs no run. */
  #isInPlace({ facts: { aliases }, inputs, outputs }: BoundOp): boolean {
    const source = aliases === undefined ? undefined : inputs[aliases]?.[0]
    const target = Object.values(outputs)[0]?.[0]
    if (source === undefined || target === undefined) return false
    const { placements } = this.#plan.layout
    const [from, to] = [placements[source], placements[target]]
    return from?.region === to?.region && from?.offset === to?.offset && from?.state === to?.state
  }
}

function addressOf({ base, offset }: Place, arena: Local<"i32">): Expr<"i32"> {
  if (base === "fixed") return i32.const(offset)
  return offset === 0 ? arena : i32.add(arena, offset)
}

function invoke(f: FunctionBuilder, arena: Local<"i32">, { target, at, op }: Invocation): void {
  const addresses = at.map((place) => addressOf(place, arena))
  if (target.results.length === 0) return f.run(target, ...addresses)
  const failed = f.local("i32")
  f.receive([failed], target, ...addresses)
  f.if(failed, () => f.return(op))
}

/** By slot: one value, undefined or a list, as the op's signature says. */
export function bySlot<T>(
  slots: BoundOp["inputs"],
  lists: readonly string[],
  make: (id: VarId) => T,
): Record<string, T | readonly T[] | undefined> {
  return Object.fromEntries(
    Object.entries(slots).map(([slot, ids]) => {
      const values = ids.map(make)
      return [slot, lists.includes(slot) ? values : values[0]]
    }),
  )
}
