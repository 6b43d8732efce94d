// What update rules of optimizers share: their types, and the two formulas that come back in most of them.

import { compareDims, fail, formatShape, numel, type TensorType, type Variable } from "@counterflow/ir"
import { add, mul } from "./arithmetic.ts"
import { reshapeTo } from "./reshape.ts"
import { requireFloat, sameTypes } from "./shapes.ts"
import { scale } from "./unary.ts"

/** Parameter, gradient and states per element have one type, which the next values take. */
export function updatedType(types: Readonly<Record<string, TensorType>>): TensorType {
  for (const [name, type] of Object.entries(types)) requireFloat(name, type)
  return sameTypes(types)
}

/** One element of the parameter's dtype: the learning rate, a power of beta. */
export function requireOne(name: string, type: TensorType, param: TensorType): TensorType {
  if (type.dtype !== param.dtype) {
    fail("CF_DTYPE_MISMATCH", `param and ${name} must have one dtype, got ${param.dtype} and ${type.dtype}`)
  }
  if (compareDims(numel(type.shape), 1) !== "equal") {
    fail("CF_SHAPE_MISMATCH", `${name} must have one element, got shape ${formatShape(type.shape)}`)
  }
  return type
}

/** rate · x, for a rate of one element. */
export function times(x: Variable, rate: Variable): Variable {
  return mul(x, reshapeTo(rate, []))
}

/** An exponential moving average: keep · old + (1 − keep) · now. */
export function average(old: Variable, now: Variable, keep: number): Variable {
  return add(scale(old, { scale: keep }), scale(now, { scale: 1 - keep }))
}

/** What every update takes besides the parameter. */
export interface UpdateInputs {
  grad: Variable
  /** One element. */
  learningRate: Variable
}
