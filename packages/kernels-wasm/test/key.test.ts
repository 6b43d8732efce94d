// The keys under which kernels are kept: different specs must never share one, and shared parts must not make keys explode.

import type { Scalar } from "@counterflow/ir"
import fc from "fast-check"
import { expect, test } from "vitest"
import { keyOf } from "../src/generate/kernel.ts"

test("numbers that JSON does not tell apart have keys of their own", () => {
  const values = [0, -0, NaN, Infinity, -Infinity, null, undefined, "0", "NaN", false, [], {}, [0], { x: 0 }]
  const keys = values.map((value) => keyOf({ value }))
  expect(new Set(keys).size).toBe(values.length)
})

test("equal data has equal keys, other data has others", () => {
  const leaf = fc.oneof(fc.double(), fc.integer(), fc.string(), fc.boolean())
  const tree = fc.letrec<{ node: unknown }>((tie) => ({
    node: fc.oneof(
      { depthSize: "small" },
      leaf,
      fc.array(tie("node"), { maxLength: 3 }),
      fc.record({ a: tie("node"), b: leaf }),
    ),
  })).node
  const property = fc.property(tree, tree, (a, b) => {
    expect(keyOf(structuredClone(a))).toBe(keyOf(a))
    expect(keyOf(a) === keyOf(b)).toBe(isSame(a, b))
  })
  fc.assert(property, { seed: 2, numRuns: 500 })
})

function isSame(a: unknown, b: unknown): boolean {
  try {
    expect(a).toStrictEqual(b)
    return true
  } catch {
    return false
  }
}

test("an expression that shares its parts has a short key", () => {
  let scalar: Scalar = { op: "input", slot: "x" }
  for (let i = 0; i < 60; i++) scalar = { op: "mul", x: scalar, y: scalar }
  expect(keyOf(scalar).length).toBeLessThan(3000)
})

test("what is no data is refused", () => {
  expect(() => keyOf({ f: () => 0 })).toThrow(/CF_INTERNAL {2}the spec of a kernel holds a function/)
})
