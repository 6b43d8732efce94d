// The edges of a graph. Parallel ones become one: `x · x` reads x by one edge, two groups are joined by one edge for all
// that passes between them. A value's type stands on the first edge that carries it, so that no text comes twice.

import type { Operator, Variable } from "@counterflow/ir"
import type { EdgeKind, GraphEdge, GraphNode } from "./graph.ts"
import type { Texts } from "./node.ts"
import { originOf, readsOf, type Scene, seededBy, treeOf } from "./scene.ts"
import { shortened } from "./text.ts"

/** Where operators and variables stand in the picture. */
export interface Places {
  readonly ofOp: ReadonlyMap<Operator, GraphNode>
  readonly ofVariable: ReadonlyMap<Variable, GraphNode>
}

interface Draft {
  readonly from: GraphNode
  readonly to: GraphNode
  readonly kind: EdgeKind
  readonly carried: Set<Variable>
  readonly tooltip: Set<string>
  isExchange: boolean
}

export function edgesOf(scene: Scene, places: Places, texts: Texts): GraphEdge[] {
  const drafts = new Map<string, Draft>()
  const draw = (
    from: GraphNode | undefined,
    to: GraphNode | undefined,
    kind: EdgeKind,
    variable: Variable | null,
    tooltip: string,
  ) => {
    if (from === undefined || to === undefined || from === to) return
    const isMerged = variable === null || from.kind === "group" || to.kind === "group"
    const key = `${kind} ${from.id} ${to.id} ${isMerged ? "" : variable.name}`
    const draft: Draft = drafts.get(key) ?? {
      from,
      to,
      kind,
      carried: new Set(),
      tooltip: new Set(),
      isExchange: false,
    }
    drafts.set(key, draft)
    if (variable !== null) draft.carried.add(variable)
    draft.tooltip.add(tooltip)
  }
  const standing = (variable: Variable) =>
    places.ofVariable.get(variable) ?? (variable.producer === null ? undefined : places.ofOp.get(variable.producer))

  for (const op of scene.ops) {
    const to = places.ofOp.get(op)
    if (to === undefined) continue
    for (const { slot, variable } of readsOf(op)) {
      const { variable: origin, via } = originOf(variable, scene.folded)
      if (origin === null || texts.sharing.hubs.has(origin)) continue
      const through = via.length === 0 ? "" : ` through ${via.map(({ type }) => type).join(", ")}`
      draw(standing(origin), to, "value", variable, `${variable}${through} → ${op.type}.${slot}`)
    }
    for (const output of op.outputList())
      draw(to, places.ofVariable.get(output), "value", output, `${op.type} → ${output}`)
    for (const given of givenTo(op)) draw(to, places.ofVariable.get(given), "carry", null, `${op.type} sets ${given}`)
    for (const write of op.writes) {
      const next = op.written(write)
      const from = next === undefined ? to : (places.ofVariable.get(next) ?? to)
      draw(from, places.ofVariable.get(write.state), "write", null, `${op.type} writes ${write.state}`)
    }
    const loss = seededBy(op)
    if (loss !== null) draw(places.ofOp.get(loss), to, "turn", null, `where the gradient of ${loss.type} starts`)
  }
  return labelled(exchanged([...drafts.values()]), texts)
}

/** A state that one operator reads and writes is joined to it by one edge. */
function exchanged(drafts: readonly Draft[]): Draft[] {
  const writes = new Map(
    drafts.flatMap((draft) => (draft.kind === "write" ? [[`${draft.from.id} ${draft.to.id}`, draft] as const] : [])),
  )
  return drafts.filter(({ from, to, kind, carried, tooltip }) => {
    const write = kind === "value" ? writes.get(`${to.id} ${from.id}`) : undefined
    if (write === undefined || ![...carried].every(({ persistable }) => persistable)) return true
    write.isExchange = true
    for (const line of tooltip) write.tooltip.add(line)
    return false
  })
}

/** What an operator's blocks are given: variables of theirs that nothing computes, such as the state of a loop. */
function givenTo(op: Operator): Variable[] {
  return Object.values(op.blocks).flatMap((block) =>
    [...block.vars.values()].filter(({ producer }) => producer === null),
  )
}

const linesShown = 3

function labelled(drafts: readonly Draft[], texts: Texts): GraphEdge[] {
  const told = new Set<Variable>()
  const textsOf = ({ from, to, kind, carried }: Draft): string[] => {
    // A node of a variable tells the type itself.
    if (kind !== "value" || from.variable !== "" || to.variable !== "") return []
    const untold = [...carried].filter((variable) => !told.has(variable))
    for (const variable of untold) told.add(variable)
    const lines = untold.flatMap((variable) => [...(texts.names ? [shortened(variable.name)] : []), variable.type])
    return lines.length > linesShown ? [`${untold.length} values`] : lines
  }
  return drafts.map((draft) => ({
    from: draft.from.id,
    to: draft.to.id,
    kind: draft.kind,
    lines: textsOf(draft),
    isBackward: draft.kind === "value" && draft.from.part === "backward" && draft.to.part === "backward",
    isExchange: draft.isExchange,
    tooltip: [...draft.tooltip],
  }))
}

/** Whether a forward operator reads a gradient (a penalty on it): then backward cannot rise beside forward. */
export function isTangled({ ops }: Scene): boolean {
  return ops.some((op) => op.role === "forward" && op.inputList().some((input) => input.producer?.role === "backward"))
}

/** Whether nothing outside a set of operators reads a variable, and something inside does. */
export function isInner(variable: Variable, members: ReadonlySet<Operator>, { readers }: Scene): boolean {
  const list = readers.get(variable) ?? []
  return (
    list.length > 0 && list.every((reader) => members.has(reader) || treeOf(reader).some((inner) => members.has(inner)))
  )
}
