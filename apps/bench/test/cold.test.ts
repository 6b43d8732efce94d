// What a program of the cold starts says of itself.

import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { expect, test } from "vitest"

const sample = join(import.meta.dirname, "..", "src", "cold", "sample.ts")

test("the most memory of a process is its own, not that of the process that started it", () => {
  const held = Buffer.alloc(400_000_000, 1)
  const script = `import { report } from ${JSON.stringify(sample)}; report(1)`
  const args = ["--import", "tsx", "--conditions=source", "--input-type=module", "-e", script]
  const line = execFileSync(process.execPath, args, { encoding: "utf8", cwd: import.meta.dirname })
  const { loss, peakBytes } = JSON.parse(line.slice(1)) as { loss: number; peakBytes: number }
  expect(loss).toBe(1)
  expect(peakBytes).toBeGreaterThan(20_000_000)
  expect(peakBytes).toBeLessThan(held.length)
})
