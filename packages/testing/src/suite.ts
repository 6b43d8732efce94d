// A derived suite: cases and, once they ran, one line that says how much was checked.

import type { Case } from "./case.ts"

export interface Suite {
  readonly cases: readonly Case[]
  /** Frees what the cases shared. */
  close(): void
  /** One line: what was counted while the cases ran. */
  summary(): string
}

/** Counts by label, in order of first use. */
export class Tally {
  readonly #counts: Map<string, number> = new Map()

  add(label: string, count = 1): void {
    this.#counts.set(label, (this.#counts.get(label) ?? 0) + count)
  }

  count(label: string): number {
    return this.#counts.get(label) ?? 0
  }

  toString(): string {
    return [...this.#counts].map(([label, count]) => `${count} ${label}`).join(", ")
  }
}
