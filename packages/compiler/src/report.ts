// What a step needs memory for, for people: how much is state, what lives at the peak, and whose line made the largest of it.

import { formatShape, type VarId } from "@counterflow/ir"
import { peakOf, type Tenant } from "./7-memory.ts"
import { allOps, type BoundOp, idsOf } from "./bound.ts"
import type { Plan } from "./plan.ts"

/** Bytes as people read them: "512 B", "13.4 kB", "45.2 MB", "1.30 GB"; a kB is 1000 bytes. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB"]
  const power = Math.min(bytes < 1000 ? 0 : Math.floor(Math.log10(bytes) / 3), units.length - 1)
  const value = bytes / 1000 ** power
  return `${power === 0 ? value : value.toPrecision(3 + (value >= 999.5 ? 1 : 0))} ${units[power]}`
}

/**
 * The memory of a step, known before its first run, as text: parameters and other state, what the arena holds at its fullest, and
 * the largest values there with the operators and lines that make them. For `new Executor(backend, { planned })`.
 *
 * @example
 * ```ts
 * const step = await exe.compile(main, { feed: { x: [64, 2], y: [64, 1] }, fetch: [loss] })
 * console.log(memoryReport(step.plan))
 * ```
 */
export function memoryReport(plan: Plan): string {
  const { memory, layout } = plan
  const { arenaBytes, stateBytes, parameterBytes } = memory
  const peak = peakOf(layout.tenants)
  const alive = layout.tenants.filter(({ start, end }) => start <= peak.time && peak.time <= end)
  const flow = flowOf(plan)
  // Operators of a block come before the one that owns it.
  const busy = [...layout.spans].find(([, [start, end]]) => start <= peak.time && peak.time <= end)?.[0]
  const parts = new Map<string, number>()
  for (const tenant of alive) {
    const part = partOf(tenant, plan, flow, busy)
    parts.set(part, (parts.get(part) ?? 0) + tenant.bytes)
  }
  const rows: (readonly [string, number])[] = [
    ["parameters", parameterBytes],
    ["other state", stateBytes - parameterBytes],
    ["arena", arenaBytes],
    ...[...parts].sort(([, a], [, b]) => b - a).map(([name, bytes]) => [`  ${name}`, bytes] as const),
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  const largest = alive.toSorted((a, b) => b.bytes - a.bytes).slice(0, 3)
  return [
    `one step needs ${formatBytes(arenaBytes + stateBytes)}`,
    ...rows.map(([name, bytes]) => `  ${name.padEnd(width)}  ${formatBytes(bytes).padStart(8)}`),
    ...(busy === undefined ? [] : [`the arena is fullest during ${described(busy)}; largest then`]),
    ...largest.map((tenant) => `  ${formatBytes(tenant.bytes).padStart(8)}  ${nameOf(tenant, plan, flow)}`),
  ].join("\n")
}

/** Who makes each value, and who reads it last. */
interface Flow {
  readonly producer: ReadonlyMap<VarId, BoundOp>
  readonly reader: ReadonlyMap<VarId, BoundOp>
}

function flowOf({ block }: Plan): Flow {
  const [producer, reader] = [new Map<VarId, BoundOp>(), new Map<VarId, BoundOp>()]
  // Who reads a view reads what it shows.
  const shown = new Map<VarId, VarId>()
  for (const op of allOps(block)) {
    const source = op.facts.aliases === undefined ? undefined : op.inputs[op.facts.aliases]?.[0]
    for (const id of idsOf(op.outputs)) {
      producer.set(id, op)
      if (source !== undefined) shown.set(id, shown.get(source) ?? source)
    }
    for (const id of idsOf(op.inputs)) reader.set(shown.get(id) ?? id, op)
  }
  return { producer, reader }
}

function partOf({ id }: Tenant, { vars }: Plan, { producer, reader }: Flow, busy: BoundOp | undefined): string {
  if (typeof id !== "number") return "scratch memory"
  if (vars[id]?.kind === "data") return "feeds"
  const isKept = producer.get(id)?.origin.role === "forward" && reader.get(id)?.origin.role === "backward"
  if (isKept) return "kept for the backward part"
  const isUsed = busy !== undefined && [...idsOf(busy.inputs), ...idsOf(busy.outputs)].includes(id)
  return isUsed ? "in use" : "kept for later"
}

function nameOf({ id }: Tenant, { vars }: Plan, { producer }: Flow): string {
  if (typeof id !== "number") return `scratch memory of ${described(id)}`
  const variable = vars[id]
  const made = producer.get(id)
  const type = `${variable?.name} ${variable?.dtype}${formatShape(variable?.shape ?? [])}`
  return made === undefined ? type : `${type} of ${described(made)}`
}

function described({ origin }: BoundOp): string {
  return `${origin.type}, built at ${String(origin.site)}`
}
