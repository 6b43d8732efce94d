// Hints to Graphviz about kept values. Left alone, each parameter would take a row above its reader and layers would drift
// aside like stairs; a learning rate would pull all updates to one height.

import type { Graph, GraphEdge, GraphNode } from "./graph.ts"

/** What the layout needs to know of edges that join kept values to what reads and writes them. */
export interface Ends {
  readonly nodes: ReadonlyMap<string, GraphNode>
  /** Nodes that something reads. */
  readonly read: ReadonlySet<string>
  /** Edges whose ends stand side by side. */
  readonly beside: ReadonlySet<GraphEdge>
}

// One to the left of its reader, one to the right; more would be reached over others only.
const mostBeside = 2

/** A parameter stands beside the first operator of its part that reads it, so that layers stack without steps. */
export function endsOf({ nodes: list, edges }: Graph): Ends {
  const nodes = new Map(list.map((node) => [node.id, node]))
  const beside = new Set<GraphEdge>()
  const placed = new Set<string>()
  const neighbours = new Map<string, number>()
  for (const edge of edges) {
    const [state, reader] = edge.isExchange ? [edge.to, edge.from] : [edge.from, edge.to]
    const count = neighbours.get(reader) ?? 0
    if (!isKept(nodes.get(state)) || placed.has(state) || count === mostBeside) continue
    if (edge.kind === "write" && !edge.isExchange) continue
    if (nodes.get(state)?.part !== nodes.get(reader)?.part) continue
    beside.add(edge)
    placed.add(state)
    neighbours.set(reader, count + 1)
  }
  return { nodes, read: new Set(edges.map(({ from }) => from)), beside }
}

function isKept(node: GraphNode | undefined): boolean {
  return node?.kind === "parameter" || node?.kind === "state"
}

/** State stands above what reads it, and so above what writes it too. */
export function isUnderState({ kind, to, isExchange }: GraphEdge, { read }: Ends): boolean {
  return kind === "write" && (isExchange || read.has(to))
}

/** How much an edge says about the layout: what updates read of other parts says nothing, what they write little. */
export function pull(edge: GraphEdge, { nodes, beside }: Ends): string[] {
  if (beside.has(edge)) return ["minlen=0"]
  const [tail, head] = [nodes.get(edge.from), nodes.get(edge.to)]
  if (tail?.part === head?.part) return []
  if (edge.kind === "write") return ["weight=0"]
  return isKept(tail) && head?.part !== "backward" ? ["constraint=false"] : []
}
