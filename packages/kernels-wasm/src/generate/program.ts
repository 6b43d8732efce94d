// A plan as one module: a function per distinct kernel, and `step(arena)`, which only calls them with constant addresses. It
// answers 0, or the number of the operator that failed.
//
//   step(arena) → part(arena) … → kernel(address, …)      kernels are shared by all operators with the same spec
//
// Many small functions, because engines compile and improve code function by function: a giant one would stay slow for long.

import { type BoundBlock, type BoundOp, leavesTape, type Plan, scalarsOf, workOf } from "@counterflow/compiler"
import { fuelOf } from "@counterflow/executor"
import { fail, type Scalar, type VarId } from "@counterflow/ir"
import { call, type FunctionBuilder, type FunctionRef, type Local, ModuleBuilder } from "../assembler/index.ts"
import { type FunctionBuilders, mathFunctions } from "../math/index.ts"
import { type emitFork, type ForkRef, maxParts, maxStages, type StageRef, stageWord } from "../threads/fork.ts"
import { type ElementwiseInput, emitLoop } from "./elementwise/elementwise.ts"
import { branchStep, type Flow, type LoopOp, type PlacedBlock, repeatStep, whileStep } from "./flow/flow.ts"
import { HostKernel } from "./hostkernel.ts"
import { type Kernel, keyOf } from "./kernel.ts"
import { checkLimits } from "./limits.ts"
import type { AnyCall, AnyGenerator, Emit, Place, PlacedTensor, TensorShape } from "./signature.ts"
import { count } from "./space/space.ts"
import { addressOf, perform, type Step } from "./step.ts"
import { refuseTape, releasing } from "./flow/tape.ts"

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
  /** How often a step lets other threads help; if never, it exports no `help`. */
  readonly stages: number
  /** Names of the kernels that serve each operator, in order; a view that needs none is left out. */
  readonly kernels: ReadonlyMap<BoundOp, readonly string[]>
}

/** What the host that runs the module offers. */
export interface Target {
  /** There if threads share memory: then parts that may run at the same time do, called like this. */
  readonly emitFork: typeof emitFork | undefined
  /** Relaxed vector instructions, which are faster, and whose results differ between machines. */
  readonly relaxed: boolean
  /** Of the functions that not every backend has. */
  readonly functions: FunctionBuilders
}

const sharedLimits = { maxPages: 2 ** 16, isShared: true } as const

/** Calls of one function: more would be compiled late, and at once. */
const callsPerPart = 500

/** `stateAddress` says where a state variable of the plan lies; `module` is a fresh one, for those that look at it later. */
export function emitProgram(
  plan: Plan,
  table: Readonly<Record<string, WasmKernel>>,
  stateAddress: (id: VarId) => number,
  target: Target,
  module = new ModuleBuilder(target),
): EmittedProgram {
  return new Emission(plan, table, stateAddress, target, module).finish()
}

class Emission implements Emit {
  readonly relaxed: boolean
  readonly #plan: Plan
  readonly #table: Readonly<Record<string, WasmKernel>>
  readonly #stateAddress: (id: VarId) => number
  readonly #module: ModuleBuilder
  readonly #callOut: FunctionRef<readonly ["i32"], readonly []>
  #refuel: FunctionRef<readonly [], readonly ["i32"]> | undefined
  readonly #functions = new Map<string, FunctionRef<readonly "i32"[], readonly "i32"[]>>()
  readonly #ops: BoundOp[] = []
  readonly #hosts: BoundOp[] = []
  readonly #blocks = new Map<BoundBlock, string>()
  readonly #kernels = new Map<BoundOp, string[]>()
  readonly #data = { segments: 0, bytes: 0 }
  readonly #isShared: boolean
  readonly #stages: StageRef[] = []
  /** Blocks by the name of their function, in the order in which they are known whole. */
  readonly #bodies = new Map<string, readonly Step[]>()
  /** How many blocks have a name. */
  #placed = 0
  /** Functions of blocks: inner ones are there before what calls them. */
  readonly #wholes = new Map<string, FunctionRef<readonly ["i32"], readonly ["i32"]>>()
  #steps: Step[] = []
  #isInPart = false

  constructor(
    plan: Plan,
    table: Readonly<Record<string, WasmKernel>>,
    stateAddress: (id: VarId) => number,
    { relaxed, emitFork, functions }: Target,
    module: ModuleBuilder,
  ) {
    this.relaxed = relaxed
    this.#module = module
    mathFunctions(module, functions)
    this.#plan = plan
    this.#table = table
    this.#stateAddress = stateAddress
    this.#isShared = emitFork !== undefined
    this.#module.importMemory("host", "memory", { minPages: 1, ...(this.#isShared ? sharedLimits : {}) })
    this.#callOut = this.#module.importFunction("host", "call", ["i32"], [])
    this.#collect("step", plan.block)
    const fork = this.#stages.length === 0 ? undefined : emitFork?.(this.#module, this.#stages)
    for (const [name, steps] of this.#bodies) this.#export(name, steps, fork)
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
      stages: this.#stages.length,
      kernels: this.#kernels,
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
    const canFork = this.#isShared && !this.#isInPart && parts.length > 1 && parts.length <= maxParts
    if (!canFork || this.#stages.length === maxStages) for (const part of parts) part()
    else this.#steps.push({ stage: this.#stage(parts) })
  }

  #stage(parts: readonly (() => void)[]): number {
    this.#isInPart = true
    const bodies = parts.map((part) => this.#stepsOf(part))
    this.#isInPart = false
    const index = this.#stages.length
    const stage = this.#module.function(`stage_${index}`, ["i32", "i32"], [], (f, part, arena) => {
      const cases = bodies.map((steps) => () => {
        for (const step of steps) {
          if ("target" in step && step.target.results.length > 0)
            fail("CF_INTERNAL", `${step.target.name} may fail: it cannot be part of a stage`)
          perform(f, arena, step)
        }
      })
      f.switch(part, cases)
    })
    this.#stages.push(stage)
    return stageWord(index, parts.length)
  }

  #stepsOf(emit: () => void): readonly Step[] {
    const outer = this.#steps
    this.#steps = []
    emit()
    const steps = this.#steps
    this.#steps = outer
    return steps
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
      build(
        { f, module: this.#module, relaxed: this.relaxed },
        Object.fromEntries(entries) as Record<P, Local<"i32">>,
        spec,
      )
    })
  }

  /** What the function of a block under a name does: its operators in order. */
  #collect(name: string, block: BoundBlock): void {
    const steps = this.#stepsOf(() => {
      for (const op of block.ops) if (!this.#isInPlace(op)) this.#operator(op)
    })
    this.#bodies.set(name, steps)
  }

  #export(name: string, steps: readonly Step[], fork: ForkRef | undefined): void {
    const parts = Array.from({ length: Math.ceil(steps.length / callsPerPart) }, (_, i) => {
      const part = steps.slice(i * callsPerPart, (i + 1) * callsPerPart)
      return this.#function(`${name}_${i}`, part, fork)
    })
    const whole = this.#module.function(name, ["i32"], ["i32"], (f, arena) => {
      for (const part of parts) {
        const failed = f.let(call(part, arena))
        f.if(failed, () => f.return(failed))
      }
      f.return(0)
    })
    this.#wholes.set(name, whole)
    this.#module.export(name, whole)
  }

  #function(
    name: string,
    steps: readonly Step[],
    fork: ForkRef | undefined,
  ): FunctionRef<readonly ["i32"], readonly ["i32"]> {
    return this.#module.function(name, ["i32"], ["i32"], (f, arena) => {
      for (const step of steps) perform(f, arena, step, fork)
      f.return(0)
    })
  }

  #operator(op: BoundOp): void {
    const entry = Object.hasOwn(this.#table, op.type) ? this.#table[op.type] : undefined
    // The operators of blocks come first: what is emitted from here on is this one's.
    const blocks = entry instanceof HostKernel ? {} : this.#placedBlocks(op)
    this.#ops.push(op)
    // An expression says all there is to say, and fused operators have nothing else.
    const scalars = scalarsOf(op)
    if (scalars !== undefined) return this.#loop(op, scalars)
    if (entry === undefined) return fail("CF_INTERNAL", `there is no kernel for ${op.type}`)
    if (entry instanceof HostKernel) return this.#host(op)
    const emit = typeof entry === "function" ? entry : entry.emit
    emit({ ...this.#call(op), flow: this.#flow(op, blocks) }, this)
  }

  #placedBlocks(op: BoundOp): Record<string, PlacedBlock> {
    return Object.fromEntries(
      Object.entries(op.blocks).map(([slot, block]) => {
        const name = `inner_${this.#placed++}`
        this.#collect(name, block)
        const placed = {
          params: block.params.map((id) => this.#tensor(id)),
          results: block.results.map((id) => this.#tensor(id)),
          run: () => {
            this.#steps.push({
              nest: (f, arena) => {
                const run = () => this.#runBlock(name, f, arena)
                if (leavesTape(block, this.#plan.vars)) releasing(f, run)
                else run()
              },
            })
          },
        }
        return [slot, placed] as const
      }),
    )
  }

  #runBlock(name: string, f: FunctionBuilder, arena: Local<"i32">): void {
    const block = this.#wholes.get(name) ?? fail("CF_INTERNAL", `the function ${name} is not there yet`)
    const failed = f.let(call(block, arena))
    f.if(failed, () => f.return(failed))
  }

  #flow({ blocks: bound }: BoundOp, blocks: Flow["blocks"]): Flow {
    const op = this.#ops.length
    const loop = (): LoopOp => {
      const work = Object.values(bound).reduce((sum, block) => sum + workOf(block, this.#plan.vars), 0)
      this.#refuel ??= this.#module.importFunction("host", "refuel", [], ["i32"])
      return { op, fuel: { refuel: this.#refuel, burns: fuelOf(work) } }
    }
    return {
      blocks,
      branch: (truth, yes, no) => {
        this.#steps.push(branchStep(truth, this.#stepsOf(yes), this.#stepsOf(no)))
      },
      repeat: (times, body) => {
        this.#steps.push(repeatStep(times, this.#stepsOf(body), loop()))
      },
      repeatWhile: (condition, test, body) => {
        this.#steps.push(whileStep(condition, this.#stepsOf(test), this.#stepsOf(body), loop()))
      },
    }
  }

  #loop(op: BoundOp, scalars: Readonly<Record<string, Scalar>>): void {
    const results = Object.entries(scalars).map(([slot, scalar]) => {
      const id = op.outputs[slot]?.[0] ?? fail("CF_INTERNAL", `${op.type} has no output ${slot}`)
      return { scalar, tensor: this.#tensor(id) }
    })
    emitLoop(results, this.#read(op), this)
  }

  #host(op: BoundOp): void {
    refuseTape(op, this.#plan.vars)
    this.#hosts.push(op)
    const number = this.#hosts.length - 1
    this.#served("host")
    this.#steps.push({ write: (f) => f.run(this.#callOut, number) })
    for (const block of Object.values(op.blocks)) {
      const name = `block_${this.#blocks.size}`
      this.#blocks.set(block, name)
      this.#collect(name, block)
    }
  }

  #call(op: BoundOp): AnyCall {
    const workspace = this.#plan.layout.workspaces.get(op)?.offset ?? 0
    const { prologue } = op
    const computed = prologue === undefined ? {} : { [prologue.slot]: this.#unplaced(prologue.value) }
    return {
      inputs: { ...bySlot(op.inputs, op.listInputs, (id, slot) => seen(this.#tensor(id), op, slot)), ...computed },
      outputs: bySlot(op.outputs, op.listOutputs, (id, slot) => seen(this.#tensor(id), op, slot)),
      attrs: op.attrs,
      ...(op.epilogue === undefined ? {} : { epilogue: { scalar: op.epilogue, inputs: this.#read(op) } }),
      ...(prologue === undefined ? {} : { prologue: { scalar: prologue.scalar, inputs: this.#read(op) } }),
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

  /** What is computed as it is read has a shape, and no place. */
  #unplaced(id: VarId): PlacedTensor {
    const variable = this.#plan.vars[id] ?? fail("CF_INTERNAL", `the plan has no variable ${id}`)
    const { shape, elements, dtype } = variable
    return { place: { base: "fixed", offset: 0 }, shape, elements, dtype }
  }

  #tensor(id: VarId): PlacedTensor {
    const variable = this.#plan.vars[id]
    const placement = this.#plan.layout.placements[id]
    if (variable === undefined || placement === undefined || placement === null)
      return fail("CF_INTERNAL", `the plan places no variable ${id}`)
    const { region, offset, state } = placement
    const place: Place =
      region === "arena" ? { base: "arena", offset } : { base: "fixed", offset: this.#stateAddress(state) }
    const { shape, elements, dtype, row } = variable
    return { place, shape, elements, dtype, row }
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

/** A tensor as the operator sees it. */
export function seen<T extends TensorShape>(tensor: T, { views }: BoundOp, slot: string): T {
  const view = views?.[slot]
  if (view === undefined) return tensor
  const { shape, strides } = view
  return { ...tensor, shape, strides, elements: count(shape) }
}

/** By slot: one value, undefined or a list, as the op's signature says. */
export function bySlot<T>(
  slots: BoundOp["inputs"],
  lists: readonly string[],
  make: (id: VarId, slot: string) => T,
): Record<string, T | readonly T[] | undefined> {
  return Object.fromEntries(
    Object.entries(slots).map(([slot, ids]) => {
      const values = ids.map((id) => make(id, slot))
      return [slot, lists.includes(slot) ? values : values[0]]
    }),
  )
}
