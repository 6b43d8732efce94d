// The colours of pictures, each in a light and a dark form. Hues are apart for all common kinds of colour blindness, text
// keeps a contrast of 4.5 on every fill. Light colours differ from each other, so that a style sheet can swap them by value.

import type { Role } from "@counterflow/ir"

export interface Tone {
  readonly fill: string
  readonly line: string
  /** Behind a whole cluster. */
  readonly area: string
}

export interface Palette {
  readonly page: string
  readonly text: string
  readonly muted: string
  readonly edge: string
  readonly grid: string
  readonly parts: Readonly<Record<Role, Tone>>
  readonly parameter: Tone
  readonly state: Tone
  readonly data: Tone
  readonly value: Tone
  readonly loss: Tone
  /** Curves, in order. */
  readonly series: readonly string[]
}

export const light: Palette = {
  page: "#fdfdfe",
  text: "#1a2230",
  muted: "#4d596b",
  edge: "#667287",
  grid: "#e2e6ed",
  parts: {
    forward: { fill: "#d6e6fa", line: "#2a6ab3", area: "#f0f6fd" },
    backward: { fill: "#fde0cb", line: "#b8530d", area: "#fef6f0" },
    optimize: { fill: "#cdeedd", line: "#1a7653", area: "#effaf4" },
    schedule: { fill: "#e8daf7", line: "#7744ae", area: "#f8f3fd" },
  },
  parameter: { fill: "#fbf0b9", line: "#846800", area: "#fdf9e6" },
  state: { fill: "#e4e8ee", line: "#5a6678", area: "#f4f6f8" },
  data: { fill: "#fefeff", line: "#3d4a5e", area: "#fbfcfe" },
  value: { fill: "#f5f7fa", line: "#8792a4", area: "#f9fafc" },
  loss: { fill: "#fbd3de", line: "#b01440", area: "#fdeff3" },
  series: ["#2563c9", "#c2500a", "#17805a", "#8b3fc0", "#946f00", "#5d6879"],
}

export const dark: Palette = {
  page: "#12161d",
  text: "#e8edf4",
  muted: "#b3bdcc",
  edge: "#8d98aa",
  grid: "#2a313d",
  parts: {
    forward: { fill: "#1e3d63", line: "#74aaea", area: "#16202d" },
    backward: { fill: "#5c3213", line: "#f09a5b", area: "#271c14" },
    optimize: { fill: "#164834", line: "#58c397", area: "#13241d" },
    schedule: { fill: "#44296a", line: "#b98ee8", area: "#20192c" },
  },
  parameter: { fill: "#4d4108", line: "#dcbc3f", area: "#26220f" },
  state: { fill: "#343d4b", line: "#9eabbe", area: "#1c222b" },
  data: { fill: "#1a212c", line: "#c3cddb", area: "#171d26" },
  value: { fill: "#242c38", line: "#7b879a", area: "#1a2029" },
  loss: { fill: "#631a31", line: "#f5809f", area: "#2c151c" },
  series: ["#6ea3f7", "#f0914f", "#4fc495", "#c391ee", "#d9b63c", "#a3afc0"],
}

/** Every colour of a palette, in an order that is the same for all palettes. */
export function coloursOf(palette: Palette): string[] {
  const { page, text, muted, edge, grid, parts, parameter, state, data, value, loss, series } = palette
  const tones = [...Object.values(parts), parameter, state, data, value, loss]
  return [page, text, muted, edge, grid, ...tones.flatMap(({ fill, line, area }) => [fill, line, area]), ...series]
}

/** What SVG images are set in; Graphviz measures the first, the others have the same widths. */
export const svgFont = "Helvetica,Arial,'Liberation Sans',sans-serif"

/** The class of images whose colours follow the viewer's preference: rules of one must not reach others on its page. */
export const followingClass = "counterflow-picture"

/** A style element that gives a light SVG its dark colours where the viewer prefers those. */
export function darkStyle(svg: string): string {
  const dim = coloursOf(dark)
  const rules = coloursOf(light).map((bright, index) => {
    const by = dim[index] ?? bright
    const ruleOf = (attribute: string) =>
      svg.includes(`${attribute}="${bright}"`)
        ? `.${followingClass} [${attribute}="${bright}"]{${attribute}:${by}}`
        : ""
    return `${ruleOf("fill")}${ruleOf("stroke")}`
  })
  return `<style>@media (prefers-color-scheme: dark){${rules.join("")}}</style>`
}
