// Ways to train with less memory: all compute the same bits, and plan less than the first.

import { describe, expect, test } from "vitest"
import start, { memoryJob, ways } from "../src/memory/peer.ts"

const small = { vocabulary: 16, length: 8, width: 8, heads: 2, blocks: 4 }

describe("ways to train a GPT", () => {
  const [first, ...others] = Object.keys(ways)
    // A budget is for the sizes at hand.
    .filter((way) => !way.includes("MB"))
    .map((way) => memoryJob(way, small, 2))

  test("compute the same bits, with less memory", () => {
    expect(others.length).toBe(2)
    for (const { check, peakBytes } of others) {
      expect(check).toBe(first?.check)
      expect(peakBytes).toBeLessThan(0.7 * (first?.peakBytes ?? 0))
    }
  })

  test("are known by name", () => {
    expect(Object.keys(start("recompute: auto").workloads)).toEqual(["memory"])
    expect(() => memoryJob("no way", small, 2)).toThrow(
      'there is no way "no way"; there is everything kept, checkpoints',
    )
  })
})
