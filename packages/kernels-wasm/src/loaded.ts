// A plan made ready to run: its module is written, for the addresses that its state has, and operators that call out are bound.

import type { BoundOp, BoundVar, Plan } from "@counterflow/compiler"
import type { StateRegion } from "@counterflow/executor"
import { type DType, fail, isCounterflowError, type VarId } from "@counterflow/ir"
import type { CalloutHost } from "./callout.ts"
import type { CompiledModules } from "./compiled.ts"
import { HostKernel, type NumberArray } from "./generate/hostkernel.ts"
import { type EmittedProgram, emitProgram, type Target, type WasmKernel } from "./generate/program.ts"
import { storageOf, type WasmMemory } from "./memory.ts"
import { addressOf, type OperatorTrace, type StepImage, WasmPlan } from "./running.ts"

type Table = Readonly<Record<string, WasmKernel>>

/** What a module is written from. */
export interface PlanSource {
  readonly plan: Plan
  readonly table: Table
  readonly target: Target
}

export class EmittedPlan extends WasmPlan {
  readonly source: PlanSource
  readonly #program: EmittedProgram
  /** What the operators that call out do, by number. */
  #hostRuns: (() => void)[] = []
  #boundAt = -1

  constructor(
    source: PlanSource,
    modules: CompiledModules,
    memory: WasmMemory,
    states: ReadonlyMap<VarId, StateRegion>,
  ) {
    const { plan, table, target } = source
    const own = memory.team === null ? { ...target, emitFork: undefined } : target
    const program = emitProgram(plan, table, (id) => addressOf(states.get(id)), own)
    super(imageOf(plan, program), modules, memory, states)
    this.source = source
    this.#program = program
  }

  override close(): void {
    super.close()
    this.#hostRuns = []
    this.#boundAt = -1
  }

  protected override callOut(number: number): void {
    this.#bind()
    try {
      this.#hostRuns[number]?.()
    } catch (error) {
      const op = this.#program.hosts[number]
      throw isCounterflowError(error) && op !== undefined ? error.with(traceOf(op, this.source.plan)) : error
    }
  }

  /** Kernels are bound to views, which memory that has moved makes stale. */
  #bind(): void {
    const { generation } = this.memory
    if (this.#boundAt === generation) return
    this.#boundAt = generation
    this.#hostRuns = this.#program.hosts.map((op) => this.#bindHost(op))
  }

  #bindHost(op: BoundOp): () => void {
    const kernel = this.source.table[op.type]
    if (!(kernel instanceof HostKernel)) return fail("CF_INTERNAL", `there is no kernel for ${op.type}`)
    return kernel.connect(op, kernel, this.#callouts)
  }

  readonly #callouts: CalloutHost = {
    view: (id) => this.view(id),
    type: (id) => this.source.plan.vars[id] ?? fail("CF_INTERNAL", `the plan has no variable ${id}`),
    workspace: (op) => this.#workspace(op),
    run: (block, trip) => {
      this.goOn(trip)
      this.perform(this.#program.blocks.get(block) ?? "")
    },
  }

  #workspace(op: BoundOp): NumberArray {
    const { plan } = this.source
    const { offset, bytes } = plan.layout.workspaces.get(op) ?? { offset: 0, bytes: 0 }
    const dtype = scratchOf(op, plan.vars)
    const elements = Math.floor(bytes / storageOf[dtype].BYTES_PER_ELEMENT)
    const view = this.memory.view(dtype, this.memory.arenaAddress + offset, elements)
    return view instanceof BigInt64Array ? fail("CF_INTERNAL", "scratch is never int64") : view
  }
}

/** What running a plan needs of it and of its module. */
export function imageOf(plan: Plan, { bytes, stages, hosts, ops }: EmittedProgram): StepImage {
  return {
    bytes,
    vars: plan.vars,
    places: plan.layout.placements,
    stages,
    callsOut: hosts.length > 0,
    tapeLimit: plan.memory.bytesPerTrip > 0 ? plan.tapeLimit : undefined,
    trace: (number) => {
      const op = ops[number - 1]
      return op === undefined ? undefined : traceOf(op, plan)
    },
  }
}

function traceOf({ origin, inputs }: BoundOp, { vars }: Plan): OperatorTrace {
  const describe = (id: VarId): string => {
    const variable = vars[id]
    return variable === undefined
      ? `variable ${id}`
      : `${variable.name} ${variable.dtype}[${variable.shape.join(", ")}]`
  }
  return {
    op: origin.type,
    where: `this ${origin.type} was built at ${String(origin.site)}`,
    notes: Object.entries(inputs).flatMap(([slot, ids]) => ids.map((id) => `${slot} = ${describe(id)}`)),
  }
}

/** The dtype in which a kernel of the host counts and sees its scratch: its first output's, int64 as float64. */
export function scratchOf(op: BoundOp, vars: readonly BoundVar[]): DType {
  const [first] = Object.values(op.outputs).flat()
  const dtype = first === undefined ? undefined : vars[first]?.dtype
  return dtype === undefined || dtype === "int64" ? "float64" : dtype
}
