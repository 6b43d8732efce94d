// gradients: vector-Jacobian products of any targets with respect to any inputs, as ordinary variables of the program.

import { fail, formatShape, isFloat, sameShape, site, Variable } from "@counterflow/ir"
import { ownVariable, requireVariable, requireVisible, resolveVariables } from "./arguments.ts"
import { isStopped } from "./backward.ts"
import { appendPass } from "./pass.ts"
import { blocksAround, operatorPath } from "./path.ts"

export interface GradientsOptions {
  /** Cotangents, one per target; a missing one is ones, shaped like its target. */
  targetGradients?: Variable | readonly (Variable | null)[]
  /** Gradients of these are neither computed nor passed on. */
  noGradSet?: Iterable<string | Variable>
}

/** One entry per input, in order; a single input gives a list of one. */
export type GradientsOfInputs<I> = I extends readonly Variable[]
  ? { -readonly [K in keyof I]: Variable | null }
  : [Variable | null]

/**
 * Σ over targets of cotangentᵀ · d target / d input, one variable per input in order; null where the input does not affect the
 * targets or gradients stop at it. Results are ordinary variables: gradients of gradients work to any order.
 *
 * Targets may have any shape and must be float (CF_DTYPE_MISMATCH); a cotangent has the type of its target (CF_SHAPE_MISMATCH), a
 * result that of its input. Everything must belong to one program (CF_FOREIGN_VARIABLE), which is as it was when this throws.
 *
 * @example
 * ```ts
 * const y = layers.square(x)
 * const [dy] = gradients(y, x) // 2 x
 * const [ddy] = gradients(dy!, x) // 2
 * ```
 */
export function gradients<const I extends Variable | readonly Variable[]>(
  targets: Variable | readonly Variable[],
  inputs: I,
  options: GradientsOptions = {},
): GradientsOfInputs<I> {
  return site(gradients, () => {
    const op = "gradients"
    const targetList = variablesOf(targets, op, "targets")
    const inputList = variablesOf(inputs, op, "inputs")
    const [first] = targetList
    if (first === undefined)
      return fail("CF_BAD_ARGUMENT", "targets is empty: there is nothing to differentiate", { op })
    const { program } = first
    for (const target of targetList) {
      ownVariable(target, program, op, "targets")
      requireVisible(target, op, "target")
      if (!isFloat(target.dtype))
        fail("CF_DTYPE_MISMATCH", `target ${target.name} must be float32 or float64, got ${target.dtype}`, { op })
    }
    for (const input of inputList) ownVariable(input, program, op, "inputs")
    const cotangents = cotangentsOf(targetList, options.targetGradients, op)
    const noGrad = new Set(resolveVariables(options.noGradSet, program, op, "noGradSet"))
    const isCut = (variable: Variable) => noGrad.has(variable) || isStopped(variable)
    return program.transaction(() => {
      const block = program.currentBlock()
      const ops = operatorPath(blocksAround(block), targetList, isCut)
      const found = appendPass({ block, ops, targets: targetList, cotangents, wrt: new Set(inputList), isCut })
      const answers: readonly (Variable | null)[] = inputList.map((input) => found.get(input) ?? null)
      return answers as GradientsOfInputs<I>
    })
  })
}

function variablesOf(given: Variable | readonly Variable[], op: string, what: string): Variable[] {
  if (given instanceof Variable) return [given]
  const list: unknown = given
  if (!Array.isArray(list)) return [requireVariable(list, op, what)]
  return list.map((entry) => requireVariable(entry, op, `an entry of ${what}`))
}

function cotangentsOf(
  targets: readonly Variable[],
  given: GradientsOptions["targetGradients"],
  op: string,
): (Variable | null)[] {
  if (given === undefined) return targets.map(() => null)
  const list: readonly (Variable | null)[] = given instanceof Variable ? [given] : given
  if (list.length !== targets.length) {
    fail("CF_BAD_ARGUMENT", `targetGradients must have one entry per target: ${targets.length}, got ${list.length}`, {
      op,
    })
  }
  return targets.map((target, index) => {
    const cotangent = list[index] ?? null
    if (cotangent === null) return null
    requireVariable(cotangent, op, "an entry of targetGradients")
    ownVariable(cotangent, target.program, op, "targetGradients")
    if (!sameShape(cotangent.shape, target.shape) || cotangent.dtype !== target.dtype) {
      fail(
        "CF_SHAPE_MISMATCH",
        `a cotangent has the type of its target: ${formatShape(target.shape)} ${target.dtype}`,
        {
          op,
          notes: [
            `target     ${target}   built at ${target.site}`,
            `cotangent  ${cotangent}   built at ${cotangent.site}`,
          ],
        },
      )
    }
    return cotangent
  })
}
