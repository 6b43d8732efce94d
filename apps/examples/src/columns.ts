// Numbers in columns, for a terminal.

/** A heading per column, and rows of cells; all to the right but for the first column. */
export function columns(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, ...rows]
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const line = (cells: readonly string[]) => {
    const padded = cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
    return `  ${padded.join("   ")}`.trimEnd()
  }
  return `${lines.map(line).join("\n")}\n`
}
