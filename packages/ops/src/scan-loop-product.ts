// Sums over the runs of a loop of what is a product in each: one product of the stacks of the factors, joined along the axis over
// which the op adds. A recurrent weight has its gradient so: instead of T small products, added up in an array of its size,
//
//   Σ_t h_tᵀ dz_t  =  [h_0; h_1; …]ᵀ [dz_0; dz_1; …]

import { appendOperator, type Dim, mulDims, type Operator, type Variable } from "@counterflow/ir"
import type { RunProduct } from "./define.ts"
import { transpose } from "./movement.ts"
import { reshapeTo } from "./reshape.ts"

/** The values of a run that products read, each once. */
export function factorsOf(products: readonly RunProduct[]): Variable[] {
  return [...new Set(products.flatMap(({ factors }) => Object.values(factors).map(({ value }) => value)))]
}

/** The sum over all runs, from the factors' stacks of this length. */
export function productOfRuns(
  { op, factors, views }: RunProduct,
  stackOf: ReadonlyMap<Variable, Variable>,
  length: Dim,
): Variable {
  const inputs = Object.entries(factors).map(([slot, { value, shape, axis }]) => {
    const along = axis < 0 ? axis + shape.length : axis
    const size = shape[along] ?? 1
    const joined = shape.with(along, mulDims(length, size))
    const stack = reshapeTo(stackOf.get(value)!, along === 0 ? joined : [length, ...shape])
    // Run and axis side by side: [run, a, axis, b] is [a, run, axis, b] is [a, run · axis, b].
    const others = Array.from({ length: shape.length }, (_, i) => i + 1)
    const perm = others.toSpliced(along, 0, 0)
    return [slot, along === 0 ? stack : reshapeTo(transpose(stack, { perm }), joined)] as const
  })
  const product = emitAgain(op, Object.fromEntries(inputs))
  return views.reduce((value, view) => emitAgain(view, { [Object.keys(view.inputs)[0]!]: value }), product)
}

/** The only output of an operator on other inputs. */
function emitAgain({ record, attrs, block }: Operator, inputs: Readonly<Record<string, Variable>>): Variable {
  const slots = Object.fromEntries(Object.entries(inputs).map(([slot, variable]) => [slot, [variable]]))
  const made = appendOperator({ record, attrs, inputs: slots, above: emitAgain, program: block.program })
  return made.outputList()[0]!
}
