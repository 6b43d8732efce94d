// What a caller may choose about a picture of a program, and the checked choices that the graph is made from.

import { fail, nearest, type Role, roles } from "@counterflow/ir"

export type Direction = "down" | "right"
export type Theme = "auto" | "light" | "dark"

export interface PictureOptions {
  /** Stands above the picture. */
  title?: string
  /** Which way values flow; "down" unless said. */
  direction?: Direction
  /** Values as labelled edges (the default), or as nodes between the operators. */
  showVariables?: "edges" | "nodes"
  /**
   * "essential" folds operators that only view a tensor or make a constant into the edges and operators they lead to;
   * "auto" (the default) does so in programs of more than 24 operators; "full" never does.
   */
  detail?: "auto" | "full" | "essential"
  /**
   * One node for all operators of a name scope, or for all that one call of a layer built. "auto" (the default) collapses
   * layers only where more than `maxOps` nodes would be left.
   */
  collapse?: "auto" | "none" | "scope" | "layer"
  /** Only these parts of the program; all of them unless said. */
  parts?: readonly Role[]
  /** At most about so many nodes for operators; what exceeds them is drawn as one node a part. 300 unless said. */
  maxOps?: number
  /** The attributes of operators; by default where there are at most 60 of them. */
  attributes?: boolean
  /** The names of values beside their types; by default where there are at most 24 operators. */
  names?: boolean
  /** The line of user code that built an operator, as a tooltip. Off by default: such texts differ between machines. */
  sites?: boolean
  /** Backward beside forward, rising from the loss; otherwise it goes on below. On unless said; Mermaid cannot. */
  mirror?: boolean
  /** What colours and shapes mean; on unless said. */
  legend?: boolean
  /** "auto" (the default) is light, and dark in an SVG whose viewer prefers that. */
  theme?: Theme
}

export interface Settings {
  readonly title: string
  readonly direction: Direction
  readonly showVariables: "edges" | "nodes"
  readonly detail: "auto" | "full" | "essential"
  readonly collapse: "auto" | "none" | "scope" | "layer"
  readonly parts: ReadonlySet<Role>
  readonly maxOps: number
  readonly attributes: boolean | null
  readonly names: boolean | null
  readonly sites: boolean
  readonly mirror: boolean
  readonly legend: boolean
  readonly theme: Theme
}

/** The options with their defaults; a value that means nothing is refused. */
export function settingsOf(options: PictureOptions): Settings {
  const { parts = roles, maxOps = 300 } = options
  for (const part of parts) oneOf("an entry of parts", part, roles)
  if (parts.length === 0) refuse("parts is empty: there is nothing to draw", `name some of ${roles.join(", ")}`)
  if (!Number.isInteger(maxOps) || maxOps < 1) refuse(`maxOps must be a positive integer, got ${maxOps}`)
  return {
    title: options.title ?? "",
    direction: oneOf("direction", options.direction ?? "down", ["down", "right"]),
    showVariables: oneOf("showVariables", options.showVariables ?? "edges", ["edges", "nodes"]),
    detail: oneOf("detail", options.detail ?? "auto", ["auto", "full", "essential"]),
    collapse: oneOf("collapse", options.collapse ?? "auto", ["auto", "none", "scope", "layer"]),
    parts: new Set(parts),
    maxOps,
    attributes: options.attributes ?? null,
    names: options.names ?? null,
    sites: options.sites ?? false,
    mirror: options.mirror ?? true,
    legend: options.legend ?? true,
    theme: oneOf("theme", options.theme ?? "auto", ["auto", "light", "dark"]),
  }
}

export function oneOf<const T extends string>(what: string, value: T, known: readonly T[], op = "picture"): T {
  if (known.includes(value)) return value
  const suggestion = nearest(value, known)
  const fix = suggestion === undefined ? undefined : `did you mean "${suggestion}"?`
  return fail("CF_BAD_ARGUMENT", `${what} must be one of ${known.join(", ")}, got "${value}"`, { op, fix })
}

function refuse(why: string, fix?: string): never {
  return fail("CF_BAD_ARGUMENT", why, { op: "picture", fix })
}
