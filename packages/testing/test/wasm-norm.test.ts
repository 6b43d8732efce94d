// Layer normalization, which WebAssembly serves whole: against the reference backend, which expands it, and bit for bit against
// its expansion on WebAssembly itself.

import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { Program, type Variable } from "@counterflow/ir"
import { wasm } from "@counterflow/kernels-wasm"
import { emit, layerNorm, layerNormOp, legalize } from "@counterflow/ops"
import fc from "fast-check"
import { expect, test } from "vitest"
import { checkEqual } from "../src/case.ts"
import { input } from "./building.ts"
import { dtypeOf, expectCloseness, type Fed, floats, holds, tameValueOf, tensorOf, valueOf } from "./wasm-pair.ts"

const kept = new Executor(wasm(), { legalize, maxPlans: 2 })
const expanding = new Executor({ ...wasm(), keeps: [] }, { legalize, maxPlans: 2 })

type Build = (inputs: Readonly<Record<string, Variable>>) => readonly Variable[]

/** Fails unless the kept op and its expansion give the same bits. */
function expectSameBits(fed: Readonly<Record<string, Fed>>, make: Build): void {
  const program = new Program()
  const inputs = Object.entries(fed).map(
    ([name, { shape, dtype }]) => [name, input(program, name, [...shape], dtype)] as const,
  )
  const fetch = make(Object.fromEntries(inputs))
  const [got, expected] = [kept, expanding].map((executor) => executor.runSync(program, { feed: fed, fetch }))
  expected?.forEach((value, at) => {
    const own = got?.[at]
    if (own !== undefined) checkEqual(own, value, `fetch ${at}`)
  })
}

/** y, mean and 1/σ, with scale and bias where they are there. */
function norm(
  { x, scale, bias }: Readonly<Record<string, Variable>>,
  beginNormAxis: number,
  epsilon = 1e-5,
): Variable[] {
  if (x === undefined) return []
  const { y, mean, invStd } = emit(layerNormOp, { x, scale, bias }, { beginNormAxis, epsilon }, layerNorm)
  return [y, mean, invStd]
}

const cases = (value: typeof tameValueOf) =>
  fc
    .record({
      dtype: dtypeOf(floats),
      shape: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
      axis: fc.nat(),
      hasScale: fc.boolean(),
      hasBias: fc.boolean(),
    })
    .chain(({ dtype, shape, axis: any, hasScale, hasBias }) => {
      const axis = any % shape.length
      const flat = [shape.slice(axis).reduce((product, size) => product * size, 1)]
      const tensor = (size: readonly number[]) => tensorOf(dtype, size, value(dtype))
      return fc
        .record({
          x: tensor(shape),
          ...(hasScale ? { scale: tensor(flat) } : {}),
          ...(hasBias ? { bias: tensor(flat) } : {}),
        })
        .map((fed) => ({ fed: fed as Record<string, Fed>, axis }))
    })

test("mean, deviation and result, with and without scale and bias, and their gradients", () => {
  holds(
    [cases(tameValueOf)],
    ({ fed, axis }) => {
      const all: Build = (v) => {
        const results = norm(v, axis, 0.25)
        return [...results, ...gradients(results, Object.values(v))].filter((each) => each !== null)
      }
      expectCloseness(fed, all)
      expectSameBits(fed, all)
    },
    30,
  )
})

test("of any values, the bits of the expansion", () => {
  holds([cases(valueOf)], ({ fed, axis }) => expectSameBits(fed, (v) => norm(v, axis)), 40)
})

test("keeps its digits where the mean is far larger than the deviation", () => {
  const data = Array.from({ length: 40 }, (_, i) => 10_000 + (i % 8))
  expectCloseness({ x: { dtype: "float32", shape: [5, 8], data } }, (v) => norm(v, 1))
})

test("samples that are cut into parts, and none at all", () => {
  const data = Array.from({ length: 700 * 301 }, (_, i) => Math.fround(Math.sin(i * 1.3)))
  const flat: Fed = { dtype: "float32", shape: [301], data: data.slice(0, 301) }
  expectSameBits({ x: { dtype: "float32", shape: [700, 301], data }, scale: flat, bias: flat }, (v) => norm(v, 1))
  expectCloseness({ x: { dtype: "float32", shape: [0, 3], data: [] } }, (v) => norm(v, 1))
})

test("a plan holds it whole", () => {
  const program = new Program()
  const [y] = norm({ x: input(program, "x", [4, 8]) }, 1)
  if (y === undefined) throw new Error("there is a result")
  const step = kept.compileSync(program, { feed: { x: [4, 8] }, fetch: [y] })
  expect(step.plan.block.ops.map(({ type }) => type)).toEqual(["layerNorm"])
})
