// How many nodes a variable is joined to decides whether it is drawn in pictures of essentials. Hubs are read by very many:
// a learning rate, a mask, the factor of a gradient clip; a bundle of edges from one node to all others covers everything
// and tells nothing, so readers name a hub in a line of their own. Kept variables stand inside another node: the parameters
// of a collapsed scope, and in large pictures the state that one node alone reads and writes, as an optimizer's moments.

import { type Operator, Parameter, type Role, type Variable } from "@counterflow/ir"
import type { Group } from "./group.ts"
import { listed, originOf, readsOf, type Scene } from "./scene.ts"

/** What has a node of its own. */
export type Unit = Operator | Group

export interface Sharing {
  /** Hub → how many nodes read it. */
  readonly hubs: ReadonlyMap<Variable, number>
  /** Variable → the node it stands in. */
  readonly kept: ReadonlyMap<Variable, Unit>
  /** The same the other way round. */
  readonly keepers: ReadonlyMap<Unit, readonly Variable[]>
}

const mostEdges = 4
// In pictures of smaller programs there is room for every state.
const mostOpsWithState = 60

export function sharingOf(scene: Scene, groups: ReadonlyMap<Operator, Group>, opCount: number): Sharing {
  const [readers, writers] = joinedUnits(scene, groups)
  const kept = new Map<Variable, Unit>()
  const keepers = new Map<Unit, Variable[]>()
  for (const variable of new Set([...readers.keys(), ...writers.keys()])) {
    const unit =
      absorber(variable, readers, writers) ?? (scene.isEssential ? soleUnit(variable, readers, writers) : null)
    if (unit === null || (!("kind" in unit) && opCount <= mostOpsWithState)) continue
    kept.set(variable, unit)
    listed(keepers, unit).push(variable)
  }
  const hubs = new Map<Variable, number>()
  if (!scene.isEssential) return { hubs, kept, keepers }
  for (const [variable, { size }] of readers) if (size > mostEdges && !kept.has(variable)) hubs.set(variable, size)
  return { hubs, kept, keepers }
}

type Units = Map<Variable, Set<Unit>>

function joinedUnits(scene: Scene, groups: ReadonlyMap<Operator, Group>): [readers: Units, writers: Units] {
  const [readers, writers]: [Units, Units] = [new Map(), new Map()]
  for (const op of scene.ops) {
    if (scene.folded.has(op)) continue
    const unit = groups.get(op) ?? op
    for (const { variable } of readsOf(op)) {
      const { variable: origin } = originOf(variable, scene.folded)
      if (origin !== null) join(readers, origin, unit)
    }
    for (const { state } of op.writes) join(writers, state, unit)
  }
  return [readers, writers]
}

/** The collapsed scope that alone uses a variable in its part, or the rest of a part beyond the limit. */
function absorber(variable: Variable, readers: Units, writers: Units): Group | null {
  if (variable.producer !== null) return null
  const units = [...(readers.get(variable) ?? []), ...(writers.get(variable) ?? [])]
  const [unit, ...others] = new Set(units.filter((each) => partOf(each) === variable.role))
  if (unit === undefined || others.length > 0 || !("kind" in unit) || unit.kind === "layer") return null
  return unit.kind === "rest" || variable.persistable ? unit : null
}

function partOf(unit: Unit): Role {
  return "kind" in unit ? unit.part : unit.role
}

function soleUnit(variable: Variable, readers: Units, writers: Units): Unit | null {
  if (variable instanceof Parameter || !writers.has(variable)) return null
  const [unit, ...others] = new Set([...(writers.get(variable) ?? []), ...(readers.get(variable) ?? [])])
  return unit === undefined || others.length > 0 ? null : unit
}

function join(lists: Map<Variable, Set<Unit>>, variable: Variable, unit: Unit): void {
  lists.set(variable, (lists.get(variable) ?? new Set()).add(unit))
}
