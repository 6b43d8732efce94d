// `scan`: a loop whose length is known when the sizes are. A carry goes from run to run of the body, each run gets its place of
// what is scanned, and what the runs answer is stacked. Its gradient is a scan as well: see scan-loop-gradient.ts.
//
//   body   parameters  index, carry…, slice…        results  next carry…, y…, saved…
//   scan   inputs      init…, xs…, captures…        outputs  last carry…, stacked ys…, stacked saved…

import { capturesOf, type Dim, fail, formatDim, type Program, site, unifyDims, type Variable } from "@counterflow/ir"
import { add, mul } from "./arithmetic.ts"
import { checkLoopBlock, inForm, listOf, requireFunction, type Results, type Value } from "./control.ts"
import { TensorArray } from "./tensorarray.ts"
import { checkCarry, handOn, indexType, inside, type Loop, openLoop, requireType, sliceOf } from "./control-loop.ts"
import { primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { builtBy } from "./place.ts"
import { reduceSum } from "./reduction.ts"
import { loopGradient } from "./scan-loop-gradient.ts"
import { startupFor, withStartup } from "./state.ts"
import { sin, tanh } from "./trigonometric.ts"

export interface ScanOptions<C, X> {
  /** The carry that the first run is given: a variable or an array, or a list of them, of any dtypes. */
  init: C
  /** What is scanned: each run gets one place along the leading axis. A variable, a list of them, or nothing. */
  xs?: X
  /** How many runs, where nothing is scanned. */
  length?: Dim
  /** From the last place to the first. */
  reverse?: boolean
}

type Carried = Value | readonly Value[]
type Given = Variable | readonly Variable[]
type Stacked = Given | void | null

/**
 * Runs `body` once per place along the leading axis of `xs`: it is given the carry, its slices, and the place, and answers the
 * next carry and what is stacked. Answers the last carry, and the stacks.
 *
 * @example
 * ```ts
 * const [last, sums] = scan((sum, x) => [add(sum, x), add(sum, x)], { init: zero, xs: values }) // running sums
 * ```
 */
export function scan<const C extends Carried, const X extends Given = readonly [], const Y extends Stacked = void>(
  body: (
    carry: Results<C>,
    x: Results<X>,
    index: Variable,
  ) => readonly [carry: Results<C> | Readonly<Results<C>>, y?: Y],
  options: ScanOptions<C, X>,
): [carry: Results<C>, ys: Results<Y>] {
  const { program, ...given } = builtBy(scan, "scan", () => checked(body, options))
  return withStartup(program, startupFor(program), () => {
    const { init, xs, length } = given
    const loop = site(scan, () => openLoop(program, "scan", init, xs, length))
    const answer: unknown = inside(loop, () =>
      body(inForm(options.init, loop.carry), inForm((options.xs ?? []) as X, loop.slices), loop.index),
    )
    return builtBy(scan, "scan", () => {
      if (!Array.isArray(answer) || answer.length < 1 || answer.length > 2) {
        fail("CF_BAD_ARGUMENT", "the body must answer a pair: the next carry, and what is to be stacked")
      }
      const [next, y] = answer as [unknown, Y]
      if ([y].flat().some((entry) => entry instanceof TensorArray)) {
        fail("CF_BAD_ARGUMENT", "what is stacked must be variables, got an array", { fix: "make it part of the carry" })
      }
      const nextList = listOf(next, "the first part of the body's answer")
      const made = closeScan(loop, nextList, listOf(y, "the second part of the body's answer"), given)
      return [inForm(options.init, made.carry), inForm(y, made.ys)]
    })
  })
}

/** What a scan is given, besides its body. */
export interface Scanned {
  readonly init: readonly Variable[]
  readonly xs: readonly Variable[]
  readonly length: Dim
  readonly reverse: boolean
  /** How many runs there really are, where only a run can tell. */
  readonly count?: Variable | undefined
}

function checked(body: unknown, options: ScanOptions<Carried, Given>): Scanned & { program: Program } {
  requireFunction(body, "body", "scan")
  const [init, xs] = [listOf(options.init, "init"), listOf(options.xs, "xs")]
  const [first] = [...init, ...xs]
  if (first === undefined) return fail("CF_BAD_ARGUMENT", "init and xs are empty: there is nothing to scan")
  xs.forEach(({ shape }, i) => {
    if (shape.length === 0) fail("CF_SHAPE_MISMATCH", `xs[${i}] must have a leading axis to scan, got a scalar`)
  })
  const length = options.length ?? xs[0]?.shape[0]
  if (length === undefined) {
    return fail("CF_BAD_ARGUMENT", "the number of runs is unknown", { fix: "give xs, or a length" })
  }
  return { program: first.program, init, xs, length, reverse: options.reverse ?? false }
}

/** What a scan makes. */
export interface ScanOutputs {
  readonly carry: readonly Variable[]
  readonly ys: readonly Variable[]
}

/** Emits the scan whose body has been built. */
export function closeScan(
  loop: Loop,
  next: readonly Variable[],
  ys: readonly Variable[],
  { init, xs, length, reverse, count }: Scanned,
): ScanOutputs {
  const { block } = loop
  const { program } = block
  block.setResults([...handOn(loop, next), ...ys])
  checkLoopBlock(block, "the body")
  const inputs = { init, xs, captures: capturesOf([block]), count }
  return emit(scanOp, inputs, { length, reverse, ys: ys.length }, scan, { blocks: { body: block }, program })
}

export const scanOp = /*#__PURE__*/ primitive({
  name: "scan",
  inputs: { init: "tensors", xs: "tensors", captures: "tensors", count: "index?" },
  outputs: ["...carry", "...ys", "...saved"],
  attrs: { length: "dim", reverse: "bool", ys: "int" },
  saves: { slot: "saved", block: "body", before: ["ys"] },
  captures: "captures",
  infer: ({ init, xs, count }, { length, ys }, { blocks }) => {
    const { params = [], results = [] } = blocks["body"] ?? {}
    const [index, ...given] = params
    if (index === undefined || given.length !== init.length + xs.length || results.length < init.length + ys) {
      fail("CF_BAD_PROGRAM", "the body of a scan has a parameter for the index, each carry and each slice")
    }
    requireType("the index", index, indexType)
    if (count !== undefined) requireType("count", count, indexType)
    xs.forEach((x, i) => {
      const size = x.shape[0] ?? fail("CF_SHAPE_MISMATCH", `xs[${i}] must have a leading axis to scan, got a scalar`)
      unifyDims(size, length, () => `xs[${i}] has ${formatDim(size)} places for ${formatDim(length)} runs`)
      requireType(`slice ${i}`, given[init.length + i] ?? x, sliceOf(x))
    })
    checkCarry(init, given.slice(0, init.length), results)
    const stacks = results.slice(init.length).map(({ shape, dtype }) => ({ shape: [length, ...shape], dtype }))
    return { carry: init, ys: stacks.slice(0, ys), saved: stacks.slice(ys) }
  },
  // forward   c_{t+1}, y_t = body(c_t, x_t)
  // backward  dc_t, dx_t = bodyᵀ(dc_{t+1}, dy_t) from the last run to the first; dw = Σ_t over the runs, for what is captured
  grad: ({ init, xs, captures, count }, _outputs, { carry, ys, saved }, { length, reverse }, context) =>
    loopGradient({ init, xs, captures, length, reverse, count }, { carry, stacks: [...ys, ...saved] }, context),
  addStacks: (stacks) => stackSum(stacks),
  facts: {
    kind: "control",
    flops: () => 0,
    repeats: ({ length }) => length as Dim,
    carries: { inputs: "init", block: "body", outputs: "carry" },
  },
})

/** One after the other and row by row, through all axes up to the last open one. */
function stackSum(xs: readonly Variable[]): Variable {
  const [first] = xs
  const length = first?.shape[0]
  if (first === undefined || length === undefined) return fail("CF_INTERNAL", "there is no stack to add up")
  const { program } = first
  const loop = openLoop(program, "scan", [], xs, length)
  const isStack = first.shape.slice(1).some((dim) => program.isOpen(dim))
  const total = () => (isStack ? stackSum(loop.slices) : loop.slices.reduce((a, b) => add(a, b)))
  const sum = program.within({ block: loop.block, trip: null }, total)
  const [made] = closeScan(loop, [], [sum], { init: [], xs, length, reverse: false }).ys
  return made ?? fail("CF_INTERNAL", "a scan has lost what it stacks")
}

type Body = (
  carry: readonly Variable[],
  xs: readonly Variable[],
  captures: readonly Variable[],
  index: Variable,
) => readonly [next: readonly Variable[], ys: readonly Variable[]]

/** The block of a sample. */
/* @__NO_SIDE_EFFECTS__ */
function bodyOf(make: Body) {
  return ({ init, xs, captures }: Record<"init" | "xs" | "captures", readonly Variable[]>, program: Program) => {
    const loop = openLoop(program, "scan", init, xs, 1)
    const within = program.within({ block: loop.block }, () => make(loop.carry, loop.slices, captures, loop.index))
    loop.block.setResults([...within[0], ...within[1]])
    return { body: loop.block }
  }
}

export const scanDoc = /*#__PURE__*/ describe(scanOp, {
  summary:
    "Runs a sub-block once per place along the leading axis of its inputs, hands a carry on, and stacks results.",
  formula: "c_{t+1}, y_t = body(c_t, x_t, captures)",
  source: "backpropagation through time; jax.lax.scan, Fluid 1.8, StaticRNN",
  samples: [
    {
      in: { init: [[2]], xs: [[3, 2]], captures: [[2]] },
      attrs: { length: 3, reverse: false, ys: 1 },
      blocks: bodyOf(([c], [x], [w]) => [[tanh(add(mul(c!, w!), x!))], [mul(c!, x!)]]),
    },
    {
      in: {
        init: [[2, 1], { shape: [], dtype: "int32" }],
        xs: [
          [4, 2, 1],
          [4, 3],
        ],
        captures: [],
      },
      attrs: { length: 4, reverse: true, ys: 2 },
      blocks: bodyOf(([c, n], [x, y], _captures, index) => [
        [sin(mul(c!, x!)), add(n!, index)],
        [reduceSum(y!), index],
      ]),
      note: "backwards, with an integer carry and the index",
    },
    {
      in: { init: [[3]], xs: [[1, 3]], captures: [] },
      attrs: { length: 1, reverse: false, ys: 0 },
      blocks: bodyOf(([c], [x]) => [[mul(c!, x!)], []]),
      note: "one run",
    },
    {
      in: { init: [[3]], xs: [[0, 3]], captures: [[3]] },
      attrs: { length: 0, reverse: false, ys: 1 },
      blocks: bodyOf(([c], [x], [w]) => [[mul(c!, w!)], [x!]]),
      note: "no run",
    },
    {
      in: { init: [[2]], xs: [[4, 2]], captures: [], count: { shape: [], dtype: "int32", values: [3] } },
      attrs: { length: 4, reverse: true, ys: 1 },
      blocks: bodyOf(([c], [x]) => [[mul(c!, x!)], [sin(c!)]]),
      note: "fewer runs than places: the rest of the stack is zero",
    },
  ],
  errorSamples: [
    {
      in: { init: [[2]], xs: [[3, 2]], captures: [] },
      attrs: { length: 4, reverse: false, ys: 0 },
      blocks: bodyOf(([c]) => [[c!], []]),
      code: "CF_SHAPE_MISMATCH",
      text: /xs\[0\] has 3 places for 4 runs/,
    },
    {
      in: { init: [[2]], xs: [[3, 2]], captures: [] },
      attrs: { length: 3, reverse: false, ys: 0 },
      blocks: bodyOf(([c]) => [[reduceSum(c!)], []]),
      code: "CF_SHAPE_MISMATCH",
      text: /carry 0 is float32\[2\], but the body answers float32\[\] for the next run/,
    },
    {
      in: { init: [[2], [2]], xs: [], captures: [] },
      attrs: { length: 3, reverse: false, ys: 0 },
      blocks: bodyOf(([c, d]) => [[d!, c!], []]),
      code: "CF_BAD_PROGRAM",
      text: /carry 0 of the next run is another carry of this run itself/,
    },
    {
      in: { init: [[2]], xs: [], captures: [] },
      attrs: { length: 3, reverse: false, ys: 0 },
      code: "CF_BAD_PROGRAM",
      text: /the body of a scan has a parameter for the index, each carry and each slice/,
    },
  ],
})
