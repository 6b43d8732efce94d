// Random loops over arrays against plain numbers: which of many versions of an array is overwritten in place must show nowhere.

import { parseProgram, type Variable, verify } from "@counterflow/ir"
import {
  add,
  arrayRead,
  arrayWrite,
  cond,
  less,
  scale,
  scan,
  sin,
  type TensorArray,
  whileLoop,
  fillConstant,
} from "@counterflow/ops"
import { gradCheck } from "@counterflow/testing"
import fc from "fast-check"
import { expect, test } from "vitest"
import { build, input } from "./building.ts"
import { run } from "./control-run.ts"

const capacity = 3

type Step =
  | { kind: "write"; array: number; value: number; at: number }
  | { kind: "read"; array: number; at: number }
  | { kind: "mix"; x: number; y: number }
  | { kind: "scan" | "while" | "cond"; runs: number; carry: number[]; next: number[]; body: Step[] }

const pick = fc.nat(60)
const flat: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("write" as const), array: pick, value: pick, at: pick }),
  fc.record({ kind: fc.constant("read" as const), array: pick, at: pick }),
  fc.record({ kind: fc.constant("mix" as const), x: pick, y: pick }),
)

function steps(depth: number): fc.Arbitrary<Step[]> {
  const some = fc.array(flat, { minLength: 2, maxLength: 5 })
  if (depth === 0) return some
  const nest = fc.record({
    kind: fc.constantFrom("scan" as const, "while" as const, "cond" as const),
    runs: fc.nat(capacity),
    carry: fc.array(pick, { minLength: 3, maxLength: 3 }),
    next: fc.array(pick, { minLength: 3, maxLength: 3 }),
    body: steps(depth - 1),
  })
  return fc.tuple(some, nest, some).map(([before, middle, after]) => [...before, middle, ...after])
}

/** What steps are made of: tensors, or plain numbers. `I` is a place that a loop knows. */
interface Algebra<A, X, I> {
  write(array: A, x: X, at: number | I): A
  read(array: A, at: number | I): X
  mix(x: X, y: X): X
  repeat(
    kind: "scan" | "while" | "cond",
    runs: number,
    carry: readonly [A, A, X],
    body: (carry: readonly [A, A, X], index: I | null) => readonly [A, A, X],
  ): readonly [A, A, X]
}

interface Known<A, X> {
  readonly arrays: readonly A[]
  readonly values: readonly X[]
}

function perform<A, X, I>(
  algebra: Algebra<A, X, I>,
  list: readonly Step[],
  given: Known<A, X>,
  index: I | null,
): Known<A, X> {
  const [arrays, values] = [[...given.arrays], [...given.values]]
  // Late ones are likelier, so that chains come about.
  const of = <T>(known: readonly T[], at: number) => known[known.length - 1 - (Math.floor(at / 4) % known.length)]!
  const place = (at: number) => (index !== null && at % 2 === 0 ? index : at % capacity)
  for (const step of list) {
    if (step.kind === "write")
      arrays.push(algebra.write(of(arrays, step.array), of(values, step.value), place(step.at)))
    else if (step.kind === "read") values.push(algebra.read(of(arrays, step.array), place(step.at)))
    else if (step.kind === "mix") values.push(algebra.mix(of(values, step.x), of(values, step.y)))
    else {
      const { kind, runs, carry, next, body } = step
      const three = (from: Known<A, X>, [a = 0, b = 0, x = 0]: readonly number[]) =>
        [of(from.arrays, a), of(from.arrays, b), of(from.values, x)] as const
      const [a, b, x] = algebra.repeat(kind, runs, three({ arrays, values }, carry), ([c, d, y], at) =>
        three(perform(algebra, body, { arrays: [...arrays, c, d], values: [...values, y] }, at), next),
      )
      arrays.push(a, b)
      values.push(x)
    }
  }
  return { arrays, values }
}

const plain: Algebra<readonly number[], number, number> = {
  write: (array, x, at) => array.with(at, x),
  read: (array, at) => array[at]!,
  mix: (x, y) => Math.sin(x + 0.5 * y),
  repeat: (kind, runs, carry, body) => {
    if (kind === "cond") return runs > 1 ? body(carry, null) : carry
    let now = carry
    for (let run = 0; run < runs; run++) now = body(now, run)
    return now
  },
}

const tensors: Algebra<TensorArray, Variable, Variable> = {
  write: (array, x, at) => arrayWrite(x, at, array),
  read: arrayRead,
  mix: (x, y) => sin(add(x, scale(y, { scale: 0.5 }))),
  repeat: (kind, runs, carry, body) => {
    const { program } = carry[2]
    if (kind === "scan") return scan((now, _x, index) => [body(now, index)], { init: carry, length: runs })[0]
    const int = (value: number) => fillConstant({ shape: [], value, dtype: "int32", program })
    if (kind === "cond") {
      const isTaken = less(1, int(runs))
      return cond(
        isTaken,
        () => body(carry, null),
        () => carry,
      )
    }
    const [, ...last] = whileLoop(
      (i) => less(i, runs),
      (i, a, b, x) => [add(i, 1), ...body([a, b, x], i)] as const,
      [int(0), ...carry] as const,
      { maxTrips: capacity },
    )
    return last
  },
}

function programOf(recipe: readonly Step[]) {
  return build((program) => {
    const [x, y] = [input(program, "x", []), input(program, "y", [])]
    let first = arrayWrite(x, 0, { capacity })
    for (let at = 1; at < capacity; at++) first = arrayWrite(scale(y, { scale: at }), at, first)
    const { arrays, values } = perform(
      tensors,
      recipe,
      { arrays: [first, arrayWrite(y, 1, first)], values: [x, y] },
      null,
    )
    return { results: [...arrays.map(({ stack }) => stack), ...values] }
  })
}

const recipes = fc.sample(steps(2), { seed: 4, numRuns: 40 })

test.each(recipes.map((recipe, i) => [i, recipe] as const))("recipe %i", (_i, recipe) => {
  const { main, results } = programOf(recipe)
  verify(main)
  const first = [0.7, -0.4, -0.8]
  const { arrays, values } = perform(plain, recipe, { arrays: [first, first.with(1, -0.4)], values: [0.7, -0.4] }, null)
  const found = run(main, { x: 0.7, y: -0.4 }, results)
  const expected = [...arrays, ...values.map((value) => [value])]
  expected.forEach((list, i) => list.forEach((value, j) => expect(found[i]![j]).toBeCloseTo(value, 5)))
  expect(found.length).toBe(expected.length)
  // With nobody to see the others, more is written in place.
  const [array, value] = [arrays.length - 1, expected.length - 1]
  expect(run(main, { x: 0.7, y: -0.4 }, [results[array]!, results[value]!])).toEqual([found[array], found[value]])
  expect(String(parseProgram(String(main)))).toBe(String(main))
})

test.each([0, 1, 2, 3])("gradients of recipe %i agree with differences", async (i) => {
  const { main, results } = programOf(recipes[i]!)
  const targets = [results.at(-1)!, results[results.length - 3]!, results[3]!]
  const report = await gradCheck(main, { targets, wrt: ["x", "y"], feed: { x: 0.7, y: -0.4 }, order: 2 })
  expect(report.toString()).toContain(": ok")
})
