// From a lowered program to a plan that this executor's backend and memory can take, or a refusal that says what would do.

import { bindSymbols, type Bindings, type BoundOp, compile, type PassOptions, type Plan } from "@counterflow/compiler"
import { fail, type LoweredProgram, type Program, type VarId } from "@counterflow/ir"
import type { Backend, Memory } from "./backend.ts"
import { type Advise, needed, overBudget, type WaysDown } from "./overbudget.ts"
import type { Scope } from "./scope.ts"
import { refuseMissing } from "./step.ts"

export interface PlannerOptions {
  /** Refuse plans that need more bytes than this, arena and state together. */
  memoryLimit?: number
  /** Is shown every new plan before anything is allocated for it: `(plan) => console.log(memoryReport(plan))`. */
  planned?: (plan: Plan) => void
  /** Says what would need less than a plan that needs too much: `waysDown`. */
  waysDown?: WaysDown
  /** Says what recomputation would save a plan that needs too much: `recomputeSavings` of @counterflow/autodiff. */
  advise?: Advise
  /** Passes of the compiler to leave out, by name, and a function that is shown the program after each. */
  passes?: PassOptions
}

type Shapes = ReadonlyMap<string, readonly number[]>

export class Planner {
  readonly #backend: Backend
  readonly #memory: Memory
  readonly #scope: Scope
  readonly #options: PlannerOptions

  constructor(backend: Backend, memory: Memory, scope: Scope, options: PlannerOptions) {
    this.#backend = backend
    this.#memory = memory
    this.#scope = scope
    this.#options = options
  }

  /** Refuses what cannot be planned or held before anything is allocated. */
  plan(program: Program, lowered: LoweredProgram, fetches: readonly string[], shapes: Shapes): Plan {
    requireFeeds(lowered, fetches, shapes)
    const bindings = bindSymbols(lowered, shapes)
    const { memoryLimit = Infinity, passes = {}, planned, advise, waysDown } = this.#options
    const plan = this.#compile(lowered, fetches, bindings, passes)
    for (const id of plan.states) {
      const variable = plan.vars[id]
      if (variable !== undefined) this.#scope.check(variable)
    }
    const available = this.#available(plan)
    const limit = Math.min(memoryLimit, available)
    if (needed(plan) > limit) {
      const planFor = (sizes: Bindings) => this.#compile(lowered, fetches, sizes, { off: passes.off })
      const bytesOf = (ids: readonly VarId[]) => this.#bytesOf(plan, ids)
      const isChosen = memoryLimit <= available
      const savings = advise?.(program, bindings) ?? null
      throw overBudget({ program, plan, bindings, limit, isChosen, savings, planFor, bytesOf }, waysDown)
    }
    // What the limit leaves is for what loops keep beside the plan.
    const allowed = { ...plan, tapeLimit: memoryLimit - needed(plan) }
    planned?.(allowed)
    return allowed
  }

  #compile(lowered: LoweredProgram, fetches: readonly string[], bindings: Bindings, passes: PassOptions): Plan {
    const backend = this.#backend
    return compile(lowered, {
      fetches,
      bindings,
      passes,
      fuses: backend.fuses,
      absorbs: (op, vars) => backend.absorbs?.(op, vars) ?? false,
      computes: (op, vars) => backend.computes?.(op, vars) ?? false,
      views: (op, vars) => backend.views?.(op, vars) ?? false,
      model: {
        bytes: ({ dtype, elements }) => backend.storage(dtype) * elements,
        workspaceBytes: (op, vars) =>
          backend.supports(op) ? backend.workspaceBytes(op, vars) : refuseKernel(backend, op),
        updatesInPlace: backend.updatesInPlace,
      },
    })
  }

  #bytesOf({ vars }: Plan, ids: readonly VarId[]): number {
    return ids.reduce((total, id) => {
      const variable = vars[id]
      return variable === undefined ? total : total + this.#backend.storage(variable.dtype) * variable.elements
    }, 0)
  }

  /** Bytes that the memory has for a plan and its state, besides the state of other programs. */
  #available(plan: Plan): number {
    const { limitBytes = Infinity, stateBytes } = this.#memory
    const shared = plan.states.filter((id) => this.#scope.holds(plan.vars[id]?.name ?? ""))
    return limitBytes - (stateBytes - this.#bytesOf(plan, shared))
  }
}

function refuseKernel(backend: Backend, op: BoundOp): never {
  const { name } = backend
  const key = op.type.includes(".") ? `"${op.type}"` : op.type
  return fail("CF_KERNEL_MISSING", `the backend ${name} has no kernel for ${op.type}`, {
    op: op.origin.type,
    where: `this ${op.origin.type} was built at ${String(op.origin.site)}`,
    fix:
      backend.wayOut?.(op) ??
      `pass one: ${name}({ kernels: { ${key}: … } }); or give the op a decomposition; or use another backend`,
  })
}

function requireFeeds(
  lowered: LoweredProgram,
  fetches: readonly string[],
  shapes: ReadonlyMap<string, readonly number[]>,
): void {
  const needed = new Set([...usedIds(lowered), ...fetches.map((name) => lowered.names.get(name))])
  lowered.vars.forEach(({ kind, name }, id) => {
    if (kind === "data" && needed.has(id) && !shapes.has(name)) refuseMissing(name)
  })
}

function usedIds(lowered: LoweredProgram): number[] {
  const inBlock = (block: LoweredProgram["block"]): number[] => [
    ...block.ops.flatMap((op) => [...Object.values(op.inputs).flat(), ...Object.values(op.blocks).flatMap(inBlock)]),
    ...block.results,
  ]
  return inBlock(lowered.block)
}
