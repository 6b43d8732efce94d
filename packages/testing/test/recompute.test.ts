// Recomputation changes what is kept, never what comes out.

import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { describe, expect, test } from "vitest"
import { models } from "./recompute-models.ts"
import { bitsOf, copies, trained } from "./recompute-run.ts"

const backends = { cpu, wasm } as const
const cases = (Object.keys(backends) as (keyof typeof backends)[]).flatMap((backend) =>
  Object.entries(models).map(([title, model]) => ({ backend, title, model })),
)

describe.each(cases)("$backend, $title: the same bits", ({ backend, model }) => {
  const expected = bitsOf(
    backends[backend](),
    trained(model, () => ({})),
    model,
  )

  test("with checkpoints", () => {
    const built = trained(model, (checkpoints) => ({ checkpoints }))
    expect(copies(built.main).length).toBeGreaterThan(5)
    expect(bitsOf(backends[backend](), built, model)).toEqual(expected)
  })

  test("with one checkpoint, near the end", () => {
    const built = trained(model, (kept) => ({ checkpoints: kept.slice(-1) }))
    expect(copies(built.main).length).toBeGreaterThan(5)
    expect(bitsOf(backends[backend](), built, model)).toEqual(expected)
  })

  test("decided by the joint graph", () => {
    const built = trained(model, () => ({ recompute: "auto" }))
    expect(copies(built.main).length).toBeGreaterThan(0)
    expect(bitsOf(backends[backend](), built, model)).toEqual(expected)
  })

  test("without the passes that might take it back", () => {
    const built = trained(model, (checkpoints) => ({ checkpoints }))
    expect(bitsOf(backends[backend](), built, model, ["merge", "fuse", "schedule"])).toEqual(expected)
  })
})
