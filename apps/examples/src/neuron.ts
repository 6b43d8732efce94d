// A network small enough to be differentiated by hand: u(x) = v tanh(w x + b). With z = tanh(w x + b) and s = z (1 − z²),
//
//   u′ = v w (1 − z²),   u″ = −2 v w² s,   u‴ = −2 v w³ (1 − z²) (1 − 3 z²)
//
// and the mean of u″² over some points, which is what a physics-informed loss is made of, has the gradient in w
//
//   mean 2 u″ ∂u″/∂w,   ∂u″/∂w = −4 v w s − 2 v w² x (1 − z²) (1 − 3 z²)

import { Executor, gradients, layers, Program, programGuard } from "counterflow"
import { derivative } from "./equations.ts"

export interface Neuron {
  readonly w: number
  readonly b: number
  readonly v: number
}

export interface Derivatives {
  /** u, u′, u″ and u‴ at each point. */
  readonly orders: readonly (readonly number[])[]
  /** The gradient of the mean of u″² in w. */
  readonly slope: number
}

/** By `gradients`, taken again and again. */
export async function derivatives({ w, b, v }: Neuron, points: readonly number[]): Promise<Derivatives> {
  const fetch = programGuard(new Program(), new Program(), () => {
    const given = (name: string, shape: number[]) =>
      layers.data({ name, shape, dtype: "float64", appendBatchSize: false })
    const [x, weight] = [given("x", [points.length]), given("w", [])]
    for (const input of [x, weight]) input.stopGradient = false
    const u = layers.scale(layers.tanh(layers.scale(layers.mul(weight, x), { bias: b })), { scale: v })
    const du = derivative(u, x)
    const ddu = derivative(du, x)
    const [slope] = gradients(layers.mean(layers.square(ddu)), weight)
    return [slope!, u, du, ddu, derivative(ddu, x)] as const
  })
  const [slope, ...orders] = await new Executor().run(fetch[0].program, { feed: { x: [...points], w }, fetch })
  return { slope: slope.item(), orders: orders.map(({ data }) => [...data].map(Number)) }
}

/** By the formulas above. */
export function closedDerivatives({ w, b, v }: Neuron, points: readonly number[]): Derivatives {
  const at = points.map((x) => {
    const z = Math.tanh(w * x + b)
    const [c, d] = [1 - z * z, (1 - z * z) * (1 - 3 * z * z)]
    const ddu = -2 * v * w * w * z * c
    return {
      orders: [v * z, v * w * c, ddu, -2 * v * w ** 3 * d],
      slope: 2 * ddu * (-4 * v * w * z * c - 2 * v * w * w * x * d),
    }
  })
  return {
    orders: [0, 1, 2, 3].map((order) => at.map(({ orders }) => orders[order] ?? NaN)),
    slope: at.reduce((sum, { slope }) => sum + slope, 0) / points.length,
  }
}
