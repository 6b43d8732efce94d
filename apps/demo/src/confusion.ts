// What was read as what: counts by digit (rows) and reading (columns), on the diagonal what was read right.

/** counts[digit][reading]. */
export function confusion(labels: ArrayLike<number>, readings: ArrayLike<number>, classes: number): number[][] {
  const counts = Array.from({ length: classes }, () => Array.from({ length: classes }, () => 0))
  for (let row = 0; row < labels.length; row++) {
    const own = counts[labels[row] ?? -1]
    const reading = readings[row] ?? -1
    if (own?.[reading] !== undefined) own[reading]++
  }
  return counts
}

/** The counts for a terminal; zeros are dots, so that the eye finds the mistakes. */
export function confusionText(counts: readonly (readonly number[])[]): string {
  const width = Math.max(4, ...counts.flat().map((count) => String(count).length + 1))
  const cell = (content: number | string) => String(content).padStart(width)
  const line = (head: string, cells: readonly (number | string)[]) =>
    `  ${head.padStart(5)} │${cells.map(cell).join("")}\n`
  const header = line("digit", [...counts.keys()])
  const rule = `  ${"─".repeat(6)}┼${"─".repeat(width * counts.length + 1)}\n`
  const rows = counts.map((row, digit) =>
    line(
      String(digit),
      row.map((count) => (count === 0 ? "·" : count)),
    ),
  )
  return header + rule + rows.join("")
}
