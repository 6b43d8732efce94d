// Laws of differentiation, on random programs: what must hold whatever the program is.

import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { parseProgram, type Program, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import {
  add,
  assign,
  cos,
  legalize,
  matmul,
  mul,
  reduceMean,
  registry,
  resolve,
  scale,
  sigmoid,
  sin,
  softmax,
  sub,
  tanh,
} from "@counterflow/ops"
import { gradCheck } from "@counterflow/testing"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { build, input } from "./building.ts"

type Step = (a: Variable, b: Variable) => Variable

/** Smooth, and of one shape [2, 3] throughout. */
const steps: readonly Step[] = [
  (a, b) => add(a, b),
  (a, b) => mul(a, b),
  (a, b) => sub(a, scale(b, { scale: 0.5 })),
  (a) => tanh(a),
  (a) => sin(a),
  (a) => sigmoid(cos(a)),
  (a, b) => mul(softmax(a), b),
  (a, b) => sub(a, reduceMean(b, { axis: 1, keepDim: true })),
  (a, b) => tanh(matmul(matmul(a, b, { transposeY: true }), a)),
]

interface Recipe {
  /** [which step, its operands as places counted from the end] */
  readonly steps: readonly (readonly [number, number, number])[]
}

const recipes: fc.Arbitrary<Recipe> = fc.record({
  steps: fc.array(fc.tuple(fc.nat(steps.length - 1), fc.nat(4), fc.nat(4)), { minLength: 2, maxLength: 12 }),
})

interface Built {
  readonly main: Program
  readonly x: Variable
  readonly nodes: readonly Variable[]
}

/** `between` stands between every value and its readers. */
function programOf(
  { steps: list }: Recipe,
  between: (value: Variable, index: number) => Variable = (value) => value,
): Built {
  return build((program) => {
    const x = input(program, "x", [2, 3], "float64")
    const w = input(program, "w", [2, 3], "float64")
    const nodes: Variable[] = [x, w]
    const at = (back: number) => nodes[Math.max(nodes.length - 1 - back, 0)] ?? x
    list.forEach(([which, a, b], index) => nodes.push(between((steps[which] ?? tanh)(at(a), at(b)), index)))
    return { x, nodes }
  })
}

const last = ({ nodes, x }: Built) => nodes.at(-1) ?? x

const executor = new Executor(cpu(), { legalize, maxPlans: 2 })
const waves = (phase: number) => Array.from({ length: 6 }, (_, i) => Math.sin(2 * i + phase))
const feed = { x: waves(1), w: waves(2) }

function run(
  main: Program,
  given: Readonly<Record<string, readonly number[]>>,
  fetch: readonly (Variable | string)[],
): number[][] {
  return executor.runSync(main, { feed: { ...feed, ...given }, fetch }).map(({ data }) => Array.from(data, Number))
}

/** ⟨a, b⟩ */
const dot = (a: readonly number[] = [], b: readonly number[] = []) =>
  a.reduce((sum, value, i) => sum + value * (b[i] ?? NaN), 0)

function expectClose(a: readonly number[] = [], b: readonly number[] = []): void {
  const size = Math.max(1, ...b.map(Math.abs))
  a.forEach((value, i) => expect(Math.abs(value - (b[i] ?? NaN))).toBeLessThan(1e-11 * size))
  expect(a).toHaveLength(b.length)
}

/** dx for the cotangent that is fed as c; zeros where x does not reach the target. */
function gradientOf(built: Built, targets: readonly Variable[], c: Variable): Variable {
  const [found] = gradients(targets, built.x, { targetGradients: targets.map(() => c) })
  return found ?? scale(built.x, { scale: 0 })
}

const rounds = { seed: 20261122, numRuns: 40 }

describe("laws", () => {
  test("the backward part is linear in the cotangent", () => {
    fc.assert(
      fc.property(recipes, (recipe) => {
        const built = programOf(recipe)
        const dx = gradientOf(built, [last(built)], input(built.main, "c", [2, 3], "float64"))
        const [u, v] = [waves(3), waves(4)]
        const of = (c: readonly number[]) => run(built.main, { c }, [dx])[0] ?? []
        const [fromU, fromV] = [of(u), of(v)]
        expectClose(
          of(u.map((value, i) => 2 * value - 3 * (v[i] ?? NaN))),
          fromU.map((value, i) => 2 * value - 3 * (fromV[i] ?? NaN)),
        )
      }),
      rounds,
    )
  })

  test("⟨J v, u⟩ = ⟨v, Jᵀ u⟩, with J v by double backward", () => {
    fc.assert(
      fc.property(recipes, (recipe) => {
        const built = programOf(recipe)
        const c = input(built.main, "c", [2, 3], "float64")
        const v = input(built.main, "v", [2, 3], "float64")
        const dx = gradientOf(built, [last(built)], c)
        const [tangent] = gradients(dx, c, { targetGradients: v })
        verify(built.main)
        const found = run(built.main, { c: waves(3), v: waves(4) }, tangent === null ? [dx] : [dx, tangent])
        const forward = tangent === null ? 0 : dot(found[1], waves(3))
        expectClose([forward], [dot(found[0], waves(4))])
      }),
      rounds,
    )
  })

  test("the gradient of several targets is the sum of theirs", () => {
    fc.assert(
      fc.property(recipes, (recipe) => {
        const built = programOf(recipe)
        const c = input(built.main, "c", [2, 3], "float64")
        const targets = built.nodes.slice(-3)
        const fetch = [gradientOf(built, targets, c), ...targets.map((target) => gradientOf(built, [target], c))]
        verify(built.main)
        const [together = [], ...each] = run(built.main, { c: waves(3) }, fetch)
        expectClose(
          together,
          together.map((_, i) => each.reduce((sum, one) => sum + (one[i] ?? NaN), 0)),
        )
      }),
      rounds,
    )
  })

  test("an identity in between changes no bit", () => {
    fc.assert(
      fc.property(recipes, fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), (recipe, places) => {
        const gradient = (built: Built) => {
          const dx = gradientOf(built, [last(built)], input(built.main, "c", [2, 3], "float64"))
          return run(built.main, { c: waves(3) }, [last(built), dx])
        }
        const plain = gradient(programOf(recipe))
        expect(gradient(programOf(recipe, (value, index) => (places[index] === true ? assign(value) : value)))).toEqual(
          plain,
        )
      }),
      rounds,
    )
  })

  test("print, parse, print is stable, and what was parsed runs to the same bits", () => {
    fc.assert(
      fc.property(recipes, (recipe) => {
        const built = programOf(recipe)
        const dx = gradientOf(built, [last(built)], input(built.main, "c", [2, 3], "float64"))
        const text = built.main.toString()
        const again = resolve(parseProgram(text), registry)
        expect(again.toString()).toBe(text)
        expect(run(again, { c: waves(3) }, [dx.name])).toEqual(run(built.main, { c: waves(3) }, [dx]))
      }),
      rounds,
    )
  })

  test("gradients agree with differences, orders 1 and 2", async () => {
    await fc.assert(
      fc.asyncProperty(recipes, async (recipe) => {
        const built = programOf(recipe)
        const report = await gradCheck(built.main, { targets: [last(built)], wrt: ["x", "w"], feed, order: 2 })
        expect(report.toString()).toContain(": ok")
      }),
      { ...rounds, numRuns: 15 },
    )
  })
})
