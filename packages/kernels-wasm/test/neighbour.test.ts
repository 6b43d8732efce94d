// The largest float strictly below another.

import { expect, test } from "vitest"
import { below } from "../src/generate/random/neighbour.ts"

test("float32: rounded down, or one pattern towards −∞", () => {
  expect(below(1, "float32")).toBe(1 - 2 ** -24)
  expect(below(-1, "float32")).toBe(-1 - 2 ** -23)
  expect(below(0.1, "float32")).toBe(Math.fround(0.1) - 2 ** -27)
  expect(below(16777217, "float32")).toBe(16777216)
  expect(below(0, "float32")).toBe(-(2 ** -149))
  expect(below(-(2 ** -149), "float32")).toBe(-(2 ** -148))
  expect(below(2 ** -149, "float32")).toBe(0)
})

test("float64: one pattern towards −∞", () => {
  expect(below(1, "float64")).toBe(1 - 2 ** -53)
  expect(below(-1, "float64")).toBe(-1 - 2 ** -52)
  expect(below(0, "float64")).toBe(-Number.MIN_VALUE)
  expect(below(2 ** -1022, "float64")).toBe(2 ** -1022 - 2 ** -1074)
  expect(below(-(2 ** 40), "float64")).toBe(-(2 ** 40) - 2 ** -12)
})
