// Gradient descent as part of a program: a scan whose body asks for the gradients of its own loss. What comes after the loop
// can be differentiated with respect to anything that went in, the first weights and the step size among them.

import { gradients, layers, type Variable } from "counterflow"

export interface Descent {
  /** The weights before the first step. */
  readonly weights: readonly Variable[]
  /** One value: the step size. */
  readonly rate: Variable
  readonly steps: number
}

/** The weights after some steps of plain gradient descent, w ← w − η ∂loss(w)/∂w. */
export function descend(
  loss: (weights: readonly Variable[]) => Variable,
  { weights, rate, steps }: Descent,
): readonly Variable[] {
  const step = (now: readonly Variable[]): readonly [Variable[]] => {
    const slopes = gradients(loss(now), now)
    return [now.map((w, i) => (slopes[i] ? layers.sub(w, layers.mul(rate, slopes[i])) : w))]
  }
  const [last] = layers.scan(step, { init: weights, length: steps })
  return last
}
