// Suites become tests of this runner.

import type { Case } from "@counterflow/testing"
import { expect, test } from "vitest"

/** One test per case: it passes when the case does. */
export function register(cases: readonly Case[]): void {
  test.each(cases.map(({ name, run }) => [name, run] as const))("%s", async (_name, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
}
