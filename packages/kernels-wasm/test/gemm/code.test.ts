// What is emitted: the hot loop as it should be, code shared between products, and relaxed instructions only where
// asked for.

import { describe, expect, test } from "vitest"
import { f32x4, ModuleBuilder, printModule, v128 } from "../../src/assembler/index.ts"
import { emitGemm, gemmWorkspaceBytes } from "../../src/gemm/index.ts"
import { allowedRoundings, forEachExact, multiply, operandsOf } from "./product.ts"

function emptyModule(relaxed = false): ModuleBuilder {
  const module = new ModuleBuilder({ relaxed })
  module.importMemory("host", "memory", { minPages: 1 })
  return module
}

function count(text: string, part: string | RegExp): number {
  return text.split(part).length - 1
}

test("one k per round of the 4 x 8 tile: two vectors, four splats, eight products", () => {
  const module = emptyModule()
  emitGemm(module, { m: 8, n: 16, k: 5 })
  const text = printModule(module)
  expect(count(text, "(func ")).toBe(2)
  expect(count(text, "v128.load32_splat")).toBe(4)
  expect(count(text, "v128.load ")).toBe(2)
  expect(count(text, "f32x4.mul")).toBe(8)
  expect(count(text, "f32x4.add")).toBe(8)
  expect(count(text, "v128.store ")).toBe(8)
})

test("products that differ in rows only share their tiles", () => {
  const functionsOf = (rows: readonly number[]) => {
    const module = emptyModule()
    for (const m of rows) emitGemm(module, { m, n: 64, k: 256 })
    return count(printModule(module), "(func ")
  }
  const one = functionsOf([64])
  expect(functionsOf([64, 128])).toBe(one + 1)
  expect(functionsOf([64, 64])).toBe(one)
})

test("scratch is asked for where panels are packed, and stays small", () => {
  expect(gemmWorkspaceBytes({ m: 64, n: 128, k: 100 })).toBe(0)
  expect(gemmWorkspaceBytes({ m: 64, n: 256, k: 784 })).toBe(4 * 256 * 392)
  expect(gemmWorkspaceBytes({ m: 256, n: 64, k: 100, form: "NT" })).toBe(4 * 64 * 100)
  const largest = gemmWorkspaceBytes({ m: 8192, n: 8192, k: 8192, form: "TN" })
  expect(largest).toBe(4 * 512 * (256 + 192))
})

describe("relaxed", () => {
  const probe = emptyModule(true)
  probe.function("probe", [], [], (f) => {
    const x = v128.load(0)
    f.store("v128", 0, f32x4.relaxedMadd(x, x, x))
  })
  const isSupported = WebAssembly.validate(probe.finish())

  test.each([
    { m: 13, n: 29, k: 40 },
    { m: 45, n: 14, k: 530 },
    { m: 1, n: 150, k: 120 },
    { m: 60, n: 7, k: 90, form: "NT" as const },
  ])("$m x $n x $k", (shape) => {
    const spec = { ...shape, relaxed: true }
    const module = emptyModule(true)
    module.export("gemm", emitGemm(module, spec))
    const text = printModule(module)
    expect(count(text, "f32x4.relaxed_madd")).toBeGreaterThan(0)
    // A host that knows relaxed instructions accepts them, and no other.
    expect(WebAssembly.validate(module.finish())).toBe(isSupported)
    if (!isSupported) return
    const operands = operandsOf(spec, 1)
    const result = multiply(spec, operands)
    forEachExact(spec, operands, (at, value, magnitude) => {
      expect(Math.abs((result[at] ?? NaN) - value)).toBeLessThanOrEqual(allowedRoundings(spec) * 2 ** -24 * magnitude)
    })
  })

  test("a deterministic module refuses them", () => {
    const module = emptyModule()
    emitGemm(module, { m: 4, n: 8, k: 8, relaxed: true })
    expect(() => module.finish()).toThrow(/f32x4.relaxed_madd is relaxed, which this module does not allow/)
  })

  test("none is emitted unasked", () => {
    const module = emptyModule(true)
    for (const n of [1, 7, 8, 200]) emitGemm(module, { m: 9, n, k: 600 })
    expect(printModule(module)).not.toContain("relaxed")
  })
})
