// The graph as a Mermaid flowchart (mermaid.js.org/syntax/flowchart), for pages that draw such text themselves. Mermaid
// lays edges out in one direction only, so backward goes on below forward.

import { type Program, roles } from "@counterflow/ir"
import { programGraph } from "./assembly.ts"
import type { Graph, GraphEdge, GraphNode, LegendEntry, NodeKind } from "./graph.ts"
import { type PictureOptions, settingsOf } from "./options.ts"
import { dark, light, type Palette, type Tone } from "./palette.ts"
import { visible } from "./text.ts"

/** A program as Mermaid text. Fills are light unless `theme` is "dark"; they carry their own text colour, so both can be read on any page. */
export function toMermaid(program: Program, options: PictureOptions = {}): string {
  const palette = settingsOf(options).theme === "dark" ? dark : light
  return mermaidOf(programGraph(program, options), palette)
}

function mermaidOf(graph: Graph, palette: Palette): string {
  const title = graph.title === "" ? [] : ["---", `title: ${JSON.stringify(visible(graph.title))}`, "---"]
  const lines = [...title, `flowchart ${graph.direction === "down" ? "TB" : "LR"}`]
  const write = (parent: string | null, indent: string): void => {
    for (const each of graph.nodes) if (each.cluster === parent) lines.push(`${indent}${nodeText(each)}`)
    for (const { id, label, parent: around } of graph.clusters) {
      if (around !== parent) continue
      lines.push(`${indent}subgraph ${id}["${escaped(label)}"]`)
      write(id, `${indent}  `)
      lines.push(`${indent}end`)
    }
  }
  write(null, "  ")
  for (const each of graph.edges) lines.push(`  ${edgeText(each)}`)
  lines.push(...legendLines(graph.legend), ...classLines(graph, palette))
  return `${lines.join("\n")}\n`
}

const shapes: Readonly<Record<NodeKind, readonly [open: string, close: string]>> = {
  op: ["(", ")"],
  group: ["[[", "]]"],
  parameter: ["[(", ")]"],
  state: ["{{", "}}"],
  data: ["[/", "/]"],
  value: ["([", "])"],
}

function nodeText({ id, kind, part, isLoss, title, lines }: GraphNode): string {
  const [open, close] = shapes[kind]
  const text = [title, ...lines].map(escaped).join("<br/>")
  return `${id}${open}"${text}"${close}:::${className(kind, part, isLoss)}`
}

function className(kind: NodeKind, part: string, isLoss: boolean): string {
  if (isLoss) return "loss"
  return kind === "op" || kind === "group" ? part : kind
}

function edgeText({ from, to, kind, isExchange, lines }: GraphEdge): string {
  const label = lines.length === 0 ? "" : `|"${lines.map(escaped).join("<br/>")}"|`
  // State stands above what reads it, though the edge is that of a write.
  if (isExchange) return `${to} <-.-> ${from}`
  const arrow = { value: "-->", write: "-.->", turn: "==>", carry: "-.->" }[kind]
  return `${from} ${arrow}${label} ${to}`
}

/** One sample of each colour and shape, in a box of its own. */
function legendLines(legend: readonly LegendEntry[]): string[] {
  if (legend.length === 0) return []
  const sample = (entry: LegendEntry, index: number): string => {
    const text = escaped(entry.text)
    switch (entry.kind) {
      case "part":
        return `legend_${index}("${text}"):::${entry.part}`
      case "node": {
        const [open, close] = shapes[entry.node]
        return `legend_${index}${open}"${text}"${close}:::${entry.node === "group" ? "value" : entry.node}`
      }
      case "loss":
        return `legend_${index}("${text}"):::loss`
      case "write":
        return `legend_${index}["⇠ dashed: ${text}"]:::note`
      case "note":
        return `legend_${index}["${text}"]:::note`
    }
  }
  return [
    "  subgraph legend",
    "    direction LR",
    ...legend.map((entry, index) => `    ${sample(entry, index)}`),
    "  end",
  ]
}

function classLines({ clusters, legend }: Graph, palette: Palette): string[] {
  const style = ({ fill, line }: Tone, more = "") => `fill:${fill},stroke:${line},color:${palette.text}${more}`
  const { parts, parameter, state, data, value, loss } = palette
  const kinds = { parameter, state, data, value }
  return [
    ...roles.map((part) => `  classDef ${part} ${style(parts[part])}`),
    ...Object.entries(kinds).map(([kind, tone]) => `  classDef ${kind} ${style(tone)}`),
    `  classDef loss ${style(loss, ",stroke-width:3px")}`,
    "  classDef note fill:transparent,stroke:transparent",
    ...(legend.length > 0 ? ["  style legend fill:transparent,stroke:transparent"] : []),
    ...clusters.map(({ id, part, kind }) => {
      const { line, area } = parts[part]
      const dashes = kind === "block" ? ",stroke-dasharray:4 3" : ""
      return `  style ${id} fill:${area},stroke:${line},color:${line}${dashes}`
    }),
  ]
}

/**
 * Inside a quoted label Mermaid still reads entities, directives, Markdown and HTML, so all but plain characters become
 * entities: `#` and the number of the character.
 */
function escaped(text: string): string {
  return visible(text).replace(
    /[^\p{L}\p{M}\p{N} _.,:=+/()[\]@·→∇…-]/gu,
    (character) => `#${character.codePointAt(0) ?? 0xfffd};`,
  )
}
