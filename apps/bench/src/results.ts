// The results of a run, as they are written for machines, and what is read off them.

import { agree, type Agreement } from "./agreement.ts"
import type { CompileRow } from "./cold/compiletimes.ts"
import type { ColdResult } from "./cold/start.ts"
import type { Machine } from "./machine.ts"
import type { Row } from "./measure.ts"
import { ratio, type Summary, summarize } from "./statistics.ts"
import { workloads } from "./workloads.ts"

export interface Results {
  readonly date: string
  readonly machine: Machine
  /** What was asked for. */
  readonly repetitions: number
  readonly target: number
  readonly isQuick: boolean
  readonly rows: readonly Row[]
  readonly cold: ColdResult | null
  readonly compile: readonly CompileRow[]
  /** One training step, kept and computed again in different ways: a peer is a way. */
  readonly memory: readonly Row[]
  /** Peers that could not take part at all, and why. */
  readonly absent: Readonly<Record<string, string>>
}

export interface Comparison {
  readonly row: Row
  readonly summary: Summary
  /** Times the reference's time; null where the reference has none. */
  readonly ratio: number | null
}

/** Those of `names` that have a row, in this order. */
export function peersOf(rows: readonly Row[], names: readonly string[]): string[] {
  return names.filter((name) => rows.some(({ peer }) => peer === name))
}

/** The samples of a workload against those of the reference; peers without any are left out. */
export function compare(rows: readonly Row[], workload: string, reference: string): Comparison[] {
  const own = rows.filter((row) => row.workload === workload && row.samples.length > 0)
  const base = own.find(({ peer }) => peer === reference)
  return own.map((row) => ({
    row,
    summary: summarize(row.samples),
    ratio: base === undefined ? null : ratio(row.samples, base.samples),
  }))
}

/** Whether the peers agree on a workload. */
export function agreementOn(rows: readonly Row[], workload: string): Agreement | null {
  const { tolerance } = workloads.find(({ id }) => id === workload) ?? { tolerance: 0 }
  const checks = rows.flatMap(({ workload: of, peer, check }) =>
    of === workload && check !== null ? [{ peer, check }] : [],
  )
  return agree(checks, tolerance)
}

/** The same with medians, spreads and ratios beside the samples. */
export function toJson(results: Results, reference: string): string {
  const rows = results.rows.map((row) => {
    const found = compare(results.rows, row.workload, reference).find((comparison) => comparison.row === row)
    return { ...row, summary: found?.summary ?? null, ratio: found?.ratio ?? null }
  })
  const ids = [...new Set(results.rows.map(({ workload }) => workload))]
  const agreements = Object.fromEntries(ids.map((id) => [id, agreementOn(results.rows, id)]))
  return `${JSON.stringify({ ...results, reference, rows, agreements }, null, 1)}\n`
}
