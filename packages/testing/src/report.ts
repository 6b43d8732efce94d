// What a gradient check found: one row per input and order, as data and as a table.

export interface GradientCheck {
  /** The input whose gradient was checked, by name. */
  readonly input: string
  /** 1: the gradient; 2: the gradient of ⟨gradient, random⟩. */
  readonly order: 1 | 2
  /** Directional derivatives along one random direction. */
  readonly analytic: number
  readonly numeric: number
  /** |analytic − numeric|, relative to the larger of the derivative's size and what differences can resolve. */
  readonly error: number
  readonly tolerance: number
  readonly ok: boolean
  /** Why it is not, where the numbers do not say. */
  readonly note?: string
}

export interface GradCheckReport {
  readonly ok: boolean
  readonly checks: readonly GradientCheck[]
  /** Targets whose value changed when the backward part was appended: must be empty. */
  readonly disturbed: readonly string[]
  readonly seed: number
  toString(): string
}

export function makeReport(
  checks: readonly GradientCheck[],
  disturbed: readonly string[],
  seed: number,
): GradCheckReport {
  const report = { ok: disturbed.length === 0 && checks.every(({ ok }) => ok), checks, disturbed, seed }
  return { ...report, toString: () => print(report) }
}

function print({ ok, checks, disturbed, seed }: Omit<GradCheckReport, "toString">): string {
  const head = ["input", "order", "analytic", "numeric", "relative error", ""]
  const rows = checks.map((one) => [
    one.input,
    String(one.order),
    one.analytic.toPrecision(10),
    one.numeric.toPrecision(10),
    one.error.toExponential(1),
    one.ok ? "ok" : (one.note ?? `above ${one.tolerance.toExponential(0)}`),
  ])
  const widths = head.map((title, column) => Math.max(...[head, ...rows].map((row) => (row[column] ?? title).length)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  return [
    `gradient check (seed ${seed}): ${ok ? "ok" : "FAILED"}`,
    line(head),
    ...rows.map(line),
    ...disturbed.map((name) => `${name} changed its value when the backward part was appended`),
  ].join("\n")
}
