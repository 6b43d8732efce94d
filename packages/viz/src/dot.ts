// The graph in the DOT language of Graphviz (graphviz.org/doc/info/lang.html), with HTML-like labels. In a mirrored picture
// edges between backward nodes are written head first and drawn from back to front: the layout then lets backward rise
// beside forward, each gradient near the operator it belongs to.

import type { Program } from "@counterflow/ir"
import { programGraph } from "./assembly.ts"
import type { Cluster, Graph, GraphEdge, GraphNode, LegendEntry, NodeKind } from "./graph.ts"
import { type PictureOptions, settingsOf } from "./options.ts"
import { dark, light, type Palette, type Tone } from "./palette.ts"
import { type Ends, endsOf, isUnderState, pull } from "./placement.ts"
import { escapeXml, visible } from "./text.ts"

/** A program in DOT. Colours are light unless `theme` is "dark". */
export function toDot(program: Program, options: PictureOptions = {}): string {
  const palette = settingsOf(options).theme === "dark" ? dark : light
  return dotOf(programGraph(program, options), palette, { forSvg: false })
}

// Graphviz measures text by tables of its own; of the sans-serif families it knows exactly this name.
const font = "Helvetica"

export function dotOf(graph: Graph, palette: Palette, { forSvg }: { forSvg: boolean }): string {
  const heading = headingOf(graph, palette)
  const head = [
    `bgcolor=${quoted(palette.page)}`,
    `color=${quoted(palette.edge)}`,
    `fontcolor=${quoted(palette.text)}`,
    `fontname=${quoted(font)}`,
    "fontsize=12",
    ...(heading === "" ? [] : [`label=<${heading}>`, "labelloc=t", "labeljust=l"]),
    "newrank=true",
    "nodesep=0.22",
    "pad=0.3",
    `rankdir=${graph.direction === "down" ? "TB" : "LR"}`,
    "ranksep=0.32",
  ]
  const node = `color=${quoted(palette.edge)}, fontcolor=${quoted(palette.text)}, fontname=${quoted(font)}, fontsize=11, height=0.3, margin="0.11,0.055"`
  const edge = `arrowsize=0.6, color=${quoted(palette.edge)}, fontcolor=${quoted(palette.muted)}, fontname=${quoted(font)}, fontsize=9`
  const lines = [
    "digraph program {",
    ...head.map((attribute) => `  ${attribute}`),
    `  node [${node}]`,
    `  edge [${edge}]`,
  ]
  const write = (parent: string | null, indent: string): void => {
    for (const each of graph.nodes)
      if (each.cluster === parent) lines.push(`${indent}${nodeText(each, palette, forSvg)}`)
    for (const cluster of graph.clusters) {
      if (cluster.parent !== parent) continue
      lines.push(`${indent}subgraph ${cluster.id} {`, ...clusterLines(cluster, palette, `${indent}  `))
      write(cluster.id, `${indent}  `)
      lines.push(`${indent}}`)
    }
  }
  write(null, "  ")
  const ends = endsOf(graph)
  graph.edges.forEach((each, index) => {
    lines.push(`  ${edgeText(each, `edge_${index}`, graph.isMirrored, ends, palette, forSvg)}`)
  })
  return `${[...lines, "}"].join("\n")}\n`
}

function clusterLines({ kind, label, part }: Cluster, palette: Palette, indent: string): string[] {
  const { line, area } = palette.parts[part]
  const style = kind === "part" ? "rounded,filled" : kind === "block" ? "rounded,dashed" : "rounded"
  const text = kind === "part" || kind === "operator" ? `<B>${html(label)}</B>` : html(label)
  return [
    `${indent}label=<${text}>; labeljust=l; labelloc=t; fontcolor=${quoted(line)}; fontsize=${kind === "part" ? 13 : 10}`,
    `${indent}style=${quoted(style)}; color=${quoted(line)}; fillcolor=${quoted(area)}; margin=${kind === "part" ? 12 : 8}`,
  ]
}

const shapes: Readonly<Record<NodeKind, string>> = {
  op: 'shape=box, style="rounded,filled"',
  group: 'shape=box3d, style="filled"',
  parameter: 'shape=cylinder, style="filled"',
  state: 'shape=folder, style="filled"',
  data: 'shape=parallelogram, style="filled", margin="0,0"',
  value: 'shape=ellipse, style="filled"',
}

function toneOf(kind: NodeKind, part: GraphNode["part"], isLoss: boolean, palette: Palette): Tone {
  if (isLoss) return palette.loss
  return kind === "op" || kind === "group" ? palette.parts[part] : palette[kind]
}

function nodeText(
  { id, kind, part, isLoss, title, lines, tooltip }: GraphNode,
  palette: Palette,
  forSvg: boolean,
): string {
  const { fill, line } = toneOf(kind, part, isLoss, palette)
  const name = kind === "op" || kind === "group" ? `<B>${html(title)}</B>` : html(title)
  const details = lines.map((text) => `<BR/>${small(text, palette)}`)
  const attributes = [
    `label=<${name}${details.join("")}>`,
    shapes[kind],
    `fillcolor=${quoted(fill)}`,
    `color=${quoted(line)}`,
    ...(isLoss ? ["penwidth=2", "peripheries=2"] : []),
    forSvg ? `id=${id}` : `tooltip=${quoted(tooltip.map(visible).join("\n"))}`,
  ]
  return `${id} [${attributes.join(", ")}]`
}

function edgeText(
  edge: GraphEdge,
  id: string,
  isMirrored: boolean,
  ends: Ends,
  palette: Palette,
  forSvg: boolean,
): string {
  const isReversed = (isMirrored && edge.isBackward) || isUnderState(edge, ends)
  const attributes = [
    ...edgeStyle(edge, ends, palette),
    ...(edge.isExchange ? ["dir=both"] : isReversed ? ["dir=back"] : []),
    ...(edge.lines.length === 0
      ? []
      : [`label=<${edge.lines.map((line) => small(` ${line} `, palette)).join("<BR/>")}>`]),
    forSvg ? `id=${id}` : `tooltip=${quoted(edge.tooltip.map(visible).join("\n"))}`,
  ]
  const arrow = isReversed ? `${edge.to} -> ${edge.from}` : `${edge.from} -> ${edge.to}`
  return `${arrow} [${attributes.join(", ")}]`
}

function edgeStyle(edge: GraphEdge, ends: Ends, palette: Palette): string[] {
  const { line } = palette.parts[ends.nodes.get(edge.to)?.part ?? "forward"]
  switch (edge.kind) {
    case "value":
      return [`color=${quoted(line)}`, ...pull(edge, ends)]
    case "write":
      return [`color=${quoted(palette.parts.optimize.line)}`, "style=dashed", ...pull(edge, ends)]
    case "turn":
      return [`color=${quoted(palette.loss.line)}`, "style=bold", "weight=4"]
    case "carry":
      return [`color=${quoted(line)}`, "style=dotted", "constraint=false"]
  }
}

/** Title and legend: one small table above the picture, where they take no part in the layout. */
function headingOf({ title, legend }: Graph, palette: Palette): string {
  const notes = legend.filter(({ kind }) => kind === "note")
  const cells = legend.filter(({ kind }) => kind !== "note").map((entry) => legendCell(entry, palette))
  const rows = [
    ...(title === "" ? [] : [`<FONT POINT-SIZE="16"><B>${html(title)}</B></FONT>`]),
    ...(cells.length === 0
      ? []
      : [
          `<TABLE ALIGN="LEFT" BORDER="0" CELLBORDER="1" CELLSPACING="6" CELLPADDING="3"><TR>${cells.join("")}</TR></TABLE>`,
        ]),
    ...notes.map(({ text }) => small(text, palette)),
  ]
  if (rows.length === 0) return ""
  const body = rows.map((row) => `<TR><TD ALIGN="LEFT">${row}</TD></TR>`)
  return `<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3">${body.join("")}</TABLE>`
}

function legendCell(entry: LegendEntry, palette: Palette): string {
  const { fill, line } = legendTone(entry, palette)
  const style = entry.kind === "write" ? ' STYLE="DASHED"' : ' STYLE="ROUNDED"'
  return `<TD${style} BGCOLOR="${fill}" COLOR="${line}"><FONT POINT-SIZE="10">${html(entry.text)}</FONT></TD>`
}

function legendTone(entry: LegendEntry, palette: Palette): Tone {
  switch (entry.kind) {
    case "part":
      return palette.parts[entry.part]
    case "node":
      return entry.node === "group" ? palette.value : palette[entry.node]
    case "loss":
      return palette.loss
    case "write":
      return { ...palette.parts.optimize, fill: palette.page }
    case "note":
      return palette.value
  }
}

function small(text: string, palette: Palette): string {
  return `<FONT POINT-SIZE="9" COLOR="${palette.muted}">${html(text)}</FONT>`
}

/** For HTML-like labels, in which Graphviz reads escapes such as \N as well. */
function html(text: string): string {
  return escapeXml(visible(text)).replaceAll("\\", "\\\\")
}

/** A quoted string; a backslash begins an escape such as \N there, and Graphviz reads entities in it. */
function quoted(text: string): string {
  const plain = text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/&/g, "&amp;").replace(/\n/g, "\\n")
  return `"${plain}"`
}
