// From a Program to the graph that is drawn: what is seen, what shares a node, where it lies, what joins it.

import type { Operator, Program, Role, Variable } from "@counterflow/ir"
import { roles } from "@counterflow/ir"
import { Clusters, partLabel } from "./cluster.ts"
import { edgesOf, isInner, isTangled } from "./edge.ts"
import type { Graph, GraphEdge, GraphNode, LegendEntry } from "./graph.ts"
import { type Group, groupsOf } from "./group.ts"
import { groupNode, opKey, operatorNode, type Texts, variableNode } from "./node.ts"
import { type PictureOptions, settingsOf } from "./options.ts"
import { originOf, readersInPart, type Scene, sceneOf } from "./scene.ts"
import { sharingOf } from "./sharing.ts"
import { counted } from "./text.ts"

const largestWithAttributes = 60
const largestWithNames = 24

/** The graph of a program as plain data: what `toDot`, `toSvg` and `toMermaid` write out. */
export function programGraph(program: Program, options: PictureOptions = {}): Graph {
  const settings = settingsOf(options)
  const scene = sceneOf(program, settings)
  const groups = groupsOf(scene)
  const clusters = new Clusters(scene)
  const unfolded = scene.ops.filter((op) => !scene.folded.has(op))
  const count = new Set(unfolded.map((op) => groups.get(op) ?? op)).size
  const texts: Texts = {
    sharing: sharingOf(scene, groups, unfolded.length),
    attributes: settings.attributes ?? count <= largestWithAttributes,
    names: settings.names ?? (settings.showVariables === "edges" && count <= largestWithNames),
  }
  const ofOp = operatorNodes(unfolded, groups, scene, clusters, texts)
  const ofVariable = variableNodes(scene, groups, ofOp, clusters, texts)
  const inside = [...texts.sharing.kept].flatMap(([variable, unit]) => {
    const node = ofOp.get("kind" in unit ? unit.lead : unit)
    return node === undefined ? [] : [[variable, node] as const]
  })
  const edges = edgesOf(scene, { ofOp, ofVariable: new Map([...ofVariable, ...inside]) }, texts)
  const nodes = [...ofVariable.values(), ...new Set(ofOp.values())]
  const filled = new Set([...nodes.map(({ cluster }) => cluster), ...clusters.list.map(({ parent }) => parent)])
  return {
    title: settings.title,
    direction: settings.direction,
    isMirrored: settings.mirror && !isTangled(scene),
    nodes,
    edges,
    // A part all of whose operators stand in blocks of another has nothing to show.
    clusters: clusters.list.filter(({ id, kind }) => kind !== "part" || filled.has(id)),
    folded: [...scene.folded].map(opKey),
    legend: settings.legend ? legendOf(scene, nodes, edges, texts) : [],
  }
}

function operatorNodes(
  ops: readonly Operator[],
  groups: ReadonlyMap<Operator, Group>,
  scene: Scene,
  clusters: Clusters,
  texts: Texts,
): Map<Operator, GraphNode> {
  const ofGroup = new Map<Group, GraphNode>()
  return new Map(
    ops.map((op) => {
      const group = groups.get(op)
      if (group === undefined) return [op, operatorNode(op, scene, clusters, texts)]
      const node = ofGroup.get(group) ?? groupNode(group, `group_${ofGroup.size}`, scene, clusters, texts)
      ofGroup.set(group, node)
      return [op, node]
    }),
  )
}

/** A node for every variable that needs one: fed, kept, made by what is not drawn, or wanted as a node. */
function variableNodes(
  scene: Scene,
  groups: ReadonlyMap<Operator, Group>,
  ofOp: ReadonlyMap<Operator, GraphNode>,
  clusters: Clusters,
  texts: Texts,
): Map<Variable, GraphNode> {
  const { settings, folded, readers } = scene
  const asNodes = settings.showVariables === "nodes"
  const drawn = new Set(scene.ops)
  const written = new Set(scene.ops.flatMap((op) => op.writes.map(({ state }) => state)))
  const looked = new Set([...readers.keys()].map((variable) => originOf(variable, folded).variable))
  const members = new Map<Group, Set<Operator>>()
  for (const group of groups.values()) members.set(group, new Set(group.ops))
  const isShown = (variable: Variable): boolean => {
    const { producer } = variable
    if (texts.sharing.kept.has(variable) || (producer !== null && folded.has(producer))) return false
    const owner = scene.owners.get(variable.block)
    if (owner !== undefined && groups.has(owner)) return false
    if (producer !== null && drawn.has(producer)) {
      const group = groups.get(producer)
      return asNodes && (group === undefined || !isInner(variable, members.get(group) ?? new Set(), scene))
    }
    if (looked.has(variable) || written.has(variable)) return true
    return producer === null && settings.parts.has(variable.role) && (owner === undefined || drawn.has(owner))
  }
  const shown = [...scene.program.variables.values()].filter(isShown)
  return new Map(
    shown.map((variable, index) => {
      const cluster = clusterOf(variable, scene, ofOp, clusters, texts)
      return [variable, variableNode(variable, `var_${index}`, cluster, scene, texts)]
    }),
  )
}

/**
 * Parameters and state lie in the innermost scope around all their readers of their part; what very many read, and data, fed
 * from outside, in none.
 */
function clusterOf(
  variable: Variable,
  scene: Scene,
  ofOp: ReadonlyMap<Operator, GraphNode>,
  clusters: Clusters,
  texts: Texts,
): string | null {
  const { producer, block, role } = variable
  if (producer !== null) return ofOp.has(producer) ? clusters.ofOperator(producer) : null
  if (scene.owners.has(block)) return clusters.ofBlock(block, role)
  if (!clusters.has(role)) return null
  if (!variable.persistable || texts.sharing.hubs.has(variable)) return clusters.part(role)
  const around = readersInPart(variable, scene).map((op) => {
    const node = ofOp.get(op)
    return node?.kind === "group" && node.cluster !== null ? node.cluster : clusters.around(op)
  })
  return clusters.common(around) ?? clusters.part(role)
}

const variableTexts = {
  parameter: "parameter",
  state: "state",
  data: "data",
  value: "value",
  group: "several operators",
}

function legendOf(
  scene: Scene,
  nodes: readonly GraphNode[],
  edges: readonly GraphEdge[],
  { sharing }: Texts,
): LegendEntry[] {
  const parts = new Set<Role>(nodes.filter(({ ops }) => ops.length > 0).map(({ part }) => part))
  const kinds = new Set(nodes.map(({ kind }) => kind))
  const present = ["parameter", "state", "data", "value", "group"] as const
  return [
    ...roles.filter((part) => parts.has(part)).map((part) => ({ kind: "part" as const, part, text: partLabel(part) })),
    ...present
      .filter((kind) => kinds.has(kind))
      .map((node) => ({ kind: "node" as const, node, text: variableTexts[node] })),
    ...(nodes.some(({ isLoss }) => isLoss) ? [{ kind: "loss" as const, text: "loss" }] : []),
    ...(edges.some(({ kind }) => kind === "write") ? [{ kind: "write" as const, text: "new value of state" }] : []),
    ...notDrawn([...scene.folded], sharing.kept.size).map((text) => ({ kind: "note" as const, text })),
  ]
}

/** "not drawn: 3 broadcastTo, 2 fillConstant (5 operators); 24 variables inside other nodes" */
function notDrawn(folded: readonly Operator[], kept: number): string[] {
  const counts = new Map<string, number>()
  for (const { type } of folded) counts.set(type, (counts.get(type) ?? 0) + 1)
  const types = [...counts].map(([type, count]) => `${count} ${type}`).join(", ")
  const texts = [
    ...(folded.length === 0 ? [] : [`${types} (${counted(folded.length, "operator")})`]),
    ...(kept === 0 ? [] : [`${counted(kept, "variable")} inside other nodes`]),
  ]
  return texts.length === 0 ? [] : [`not drawn: ${texts.join("; ")}`]
}
