// A module over an executor's memory, ready to run: a step is one call, whose answer says whether an operator failed; what it
// reported becomes the error that every backend gives. Where the module comes from, made for a plan just now or saved long ago,
// shows nowhere in here.

import {
  type LoadedPlan,
  type RunLimits,
  type StateRegion,
  type StorageArray,
  Watch,
} from "@counterflow/executor/runtime"
import { CounterflowError, type DType, type ErrorParts, fail, type VarId } from "@counterflow/ir"
import type { Compiled, CompiledModules } from "./compiled.ts"
import { ended, endlessFuel, fuelAt, mostTrips, readReport, tapeAxes, tooManyRuns } from "./generate/control.ts"
import { type WasmMemory, WasmState } from "./memory.ts"
import type { TeamPlan } from "./threads/team.ts"

type StepFunction = (arena: number) => number

/** A tensor of a plan, where running needs to know it. */
export interface ImageVar {
  readonly name: string
  readonly dtype: DType
  readonly elements: number
}

/** Where it lies: in the arena, or where a state variable does. */
export interface ImagePlace {
  readonly region: "arena" | "state"
  readonly offset: number
  readonly state: VarId
}

/** What errors say of an operator. */
export type OperatorTrace = Pick<ErrorParts, "op" | "where" | "notes">

/** A step as bytes, and what is known of the tensors in its memory. */
export interface StepImage {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly vars: readonly ImageVar[]
  readonly places: readonly (ImagePlace | null)[]
  /** How often a step lets other threads help. */
  readonly stages: number
  /** Whether operators call out of the module. */
  readonly callsOut: boolean
  /** Most bytes that a step may put on the tape; undefined if it puts nothing there. */
  readonly tapeLimit: number | undefined
  /** The operator of a number. */
  trace(number: number): OperatorTrace | undefined
}

export class WasmPlan implements LoadedPlan {
  readonly image: StepImage
  protected readonly memory: WasmMemory
  readonly #states: ReadonlyMap<VarId, StateRegion>
  /** This plan where other threads know it too. */
  #team: TeamPlan | null = null
  #step: StepFunction | null = null
  #functions: Readonly<Record<string, unknown>> = {}
  #views: (StorageArray | undefined)[] = []
  #generation = -1
  #isClosed = false
  #watch: Watch | null = null
  /** Only there if the host must be waited for. */
  readonly run?: (limits?: RunLimits) => Promise<void>

  constructor(image: StepImage, modules: CompiledModules, memory: WasmMemory, states: ReadonlyMap<VarId, StateRegion>) {
    this.image = image
    this.memory = memory
    this.#states = states
    const call = (number: number) => this.callOut(number)
    const imports = { host: { memory: memory.memory, call, refuel: () => this.#watch?.refuel() ?? endlessFuel } }
    const compiled = modules.instantiate(image.bytes, imports)
    const ready = compiled instanceof Promise ? compiled.then((made) => this.#use(made)) : this.#use(compiled)
    const mayBeLed = memory.team?.isLed === true && image.stages > 0 && !image.callsOut
    if (ready === undefined && !mayBeLed) return
    // Who runs the plan hears of a failure; a plan that never runs has none to tell.
    ready?.catch(() => {})
    this.run = async (limits) => {
      await ready
      const team = this.#team
      if (team?.hasLeader === true) await this.#runLed(team, limits)
      else this.runSync(limits)
    }
  }

  view(id: VarId): StorageArray {
    const { generation } = this.memory
    this.memory.requireFree()
    if (this.#generation !== generation) this.#views = []
    this.#generation = generation
    return (this.#views[id] ??= this.#makeView(id))
  }

  runSync(limits?: RunLimits): void {
    const step = this.#step
    if (step === null) return this.#refuseSync()
    this.#beginWatch(limits)
    this.#beginTape()
    this.#team?.prepare(this.memory.arenaAddress)
    const failed = step(this.memory.arenaAddress)
    if (failed !== 0) throw this.#failure(failed)
  }

  close(): void {
    this.#isClosed = true
    this.#step = null
    this.#team?.close()
    this.#team = null
    this.#functions = {}
    this.#views = []
    this.#generation = -1
  }

  /** What the module calls where an operator is no code of its own. */
  protected callOut(number: number): void {
    fail("CF_INTERNAL", `a step calls out for ${number}, and nothing is there`)
  }

  /** Runs another function of the module. */
  protected perform(name: string): void {
    const failed = this.#function(name)(this.memory.arenaAddress)
    if (failed !== 0) throw this.#failure(failed)
  }

  /** Before a trip of a loop whose kernel is outside of the module. */
  protected goOn(trip: number): void {
    if (trip > 0 && this.#watch?.refuel() === 0) throw this.#watch.stopped(trip)
  }

  /** With limits, the first trip looks at the clock. Else what fuel there is runs out, and is endless from then on. */
  #beginWatch(limits: RunLimits | undefined): void {
    this.#watch = limits === undefined ? null : new Watch(limits)
    if (limits !== undefined) new DataView(this.memory.memory.buffer).setInt32(fuelAt, 1, true)
  }

  async #runLed(team: TeamPlan, limits: RunLimits | undefined): Promise<void> {
    if (this.#isClosed) this.#refuseSync()
    const { memory } = this
    this.#beginWatch(limits)
    this.#beginTape()
    memory.hold()
    let failed: number
    try {
      failed = await team.lead(memory.arenaAddress, limits)
    } finally {
      memory.release()
    }
    if (failed !== 0) throw this.#failure(failed)
  }

  #beginTape(): void {
    const { tapeLimit } = this.image
    if (tapeLimit !== undefined) this.memory.beginTape(tapeLimit)
  }

  #use({ module, instance }: Compiled): void {
    if (this.#isClosed) return
    this.#functions = instance.exports
    this.#step = this.#function("step")
    if (this.image.stages > 0) this.#team = this.memory.team?.load(module) ?? null
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
      `this host compiles a module of ${this.image.bytes.length} bytes only asynchronously`,
      {
        op: "runSync",
        fix: "await run(…), or run in a worker",
      },
    )
  }

  #makeView(id: VarId): StorageArray {
    const [variable, place] = [this.image.vars[id], this.image.places[id]]
    if (variable === undefined || place === undefined || place === null)
      return fail("CF_INTERNAL", `the plan places no ${variable?.name ?? `variable ${id}`}`)
    const address =
      place.region === "arena" ? this.memory.arenaAddress + place.offset : addressOf(this.#states.get(place.state))
    return this.memory.view(variable.dtype, address, variable.elements)
  }

  /** The error of an operator that found a place outside, or of a loop that does not end, or finds no more memory. */
  #failure(number: number): CounterflowError {
    const trace = this.image.trace(number)
    if (trace === undefined) return fail("CF_INTERNAL", `a step answered ${number}, which is no operator`)
    const { place, axis, size } = readReport(this.memory.memory.buffer)
    if (axis === ended && this.#watch !== null) return this.#watch.stopped(Number(size)).with(trace)
    return new CounterflowError({ ...reasonOf(place, axis, size), ...trace })
  }
}

function reasonOf(place: bigint, axis: bigint, size: bigint): ErrorParts {
  if (axis === tooManyRuns) return tooMany(Number(size))
  if (axis === tapeAxes.limit || axis === tapeAxes.host) return noTape(axis, Number(size))
  return outside(place, axis, size)
}

function outside(place: bigint, axis: bigint, size: bigint): ErrorParts {
  return {
    code: "CF_INDEX_RANGE",
    why: `index ${place} lies outside axis ${axis} of size ${size}`,
    fix:
      size === 0n
        ? "the axis is empty: there is nothing to index"
        : `use places from 0 to ${size - 1n}; negative ones do not count from the end`,
  }
}

function tooMany(most: number): ErrorParts {
  return {
    code: "CF_LOOP_LIMIT",
    why: `its condition still holds after ${most} runs`,
    fix:
      most === mostTrips
        ? "let the body change what the condition reads"
        : "raise maxTrips, or let the condition end the loop",
  }
}

function noTape(axis: bigint, bytes: number): ErrorParts {
  const isHost = axis === tapeAxes.host
  return {
    code: "CF_MEMORY_LIMIT",
    why: isHost
      ? `the host refused ${bytes} bytes for what its runs save for gradients`
      : `what its runs save for gradients takes more than the ${bytes} bytes that are left`,
    fix: `give the loop maxTrips, ${isHost ? "" : "raise memoryLimit, "}or feed a smaller batch`,
  }
}

export function addressOf(region: StateRegion | undefined): number {
  return region instanceof WasmState
    ? region.address
    : fail("CF_INTERNAL", "the WebAssembly backend was given memory of another backend")
}
