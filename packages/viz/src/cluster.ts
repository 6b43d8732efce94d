// The boxes around nodes: a part of the program, name scopes within it, an operator with blocks, each of its blocks.

import { type Block, type Operator, type Role, roles } from "@counterflow/ir"
import type { Cluster } from "./graph.ts"
import type { Group } from "./group.ts"
import type { Scene } from "./scene.ts"
import { shortened } from "./text.ts"

const partLabels: Readonly<Record<Role, string>> = {
  forward: "forward",
  backward: "backward",
  optimize: "update",
  schedule: "schedule",
}

export function partLabel(part: Role): string {
  return partLabels[part]
}

/** Makes clusters as nodes ask for them, parts first, so that their order is the program's. */
export class Clusters {
  readonly list: Cluster[] = []
  readonly #scene: Scene
  readonly #ids: Map<string, string> = new Map()
  readonly #blockNames: Map<Block, string> = new Map()

  constructor(scene: Scene) {
    this.#scene = scene
    const present = new Set(scene.ops.map((op) => op.role))
    for (const part of roles) if (present.has(part)) this.part(part)
    for (const op of scene.ops) for (const [name, block] of Object.entries(op.blocks)) this.#blockNames.set(block, name)
  }

  part(part: Role): string {
    return this.#make("part", part, part, null, partLabel(part))
  }

  has(part: Role): boolean {
    return this.#ids.has(`part ${part}`)
  }

  /** Where an operator's node lies; one with blocks has a cluster of its own. */
  ofOperator(op: Operator): string {
    const around = this.around(op)
    return Object.keys(op.blocks).length === 0 ? around : this.#ofOwner(op, around)
  }

  /** The innermost scope around an operator and its blocks. */
  around(op: Operator): string {
    return this.#around(op, op.scope)
  }

  /** The innermost cluster that holds all of these; null for none. */
  common(ids: readonly string[]): string | null {
    const paths = ids.map((id) => this.#path(id))
    const [first = []] = paths
    return first.findLast((id) => paths.every((path) => path.includes(id))) ?? null
  }

  /** A cluster behind all that hold it. */
  #path(id: string): string[] {
    const path: string[] = []
    for (let at: string | null = id; at !== null; at = this.list.find((each) => each.id === at)?.parent ?? null) {
      path.unshift(at)
    }
    return path
  }

  ofGroup({ kind, scope, lead, part }: Group): string {
    if (kind === "rest") return this.part(part)
    return this.#around(lead, kind === "scope" ? scope.split("/").slice(0, -1).join("/") : scope)
  }

  /** Where the variables of a block lie that no operator of it makes. */
  ofBlock(block: Block, part: Role): string {
    const owner = this.#scene.owners.get(block)
    if (owner === undefined) {
      return block.index === 0
        ? this.part(part)
        : this.#make("block", `${block.index}`, part, this.part(part), `block ${block.index}`)
    }
    const name = this.#blockNames.get(block) ?? `block ${block.index}`
    return this.#make("block", `${block.index}`, owner.role, this.ofOperator(owner), name)
  }

  /** The innermost scope around an operator, within its part or block. A block is in the scope of its owner already. */
  #around(op: Operator, scope: string): string {
    const outer = this.#scene.owners.get(op.block)?.scope ?? ""
    const own =
      outer !== "" && (scope === outer || scope.startsWith(`${outer}/`)) ? scope.slice(outer.length + 1) : scope
    let cluster = this.ofBlock(op.block, op.role)
    let path = ""
    for (const segment of own.split("/")) {
      if (segment === "") continue
      path += `/${segment}`
      cluster = this.#make("scope", `${cluster} ${path}`, op.role, cluster, shortened(segment))
    }
    return cluster
  }

  #ofOwner(op: Operator, around: string): string {
    return this.#make("operator", `${op.block.index}:${op.position}`, op.role, around, op.type)
  }

  #make(kind: Cluster["kind"], key: string, part: Role, parent: string | null, label: string): string {
    const known = this.#ids.get(`${kind} ${key}`)
    if (known !== undefined) return known
    const id = `cluster_${this.list.length}`
    this.#ids.set(`${kind} ${key}`, id)
    this.list.push({ id, kind, part, parent, label })
    return id
  }
}
