// Both ways to need less memory at once: micro-batches that compute part of their forward values again.

import { microBatches } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { data, fc } from "@counterflow/layers"
import { legalize, mean, square } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { models } from "./recompute-models.ts"
import { bitsOf, trained } from "./recompute-run.ts"

const { mlp, convolutions, attention } = models
const backward = microBatches(2)

describe.each([
  ["cpu", cpu],
  ["wasm", wasm],
] as const)("on %s", (_name, backend) => {
  test.each(Object.entries({ mlp, convolutions, attention }))(
    "%s: the bits of micro-batches alone",
    (_title, model) => {
      const expected = bitsOf(
        backend(),
        trained(model, () => ({ backward })),
        model,
      )
      const ways = [
        trained(model, (checkpoints) => ({ backward, checkpoints })),
        trained(model, () => ({ backward, recompute: "auto" })),
      ]
      for (const built of ways) {
        const again = [...built.main.operators()].filter(({ segment, role }) => segment > 0 && role === "backward")
        expect(again.length).toBeGreaterThan(5)
        expect(again.every(({ block }) => block.index > 0)).toBe(true)
        expect(bitsOf(backend(), built, model)).toEqual(expected)
      }
    },
  )
})

test("a deep network needs less than with either alone", () => {
  const deep = {
    feed: {},
    build(keep: (variable: ReturnType<typeof data>) => ReturnType<typeof data>) {
      let h = data({ name: "x", shape: [16] })
      for (let i = 0; i < 16; i++) {
        h = fc(h, { size: 16, act: "tanh" })
        if (i % 4 === 3) keep(h)
      }
      return mean(square(h))
    },
  }
  const peak = (options: Parameters<typeof trained>[1]) => {
    const { main, loss } = trained(deep, options)
    const exe = new Executor(cpu(), { legalize })
    const step = exe.compileSync(main, { feed: { x: [512, 16] }, fetch: [loss] })
    exe.close()
    return step.memory.peakBytes
  }
  const [inParts, kept] = [peak(() => ({ backward: microBatches(4) })), peak((checkpoints) => ({ checkpoints }))]
  const both = peak((checkpoints) => ({ backward: microBatches(4), checkpoints }))
  const decided = peak(() => ({ backward: microBatches(4), recompute: "auto" }))
  for (const less of [both, decided]) expect(less).toBeLessThan(0.8 * Math.min(inParts, kept))
})
