// The graph as an SVG image, laid out by Graphviz compiled to WebAssembly (@viz-js/viz), which is loaded when first asked
// for. The image stands alone, may be set into an HTML page as it is, and follows the viewer's light or dark preference.

import type { Program } from "@counterflow/ir"
import { fail } from "@counterflow/ir"
import type { Viz } from "@viz-js/viz"
import { programGraph } from "./assembly.ts"
import { dotOf } from "./dot.ts"
import type { Graph } from "./graph.ts"
import { type PictureOptions, settingsOf } from "./options.ts"
import { dark, darkStyle, followingClass, light, svgFont } from "./palette.ts"
import { escapeXml, visible } from "./text.ts"

let viz: Promise<Viz> | null = null

/** A picture of a program as the text of an SVG image. */
export async function toSvg(program: Program, options: PictureOptions = {}): Promise<string> {
  const { theme } = settingsOf(options)
  const graph = programGraph(program, options)
  const dot = dotOf(graph, theme === "dark" ? dark : light, { forSvg: true })
  viz ??= import("@viz-js/viz").then(({ instance }) => instance())
  const result = (await viz).render(dot, { format: "svg" })
  if (result.status === "failure") {
    const why = result.errors.map(({ message }) => message).join("; ")
    return fail("CF_INTERNAL", `Graphviz refuses the picture of a program: ${why}`, { op: "toSvg" })
  }
  return finished(result.output, graph, theme === "auto")
}

/**
 * Graphviz writes a whole document with the names of nodes as titles. What is left is the `svg` element alone, with the
 * tooltips in their place, without ids (two pictures may stand on one page), with a description for readers of screens.
 */
function finished(svg: string, { title, nodes, edges }: Graph, isFollowing: boolean): string {
  const tooltips = new Map([
    ...nodes.map(({ id, tooltip }) => [id, tooltip] as const),
    ...edges.map(({ tooltip }, index) => [`edge_${index}`, tooltip] as const),
  ])
  const label = escapeXml(visible(title === "" ? "a program of operators" : title))
  return svg
    .slice(svg.indexOf("<svg"))
    .replace(/<!--[^]*?-->\n?/g, "")
    .replace(/<g id="([^"]*)"([^>]*)>\s*<title>[^<]*<\/title>/g, (_group, id: string, rest: string) => {
      return `<g${rest}>${titleText(tooltips.get(id))}`
    })
    .replace(/font-family="[^"]*"/g, `font-family="${svgFont}"`)
    .replace(/^<svg([^>]*)>/, (_tag, attributes: string) => {
      const opening = `role="img" aria-label="${label}"${attributes}>`
      return isFollowing ? `<svg class="${followingClass}" ${opening}\n${darkStyle(svg)}` : `<svg ${opening}`
    })
}

function titleText(lines: readonly string[] | undefined): string {
  return lines === undefined ? "" : `<title>${lines.map((line) => escapeXml(visible(line))).join("\n")}</title>`
}
