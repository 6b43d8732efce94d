// Random nests of branches and loops, with fixed seeds, so that no predicate comes near a tie.

import type { Variable } from "@counterflow/ir"
import {
  add,
  cond,
  fillConstant,
  greater,
  less,
  mul,
  reduceSum,
  scale,
  scan,
  sin,
  square,
  stack,
  sub,
  tanh,
  where,
  whileLoop,
} from "@counterflow/ops"
import fc from "fast-check"
import { build, input, parameter } from "./building.ts"

const [scalarKinds, pairKinds] = [["sin", "tanh", "half", "square"] as const, ["add", "mul", "sub"] as const]

type Step =
  | { kind: (typeof scalarKinds)[number]; x: number }
  | { kind: (typeof pairKinds)[number]; x: number; y: number }
  | { kind: "cond"; x: number; above: number; yes: Step[]; no: Step[] }
  | { kind: "scan"; x: number; xs: number[]; reverse: boolean; body: Step[] }
  | { kind: "while"; x: number; runs: number; spare: number; body: Step[] }

/** How a nest is built: loops with a condition say how often they run at most, or not, or some do; or there are only choices. */
export type Form = "limited" | "open" | "mixed" | "written out"

const place = fc.nat(99)
const unary = fc.record({ kind: fc.constantFrom(...scalarKinds), x: place })
const binary = fc.record({ kind: fc.constantFrom(...pairKinds), x: place, y: place })
const above = fc.constantFrom(-0.55, -0.15, 0.05, 0.35)

/** A few steps, of which the last counts; some are branches or loops of steps, `depth` deep at most. */
export function steps(depth: number): fc.Arbitrary<Step[]> {
  if (depth === 0) return fc.array(fc.oneof(unary, binary), { minLength: 1, maxLength: 3 })
  const inner = steps(depth - 1)
  const nest = fc.oneof(
    fc.record({ kind: fc.constant("cond" as const), x: place, above, yes: inner, no: inner }),
    fc.record({
      kind: fc.constant("scan" as const),
      x: place,
      xs: fc.array(place, { minLength: 1, maxLength: 3 }),
      reverse: fc.boolean(),
      body: inner,
    }),
    fc.record({ kind: fc.constant("while" as const), x: place, runs: fc.nat(3), spare: fc.nat(2), body: inner }),
  )
  const around = fc.array(fc.oneof(unary, binary), { maxLength: 1 })
  return fc.tuple(around, nest, around).map(([before, middle, after]) => [...before, middle, ...after])
}

const scalar = {
  sin,
  tanh,
  half: (x: Variable) => scale(x, { scale: 0.5 }),
  square: (x: Variable) => scale(square(x), { scale: 0.25 }),
}
const pair = { add, mul, sub }

/** Emits steps on what is known so far; written out, branches are choices and loops are repeated. */
function emitSteps(list: readonly Step[], known: readonly Variable[], form: Form): Variable {
  const values = [...known]
  for (const step of list) values.push(emitStep(step, values, form))
  return values.at(-1)!
}

function emitStep(step: Step, known: readonly Variable[], form: Form): Variable {
  const of = (at: number) => known[at % known.length]!
  const inner = (body: readonly Step[], ...more: Variable[]) => emitSteps(body, [...known, ...more], form)
  const x = of(step.x)
  if ("y" in step) return tanh(pair[step.kind](x, of(step.y)))
  switch (step.kind) {
    case "cond": {
      const isAbove = greater(reduceSum(x), step.above)
      if (form === "written out") return where(isAbove, inner(step.yes), inner(step.no))
      return cond(
        isAbove,
        () => inner(step.yes),
        () => inner(step.no),
      )
    }
    case "scan": {
      const xs = step.xs.map(of)
      const [sum, last] = scanned(step, x, xs, form, inner)
      return add(tanh(sum), last)
    }
    case "while": {
      const { runs, spare, body } = step
      if (form === "written out") {
        let carry = x
        for (let run = 0; run < runs; run++) carry = tanh(inner(body, carry))
        return carry
      }
      const hasLimit = form === "limited" || (form === "mixed" && step.x % 2 === 0)
      const zero = fillConstant({ shape: [], value: 0, dtype: "int32", program: x.program })
      const [, last] = whileLoop(
        (i) => less(i, runs),
        (i, carry) => [add(i, 1), tanh(inner(body, carry))],
        [zero, x],
        hasLimit ? { maxTrips: runs + spare } : {},
      )
      return last
    }
    case "sin":
    case "tanh":
    case "half":
    case "square":
      return scalar[step.kind](x)
  }
}

function scanned(
  { reverse, body }: { reverse: boolean; body: readonly Step[] },
  init: Variable,
  xs: readonly Variable[],
  form: Form,
  inner: (body: readonly Step[], ...more: Variable[]) => Variable,
): [sum: Variable, last: Variable] {
  const cell = (carry: Variable, x: Variable) => {
    const made = inner(body, carry, x)
    return [tanh(add(made, x)), mul(made, carry)] as const
  }
  if (form !== "written out") {
    const [last, ys] = scan((carry, x) => cell(carry, x), { init, xs: stack(xs, { axis: 0 }), reverse })
    return [reduceSum(ys, { axis: [0] }), last]
  }
  const ys: Variable[] = []
  let carry = init
  for (const x of reverse ? xs.toReversed() : xs) {
    const [next, y] = cell(carry, x)
    carry = next
    ys.push(y)
  }
  return [reduceSum(stack(reverse ? ys.toReversed() : ys, { axis: 0 }), { axis: [0] }), carry]
}

/** A program with a nest. */
export function nestOf(list: readonly Step[], form: Form) {
  return build((program) => {
    const x = input(program, "x", [2])
    const w = parameter(program, "w", [2], { initialValue: 0.75 })
    return { x, w, y: emitSteps(list, [x, w], form) }
  })
}

export const feed = { x: [0.83, -0.46] }
export const nests: Step[][] = fc.sample(steps(3), { numRuns: 24, seed: 7 })
