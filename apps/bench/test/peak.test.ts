// The yardstick of matrix products does the arithmetic it is asked for.

import { expect, test } from "vitest"
import start, { peakWork } from "../src/peak.ts"
import { workloads } from "../src/workloads.ts"

test("ten sums of as many products as were asked for, in every lane", () => {
  // What is multiplied is zero, and the sums stay zero, so the result is the factor alone: nothing overflows however long it runs.
  expect(peakWork(80_000)()).toBe(1)
})

test("it takes part in matrix products and in nothing else, and has nothing to compare", async () => {
  const jobs = start().workloads
  expect(Object.keys(jobs)).toEqual(workloads.map(({ id }) => id).filter((id) => id.startsWith("gemm.")))
  expect((await jobs["gemm.nn.64"]?.())?.check).toBeNull()
})
