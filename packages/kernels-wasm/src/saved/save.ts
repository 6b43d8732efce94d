// Compiled steps as one file. Their modules are written anew, for one thread and for state that lies side by side from the
// first address on, whatever the executor holds besides: so all steps of a file share one memory where they are loaded.

import { allOps, type BoundOp, type BoundVar, type Plan } from "@counterflow/compiler"
import type { Scope, Step, StorageArray, Tensor } from "@counterflow/executor"
import { fail, type VarId } from "@counterflow/ir"
import { ModuleBuilder } from "../assembler/index.ts"
import { controlBytes } from "../generate/control.ts"
import { emitProgram } from "../generate/program.ts"
import { EmittedPlan, imageOf, type PlanSource } from "../loaded.ts"
import { aligned, storageOf } from "../memory.ts"
import { type SavedState, type SavedStep, type SavedVar, Sections } from "./format.ts"

export interface SaveStepsOptions {
  /** The scope that holds what state begins with where the steps are loaded; else only initial values do. */
  readonly scope?: Scope
  /** Use no instruction that not every host has, and whose result differs between machines. As the steps were compiled, unless said. */
  readonly deterministic?: boolean
}

/** State of all steps by name, with its address. */
type States = ReadonlyMap<string, { readonly variable: BoundVar; readonly address: number }>

/**
 * Steps that an Executor has compiled on this backend, as the bytes of one file. `loadSteps` of
 * `@counterflow/kernels-wasm/saved` runs them without programs, compiler and kernels, with the same results, bit for bit. Steps
 * of one file share state by name, as those of one Executor do. What is left out with a `scope` must be computed by a step of
 * the file: save the startup step too.
 *
 * Throws CF_BAD_ARGUMENT for what is no such step, CF_STATE_MISMATCH for steps that disagree about state, and
 * CF_KERNEL_MISSING for an operator whose kernel is JavaScript, which no file can hold.
 *
 * @example
 * ```ts
 * const train = await exe.compile(main, { feed: { x: [2, 2], y: [2, 1] }, fetch: [loss] })
 * const bytes = saveSteps({ train }, { scope: exe.scope })
 * const steps = loadSteps(bytes)
 * const [l] = steps.step("train").runSync(feed)
 * console.log(l?.item(), steps.scope.names())
 * ```
 */
export function saveSteps(
  steps: Readonly<Record<string, Step<readonly Tensor[]>>>,
  options: SaveStepsOptions = {},
): Uint8Array<ArrayBuffer> {
  const sources = Object.entries(steps).map(([name, step]) => [name, sourceOf(name, step)] as const)
  if (sources.length === 0) fail("CF_BAD_ARGUMENT", "there is no step to save", { op: "saveSteps" })
  const states = placeStates(sources)
  const relaxed = options.deterministic !== true && sources.some(([, { target }]) => target.relaxed)
  const sections = new Sections()
  const saved = sources.map(([name, source]) => saveStep(name, source, states, relaxed, sections))
  return sections.file({ relaxed, states: saveStates(states, options.scope, sections), steps: saved })
}

function sourceOf(name: string, step: Step<readonly Tensor[]>): PlanSource {
  const loaded: unknown = step.loaded
  return loaded instanceof EmittedPlan
    ? loaded.source
    : fail("CF_BAD_ARGUMENT", `the step "${name}" was not compiled by an Executor on the backend wasm`, {
        op: "saveSteps",
        fix: "saveSteps({ train: await new Executor(wasm()).compile(main, …) })",
      })
}

function placeStates(sources: readonly (readonly [string, PlanSource])[]): States {
  const states = new Map<string, { variable: BoundVar; address: number; step: string }>()
  let top = controlBytes
  for (const [step, { plan }] of sources) {
    for (const variable of plan.states.map((id) => variableOf(plan, id))) {
      const { name, dtype, elements } = variable
      const known = states.get(name)
      if (known === undefined) {
        states.set(name, { variable, address: top, step })
        top += aligned(elements * storageOf[dtype].BYTES_PER_ELEMENT)
      } else if (typeOf(known.variable) !== typeOf(variable)) {
        const [one, other] = [typeOf(known.variable), typeOf(variable)]
        fail("CF_STATE_MISMATCH", `"${name}" is ${one} for the step "${known.step}" and ${other} for "${step}"`, {
          op: "saveSteps",
          fix: `steps of one file share state by name: save "${step}" in a file of its own`,
        })
      }
    }
  }
  return states
}

function saveStep(name: string, source: PlanSource, states: States, relaxed: boolean, sections: Sections): SavedStep {
  const { plan, table } = source
  const target = { ...source.target, relaxed: relaxed && source.target.relaxed, emitFork: undefined }
  const module = new ModuleBuilder(target)
  const addressOf = (id: VarId) => states.get(variableOf(plan, id).name)?.address ?? 0
  const program = emitProgram(plan, table, addressOf, target, module)
  const [host] = program.hosts
  if (host !== undefined) {
    fail(
      "CF_KERNEL_MISSING",
      `the step "${name}" runs ${host.type} by a kernel in JavaScript, which no file can hold`,
      {
        op: "saveSteps",
        where: `this ${host.origin.type} was built at ${String(host.origin.site)}`,
        fix: "give the op a decomposition, or an expression if it is elementwise",
      },
    )
  }
  const kept = keptVars(plan)
  const number = new Map(kept.map((id, i) => [id, i]))
  const numbers = (ids: readonly VarId[]) => ids.map((id) => number.get(id) ?? fail("CF_INTERNAL", `${id} was lost`))
  const image = imageOf(plan, program)
  const { peakBytes, arenaBytes, parameterBytes, stateBytes, bytesPerTrip } = plan.memory
  // A loop may fail for what is done around its body.
  const mayFail = ({ facts, blocks }: BoundOp) => facts.canFail || Object.keys(blocks).length > 0
  const failing = new Set([...allOps(plan.block)].filter(mayFail))
  return {
    name,
    module: sections.add(program.bytes),
    vars: kept.map((id) => saveVar(plan, id, number)),
    feeds: numbers(plan.feeds),
    fetches: numbers(plan.fetches),
    states: numbers(plan.states),
    reads: numbers(plan.reads),
    writes: numbers(plan.writes),
    commits: plan.commits.map(({ state, value }) => {
      const [to = 0, from = 0] = numbers([state, value])
      return [to, from] as const
    }),
    peakBytes,
    arenaBytes,
    parameterBytes,
    stateBytes,
    bytesPerTrip,
    flops: plan.flops,
    ...(plan.mayBeEndless ? { mayBeEndless: true } : {}),
    traces: program.ops.flatMap((op, i) => {
      const trace = failing.has(op) ? image.trace(i + 1) : undefined
      return trace === undefined ? [] : [[i + 1, trace] as const]
    }),
  }
}

/** What the driver touches, and every name that may be fed. */
function keptVars(plan: Plan): VarId[] {
  const data = plan.vars.flatMap(({ kind }, id) => (kind === "data" ? [id] : []))
  const committed = plan.commits.map(({ value }) => value)
  return [...new Set([...data, ...plan.feeds, ...plan.states, ...plan.fetches, ...committed])]
}

function saveVar(plan: Plan, id: VarId, number: ReadonlyMap<VarId, number>): SavedVar {
  const { name, dtype, shape, kind } = variableOf(plan, id)
  const tensor = { name, dtype, shape, kind }
  const place = plan.layout.placements[id] ?? null
  if (kind === "state" || place === null) return tensor
  if (place.region === "arena") return { ...tensor, offset: place.offset }
  return { ...tensor, state: number.get(place.state) ?? fail("CF_INTERNAL", `${name} lies in state that is not saved`) }
}

function saveStates(states: States, scope: Scope | undefined, sections: Sections): SavedState[] {
  return [...states.values()].map(({ variable, address }) => {
    const { name, dtype, shape, initialValue } = variable
    const tensor = { name, dtype, shape, address }
    if (scope?.has(name) === true) return { ...tensor, values: sections.add(bytesOf(scope.region(variable).view())) }
    if (initialValue === undefined) return tensor
    return { ...tensor, fill: Object.is(initialValue, -0) ? "-0" : String(initialValue) }
  })
}

function bytesOf({ buffer, byteOffset, byteLength }: StorageArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength).slice()
}

function variableOf(plan: Plan, id: VarId): BoundVar {
  return plan.vars[id] ?? fail("CF_INTERNAL", `the plan has no variable ${id}`)
}

function typeOf({ dtype, shape }: BoundVar): string {
  return `${dtype}[${shape.join(", ")}]`
}
