// appendBackward: from a loss to the gradients of the parameters, appended to the same program. All or nothing.

import {
  compareDims,
  fail,
  formatShape,
  isFloat,
  numel,
  Parameter,
  type Program,
  site,
  type Variable,
} from "@counterflow/ir"
import { requireVariable, requireVisible, resolveVariables } from "./arguments.ts"
import { checkKeeping, type KeepingOptions, repetitionFor } from "./keeping.ts"
import { appendPass, type BackwardCallback } from "./pass.ts"
import { blocksAround, operatorPath } from "./path.ts"

export interface BackwardOptions extends KeepingOptions {
  /** Which variables get a pair back, in this order; default: every trainable parameter that the loss reaches. */
  parameterList?: Iterable<string | Variable>
  /** Gradients of these are neither computed nor passed on. */
  noGradSet?: Iterable<string | Variable>
  /** Called after each backward operator is appended. */
  callbacks?: readonly BackwardCallback[]
}

export type ParamGrad = [parameter: Variable, gradient: Variable]

/**
 * Appends to the loss's program the operators that compute d loss / d v for every trainable parameter v (or the variables
 * asked for) and answers the pairs [v, v@GRAD]. A gradient has shape and dtype of its variable, and is a variable of its own.
 *
 * In a function of a branch or loop the operators go to its block, also those for what is computed outside of it.
 *
 * The loss must be one float element, made by an operator of its program (CF_NOT_A_LOSS) and not in a sub-block that is built
 * already (CF_BAD_ARGUMENT). Variables in the options must belong to that program (CF_UNKNOWN_NAME, CF_FOREIGN_VARIABLE). An op on
 * the way that has no gradient is refused with its own reason (CF_NO_GRADIENT). When anything is refused the program is as it was.
 *
 * @example
 * ```ts
 * const paramGrads = appendBackward(loss)
 * for (const [parameter, gradient] of paramGrads) console.log(parameter.name, gradient.name)
 * ```
 */
export function appendBackward(loss: Variable, options: BackwardOptions = {}): ParamGrad[] {
  return site(appendBackward, () => {
    const op = "appendBackward"
    checkLoss(requireVariable(loss, op, "the loss"), op)
    const { program } = loss
    const listed = resolveVariables(options.parameterList, program, op, "parameterList")
    const noGrad = new Set(resolveVariables(options.noGradSet, program, op, "noGradSet"))
    const choice = checkKeeping(options, program, op)
    const isCut = (variable: Variable) => noGrad.has(variable) || isStopped(variable)
    return program.transaction(() => {
      if (loss.producer !== null) loss.producer.isLoss = true
      // In a branch the backward part stands in it, also of what is computed outside of it.
      const block = program.currentBlock()
      const around = blocksAround(block)
      const ops = operatorPath(around, [loss], isCut)
      const isComputed = ({ producer }: Variable) => producer !== null && around.includes(producer.block)
      const leaves = ops.flatMap((each) => each.inputList()).filter((input) => !isComputed(input) && !isCut(input))
      const wrt = new Set([...leaves, ...(listed ?? [])])
      const { callbacks = [] } = options
      const pass = { block, ops, targets: [loss], cotangents: [], wrt, isCut }
      const repetition = repetitionFor(choice, loss, block, () => appendPass(pass).values())
      const found = appendPass({ ...pass, callbacks, repetition })
      const wanted = listed ?? program.allParameters()
      return wanted.flatMap((variable): ParamGrad[] => {
        const gradient = found.get(variable)
        return gradient === undefined ? [] : [[variable, gradient]]
      })
    })
  })
}

/** Gradients stop at a variable that says so, and at a parameter that is not trained. */
export function isStopped(variable: Variable): boolean {
  return variable.stopGradient || (variable instanceof Parameter && !variable.trainable)
}

/** One float element, made by an operator of its own program. */
export function checkLoss(loss: Variable, op: string): void {
  const notes = [`${loss}   built at ${loss.site}`]
  if (loss.producer === null || !belongs(loss, loss.program)) {
    fail(
      "CF_NOT_A_LOSS",
      `${loss.name} is not computed by an operator of its program, so there is nothing to differentiate`,
      {
        op,
        notes,
        fix: "pass the output of an operator, such as mean(squareErrorCost(prediction, label))",
      },
    )
  }
  if (compareDims(numel(loss.shape), 1) !== "equal") {
    fail("CF_NOT_A_LOSS", `the loss must have one element, got shape ${formatShape(loss.shape)}`, {
      op,
      notes,
      fix: "reduce it with mean(loss) or reduceSum(loss)",
    })
  }
  requireVisible(loss, op, "the loss")
  if (!isFloat(loss.dtype))
    fail("CF_NOT_A_LOSS", `the loss must be float32 or float64, got ${loss.dtype}`, { op, notes })
}

function belongs(variable: Variable, program: Program): boolean {
  return program.variables.get(variable.name) === variable
}
