// A recurrent network for the tests of loops, as a scan and written out.

import { type Variable } from "@counterflow/ir"
import { add, matmul, mul, reduceSum, scan, slice, square, squeeze, stack, tanh } from "@counterflow/ops"
import { build, input, parameter } from "./building.ts"

export const wave = (count: number, by = 1) => Array.from({ length: count }, (_, i) => Math.sin(by * (i + 1)))

/** Place t along the leading axis. */
function at(x: Variable, t: number): Variable {
  return squeeze(slice(x, { axes: [0], starts: [t], ends: [t + 1] }), { axes: [0] })
}

/** h' = tanh(x W + h U), y = h' ∘ h: once as a scan over `x`, once written out. */
export function recurrent(isScan: boolean, steps = 5) {
  return build((program) => {
    const x = input(program, "x", [steps, 2, 3])
    const h0 = input(program, "h0", [2, 4])
    const w = parameter(program, "w", [3, 4], { initialValue: 0.25 })
    const u = parameter(program, "u", [4, 4], { initialValue: -0.125 })
    const cell = (h: Variable, xt: Variable) => {
      const next = tanh(add(matmul(xt, w), matmul(h, u)))
      return [next, mul(next, h)] as const
    }
    if (isScan) {
      const [last, ys] = scan((h, xt) => cell(h, xt), { init: h0, xs: x })
      return { last, ys, x, h0, w, u }
    }
    let h = h0
    const ys: Variable[] = []
    for (let t = 0; t < steps; t++) {
      const [next, y] = cell(h, at(x, t))
      h = next
      ys.push(y)
    }
    return { last: h, ys: stack(ys, { axis: 0 }), x, h0, w, u }
  })
}

export const feed = { x: wave(30), h0: wave(8, 0.7) }

/** A number that depends on every element differently. */
export function programLoss(y: Variable): Variable {
  return reduceSum(square(y))
}
