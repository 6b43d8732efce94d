// A plan ready to run: one instance over the executor's memory. A step is one call, whose answer says whether an operator
// failed; what it reported becomes the error that every backend gives.

import type { BoundOp, BoundVar, Plan } from "@counterflow/compiler"
import type { LoadedPlan, StateRegion, StorageArray } from "@counterflow/executor"
import { type CounterflowError, type DType, fail, isCounterflowError, type VarId } from "@counterflow/ir"
import type { CalloutHost } from "./callout.ts"
import type { Compiled, CompiledModules } from "./compiled.ts"
import { mostTrips } from "./generate/branching.ts"
import { readReport } from "./generate/control.ts"
import { HostKernel, type NumberArray } from "./generate/hostkernel.ts"
import { type EmittedProgram, emitProgram, type Target, type WasmKernel } from "./generate/program.ts"
import type { TeamPlan } from "./threads/team.ts"
import { storageOf, type WasmMemory, WasmState } from "./memory.ts"

type StepFunction = (arena: number) => number

type Table = Readonly<Record<string, WasmKernel>>

export class WasmPlan implements LoadedPlan {
  readonly #table: Table
  readonly #plan: Plan
  readonly #memory: WasmMemory
  readonly #states: ReadonlyMap<VarId, StateRegion>
  readonly #program: EmittedProgram
  /** This plan where other threads know it too. */
  #team: TeamPlan | null = null
  #step: StepFunction | null = null
  #functions: Readonly<Record<string, unknown>> = {}
  #views: (StorageArray | undefined)[] = []
  /** What the operators that call out do, by number. */
  #hostRuns: (() => void)[] = []
  #generation = -1
  #isClosed = false
  /** The operator that has called out, for errors. */
  #at: BoundOp | null = null
  /** Only there if the host must be waited for. */
  readonly run?: () => Promise<void>

  constructor(
    table: Table,
    target: Target,
    modules: CompiledModules,
    plan: Plan,
    memory: WasmMemory,
    states: ReadonlyMap<VarId, StateRegion>,
  ) {
    this.#table = table
    this.#plan = plan
    this.#memory = memory
    this.#states = states
    const own = memory.team === null ? { ...target, emitFork: undefined } : target
    this.#program = emitProgram(plan, table, (id) => addressOf(states.get(id)), own)
    const imports = { host: { memory: memory.memory, call: (number: number) => this.#callOut(number) } }
    const compiled = modules.instantiate(this.#program.bytes, imports)
    const ready = compiled instanceof Promise ? compiled.then((made) => this.#use(made)) : this.#use(compiled)
    const mayBeLed = memory.team?.isLed === true && this.#program.stages > 0 && this.#program.hosts.length === 0
    if (ready === undefined && !mayBeLed) return
    // Who runs the plan hears of a failure; a plan that never runs has none to tell.
    ready?.catch(() => {})
    this.run = async () => {
      await ready
      const team = this.#team
      if (team?.hasLeader === true) await this.#runLed(team)
      else this.runSync()
    }
  }

  view(id: VarId): StorageArray {
    this.#memory.requireFree()
    this.#refresh()
    return (this.#views[id] ??= this.#makeView(id))
  }

  runSync(): void {
    const step = this.#step
    if (step === null) return this.#refuseSync()
    this.#refresh()
    this.#team?.prepare(this.#memory.arenaAddress)
    let failed: number
    try {
      failed = step(this.#memory.arenaAddress)
    } catch (error) {
      const op = this.#at
      this.#at = null
      throw isCounterflowError(error) && op !== null ? this.#explained(error, op) : error
    }
    if (failed !== 0) throw this.#failure(failed)
  }

  async #runLed(team: TeamPlan): Promise<void> {
    if (this.#isClosed) this.#refuseSync()
    const memory = this.#memory
    memory.hold()
    let failed: number
    try {
      failed = await team.lead(memory.arenaAddress)
    } finally {
      memory.release()
    }
    if (failed !== 0) throw this.#failure(failed)
  }

  close(): void {
    this.#isClosed = true
    this.#step = null
    this.#team?.close()
    this.#team = null
    this.#functions = {}
    this.#views = []
    this.#hostRuns = []
    this.#generation = -1
  }

  #use({ module, instance }: Compiled): void {
    if (this.#isClosed) return
    this.#functions = instance.exports
    this.#step = this.#function("step")
    if (this.#program.stages > 0) this.#team = this.#memory.team?.load(module) ?? null
  }

  #callOut(number: number): void {
    const outer = this.#at
    this.#at = this.#program.hosts[number] ?? null
    this.#hostRuns[number]?.()
    this.#at = outer
  }

  #function(name: string): StepFunction {
    const found = this.#functions[name]
    if (typeof found !== "function") return fail("CF_INTERNAL", `the module of a plan exports no ${name}`)
    return found as StepFunction
  }

  #refuseSync(): never {
    if (this.#isClosed) return fail("CF_CLOSED", "the step was closed", { fix: "compile it again" })
    return fail(
      "CF_ASYNC_ONLY",
      `this host compiles a module of ${this.#program.bytes.length} bytes only asynchronously`,
      {
        op: "runSync",
        fix: "await run(…), or run in a worker",
      },
    )
  }

  /** Views and what is bound to them, after memory has moved. */
  #refresh(): void {
    const { generation } = this.#memory
    if (this.#generation === generation) return
    this.#generation = generation
    this.#views = []
    this.#hostRuns = this.#program.hosts.map((op) => this.#bindHost(op))
  }

  #makeView(id: VarId): StorageArray {
    const placement = this.#plan.layout.placements[id]
    const variable = this.#plan.vars[id]
    if (variable === undefined || placement === undefined || placement === null)
      return fail("CF_INTERNAL", `the plan places no ${this.#describe(id)}`)
    const { dtype, elements } = variable
    const { region, offset, state } = placement
    const address = region === "arena" ? this.#memory.arenaAddress + offset : addressOf(this.#states.get(state))
    return this.#memory.view(dtype, address, elements)
  }

  #bindHost(op: BoundOp): () => void {
    const kernel = this.#table[op.type]
    if (!(kernel instanceof HostKernel)) return fail("CF_INTERNAL", `there is no kernel for ${op.type}`)
    return kernel.connect(op, kernel, this.#callouts)
  }

  readonly #callouts: CalloutHost = {
    view: (id) => (this.#views[id] ??= this.#makeView(id)),
    type: (id) => this.#plan.vars[id] ?? fail("CF_INTERNAL", `the plan has no ${this.#describe(id)}`),
    workspace: (op) => this.#workspace(op),
    run: (block) => {
      const failed = this.#function(this.#program.blocks.get(block) ?? "")(this.#memory.arenaAddress)
      if (failed !== 0) throw this.#failure(failed)
    },
  }

  #workspace(op: BoundOp): NumberArray {
    const { offset, bytes } = this.#plan.layout.workspaces.get(op) ?? { offset: 0, bytes: 0 }
    const dtype = scratchOf(op, this.#plan.vars)
    const elements = Math.floor(bytes / storageOf[dtype].BYTES_PER_ELEMENT)
    const view = this.#memory.view(dtype, this.#memory.arenaAddress + offset, elements)
    return view instanceof BigInt64Array ? fail("CF_INTERNAL", "scratch is never int64") : view
  }

  /** The error of an operator that found a place outside. */
  #failure(number: number): unknown {
    const op = this.#program.ops[number - 1]
    if (op === undefined) return fail("CF_INTERNAL", `a step answered ${number}, which is no operator`)
    const { place, axis, size } = readReport(this.#memory.memory.buffer)
    try {
      if (axis === -1n) refuseRuns(Number(size))
      return fail("CF_INDEX_RANGE", `index ${place} lies outside axis ${axis} of size ${size}`, {
        fix:
          size === 0n
            ? "the axis is empty: there is nothing to index"
            : `use places from 0 to ${size - 1n}; negative ones do not count from the end`,
      })
    } catch (error) {
      return isCounterflowError(error) ? this.#explained(error, op) : error
    }
  }

  #explained(error: CounterflowError, op: BoundOp): CounterflowError {
    const where = `this ${op.origin.type} was built at ${String(op.origin.site)}`
    const notes = Object.entries(op.inputs).flatMap(([slot, ids]) => ids.map((id) => `${slot} = ${this.#describe(id)}`))
    return error.with({ op: op.origin.type, where, notes })
  }

  #describe(id: VarId): string {
    const variable = this.#plan.vars[id]
    return variable === undefined
      ? `variable ${id}`
      : `${variable.name} ${variable.dtype}[${variable.shape.join(", ")}]`
  }
}

/** The error of a loop that does not end in time. */
function refuseRuns(most: number): never {
  return fail("CF_LOOP_LIMIT", `its condition still holds after ${most} runs`, {
    fix:
      most === mostTrips
        ? "let the body change what the condition reads"
        : "raise maxTrips, or let the condition end the loop",
  })
}

/** The dtype in which a kernel of the host counts and sees its scratch: its first output's, int64 as float64. */
export function scratchOf(op: BoundOp, vars: readonly BoundVar[]): DType {
  const [first] = Object.values(op.outputs).flat()
  const dtype = first === undefined ? undefined : vars[first]?.dtype
  return dtype === undefined || dtype === "int64" ? "float64" : dtype
}

function addressOf(region: StateRegion | undefined): number {
  return region instanceof WasmState
    ? region.address
    : fail("CF_INTERNAL", "the WebAssembly backend was given memory of another backend")
}
