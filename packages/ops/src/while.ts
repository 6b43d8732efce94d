// `whileLoop`: a loop that runs as long as a condition holds, so that only a run can tell how often. Its gradient is a scan over
// what the runs have saved: stacks of `maxTrips` places, or, without that, of a size that is open until the loop has run.
//
//   condition   parameters  index, carry…     results  one truth value
//   body        parameters  index, carry…     results  next carry…, saved…
//   whileLoop   inputs      init…, captures…  outputs  last carry…, trips, stacked saved…

import {
  capturesOf,
  describeValue,
  DimExpr,
  fail,
  formatDim,
  type Program,
  site,
  symbol,
  symbolsOf,
  type Variable,
} from "@counterflow/ir"
import { add, mul } from "./arithmetic.ts"
import { requireTruth } from "./branch.ts"
import { less } from "./comparison.ts"
import { checkLoopBlock, inForm, lines, listOf, requireFunction, type StandIn, type Value } from "./control.ts"
import { checkCarry, handOn, indexType, inside, openLoop, requireType } from "./control-loop.ts"
import { primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { builtBy } from "./place.ts"
import { reduceSum } from "./reduction.ts"
import { loopGradient } from "./scan-loop-gradient.ts"
import { startupFor, withStartup } from "./state.ts"
import { sin } from "./trigonometric.ts"

export interface WhileOptions {
  /**
   * How many runs there may be; one more is an error. Memory for what gradients keep of so many runs is planned; without it, that
   * grows while the loop runs.
   */
  maxTrips?: number
}

type Spread<V extends readonly Value[]> = { -readonly [K in keyof V]: StandIn<V[K]> }

/**
 * Runs `body` as long as `cond`, one truth value, holds; both are given the loop's variables, and the body answers the next ones,
 * of the same shapes and dtypes. Answers the last ones. Arrays may be among them.
 *
 * @example
 * ```ts
 * const [, power] = whileLoop((i) => less(i, n), (i, p) => [add(i, 1), mul(p, x)], [zero, one]) // xⁿ
 * ```
 */
export function whileLoop<const V extends readonly Value[]>(
  cond: (...loopVars: Spread<V>) => Variable,
  body: (...loopVars: Spread<V>) => Readonly<Spread<V>> | Value,
  loopVars: V,
  options: WhileOptions = {},
): Spread<V> {
  const { program, init, maxTrips } = builtBy(whileLoop, "whileLoop", () => checked(cond, body, loopVars, options))
  return withStartup(program, startupFor(program), () => {
    const form = (variables: readonly Variable[]) => inForm(loopVars, variables) as Spread<V>
    // A number of runs that nobody knows is taken for this in the numbers that draws are told apart by.
    const open = () => site(whileLoop, () => openLoop(program, "while", init, [], maxTrips ?? 2 ** 16))
    const test = open()
    const truth: unknown = inside(test, () => cond(...form(test.carry)))
    const loop = open()
    const next: unknown = inside(loop, () => body(...form(loop.carry)))
    return builtBy(whileLoop, "whileLoop", () => {
      test.block.setResults(listOf(truth, "cond"))
      loop.block.setResults(handOn(loop, listOf(next, "body")))
      checkLoopBlock(test.block, "the condition")
      checkLoopBlock(loop.block, "the body")
      const blocks = { condition: test.block, body: loop.block }
      const inputs = { init, captures: capturesOf([test.block, loop.block]) }
      const length = maxTrips === null ? program.freshSymbol("trips") : null
      return form(emit(whileLoopOp, inputs, { maxTrips, length }, whileLoop, { blocks, program }).carry)
    })
  })
}

interface Checked {
  readonly program: Program
  readonly init: readonly Variable[]
  readonly maxTrips: number | null
}

function checked(
  cond: unknown,
  body: unknown,
  loopVars: unknown,
  { maxTrips = null }: { maxTrips?: number | null },
): Checked {
  requireFunction(cond, "cond", "whileLoop")
  requireFunction(body, "body", "whileLoop")
  const init = Array.isArray(loopVars) ? listOf(loopVars, "loopVars") : []
  const [first] = init
  if (first === undefined) {
    return fail("CF_BAD_ARGUMENT", `loopVars must be a list of at least one Variable, got ${describeValue(loopVars)}`)
  }
  return { program: first.program, init, maxTrips }
}

export const whileLoopOp = /*#__PURE__*/ primitive({
  name: "whileLoop",
  inputs: { init: "tensors", captures: "tensors" },
  outputs: ["...carry", "trips", "...saved"],
  attrs: { maxTrips: "int?", length: "dim?" },
  saves: { slot: "saved", block: "body", opens: "length" },
  captures: "captures",
  infer: ({ init }, { maxTrips, length }, { blocks: { condition, body } }) => {
    if (maxTrips !== null && (!Number.isSafeInteger(maxTrips) || maxTrips < 0)) {
      fail("CF_BAD_ATTRIBUTE", `maxTrips must be a number of runs, got ${describeValue(maxTrips)}`)
    }
    if (length !== null && (maxTrips !== null || !(length instanceof DimExpr) || symbolsOf(length)[0] !== length.key)) {
      fail("CF_BAD_ATTRIBUTE", `length must be a symbol, and only of a loop without maxTrips, got ${formatDim(length)}`)
    }
    const [index, ...carry] = body?.params ?? []
    const [testIndex, ...given] = condition?.params ?? []
    const [truth, ...others] = condition?.results ?? []
    const isWhole = carry.length === init.length && given.length === init.length
    if (index === undefined || testIndex === undefined || !isWhole) {
      fail("CF_BAD_PROGRAM", "condition and body of a loop have a parameter for the index and for each carry")
    }
    if (truth === undefined || others.length > 0) {
      return fail(
        "CF_BAD_ARGUMENT",
        `cond must answer one truth value, got ${condition?.results.length ?? 0} variables`,
      )
    }
    requireTruth("what cond answers", truth, lines("condition", [truth]))
    requireType("the index", index, indexType)
    requireType("the index of the condition", testIndex, indexType)
    init.forEach((first, i) => requireType(`carry ${i} of the condition`, given[i] ?? first, first))
    const results = body?.results ?? []
    checkCarry(init, carry, results)
    const saved = results.slice(init.length)
    const places = maxTrips ?? length ?? 0
    if (saved.length > 0 && places === 0 && maxTrips === null)
      fail("CF_BAD_PROGRAM", "a loop that saves values needs maxTrips, or a symbol for its length")
    const stacks = saved.map(({ shape, dtype }) => ({ shape: [places, ...shape], dtype }))
    return { carry: init, trips: indexType, saved: stacks }
  },
  // forward   c_{t+1} = body(c_t) while condition(c_t), for t = 0 … trips − 1
  // backward  dc_t = bodyᵀ(dc_{t+1}) for t = trips − 1 … 0; dw = Σ_t over the runs, for what is captured
  grad: ({ init, captures }, { trips }, { carry, saved }, { maxTrips, length }, context) => {
    const { op } = context
    const places = maxTrips ?? length
    if (places === null) {
      return fail("CF_NO_GRADIENT", "its gradient keeps values of every run, and nothing says how many there are", {
        op: op.type,
        where: `this ${op.type} was built at ${op.site}`,
        fix: "build it with whileLoop, or give the operator maxTrips, or a symbol of its own as length",
      })
    }
    const runs = { init, xs: [], captures, length: places, reverse: false, count: trips }
    const { init: dInit, captures: dCaptures } = loopGradient(runs, { carry, stacks: saved }, context)
    return { init: dInit, captures: dCaptures }
  },
  // A loop that runs too often stops the step.
  facts: {
    kind: "control",
    flops: () => 0,
    canFail: true,
    mayBeEndless: ({ maxTrips }) => maxTrips === null,
    carries: { inputs: "init", block: "body", outputs: "carry" },
  },
})

type Part = (carry: readonly Variable[], captures: readonly Variable[], index: Variable) => readonly Variable[]

/** The blocks of a sample. */
/* @__NO_SIDE_EFFECTS__ */
function partsOf(test: Part, make: Part) {
  return ({ init, captures }: Record<"init" | "captures", readonly Variable[]>, program: Program) => {
    const build = (part: Part) => {
      const { block, carry, index } = openLoop(program, "while", init, [], 1)
      block.setResults(program.within({ block }, () => part(carry, captures, index)))
      return block
    }
    return { body: build(make), condition: build(test) }
  }
}

const zero = { shape: [], dtype: "int32", values: [0] } as const
const three = { shape: [], dtype: "int32", values: [3] } as const

export const whileLoopDoc = /*#__PURE__*/ describe(whileLoopOp, {
  summary: "Runs a sub-block as long as the result of another one is true, and hands a carry on.",
  formula: "c_{t+1} = body(c_t, captures) while condition(c_t, captures)",
  source: "backpropagation through time; Fluid 1.8, while_loop",
  samples: [
    {
      in: { init: [zero, [2, 3]], captures: [three, [2, 3]] },
      attrs: { maxTrips: 5, length: null },
      blocks: partsOf(
        ([i], [n]) => [less(i!, n!)],
        ([i, x], [, w]) => [add(i!, 1), mul(sin(x!), w!)],
      ),
      note: "three runs of five",
    },
    {
      in: { init: [three, [2]], captures: [] },
      attrs: { maxTrips: 2, length: null },
      blocks: partsOf(
        ([i]) => [less(i!, 3)],
        ([i, x]) => [add(i!, 1), sin(x!)],
      ),
      note: "no run",
    },
    {
      in: { init: [{ shape: [2], values: [1, 2] }], captures: [] },
      attrs: { maxTrips: 10, length: null },
      blocks: partsOf(
        ([x]) => [less(reduceSum(x!), 100)],
        ([x]) => [mul(x!, 2)],
      ),
      note: "decided by what is computed",
    },
    {
      in: { init: [zero, [2, 3]], captures: [three, [2, 3]] },
      attrs: { maxTrips: null, length: /*#__PURE__*/ symbol("runs") },
      blocks: partsOf(
        ([i], [n]) => [less(i!, n!)],
        ([i, x], [, w]) => [add(i!, 1), mul(sin(x!), w!)],
      ),
      note: "as many runs as it takes",
    },
  ],
  errorSamples: [
    {
      in: { init: [[2]], captures: [] },
      attrs: { maxTrips: 2, length: null },
      blocks: partsOf(
        ([x]) => [less(x!, 3)],
        ([x]) => [sin(x!)],
      ),
      code: "CF_SHAPE_MISMATCH",
      text: /what cond answers must have one element, got shape \[2\]/,
    },
    {
      in: { init: [[2]], captures: [] },
      attrs: { maxTrips: 2, length: null },
      blocks: partsOf(
        ([x]) => [less(reduceSum(x!), 3)],
        ([x]) => [reduceSum(x!)],
      ),
      code: "CF_SHAPE_MISMATCH",
      text: /carry 0 is float32\[2\], but the body answers float32\[\] for the next run/,
    },
    {
      in: { init: [[2]], captures: [] },
      attrs: { maxTrips: -1, length: null },
      blocks: partsOf(
        ([x]) => [less(reduceSum(x!), 3)],
        ([x]) => [sin(x!)],
      ),
      code: "CF_BAD_ATTRIBUTE",
      text: /maxTrips must be a number of runs/,
    },
    {
      in: { init: [[2]], captures: [] },
      attrs: { maxTrips: 2, length: /*#__PURE__*/ symbol("runs") },
      blocks: partsOf(
        ([x]) => [less(reduceSum(x!), 3)],
        ([x]) => [sin(x!)],
      ),
      code: "CF_BAD_ATTRIBUTE",
      text: /length must be a symbol, and only of a loop without maxTrips, got runs/,
    },
  ],
})
