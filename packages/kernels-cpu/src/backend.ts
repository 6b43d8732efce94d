// The reference backend: runs a plan operator by operator with the kernels of this package. Keeps no composite.

import { type BoundBlock, type BoundOp, type BoundVar, leavesTape, type Plan, workOf } from "@counterflow/compiler"
import {
  type Backend,
  fuelOf,
  type LoadedPlan,
  type Memory,
  type RunLimits,
  type StateRegion,
  type StorageArray,
  Watch,
} from "@counterflow/executor"
import { fail, isCounterflowError, type VarId } from "@counterflow/ir"
import { bindElementwise } from "./elementwise.ts"
import type { AnyCall, AnyKernel, AnyTypes, HostBlock, HostTensor, HostType, NumberArray } from "./kernel.ts"
import { kernels as own } from "./kernels/index.ts"
import { CpuMemory } from "./memory.ts"
import { storageOf } from "./storage.ts"

export interface CpuOptions {
  /** Kernels for ops from outside, by op name. */
  kernels?: Readonly<Record<string, unknown>>
}

/** The CPU backend: plain loops, complete, in every dtype. */
export function cpu(options: CpuOptions = {}): Backend<AnyKernel> {
  // Each entry fits the signature of its op; from here on kernels are called by what the plan says, like all operators.
  const table: Readonly<Record<string, unknown>> = { ...own, ...options.kernels }
  const kernels = table as Readonly<Record<string, AnyKernel>>
  const supports = (op: BoundOp) => op.facts.scalar !== undefined || Object.hasOwn(kernels, op.type)
  return {
    name: "cpu",
    kernels,
    keeps: [],
    canRunSync: true,
    updatesInPlace: true,
    supports,
    storage: (dtype) => storageOf[dtype].BYTES_PER_ELEMENT,
    workspaceBytes: (op, vars) => {
      const kernel = kernels[op.type]
      if (typeof kernel !== "object") return 0
      return kernel.workspace(typesOf(op, vars)) * scratchStorage(op, vars).BYTES_PER_ELEMENT
    },
    openMemory: () => new CpuMemory(),
    load: (plan, memory, states) => new CpuPlan(kernels, plan, asCpuMemory(memory), states),
  }
}

function asCpuMemory(memory: Memory): CpuMemory {
  return memory instanceof CpuMemory
    ? memory
    : fail("CF_INTERNAL", "the CPU backend was given memory of another backend")
}

function scratchStorage(op: BoundOp, vars: readonly BoundVar[]) {
  const [first] = Object.values(op.outputs).flat()
  return storageOf[(first === undefined ? undefined : vars[first]?.dtype) ?? "float64"]
}

function typesOf(op: BoundOp, vars: readonly BoundVar[]): AnyTypes {
  const typeOf = (id: VarId): HostType => vars[id] ?? fail("CF_INTERNAL", `variable ${id} is not in the plan`)
  return { inputs: unwrap(op, "inputs", typeOf), outputs: unwrap(op, "outputs", typeOf), attrs: op.attrs }
}

/** By slot: one value, undefined or a list, as the op's signature says. */
function unwrap<T>(
  op: BoundOp,
  side: "inputs" | "outputs",
  make: (id: VarId) => T,
): Record<string, T | readonly T[] | undefined> {
  const lists = side === "inputs" ? op.listInputs : op.listOutputs
  return Object.fromEntries(
    Object.entries(op[side]).map(([slot, ids]) => {
      const values = ids.map(make)
      return [slot, lists.includes(slot) ? values : values[0]]
    }),
  )
}

type Run = () => void

/** For runs that nothing ends early: still a small integer. */
const endlessFuel = 2 ** 30

class CpuPlan implements LoadedPlan {
  readonly #kernels: Readonly<Record<string, AnyKernel>>
  readonly #plan: Plan
  readonly #memory: CpuMemory
  readonly #states: ReadonlyMap<VarId, StateRegion>
  #tensors: (HostTensor | undefined)[] = []
  #runs: Run[] = []
  #generation = -1
  /** The operator that is running, for errors. */
  #at: BoundOp | null = null
  #watch: Watch | null = null
  /** What trips of loops burn, until there is to be a look at the clock. */
  #fuel = 0

  constructor(
    kernels: Readonly<Record<string, AnyKernel>>,
    plan: Plan,
    memory: CpuMemory,
    states: ReadonlyMap<VarId, StateRegion>,
  ) {
    this.#kernels = kernels
    this.#plan = plan
    this.#memory = memory
    this.#states = states
    this.#bind()
  }

  view(id: VarId): StorageArray {
    if (this.#generation !== this.#memory.generation) this.#bind()
    return this.#tensor(id).data
  }

  runSync(limits?: RunLimits): void {
    if (this.#generation !== this.#memory.generation) this.#bind()
    this.#at = null
    this.#watch = limits === undefined ? null : new Watch(limits)
    this.#fuel = 1
    if (this.#plan.memory.bytesPerTrip > 0) this.#memory.tape.begin(this.#plan.tapeLimit)
    try {
      for (let i = 0; i < this.#runs.length; i++) this.#runs[i]!()
    } catch (error) {
      throw this.#explained(error)
    }
  }

  close(): void {
    this.#tensors = []
    this.#runs = []
    this.#generation = -1
  }

  #explained(error: unknown): unknown {
    const op = this.#at
    if (op === null) return error
    const where = `this ${op.origin.type} was built at ${String(op.origin.site)}`
    const notes = Object.entries(op.inputs).flatMap(([slot, ids]) => ids.map((id) => `${slot} = ${this.#describe(id)}`))
    return isCounterflowError(error) ? error.with({ op: op.origin.type, where, notes }) : error
  }

  #describe(id: VarId): string {
    const variable = this.#plan.vars[id]
    return variable === undefined
      ? `variable ${id}`
      : `${variable.name} ${variable.dtype}[${variable.shape.join(", ")}]`
  }

  /** Views and kernels over the memory as it is now; again only after the arena has moved. */
  #bind(): void {
    this.#generation = this.#memory.generation
    this.#tensors = this.#plan.vars.map((variable, id) => this.#place(variable, id))
    this.#runs = this.#bindBlock(this.#plan.block)
  }

  #place({ shape, dtype, elements, row }: BoundVar, id: VarId): HostTensor | undefined {
    const placement = this.#plan.layout.placements[id]
    if (placement === null || placement === undefined) return undefined
    if (placement.region === "arena") {
      const data = this.#memory.arenaView(dtype, placement.offset, elements)
      return { data, shape, dtype, ...(row === undefined ? {} : { stack: { tape: this.#memory.tape, row } }) }
    }
    const view = this.#states.get(placement.state)?.view()
    return view === undefined ? undefined : { data: asNumbers(view), shape, dtype }
  }

  #tensor(id: VarId): HostTensor {
    return this.#tensors[id] ?? fail("CF_INTERNAL", `the plan places no ${this.#describe(id)}`)
  }

  #bindBlock(block: BoundBlock): Run[] {
    return block.ops.flatMap((op) => {
      if (this.#isAliased(op)) return []
      const run = this.#bindOp(op)
      if (!op.facts.canFail && op.facts.repeats === undefined) return [run]
      return [
        () => {
          const outer = this.#at
          this.#at = op
          run()
          this.#at = outer
        },
      ]
    })
  }

  /** A view whose output lies where its input lies needs no run. */
  #isAliased(op: BoundOp): boolean {
    const { aliases } = op.facts
    const source = aliases === undefined ? undefined : op.inputs[aliases]?.[0]
    const target = Object.values(op.outputs)[0]?.[0]
    if (source === undefined || target === undefined) return false
    const [from, to] = [this.#plan.layout.placements[source], this.#plan.layout.placements[target]]
    return from?.region === to?.region && from?.offset === to?.offset && from?.state === to?.state
  }

  #bindOp(op: BoundOp): Run {
    const kernel = this.#kernels[op.type]
    if (kernel === undefined) return this.#bindScalar(op)
    const blocks = Object.entries(op.blocks).map(([name, block]) => [name, this.#hostBlock(block)] as const)
    const call: AnyCall = {
      inputs: unwrap(op, "inputs", (id) => this.#tensor(id)),
      outputs: unwrap(op, "outputs", (id) => this.#tensor(id)),
      attrs: op.attrs,
      workspace: this.#workspace(op),
      blocks: Object.fromEntries(blocks),
    }
    return typeof kernel === "function" ? kernel(call) : kernel.bind(call)
  }

  #bindScalar(op: BoundOp): Run {
    const { scalar } = op.facts
    const [output] = Object.values(op.outputs).flat()
    if (scalar === undefined || output === undefined) return fail("CF_INTERNAL", `there is no kernel for ${op.type}`)
    const inputs = Object.entries(op.inputs).flatMap(([slot, [id]]) =>
      id === undefined ? [] : [[slot, this.#tensor(id)] as const],
    )
    return bindElementwise(scalar, Object.fromEntries(inputs), this.#tensor(output))
  }

  #hostBlock(block: BoundBlock): HostBlock {
    const runs = this.#bindBlock(block)
    const fuel = fuelOf(workOf(block, this.#plan.vars))
    const leaves = leavesTape(block, this.#plan.vars)
    const { tape } = this.#memory
    const perform = () => {
      for (let i = 0; i < runs.length; i++) runs[i]!()
    }
    return {
      run: (trip = 0) => {
        if (trip > 0 && (this.#fuel -= fuel) <= 0) this.#refuel(trip)
        if (leaves) tape.releasing(perform)
        else perform()
      },
      params: block.params.map((id) => this.#tensor(id)),
      results: block.results.map((id) => this.#tensor(id)),
    }
  }

  #refuel(trips: number): void {
    const watch = this.#watch
    this.#fuel = watch === null ? endlessFuel : watch.refuel()
    if (this.#fuel === 0 && watch !== null) throw watch.stopped(trips)
  }

  #workspace(op: BoundOp): NumberArray {
    const scratch = this.#plan.layout.workspaces.get(op)
    const Storage = scratchStorage(op, this.#plan.vars)
    if (scratch === undefined) return new Storage(0)
    const [first] = Object.values(op.outputs).flat()
    const dtype = (first === undefined ? undefined : this.#plan.vars[first]?.dtype) ?? "float64"
    return this.#memory.arenaView(dtype, scratch.offset, Math.floor(scratch.bytes / Storage.BYTES_PER_ELEMENT))
  }
}

function asNumbers(view: StorageArray): NumberArray {
  return view instanceof BigInt64Array ? fail("CF_INTERNAL", "the CPU backend stores no 64-bit integers") : view
}
