// The graph that all writers draw: nodes, edges and nested clusters as plain data, with texts but no colours and no syntax.
// Every operator drawn belongs to exactly one node, or is listed as folded.

import type { Role } from "@counterflow/ir"
import type { Direction } from "./options.ts"

/** "group" stands for several operators, "value" for what an operator computes. */
export type NodeKind = "op" | "group" | "parameter" | "state" | "data" | "value"

export interface GraphNode {
  readonly id: string
  readonly kind: NodeKind
  readonly part: Role
  /** The innermost cluster it lies in; null for none. */
  readonly cluster: string | null
  readonly title: string
  /** Smaller lines below the title. */
  readonly lines: readonly string[]
  readonly isLoss: boolean
  /** The operators it stands for, as "block:position". */
  readonly ops: readonly string[]
  /** The variable it stands for, or an empty text. */
  readonly variable: string
  /** Lines for who points at it. */
  readonly tooltip: readonly string[]
}

/**
 * "value": the head reads what the tail makes. "write": state takes the tail's value when the step is committed.
 * "turn": from a loss to where its gradient starts. "carry": from an operator to what its own block is given.
 */
export type EdgeKind = "value" | "write" | "turn" | "carry"

export interface GraphEdge {
  readonly from: string
  readonly to: string
  readonly kind: EdgeKind
  /** The label; only one edge of each variable has one. */
  readonly lines: readonly string[]
  /** Both ends are backward, so that a mirrored layout places the head before the tail. */
  readonly isBackward: boolean
  /** A write whose tail reads the state as well: one edge stands for both. */
  readonly isExchange: boolean
  /** Lines for who points at it. */
  readonly tooltip: readonly string[]
}

export interface Cluster {
  readonly id: string
  readonly kind: "part" | "scope" | "operator" | "block"
  readonly part: Role
  readonly parent: string | null
  readonly label: string
}

/** What needs an explanation, in order; colours and shapes are the writer's. */
export type LegendEntry =
  | { readonly kind: "part"; readonly part: Role; readonly text: string }
  | { readonly kind: "node"; readonly node: Exclude<NodeKind, "op">; readonly text: string }
  | { readonly kind: "loss" | "write" | "note"; readonly text: string }

export interface Graph {
  readonly title: string
  readonly direction: Direction
  /** Backward rises beside forward. */
  readonly isMirrored: boolean
  readonly nodes: readonly GraphNode[]
  readonly edges: readonly GraphEdge[]
  readonly clusters: readonly Cluster[]
  /** Operators that lie within an edge or another operator, as "block:position". */
  readonly folded: readonly string[]
  readonly legend: readonly LegendEntry[]
}
