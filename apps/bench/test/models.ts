// Losses and logits of the models as functions of their weights, and training by gradients from differences: nothing in it knows
// how counterflow differentiates.

import type { GptSizes } from "../src/counterflow/gpt.ts"
import type { LstmSizes } from "../src/counterflow/lstm.ts"
import type { LenetSizes } from "../src/counterflow/lenet.ts"
import * as plain from "./reference.ts"

/** Weights by name; changed in place by training. */
export type Weights = Readonly<Record<string, Float64Array>>

function of(weights: Weights, name: string): Float64Array {
  const found = weights[name]
  if (found === undefined) throw new Error(`there is no weight ${name}`)
  return found
}

export function linear(x: plain.Matrix, weights: Weights, name: string, bias: string | null): number[][] {
  const w = of(weights, name)
  const y = plain.product(x, plain.matrixOf(w, w.length / (x[0]?.length ?? NaN)))
  return bias === null ? y : plain.withBias(y, of(weights, bias))
}

export function stackLogits(x: plain.Matrix, weights: Weights, layers: number): number[][] {
  let h = x.map((row) => [...row])
  for (let layer = 1; layer <= layers; layer++) {
    const next = linear(h, weights, `w${layer}`, `b${layer}`)
    h = layer < layers ? plain.each(next, plain.relu) : next
  }
  return h
}

export function lenetLogits(x: plain.Images, weights: Weights, sizes: LenetSizes): number[][] {
  const { filterSize, filters, hidden } = sizes
  let h = x
  filters.forEach((count, i) => {
    const shape = [count, h.shape[1], filterSize, filterSize]
    const bank = plain.imagesOf(of(weights, `k${i + 1}`), shape)
    h = plain.pooled(plain.convolution(h, bank, 0), of(weights, `c${i + 1}`))
  })
  return stackLogits(plain.matrixOf(h.data, h.data.length / h.shape[0]), weights, hidden.length + 1)
}

function attended(x: plain.Matrix, weights: Weights, { width, heads }: GptSizes, block: number): number[][] {
  const size = width / heads
  const [query = [], key = [], value = []] = ["query", "key", "value"].map((name) =>
    linear(x, weights, `${block}.${name}`, null),
  )
  const parts = Array.from({ length: heads }, (_, head) => {
    const part = (rows: plain.Matrix) => rows.map((row) => row.slice(head * size, (head + 1) * size))
    const scores = plain.product(part(query), plain.transposed(part(key)))
    const causal = scores.map((row, i) => row.map((score, j) => (j > i ? -Infinity : score / Math.sqrt(size))))
    return plain.product(plain.softmax(causal), part(value))
  })
  const joined = x.map((_, i) => parts.flatMap((part) => part[i] ?? []))
  return linear(joined, weights, `${block}.output`, null)
}

/** The logits of one sequence. */
export function gptLogits(tokens: readonly number[], weights: Weights, sizes: GptSizes): number[][] {
  const { width, blocks } = sizes
  const table = plain.matrixOf(of(weights, "embedding"), width)
  const positions = plain.matrixOf(of(weights, "positions"), width)
  const norm = (a: plain.Matrix, name: string) =>
    plain.normalized(a, of(weights, `${name}.scale`), of(weights, `${name}.shift`))
  let x = plain.sum(
    tokens.map((token) => table[token] ?? []),
    positions,
  )
  for (let block = 0; block < blocks; block++) {
    x = plain.sum(x, attended(norm(x, `${block}.norm1`), weights, sizes, block))
    const wide = plain.each(linear(norm(x, `${block}.norm2`), weights, `${block}.up`, `${block}.up.bias`), plain.gelu)
    x = plain.sum(x, linear(wide, weights, `${block}.down`, `${block}.down.bias`))
  }
  return linear(norm(x, "norm"), weights, "head", null)
}

/** The logits of one sequence. */
export function lstmLogits(tokens: readonly number[], weights: Weights, { width }: LstmSizes): number[][] {
  const table = plain.matrixOf(of(weights, "embedding"), width)
  const given = linear(
    tokens.map((token) => table[token] ?? []),
    weights,
    "input",
    "bias",
  )
  let [h, c] = [0, 1].map(() => Array.from({ length: width }, () => 0)) as [number[], number[]]
  const outputs = given.map((row) => {
    const [z = []] = plain.sum([row], linear([h], weights, "state", null))
    const gate = (number: number, unit: number) => 1 / (1 + Math.exp(-(z[number * width + unit] ?? NaN)))
    c = c.map((value, unit) => gate(1, unit) * value + gate(0, unit) * Math.tanh(z[2 * width + unit] ?? NaN))
    h = c.map((value, unit) => gate(3, unit) * Math.tanh(value))
    return h
  })
  return linear(outputs, weights, "head", null)
}

/** Changes one weight, given its gradient: called once per weight and step, with the number of the step from 1. */
export type Update = (gradient: number, state: { m: number; v: number }, step: number) => number

export const sgd =
  (rate: number): Update =>
  (gradient) =>
    rate * gradient

export const momentum =
  (rate: number, decay: number): Update =>
  (gradient, state) => {
    state.v = decay * state.v + gradient
    return rate * state.v
  }

/** With Fluid's place of ε. */
export const adam =
  (rate: number): Update =>
  (gradient, state, step) => {
    state.m = 0.9 * state.m + 0.1 * gradient
    state.v = 0.999 * state.v + 0.001 * gradient ** 2
    const correction = Math.sqrt(1 - 0.999 ** step) / (1 - 0.9 ** step)
    return (rate * correction * state.m) / (Math.sqrt(state.v) + 1e-8)
  }

const h = 1e-6

/** Losses of `steps` steps, each before its update; gradients are central differences. */
export function trained(loss: (weights: Weights) => number, weights: Weights, update: Update, steps: number): number[] {
  const places = Object.values(weights).flatMap((values) => Array.from(values, (_, i) => ({ values, i })))
  const states = places.map(() => ({ m: 0, v: 0 }))
  return Array.from({ length: steps }, (_, step) => {
    const before = loss(weights)
    const gradients = places.map(({ values, i }) => {
      const value = values[i] ?? NaN
      values[i] = value + h
      const above = loss(weights)
      values[i] = value - h
      const below = loss(weights)
      values[i] = value
      return (above - below) / (2 * h)
    })
    places.forEach(({ values, i }, k) => {
      const state = states[k]
      if (state !== undefined) values[i] = (values[i] ?? NaN) - update(gradients[k] ?? NaN, state, step + 1)
    })
    return before
  })
}
