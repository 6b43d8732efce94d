// A graph as short text, for snapshots: clusters with their nodes, then edges by the titles of their ends.

import type { Graph } from "../src/graph.ts"

export function outline({ nodes, edges, clusters, folded, legend }: Graph): string {
  const lines: string[] = []
  const write = (parent: string | null, indent: string): void => {
    for (const { id, kind, cluster, title, lines: details, isLoss } of nodes) {
      if (cluster !== parent) continue
      lines.push(`${indent}${id} ${kind} ${[title, ...details].join(" | ")}${isLoss ? " (loss)" : ""}`)
    }
    for (const { id, kind, parent: around, label } of clusters) {
      if (around !== parent) continue
      lines.push(`${indent}${kind} ${label}`)
      write(id, `${indent}  `)
    }
  }
  write(null, "")
  const arrows = { value: "→", write: "⇢", turn: "⇒", carry: "⇠" }
  for (const { from, to, kind, lines: label, isExchange } of edges) {
    lines.push(`${from} ${isExchange ? "⇠⇢" : arrows[kind]} ${to}${label.length === 0 ? "" : `  ${label.join(" | ")}`}`)
  }
  if (folded.length > 0) lines.push(`folded ${folded.join(" ")}`)
  if (legend.length > 0) lines.push(`legend ${legend.map(({ text }) => text).join(" · ")}`)
  return lines.join("\n")
}
