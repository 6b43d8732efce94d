// The vector functions against exact values, over the whole of float32: the error they may have, and their special values.

import { describe, expect, test } from "vitest"
import { ModuleBuilder } from "../src/assembler/index.ts"
import { loadVector, storeVector, withConstants } from "../src/generate/expression/vector.ts"
import { exp } from "../src/math/simd/exponential.ts"
import type { LaneFunction } from "../src/math/simd/lanes.ts"
import { log } from "../src/math/simd/logarithm.ts"
import { erf, tanh } from "../src/math/simd/sigmoidal.ts"
import { instantiate } from "./assembler/instance.ts"
import { exact, ulps } from "./math/exact.ts"

const functions = { exp, log, tanh, erf } as const
type Name = keyof typeof functions

/** All values at once, by fours. */
function evaluated(name: Name, values: readonly number[]): readonly number[] {
  const module = new ModuleBuilder()
  module.importMemory("host", "memory", { minPages: 1 })
  const build: LaneFunction = functions[name]
  const run = module.function("run", ["i32", "i32"], [], (f, pointer, end) => {
    withConstants(f, (lanes) => {
      const at = lanes.f.let(pointer)
      lanes.f.forRange(
        end,
        (i) => {
          const x = lanes.f.let(loadVector(lanes.f, "float32", i, 4))
          storeVector(lanes.f, "float32", i, lanes.f.let(build(lanes, x)), 4)
        },
        { from: at, step: 16 },
      )
    })
  })
  module.export("run", run)
  const { memory, get } = instantiate(module)
  const padded = Math.ceil(values.length / 4) * 4
  const view = new Float32Array(memory.buffer, 0, padded)
  view.set(values)
  get("run")(0, 4 * padded)
  return [...view.subarray(0, values.length)]
}

const range = (low: number, high: number, count: number) =>
  Array.from({ length: count }, (_, i) => Math.fround(low + ((high - low) * (i + 0.37)) / count))
/** Both signs of every magnitude. */
const magnitudes = (low: number, high: number, count: number) =>
  range(Math.log2(low), Math.log2(high), count).flatMap((e) => [Math.fround(2 ** e), Math.fround(-(2 ** e))])

/** Units in the last place of float32, and where they hold. */
const bounds: Readonly<Record<Name, readonly [number, readonly number[]]>> = {
  exp: [1.2, [...range(-87.2, 88.7, 160), ...range(-1, 1, 60), ...magnitudes(1e-30, 1e-3, 20)]],
  log: [1, [...range(-140, 127, 160).map((e) => Math.fround(2 ** e)), ...range(0.6, 1.6, 100)]],
  tanh: [7, [...range(-9.5, 9.5, 160), ...range(-1, 1, 60), ...magnitudes(1e-42, 1e-2, 40)]],
  erf: [7, [...range(-4.2, 4.2, 160), ...range(-1, 1, 60), ...magnitudes(1e-42, 1e-2, 40)]],
}

describe("four at a time", () => {
  test.each(Object.keys(bounds) as Name[])("%s is near the exact value", (name) => {
    const [bound, values] = bounds[name]
    const results = evaluated(name, values)
    const errors = values.map((x, i) => ulps(results[i] ?? NaN, exact[name](x), 24))
    const worst = errors.indexOf(Math.max(...errors))
    expect(errors[worst], `${name}(${values[worst]})`).toBeLessThanOrEqual(bound)
  })

  test("exp near overflow, and where results are denormal or 0", () => {
    const values = [88.72284698486328, 89, 1e30, Infinity, -104, -1e30, -Infinity, NaN, 0, -0]
    expect(evaluated("exp", values)).toEqual([Infinity, Infinity, Infinity, Infinity, 0, 0, 0, NaN, 1, 1])
    const large = Math.fround(88.72283)
    expect(ulps(evaluated("exp", [large])[0] ?? NaN, exact.exp(large), 24)).toBeLessThanOrEqual(1.2)
    for (const [i, value] of evaluated("exp", [-88, -95, -100, -103, -103.9]).entries())
      expect(ulps(value, exact.exp(Math.fround([-88, -95, -100, -103, -103.9][i] ?? 0)), 24)).toBeLessThanOrEqual(1.5)
  })

  test("log of what is no positive number", () => {
    expect(evaluated("log", [0, -0, -1, -Infinity, Infinity, NaN, 1])).toEqual([
      -Infinity,
      -Infinity,
      NaN,
      NaN,
      Infinity,
      NaN,
      0,
    ])
  })

  test.each(["tanh", "erf"] as const)("%s is ±1 far out, and keeps zeros and NaN", (name) => {
    const values = [Infinity, -Infinity, 20, -20, 1e30, NaN, 0, -0]
    expect(evaluated(name, values)).toEqual([1, -1, 1, -1, 1, NaN, 0, -0])
    // Never beyond 1.
    for (const value of evaluated(name, range(2, 9.5, 400))) expect(value).toBeLessThanOrEqual(1)
  })
})
