// Compiled steps from a file, over one memory and one scope of their own: the driver, and nothing that compiles.

import { RunQueue, Scope, Step, type StepPlan, type Tensor } from "@counterflow/executor/runtime"
import { fail, nearest } from "@counterflow/ir"
import { CompiledModules, requireVectors } from "../compiled.ts"
import { understandsRelaxed } from "../features.ts"
import { WasmMemory } from "../memory.ts"
import { addressOf, type ImagePlace, WasmPlan } from "../running.ts"
import type { SavedState, SavedStep, SavedVar } from "./format.ts"
import { damaged, elementsOf, readSteps, type SavedFile } from "./read.ts"

/** The steps of a file, and the state that they share: what `loadSteps` answers. */
export class LoadedSteps {
  /** Parameters and all other state, by name. */
  readonly scope: Scope
  readonly #file: SavedFile
  readonly #memory: WasmMemory
  readonly #modules: CompiledModules
  readonly #queue: RunQueue
  readonly #steps = new Map<string, Step<Tensor[], StepPlan>>()

  /** @internal */
  constructor(bytes: Uint8Array) {
    const file = readSteps(bytes)
    requireVectors()
    this.#file = file
    this.#memory = new WasmMemory()
    this.#modules = new CompiledModules((reason, cause) => refuseModule(file.relaxed, reason, cause))
    this.scope = new Scope(this.#memory)
    const closed = { why: "the steps were closed", fix: "load them again" }
    this.#queue = new RunQueue({ backend: "wasm", canRunSync: true, closed })
    for (const state of file.states) this.#fill(state)
    this.#memory.reserveArena(Math.max(0, ...file.steps.map(({ arenaBytes }) => arenaBytes)))
  }

  /** The names of the steps. */
  get names(): string[] {
    return this.#file.steps.map(({ name }) => name)
  }

  /** Bytes really allocated. */
  get memory(): { arenaBytes: number; stateBytes: number; tapeBytes: number } {
    const { arenaBytes, stateBytes, tapeBytes } = this.#memory
    return { arenaBytes, stateBytes, tapeBytes }
  }

  /**
   * The step that was saved under this name: it runs as the one that was saved did, with the same checks and errors. Its module
   * is compiled by the host when it is first asked for. Throws CF_UNKNOWN_NAME, with the nearest name.
   */
  step<R extends readonly Tensor[] = Tensor[]>(name: string): Step<R, StepPlan>
  step(name: string): Step<Tensor[], StepPlan> {
    this.#queue.requireOpen()
    const known = this.#steps.get(name)
    if (known !== undefined) return known
    const saved = this.#file.steps.find((step) => step.name === name) ?? this.#refuseName(name)
    const step = this.#load(saved)
    this.#steps.set(name, step)
    return step
  }

  /** Frees everything. What was fetched stays the caller's. */
  close(): void {
    if (this.#queue.isClosed) return
    this.#queue.close()
    for (const step of this.#steps.values()) step.close()
    this.#memory.close()
  }

  #fill({ name, dtype, shape, address, values, fill }: SavedState): void {
    const initialValue = fill === undefined ? undefined : Number(fill)
    const region = this.scope.region({ name, dtype, shape, initialValue })
    if (addressOf(region) !== address) damaged(`its state "${name}" lies at ${address}, not at ${addressOf(region)}`)
    if (values === undefined) return
    const { buffer, byteOffset, byteLength } = region.view()
    new Uint8Array(buffer, byteOffset, byteLength).set(this.#file.section(values))
    this.scope.markSet(name)
  }

  #load(saved: SavedStep): Step<Tensor[], StepPlan> {
    const plan = planOf(saved)
    const states = new Map(
      plan.states.flatMap((id) => {
        const variable = plan.vars[id]
        return variable === undefined ? [] : [[id, this.scope.region(variable)] as const]
      }),
    )
    const traces = new Map(saved.traces)
    const image = {
      bytes: this.#file.section(saved.module),
      vars: plan.vars,
      places: saved.vars.map(placeOf),
      stages: 0,
      callsOut: false,
      tapeLimit: saved.bytesPerTrip > 0 ? Infinity : undefined,
      trace: (number: number) => traces.get(number),
    }
    return new Step(plan, new WasmPlan(image, this.#modules, this.#memory, states), states, this.scope, this.#queue)
  }

  #refuseName(name: string): never {
    const suggestion = nearest(name, this.names)
    return fail("CF_UNKNOWN_NAME", `the file holds no step "${name}"`, {
      op: "loadSteps",
      fix: suggestion === undefined ? `its steps are ${this.names.join(", ")}` : `did you mean "${suggestion}"?`,
    })
  }
}

/**
 * The steps of a file that `saveSteps` made, with a memory of their own; state has the values that were saved with it. Programs,
 * compiler and kernels are not needed, and not loaded. A step runs on one thread.
 *
 * Throws CF_BAD_FILE for a file that is damaged, CF_NEWER_VERSION for one of a later version, CF_HOST_UNFIT on a host that lacks
 * WebAssembly or instructions of the host that saved, and CF_MEMORY_LIMIT if there is not enough memory.
 *
 * @example
 * ```ts
 * const train = await exe.compile(main, { feed: { x: [2, 2], y: [2, 1] }, fetch: [loss] })
 * const steps = loadSteps(saveSteps({ startup: await exe.compile(startup), train }))
 * steps.step("startup").runSync()
 * const [l] = steps.step("train").runSync({ x: [1, 2, 3, 4], y: [5, 6] })
 * console.log(l?.item(), steps.scope.get("fc_0.w_0").toArray())
 * ```
 */
export function loadSteps(bytes: Uint8Array | ArrayBuffer): LoadedSteps {
  if (bytes instanceof Uint8Array) return new LoadedSteps(bytes)
  if (bytes instanceof ArrayBuffer) return new LoadedSteps(new Uint8Array(bytes))
  return fail("CF_BAD_ARGUMENT", "the bytes of a file are needed", {
    op: "loadSteps",
    fix: "loadSteps(await (await fetch(url)).arrayBuffer())",
  })
}

function planOf(saved: SavedStep): StepPlan {
  const { feeds, fetches, states, reads, writes, commits, flops } = saved
  const { peakBytes, arenaBytes, parameterBytes, stateBytes, bytesPerTrip, mayBeEndless = false } = saved
  return {
    vars: saved.vars.map(({ name, dtype, shape, kind }) => ({ name, dtype, shape, kind, elements: elementsOf(shape) })),
    feeds,
    fetches,
    states,
    reads,
    writes,
    commits: commits.map(([state, value]) => ({ state, value })),
    memory: { peakBytes, arenaBytes, parameterBytes, stateBytes, bytesPerTrip },
    flops,
    mayBeEndless,
  }
}

function placeOf({ kind, offset, state }: SavedVar, id: number): ImagePlace | null {
  if (kind === "state") return { region: "state", offset: 0, state: id }
  if (state !== undefined) return { region: "state", offset: 0, state }
  return offset === undefined ? null : { region: "arena", offset, state: -1 }
}

/** The host does not take a module that another one took. */
function refuseModule(relaxed: boolean, reason: string, cause: unknown): never {
  if (!relaxed || understandsRelaxed()) return damaged(`a module of the file is not valid: ${reason}`, cause)
  return fail("CF_HOST_UNFIT", "the steps were saved with relaxed vector instructions, which this host lacks", {
    op: "loadSteps",
    fix: "save them with saveSteps(steps, { deterministic: true })",
    cause,
  })
}
