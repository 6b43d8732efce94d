// Pictures of programs (DOT, SVG, Mermaid, all from one graph) and of runs (curves).

export { programGraph } from "./assembly.ts"
export { type CurveOptions, lossCurveSvg, type Series } from "./curves.ts"
export { toDot } from "./dot.ts"
export type * from "./graph.ts"
export { toMermaid } from "./mermaid.ts"
export type { Direction, PictureOptions, Theme } from "./options.ts"
export { toSvg } from "./svg.ts"
