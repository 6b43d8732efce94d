// The sum of any number of equal tensors: how partial gradients of one variable meet.

import { fail, type Variable } from "@counterflow/ir"
import { add } from "./arithmetic.ts"
import { composite } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { sameTypes } from "./shapes.ts"

/** z = x₀ + x₁ + …, added in order; all of one shape and dtype. */
export function sum(xs: readonly Variable[]): Variable {
  return emit(sumOp, { xs }, {}, sum).z
}

export const sumOp = /*#__PURE__*/ composite({
  name: "sum",
  inputs: { xs: "tensors" },
  outputs: ["z"],
  infer: ({ xs }) => {
    if (xs.length === 0) fail("CF_BAD_SLOT", "xs is empty: there is nothing to add")
    return { z: sameTypes(Object.fromEntries(xs.map((x, i) => [`xs[${i}]`, x]))) }
  },
  // forward   z = Σ xᵢ
  // backward  dxᵢ = dz
  grad: ({ xs }, _outputs, { z: dz }) => ({ xs: xs.map(() => dz) }),
  decompose: ({ xs }) => ({ z: xs.reduce((total, x) => add(total, x)) }),
})

export const sumDoc = /*#__PURE__*/ describe(sumOp, {
  summary: "The sum of a list of equal tensors, added in order.",
  formula: "z = Σ xᵢ",
  source: "Fluid 1.8, sum",
  samples: [
    {
      in: {
        xs: [
          [2, 3],
          [2, 3],
          [2, 3],
        ],
      },
    },
    { in: { xs: [[4]] } },
    { in: { xs: [[], []] } },
    {
      in: {
        xs: [
          [0, 2],
          [0, 2],
        ],
      },
    },
  ],
})
