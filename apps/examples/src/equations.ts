// Differential equations solved by a network: how far it is from the equation, its derivatives taken by `gradients`, is the loss.
// The loss holds second derivatives of the network, so a step of training differentiates three times.
//
// Lagaris, Likas, Fotiadis, "Artificial Neural Networks for Solving Ordinary and Partial Differential Equations" (1998);
// Raissi, Perdikaris, Karniadakis, "Physics-informed neural networks" (2019).

import { gradients, layers, type Variable } from "counterflow"

export interface Equation {
  readonly title: string
  /** The names of the coordinates, each from 0 to 1. */
  readonly coordinates: readonly string[]
  /** The trial solution: meets the boundary and initial values whatever the network n says. */
  readonly trial: (at: readonly Variable[], n: Variable) => Variable
  /** Zero where u solves the equation. */
  readonly residual: (at: readonly Variable[], u: Variable) => Variable
  /** The solution in closed form. */
  readonly solution: (at: readonly number[]) => number
}

/** The derivative of u in one of its coordinates, at every point. */
export function derivative(u: Variable, x: Variable): Variable {
  const [dx] = gradients(u, x)
  if (dx === null) throw new Error(`${u.name} does not depend on ${x.name}`)
  return dx
}

const { PI } = Math
const sinPi = (x: Variable) => layers.sin(layers.scale(x, { scale: PI }))
/** x (1 − x), which is zero on both ends. */
const arch = (x: Variable) => layers.mul(x, layers.scale(x, { scale: -1, bias: 1 }))

export const poisson: Equation = {
  title: "u″ = −π² sin πx, u(0) = u(1) = 0",
  coordinates: ["x"],
  trial: ([x], n) => layers.mul(arch(x!), n),
  residual: ([x], u) => layers.add(derivative(derivative(u, x!), x!), layers.scale(sinPi(x!), { scale: PI ** 2 })),
  solution: ([x = NaN]) => Math.sin(PI * x),
}

const diffusivity = 0.1

export const heat: Equation = {
  title: `u_t = ${diffusivity} u_xx, u = sin πx at first, u = 0 at both ends`,
  coordinates: ["x", "t"],
  trial: ([x, t], n) => layers.add(sinPi(x!), layers.mul(layers.mul(t!, arch(x!)), n)),
  residual: ([x, t], u) =>
    layers.sub(derivative(u, t!), layers.scale(derivative(derivative(u, x!), x!), { scale: diffusivity })),
  solution: ([x = NaN, t = NaN]) => Math.exp(-diffusivity * PI ** 2 * t) * Math.sin(PI * x),
}
