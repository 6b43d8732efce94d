// A pass that appends to a program: rules work in a staging list, the engine names what they answer, appends operator by
// operator and calls the callbacks. Shared by appendBackward and gradients.

import { type Block, commitOperator, fail, freeName, type Operator, type Variable, withSite } from "@counterflow/ir"
import { assign, fillConstant } from "@counterflow/ops"
import { type Answer, backpropagate } from "./backpropagate.ts"
import type { Repetition } from "./repetition.ts"
import { differentiateBlock, pullBack } from "./subblock.ts"

/** A read-only map from a gradient's name to its forward variable, and what callbacks may do. */
export interface BackwardContext {
  /** The forward variable of a gradient; `get("__current_op_desc__")` is not one: use `currentOp`. */
  get(name: string): Variable | Operator | undefined
  /** The operator just appended. */
  readonly currentOp: Operator
  /** Every later reader of `gradient`, the returned pairs included, uses `by`, of the same shape and dtype. */
  replaceGradient(gradient: Variable, by: Variable): void
}

/**
 * Called after each operator of the backward part, with the block it was appended to. It may append operators (which are not
 * called back themselves) and replace gradients; what it throws undoes the whole call.
 *
 * @example
 * ```ts
 * const clipped: BackwardCallback = ({ context }) => {
 *   for (const gradient of context.currentOp.outputList()) {
 *     if (context.get(gradient.name) === predict) context.replaceGradient(gradient, layers.clip(gradient, { min: -1, max: 1 }))
 *   }
 * }
 * appendBackward(loss, { callbacks: [clipped] })
 * ```
 */
export type BackwardCallback = (call: { block: Block; context: BackwardContext }) => void

export interface AppendingPass {
  block: Block
  ops: readonly Operator[]
  targets: readonly Variable[]
  /** One per target, where the user gave one. */
  cotangents: readonly (Variable | null)[]
  wrt: ReadonlySet<Variable>
  isCut: (variable: Variable) => boolean
  callbacks?: readonly BackwardCallback[]
  /** What the gradient of a variable is called: "x@GRAD" unless said. */
  nameOf?: (primal: Variable) => string
  /** Computes again what is not kept. */
  repetition?: Repetition | null
}

/** Runs a pass with role backward; every gradient in the answer is a variable of its own, linked by `gradientOf`. */
export function appendPass(pass: AppendingPass): Map<Variable, Variable> {
  const { block, callbacks = [], repetition = null, nameOf = ({ name }) => `${name}@GRAD` } = pass
  const { program } = block
  const names = new Map<string, Variable>()
  const replaced = new Map<Variable, Variable>()
  let waiting: Operator[] = []

  const current = (gradient: Variable): Variable => {
    let now = gradient
    for (let next = replaced.get(now); next !== undefined; next = replaced.get(now)) now = next
    return now
  }

  const replaceGradient = (gradient: Variable, by: Variable): void => {
    if (by.type !== gradient.type || by.program !== program) {
      fail("CF_BAD_ARGUMENT", `${by} cannot stand for ${gradient}: shape and dtype must be equal`, {
        op: "replaceGradient",
      })
    }
    // A chain of replacements ends at `by`, also when `by` was computed from what it replaces.
    if (current(by) === gradient)
      fail("CF_BAD_ARGUMENT", `${by.name} is replaced by ${gradient.name} already`, { op: "replaceGradient" })
    replaced.set(gradient, by)
    const before = by.gradientOf
    by.gradientOf = gradient.gradientOf
    program.changed(() => {
      by.gradientOf = before
    })
    for (const op of waiting) op.replaceInput(gradient, by)
  }

  const contextOf = (currentOp: Operator): BackwardContext => ({
    currentOp,
    get: (name) => (name === "__current_op_desc__" ? currentOp : names.get(name)),
    replaceGradient,
  })

  const append = (ops: Operator[], silently: boolean): void => {
    waiting = ops
    for (let op = waiting.shift(); op !== undefined; op = waiting.shift()) {
      repetition?.reread(op)
      commitOperator(op)
      if (silently) continue
      const context = contextOf(op)
      for (const callback of callbacks) callback({ block, context })
    }
  }

  const own = new Set<Variable>()
  const named = (
    answers: readonly Answer[],
    made: ReadonlySet<Variable>,
    isPart: (primal: Variable) => boolean,
  ): Answer[] =>
    answers.map(([primal, gradient]) => {
      const variable = made.has(gradient) && !own.has(gradient) ? gradient : assign(gradient)
      own.add(variable)
      variable.rename(isPart(primal) ? program.uniqueName(`${nameOf(primal)}@PART`) : freeName(program, nameOf(primal)))
      variable.gradientOf = primal
      names.set(variable.name, primal)
      return [primal, variable]
    })

  const perform = (
    forward: Operator | null,
    work: () => readonly Answer[],
    isPart: (v: Variable) => boolean,
    silently = false,
  ) => {
    const ops: Operator[] = []
    const inside = () => {
      block.staged = ops
      try {
        const answers = work()
        return named(answers, new Set(ops.flatMap((op) => op.outputList())), isPart)
      } finally {
        block.staged = null
      }
    }
    repetition?.reach(forward)
    const { segment } = repetition ?? program
    return program.within({ derivedFrom: forward, scope: forward?.scope ?? program.scope, stem: null, segment }, () => {
      const answers = forward === null ? inside() : withSite(forward.site, inside)
      append(ops, silently)
      return answers
    })
  }

  /** A target without a given cotangent gets ones. */
  const seed = (isPart: (primal: Variable) => boolean): Answer[] =>
    pass.targets.flatMap((target, index) => {
      const given = pass.cotangents[index]
      if (given !== null && given !== undefined) return [[target, given] as const]
      const { shape, dtype } = target
      return perform(null, () => [[target, fillConstant({ shape, dtype, value: 1, program })]], isPart, true)
    })

  return program.within({ block, role: "backward" }, () => {
    const found = backpropagate({ ...pass, seed, perform, current, differentiate: differentiateBlock, pullBack })
    // A gradient that is the user's own cotangent gets a variable of its own as well.
    return new Map(
      [...found].flatMap(([primal, gradient]) =>
        gradient.gradientOf === primal
          ? [[primal, gradient] as const]
          : perform(
              null,
              () => [[primal, gradient]],
              () => false,
            ),
      ),
    )
  })
}
