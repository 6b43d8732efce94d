// Markdown tables, and numbers in them.

/** A table; cells must hold no newlines. Columns after the first `texts` are aligned to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], texts = 1): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`
  const rule = head.map((_, column) => (column < texts ? "---" : "---:"))
  return [line(head), `| ${rule.join(" | ")} |`, ...rows.map(line)].join("\n")
}

/** Three significant digits, without exponents; whole above 1000. */
export function digits(x: number): string {
  if (!Number.isFinite(x)) return "–"
  if (x === 0) return "0"
  const places = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(x))))
  return x.toFixed(places)
}

/** 1234567 → "1.2 MB" */
export function bytes(n: number): string {
  if (!Number.isFinite(n)) return "–"
  return n >= 1e6 ? `${digits(n / 1e6)} MB` : `${digits(n / 1e3)} kB`
}

/** 0.1234 → "12 %" */
export function percent(share: number): string {
  return Number.isFinite(share) ? `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %` : "–"
}
