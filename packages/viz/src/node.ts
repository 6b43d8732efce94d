// The nodes of a graph: one for each operator or group that is drawn, one for each variable that no drawn operator makes
// (or for every one, where values are to be nodes), with the texts that stand in them.

import { type Operator, Parameter, type Variable } from "@counterflow/ir"
import type { Clusters } from "./cluster.ts"
import type { GraphNode, NodeKind } from "./graph.ts"
import type { Group } from "./group.ts"
import type { Sharing, Unit } from "./sharing.ts"
import { originOf, readsOf, type Scene } from "./scene.ts"
import { attributesText, constantText, counted, shortened } from "./text.ts"

export interface Texts {
  readonly attributes: boolean
  readonly names: boolean
  readonly sharing: Sharing
}

export function opId(op: Operator): string {
  return `op_${op.block.index}_${op.position}`
}

export function opKey(op: Operator): string {
  return `${op.block.index}:${op.position}`
}

export function operatorNode(op: Operator, scene: Scene, clusters: Clusters, texts: Texts): GraphNode {
  const ends = scene.settings.showVariables === "nodes" ? [] : endsOf([op], scene)
  return {
    id: opId(op),
    kind: "op",
    part: op.role,
    cluster: clusters.ofOperator(op),
    title: op.type,
    lines: [
      ...(texts.attributes ? attributesText(op) : []),
      ...namedInputs(op, scene, texts),
      ...ends.flatMap(endLines),
      ...hubLines(op.outputList(), texts),
      ...keptLines(op, texts),
    ],
    isLoss: op.isLoss,
    ops: [opKey(op)],
    variable: "",
    tooltip: [
      String(op),
      ...(op.derivedFrom === null ? [] : [`for ${op.derivedFrom}`]),
      ...(scene.settings.sites ? [`built at ${op.site}`] : []),
    ],
  }
}

/** Inputs that no edge shows: constants folded into their reader ("y = 0.01"), and hubs ("y = learning_rate_0"). */
function namedInputs(op: Operator, { folded }: Scene, { sharing: { hubs } }: Texts): string[] {
  return readsOf(op).flatMap(({ slot, variable }) => {
    const { variable: origin, via } = originOf(variable, folded)
    if (origin !== null) return hubs.has(origin) ? [`${slot} = ${shortened(origin.name)}`] : []
    const [constant] = via
    return constant === undefined ? [] : [`${slot} = ${constantText(constant)}`]
  })
}

function hubLines(outputs: readonly Variable[], { sharing: { hubs } }: Texts): string[] {
  return outputs.flatMap((output) =>
    hubs.has(output) ? [`→ ${shortened(output.name)}`, readersText(output, hubs)] : [],
  )
}

const nouns = { parameter: "parameter", state: "state", data: "input", value: "value" }

/** "keeps 2 parameters, 4 states" */
function keptLines(unit: Unit, { sharing }: Texts): string[] {
  const counts = new Map<string, number>()
  for (const variable of sharing.keepers.get(unit) ?? []) {
    const noun = nouns[variableKind(variable)]
    counts.set(noun, (counts.get(noun) ?? 0) + 1)
  }
  const texts = [...counts].map(([noun, count]) => counted(count, noun))
  return texts.length === 0 ? [] : [`keeps ${texts.join(", ")}`]
}

function readersText(hub: Variable, hubs: ReadonlyMap<Variable, number>): string {
  return `read by ${hubs.get(hub) ?? 0} nodes`
}

/** Values that nothing drawn reads and no state takes. */
function endsOf(ops: readonly Operator[], { readers }: Scene): Variable[] {
  return ops.flatMap((op) => {
    const written = new Set(op.writes.map((write) => op.written(write)))
    return op.outputList().filter((output) => !written.has(output) && !readers.has(output))
  })
}

function endLines(variable: Variable): string[] {
  return [`→ ${shortened(variable.name)}`, variable.type]
}

const typesShown = 4

export function groupNode(group: Group, id: string, scene: Scene, clusters: Clusters, texts: Texts): GraphNode {
  const { ops } = group
  const members = new Set(ops)
  const leaving = ops
    .flatMap((op) => op.outputList())
    .filter((output) => (scene.readers.get(output) ?? []).some((reader) => !members.has(reader)))
  const ends = scene.settings.showVariables === "nodes" ? [] : endsOf(ops, scene)
  const [only] = [...leaving, ...ends]
  const hasOneEnd = leaving.length + ends.length === 1 && only !== undefined
  const [first] = ops
  return {
    id,
    kind: "group",
    part: group.part,
    cluster: clusters.ofGroup(group),
    title: groupTitle(group),
    lines: [
      ...(group.kind === "rest" ? [] : [counted(ops.length, "operator")]),
      ...(hasOneEnd ? [`→ ${shortened(only.name)}`] : []),
      ...keptLines(group, texts),
    ],
    isLoss: ops.some((op) => op.isLoss),
    ops: ops.map(opKey),
    variable: "",
    tooltip: [
      typesText(ops, ops.length),
      ...(scene.settings.sites && group.kind === "layer" && first !== undefined ? [`built at ${first.site}`] : []),
    ],
  }
}

function groupTitle({ kind, scope, part, ops }: Group): string {
  if (kind === "rest") return `… ${ops.length} more operators`
  if (kind === "scope") return `${part === "backward" ? "∇ " : ""}${shortened(scope.split("/").at(-1) ?? scope)}`
  const forward = ops.flatMap((op) => (op.derivedFrom === null ? [] : [op.derivedFrom]))
  const isGradient = part === "backward" && forward.length > 0
  if (!isGradient) return typesText(ops, typesShown)
  const inOrder = [...new Set(forward)].sort((a, b) => a.block.index - b.block.index || a.position - b.position)
  return `∇ ${typesText(inOrder, typesShown)}`
}

/** "matmul · add · relu", each type once. */
function typesText(ops: readonly Operator[], limit: number): string {
  const types = [...new Set(ops.map((op) => op.type))]
  const more = types.length - limit
  return more > 0 ? `${types.slice(0, limit).join(" · ")} · ${more} more` : types.join(" · ")
}

export function variableKind(variable: Variable): Exclude<NodeKind, "op" | "group"> {
  if (variable instanceof Parameter) return "parameter"
  if (variable.isData) return "data"
  return variable.persistable ? "state" : "value"
}

export function variableNode(
  variable: Variable,
  id: string,
  cluster: string | null,
  scene: Scene,
  { sharing: { hubs } }: Texts,
): GraphNode {
  const isFrozen = variable instanceof Parameter && (!variable.trainable || variable.stopGradient)
  return {
    id,
    kind: variableKind(variable),
    part: variable.role,
    cluster,
    title: shortened(variable.name),
    lines: [
      variable.type,
      ...(isFrozen ? ["not trained"] : []),
      ...(hubs.has(variable) ? [readersText(variable, hubs)] : []),
    ],
    isLoss: false,
    ops: [],
    variable: variable.name,
    tooltip: [
      String(variable),
      ...(variable instanceof Parameter && variable.initializer !== ""
        ? [`initialized by ${variable.initializer}`]
        : []),
      ...(variable.gradientOf === null ? [] : [`gradient of ${variable.gradientOf.name}`]),
      ...(variable.insteadOf === null ? [] : [`stands instead of ${variable.insteadOf.name}`]),
      ...(scene.settings.sites ? [`built at ${variable.site}`] : []),
    ],
  }
}
