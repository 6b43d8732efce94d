// Gradient descent as part of a program: a scan whose body asks for the gradients of its own loss. What comes after the loop
// can be differentiated with respect to anything that went in, the first weights and the step size among them.

import { gradients, layers, type Variable } from "counterflow"

export interface Descent {
  /** The weights before the first step. */
  readonly weights: readonly Variable[]
  /** One value: the step size. */
  readonly rate: Variable
  readonly steps: number
  /** What is seen of the weights after each step. */
  readonly watch?: (weights: readonly Variable[]) => Variable
}

export interface Descended {
  readonly weights: readonly Variable[]
  /** What was watched, stacked: one place per step. */
  readonly watched: readonly Variable[]
}

/** Some steps of plain gradient descent, w ← w − η ∂loss(w)/∂w. */
export function descend(
  loss: (weights: readonly Variable[]) => Variable,
  { weights, rate, steps, watch }: Descent,
): Descended {
  const step = (now: readonly Variable[]) => {
    const slopes = gradients(loss(now), now)
    const next = now.map((w, i) => (slopes[i] ? layers.sub(w, layers.mul(rate, slopes[i])) : w))
    return [next, watch ? [watch(next)] : []] as const
  }
  const [last, watched] = layers.scan(step, { init: weights, length: steps })
  return { weights: last, watched }
}
