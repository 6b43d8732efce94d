// Branches: one of two sub-blocks runs. `case` and `switchCase` are conds inside conds, as in Fluid.

import {
  type Block,
  capturesOf,
  compareDims,
  currentValues,
  describeValue,
  fail,
  formatShape,
  isCounterflowError,
  isFloat,
  numel,
  type Program,
  site,
  type TensorType,
  unifyShapes,
  type Variable,
} from "@counterflow/ir"
import { add, mul } from "./arithmetic.ts"
import { broadcastTo } from "./broadcast.ts"
import { equal } from "./comparison.ts"
import {
  type Alike,
  type Answer,
  buildBlock,
  checkBlock,
  inForm,
  lines,
  listOf,
  requireFunction,
  requireVariable,
  type Results,
  yieldStates,
} from "./control.ts"
import { primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { builtBy } from "./place.ts"
import { softmax } from "./softmax.ts"
import { startupFor, withStartup } from "./state.ts"
import { sin, tanh } from "./trigonometric.ts"
import { square } from "./unary.ts"

/**
 * What `trueFn` computes where `pred`, one bool element, is true, else what `falseFn` does; only that branch runs. Both answer
 * the same: a variable, a list of them, or nothing, of equal shapes and dtypes. Gradients flow through the branch that runs;
 * to what only the other one reads they are zero. State that a branch writes, as an optimizer in it does, changes where it is
 * taken.
 *
 * @example
 * ```ts
 * const y = cond(less(x, 0), () => scale(x, { scale: 0.1 }), () => x)
 * ```
 */
export function cond<const T extends Answer>(pred: Variable, trueFn: () => T, falseFn?: () => Alike<T>): Results<T> {
  site(cond, () => {
    requireVariable(pred, "pred", "cond")
    requireFunction(trueFn, "trueFn", "cond")
    if (falseFn !== undefined) requireFunction(falseFn, "falseFn", "cond")
  })
  return decide(cond, pred, trueFn, () => falseFn?.())
}

/**
 * What the function beside the first true predicate computes; if none is true, what `otherwise` does, or, without one, the
 * last function. Exported as `case`.
 */
export function caseOf<const T extends Answer>(
  pairs: readonly (readonly [pred: Variable, fn: () => T])[],
  otherwise?: () => Alike<T>,
): Results<T> {
  site(caseOf, () => {
    requireSome(pairs, "case takes a list of pairs [pred, fn], at least one", "case")
    pairs.forEach(([pred, fn], i) => {
      requireVariable(pred, `the predicate of pair ${i}`, "case")
      requireFunction(fn, `the function of pair ${i}`, "case")
    })
  })
  return chain(caseOf, pairs, otherwise)
}

/**
 * What the function of the key that equals `index`, one integer, computes; if there is none, what `otherwise` does, or, without
 * one, the function of the largest key. The keys of a plain list of functions are their places.
 */
export function switchCase<const T extends Answer>(
  index: Variable,
  fns: readonly (() => T)[] | readonly (readonly [key: number, fn: () => T])[],
  otherwise?: () => Alike<T>,
): Results<T> {
  const pairs = site(switchCase, () => {
    const { dtype } = requireVariable(index, "index", "switchCase")
    if (isFloat(dtype) || dtype === "bool") {
      fail("CF_DTYPE_MISMATCH", `index must be an integer, got ${dtype}`, { op: "switchCase" })
    }
    requireSome(fns, "switchCase takes a list of functions, or of pairs [key, fn], at least one", "switchCase")
    const entries: readonly ((() => T) | readonly [key: number, fn: () => T])[] = fns
    const list = entries.map((entry, i) => (typeof entry === "function" ? ([i, entry] as const) : entry))
    for (const [key, fn] of list) {
      if (!Number.isSafeInteger(key)) {
        fail("CF_BAD_ARGUMENT", `a key must be an integer, got ${describeValue(key)}`, { op: "switchCase" })
      }
      requireFunction(fn, `the function of key ${key}`, "switchCase")
    }
    const keys = list.map(([key]) => key)
    const twice = keys.find((key, i) => keys.indexOf(key) !== i)
    if (twice !== undefined) fail("CF_BAD_ARGUMENT", `the key ${twice} stands twice`, { op: "switchCase" })
    return list.toSorted(([a], [b]) => a - b).map(([key, fn]) => [equal(index, key), fn] as const)
  })
  return chain(switchCase, pairs, otherwise)
}

function requireSome(list: unknown, why: string, op: string): void {
  if (!Array.isArray(list) || list.length === 0) fail("CF_BAD_ARGUMENT", why, { op })
}

type Caller = (...args: never[]) => unknown

/** Conds inside conds: the first true predicate counts. */
function chain<T extends Answer>(
  above: Caller,
  [first, ...others]: readonly (readonly [pred: Variable, fn: () => T])[],
  otherwise: (() => unknown) | undefined,
): Results<T> {
  if (first === undefined) return fail("CF_INTERNAL", "a chain of branches is empty")
  const [pred, fn] = first
  const [second] = others
  if (second === undefined && otherwise === undefined) {
    // The last one is what remains, whatever its predicate says.
    const answer = fn()
    return inForm(answer, listOf(answer, "a function"))
  }
  const rest = second === undefined ? otherwise : () => chain(above, others, otherwise)
  return decide(above, pred, fn, () => rest?.())
}

/** Appends a cond for the public function `above`. The lines of what the functions build are their own. */
function decide<T extends Answer>(above: Caller, pred: Variable, trueFn: () => T, falseFn: () => unknown): Results<T> {
  const { program } = pred
  return withStartup(program, startupFor(program), () => {
    let answer: T | undefined
    const checked = (made: unknown, what: string) => builtBy(above, "cond", () => listOf(made, what))
    const yes = buildBlock(program, () => checked((answer = trueFn()), "the true branch"))
    const no = buildBlock(program, () => checked(falseFn(), "the false branch"))
    return builtBy(above, "cond", () => {
      for (const block of [yes, no]) checkBlock(block, "a branch")
      const { length } = yes.results
      sameCount(yes.results, no.results)
      const states = yieldStates([yes, no], currentValues(program.currentBlock()))
      return inForm(answer as T, choose(pred, yes, no, states).slice(0, length))
    })
  })
}

function choose(
  condition: Variable,
  yes: Block,
  no: Block,
  states: readonly (Variable | null)[] = [],
): readonly Variable[] {
  const inputs = { condition, captures: capturesOf([yes, no]) }
  return emit(condOp, inputs, {}, cond, { blocks: { yes, no }, program: condition.program, writes: { zs: states } }).zs
}

export const condOp = /*#__PURE__*/ primitive({
  name: "cond",
  inputs: { condition: "index", captures: "tensors" },
  outputs: ["...zs"],
  yields: "zs",
  captures: "captures",
  infer: ({ condition }, _attrs, { blocks }) => {
    requireTruth("pred", condition)
    return { zs: sameResults(blocks["yes"]?.results ?? [], blocks["no"]?.results ?? []) }
  },
  // forward   z = condition ? yes(c) : no(c)
  // backward  dc = condition ? yesᵀ(dz) : noᵀ(dz), zeros where a branch does not read c
  grad: ({ condition, captures }, _outputs, { zs: cotangents }, _attrs, { op, needs, differentiate }) => {
    const wrt = captures.filter(({ dtype }, index) => isFloat(dtype) && needs("captures", index))
    const backward = (name: string) => {
      const block = op.blocks[name] ?? fail("CF_INTERNAL", `there is no block ${name}`)
      return differentiate(block, { targets: block.results, cotangents, wrt })
    }
    const gradients = choose(condition, backward("yes"), backward("no"))
    return { captures: captures.map((capture) => gradients[wrt.indexOf(capture)] ?? null) }
  },
  facts: { kind: "control", flops: () => 0 },
})

/** One bool element: what a branch or a loop is decided by. */
export function requireTruth(name: string, { shape, dtype }: TensorType, notes?: readonly string[]): void {
  if (dtype !== "bool") {
    fail("CF_DTYPE_MISMATCH", `${name} must be bool, got ${dtype}`, {
      notes,
      fix: "compare it with something: less(x, y)",
    })
  }
  if (compareDims(numel(shape), 1) !== "equal") {
    fail("CF_SHAPE_MISMATCH", `${name} must have one element, got shape ${formatShape(shape)}`, {
      notes,
      fix: "reduce it: reduceAll(pred) or reduceAny(pred)",
    })
  }
}

function sameCount(yes: readonly Variable[], no: readonly Variable[]): void {
  if (yes.length === no.length) return
  fail("CF_SHAPE_MISMATCH", `the true branch answers ${yes.length} variables, the false branch ${no.length}`, {
    notes: [...lines("true branch", yes), ...lines("false branch", no)],
    fix: "both branches must answer as many variables of the same shapes and dtypes",
  })
}

function sameResults(yes: readonly Variable[], no: readonly Variable[]): TensorType[] {
  sameCount(yes, no)
  const notes = [...lines("true branch", yes), ...lines("false branch", no)]
  return yes.map((y, i) => {
    const n = no[i] ?? y
    const why = `result ${i} is ${y.type} in the true branch and ${n.type} in the false branch`
    if (y.dtype !== n.dtype) fail("CF_DTYPE_MISMATCH", why, { notes, fix: "cast one of them" })
    try {
      return { shape: unifyShapes(y.shape, n.shape, () => why), dtype: y.dtype }
    } catch (error) {
      throw isCounterflowError(error) ? error.with({ notes, fix: "make the shapes of both branches equal" }) : error
    }
  })
}

type Branch = (...captures: Variable[]) => readonly Variable[]

/** The blocks of a sample. */
/* @__NO_SIDE_EFFECTS__ */
function branches(yes: Branch, no: Branch) {
  return ({ captures }: { readonly captures: readonly Variable[] }, program: Program) => ({
    yes: buildBlock(program, () => yes(...captures)),
    no: buildBlock(program, () => no(...captures)),
  })
}

export const condDoc = /*#__PURE__*/ describe(condOp, {
  summary: "The results of one of two sub-blocks; only that one runs.",
  formula: "z = condition ? yes(...captures) : no(captures)",
  source: "Fluid 1.8, layers.cond; jax.lax.cond",
  samples: [
    {
      in: { condition: { shape: [], dtype: "bool", values: [1] }, captures: [[2, 3], [3]] },
      blocks: branches(
        (x, w) => [mul(tanh(x), broadcastTo(w, { shape: x.shape })), square(x)],
        (x) => [add(softmax(x), mul(x, x)), sin(x)],
      ),
    },
    {
      in: { condition: { shape: [1], dtype: "bool", values: [0] }, captures: [[2, 3], [3]] },
      blocks: branches(
        (x, w) => [mul(tanh(x), broadcastTo(w, { shape: x.shape })), square(x)],
        (x) => [add(softmax(x), mul(x, x)), sin(x)],
      ),
      note: "the false branch, which does not read the second capture",
    },
    {
      in: { condition: { shape: [], dtype: "bool", values: [1] }, captures: [[2], { shape: [4], dtype: "int32" }] },
      blocks: branches(
        (x, i) => [x, i],
        (x, i) => [x, i],
      ),
      note: "captures handed out as they are",
    },
  ],
  errorSamples: [
    {
      in: { condition: { shape: [], dtype: "int32" }, captures: [[2]] },
      blocks: branches(
        (x) => [x],
        (x) => [x],
      ),
      code: "CF_DTYPE_MISMATCH",
      text: /pred must be bool, got int32/,
    },
    {
      in: { condition: { shape: [2], dtype: "bool" }, captures: [[2]] },
      blocks: branches(
        (x) => [x],
        (x) => [x],
      ),
      code: "CF_SHAPE_MISMATCH",
      text: /pred must have one element, got shape \[2\]/,
    },
    {
      in: { condition: { shape: [], dtype: "bool" }, captures: [[2], [3]] },
      blocks: branches(
        (x) => [x],
        (_x, y) => [y],
      ),
      code: "CF_SHAPE_MISMATCH",
      text: /result 0 is float32\[2\] in the true branch and float32\[3\] in the false branch/,
    },
    {
      in: { condition: { shape: [], dtype: "bool" }, captures: [[2]] },
      blocks: branches(
        (x) => [x, x],
        (x) => [x],
      ),
      code: "CF_SHAPE_MISMATCH",
      text: /the true branch answers 2 variables, the false branch 1/,
    },
  ],
})
