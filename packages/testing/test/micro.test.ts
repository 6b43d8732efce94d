// The miniature engine of micro.ts agrees with the real one: on random programs, at orders 1 and 2.

import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { Program, programGuard, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { data } from "@counterflow/layers"
import * as ops from "@counterflow/ops"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import * as micro from "./micro.ts"

/** A program as a list of steps; operands are counted back from the step, round the end. */
type StepKind = "add" | "mul" | "sin" | "cos" | "exp"
interface Recipe {
  readonly steps: readonly { readonly kind: StepKind; readonly x: number; readonly y: number }[]
  readonly point: readonly [number, number]
}

interface Builder<V> {
  add(x: V, y: V): V
  mul(x: V, y: V): V
  sin(x: V): V
  cos(x: V): V
  exp(x: V): V
}

function build<V>({ steps }: Recipe, inputs: readonly V[], make: Builder<V>): V {
  const values = [...inputs]
  const at = (back: number) => values[values.length - 1 - (back % values.length)]!
  for (const { kind, x, y } of steps) {
    // exp of what may be large leaves the range of numbers: of a sine it does not.
    if (kind === "add" || kind === "mul") values.push(make[kind](at(x), at(y)))
    else values.push(kind === "exp" ? make.exp(make.sin(at(x))) : make[kind](at(x)))
  }
  return values.at(-1)!
}

const recipes = fc.record({
  steps: fc.array(
    fc.record({
      kind: fc.constantFrom<StepKind>("add", "mul", "sin", "cos", "exp"),
      x: fc.nat({ max: 5 }),
      y: fc.nat({ max: 5 }),
    }),
    { minLength: 1, maxLength: 8 },
  ),
  point: fc.tuple(fc.double({ min: -1, max: 1, noNaN: true }), fc.double({ min: -1, max: 1, noNaN: true })),
})

/** The value, its two derivatives, and the derivatives of those; null for what does not depend. */
function inMiniature(recipe: Recipe): (number | null)[] {
  const program: micro.Program = []
  const inputs = [micro.input(program, "x"), micro.input(program, "y")]
  const z = build(recipe, inputs, micro)
  const first = micro.gradients(z, inputs)
  const second = first.flatMap((each) => (each === null ? [null, null] : micro.gradients(each, inputs)))
  const values = micro.run(program, new Map(inputs.map((each, index) => [each, recipe.point[index] ?? NaN])))
  return [z, ...first, ...second].map((each) => (each === null ? null : (values.get(each) ?? NaN)))
}

async function forReal(recipe: Recipe): Promise<(number | null)[]> {
  const program = new Program()
  const asked = programGuard(program, () => {
    const inputs = ["x", "y"].map((name) => {
      const variable = data({ name, shape: [], dtype: "float64", appendBatchSize: false })
      variable.stopGradient = false
      return variable
    })
    const z = build<Variable>(recipe, inputs, ops)
    const first = gradients(z, inputs)
    const second = first.flatMap((each) => (each === null ? [null, null] : gradients(each, inputs)))
    return [z, ...first, ...second]
  })
  const exe = new Executor(cpu(), { legalize: ops.legalize })
  const fetch = asked.filter((each) => each !== null)
  const [x, y] = recipe.point
  const results = await exe.run(program, { feed: { x, y }, fetch })
  exe.close()
  return asked.map((each) => (each === null ? null : (results[fetch.indexOf(each)]?.item() ?? NaN)))
}

describe("the miniature and the real engine", () => {
  test("find the same derivatives of random programs, orders 1 and 2", async () => {
    await fc.assert(
      fc.asyncProperty(recipes, async (recipe) => {
        const [small, real] = [inMiniature(recipe), await forReal(recipe)]
        expect(small.map((each) => each === null)).toEqual(real.map((each) => each === null))
        for (const [index, value] of small.entries()) {
          const other = real[index] ?? 0
          expect(Math.abs((value ?? 0) - other)).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(other)))
        }
      }),
      { seed: 11, numRuns: 150 },
    )
  })

  test("find second derivatives that differences confirm", () => {
    const recipe = (x: number): Recipe => ({
      steps: [
        { kind: "mul", x: 1, y: 1 },
        { kind: "sin", x: 0, y: 0 },
      ],
      point: [x, 0.3],
    })
    // z = sin(x²): z″ = 2 cos(x²) − 4 x² sin(x²)
    const at = 0.7
    const [, , , second] = inMiniature(recipe(at))
    expect(second).toBeCloseTo(2 * Math.cos(at ** 2) - 4 * at ** 2 * Math.sin(at ** 2), 12)
  })
})

test("the backward part of x² + sin x, by eye", () => {
  const program: micro.Program = []
  const x = micro.input(program, "x")
  const z = micro.add(micro.mul(x, x), micro.sin(x))
  const [dx] = micro.gradients(z, [x])
  expect(dx?.name).toBe("v9")
  expect(micro.print(program)).toMatchInlineSnapshot(`
    "v0 = mul(x, x)
    v1 = sin(x)
    v2 = add(v0, v1)
    v3 = constant(1)
    v4 = cos(x)
    v5 = mul(v3, v4)
    v6 = mul(v3, x)
    v7 = mul(v3, x)
    v8 = add(v5, v6)
    v9 = add(v8, v7)"
  `)
})

test("what does not reach the target has no gradient", () => {
  const program: micro.Program = []
  const [x, y] = [micro.input(program, "x"), micro.input(program, "y")]
  const z = micro.exp(x)
  micro.sin(y)
  expect(micro.gradients(z, [y])).toEqual([null])
  expect(program).toHaveLength(2)
})
