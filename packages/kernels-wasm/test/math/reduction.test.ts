// The reduction of angles by itself: both parts of the remainder against exact arithmetic, to far below one float64.

import fc from "fast-check"
import { expect, test } from "vitest"
import { ModuleBuilder } from "../../src/assembler/index.ts"
import { buildReduction } from "../../src/math/reduction.ts"
import { instantiate } from "../assembler/instance.ts"
import { fixed, pi } from "./exact.ts"

const module = new ModuleBuilder()
module.export("reduce", buildReduction(module))
const reduce = instantiate(module).get("reduce")

/** x = quarters · π/2 + rest exactly, with the rest as near to 0 as can be. */
function exactly(x: number): { readonly quarters: number; readonly rest: bigint } {
  const half = pi / 2n
  const turns = (2n * fixed(x) + half) / (2n * half) - (2n * fixed(x) + half < 0n ? 1n : 0n)
  return { quarters: Number(((turns % 4n) + 4n) % 4n), rest: fixed(x) - turns * half }
}

const significand = fc.noBias(fc.bigInt({ min: 2n ** 52n, max: 2n ** 53n - 1n })).map(Number)
const angles = (least: number, most: number) =>
  fc
    .tuple(significand, fc.integer({ min: least - 52, max: most - 52 }), fc.constantFrom(1, -1))
    .map(([m, e, sign]) => sign * m * 2 ** e)

test.each([
  ["by subtraction", 0, 19],
  ["by multiplication", 21, 1023],
])("%s", (_method, least, most) => {
  const points = fc.sample(angles(least, most), { seed: 60, numRuns: 20000 })
  // One in ten thousand needs the carry between the words of the product, an error of 2^-62 if it is forgotten.
  const worst = points.map((x) => {
    const [q, y, rest] = reduce(x) as [number, number, number]
    const { quarters, rest: truth } = exactly(x)
    // 2^-90 of the remainder; where it is near half a quarter turn, either side of it will do.
    const isNear = Math.abs(Math.abs(y) - Math.PI / 4) < 1e-9
    const error = fixed(y) + fixed(rest) - truth
    const size = truth < 0n ? -truth : truth
    const isRight = q === quarters && (error < 0n ? -error : error) << 90n <= size
    return [x, isRight || isNear]
  })
  expect(worst.filter(([, isRight]) => isRight !== true)).toEqual([])
})
