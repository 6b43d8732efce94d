// Which operators share one node: those of a name scope, those that one call of a layer built, and what exceeds the limit.
// Layers are told by the call site that their operators share, never by names.

import { type Operator, Parameter, type Role, type Site, unknownSite } from "@counterflow/ir"
import { firstReader, listed, type Scene, treeOf } from "./scene.ts"

export interface Group {
  readonly kind: "scope" | "layer" | "rest"
  readonly part: Role
  readonly scope: string
  /** The first of its operators that is inside no other one. */
  readonly lead: Operator
  /** In order, with everything that they own. */
  readonly ops: readonly Operator[]
}

/** Operators that are drawn together; the others have a node of their own. */
export function groupsOf(scene: Scene): Map<Operator, Group> {
  const { collapse, maxOps } = scene.settings
  const first = grouped(scene, collapse === "auto" ? "none" : collapse)
  if (nodeCount(scene, first) <= maxOps) return first
  const second = collapse === "auto" ? grouped(scene, "layer") : first
  return nodeCount(scene, second) <= maxOps ? second : cut(scene, second)
}

function nodeCount({ ops, folded }: Scene, groups: ReadonlyMap<Operator, Group>): number {
  return new Set(ops.filter((op) => !folded.has(op)).map((op) => groups.get(op) ?? op)).size
}

/** The operators that stand for themselves or for a group where they are: not inside another one's blocks. */
function rootOps({ ops, owners }: Scene): Operator[] {
  return ops.filter((op) => !owners.has(op.block))
}

function grouped(scene: Scene, by: "none" | "scope" | "layer"): Map<Operator, Group> {
  const groups = new Map<Operator, Group>()
  if (by === "none") return groups
  const siteIds = new Map<Site, number>()
  const keyOf = (op: Operator): string | null => {
    const { role } = op
    const { scope, site } = homeOf(op, scene) ?? op
    if (by === "scope") return scope === "" ? null : `${role} ${scope}`
    // One call of an optimizer builds the updates of all layers, so its call site tells nothing.
    if (site === unknownSite || (role === "optimize" && homeOf(op, scene) === null)) return null
    const id = siteIds.get(site) ?? siteIds.size
    siteIds.set(site, id)
    return `${role} ${id} ${scope}`
  }
  const collapse = (ops: readonly Operator[]): void => {
    const buckets = new Map<string, Operator[]>()
    for (const op of ops) {
      const key = keyOf(op)
      if (key !== null && !scene.folded.has(op)) listed(buckets, key).push(op)
    }
    for (const bucket of buckets.values()) if (bucket.length > 1) join(scene, by, bucket, groups)
    for (const op of ops) if (!groups.has(op)) for (const block of Object.values(op.blocks)) collapse(block.ops)
  }
  collapse(rootOps(scene))
  return groups
}

function join(scene: Scene, kind: Group["kind"], ops: readonly Operator[], groups: Map<Operator, Group>): void {
  const [first] = ops
  if (first === undefined) return
  const all = ops.flatMap(treeOf).filter((op) => !scene.folded.has(op))
  const group: Group = {
    kind,
    part: first.role,
    scope: kind === "rest" ? "" : (homeOf(first, scene) ?? first).scope,
    lead: first,
    ops: all,
  }
  for (const op of all) groups.set(op, group)
}

/** An update belongs where the parameter that it writes is first read. */
function homeOf({ role, writes }: Operator, scene: Scene): Operator | null {
  if (role !== "optimize") return null
  const parameter = writes.map(({ state }) => state).find((state) => state instanceof Parameter)
  return parameter === undefined ? null : firstReader(parameter, scene)
}

/**
 * Every part keeps its first nodes, as many as its share of the limit; the others become one. Backward keeps its last, which
 * belong to the same layers.
 */
function cut(scene: Scene, groups: ReadonlyMap<Operator, Group>): Map<Operator, Group> {
  const result = new Map(groups)
  const total = nodeCount(scene, groups)
  const parts = new Map<Role, Operator[]>()
  for (const op of rootOps(scene)) if (!scene.folded.has(op)) listed(parts, op.role).push(op)
  for (const [part, ops] of parts) {
    const share = Math.floor((scene.settings.maxOps * countNodes(ops, groups)) / total) - 1
    const kept = new Set<Operator | Group>()
    let size = 0
    for (const op of part === "backward" ? ops.toReversed() : ops) {
      const unit = groups.get(op) ?? op
      if (kept.has(unit)) continue
      size += countNodes([op], groups)
      if (size > share) break
      kept.add(unit)
    }
    const rest = ops.filter((op) => !kept.has(groups.get(op) ?? op))
    if (rest.length > 1) join(scene, "rest", rest, result)
  }
  return result
}

function countNodes(ops: readonly Operator[], groups: ReadonlyMap<Operator, Group>): number {
  return new Set(ops.flatMap(treeOf).map((op) => groups.get(op) ?? op)).size
}
