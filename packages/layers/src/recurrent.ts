// Recurrent layers: long short-term memory, gated recurrent units, and Elman's network. Each is a cell here; the loop over time,
// and what is around it, is in recurrence.ts.

import type { Variable } from "@counterflow/ir"
import { add, matmul, mul, split, sub } from "@counterflow/ops"
import { activate, type Activation } from "./activation.ts"
import { type CellStep, recurrent, recurrentKinds, type RecurrentOptions } from "./recurrence.ts"

export interface LstmOptions extends RecurrentOptions {
  /** The memory before the first step, as `initH`. */
  initC?: Variable | null
  /** Of the gates i, f and o; sigmoid unless said. */
  gateActivation?: Activation
  /** Of the memory on its way out; tanh unless said. */
  cellActivation?: Activation
  /** Of what may enter the memory; tanh unless said. */
  candidateActivation?: Activation
}

/**
 * Long short-term memory over x [batch, time, width]: the outputs [batch, time, size], and the last output and memory, which
 * are [batch, size], or [layers · directions, batch, size] where there are several.
 *
 * ```text
 * i = σ(x Wᵢ + h Uᵢ + bᵢ)   f = σ(x W_f + h U_f + b_f)   g = tanh(x W_g + h U_g + b_g)   o = σ(x Wₒ + h Uₒ + bₒ)
 * c' = f ∘ c + i ∘ g        h' = o ∘ tanh(c')
 * ```
 *
 * The weights of each layer and direction are `w_0` [width, 4 · size] and `w_1` [size, 4 · size], the bias is `b_0` [4 · size],
 * with the gates side by side in the order i, f, g, o (that of cuDNN, which Fluid's `lstm` calls, and of PyTorch). Weights start
 * from Xavier's uniform draw, each gate as a layer of its own; biases from zero. Parameters have the dtype of x, float32 or float64
 * (else CF_DTYPE_MISMATCH); x of another rank, and states of another shape, are refused (CF_SHAPE_MISMATCH).
 *
 * Sources: Hochreiter and Schmidhuber (1997); the forget gate: Gers, Schmidhuber and Cummins (2000). There are no peepholes.
 *
 * @example
 * ```ts
 * const words = layers.data({ name: "words", shape: [12, 16] }) // [batch, 12 steps, 16 wide]
 * const [outputs, lastH, lastC] = layers.lstm(words, { size: 32, numLayers: 2, dropoutProb: 0.1 })
 * console.log(outputs.type, lastH.type, lastC.type)
 * // float32[batch, 12, 32] float32[2, batch, 32] float32[2, batch, 32]
 * ```
 */
export function lstm(x: Variable, options: LstmOptions): [outputs: Variable, lastH: Variable, lastC: Variable] {
  const cell = ({ initH, initC, gateActivation, cellActivation, candidateActivation }: LstmOptions) => ({
    gates: 4,
    init: { initH, initC },
    stepWith:
      (w: Variable): CellStep =>
      (given, [h, c]) => {
        const gate = (z: Variable) => activate(z, gateActivation ?? "sigmoid")
        const [i, f, g, o] = split(add(given, matmul(h!, w)), { numOrSections: 4, axis: 1 })
        const entering = mul(gate(i!), activate(g!, candidateActivation ?? "tanh"))
        const nextC = add(mul(gate(f!), c!), entering)
        return [mul(gate(o!), activate(nextC, cellActivation ?? "tanh")), nextC]
      },
  })
  const [outputs, lastH, lastC] = recurrent({ type: "lstm", fn: lstm, x, options, kinds: lstmKinds, cell })
  return [outputs, lastH!, lastC!]
}

const lstmKinds = {
  ...recurrentKinds,
  initC: "any",
  gateActivation: "act",
  cellActivation: "act",
  candidateActivation: "act",
} as const

export interface GruOptions extends RecurrentOptions {
  /** Of the gates u and r; sigmoid unless said. */
  gateActivation?: Activation
  /** Of what may enter the state; tanh unless said. */
  candidateActivation?: Activation
  /** Which side of the gate u keeps the state: see the formula. */
  originMode?: boolean
}

/**
 * Gated recurrent units over x [batch, time, width]: the outputs [batch, time, size], and the last one, which is [batch, size],
 * or [layers · directions, batch, size] where there are several.
 *
 * ```text
 * u = σ(x Wᵤ + h Uᵤ + bᵤ)   r = σ(x Wᵣ + h Uᵣ + bᵣ)   m = tanh(x Wₘ + (r ∘ h) Uₘ + bₘ)
 * h' = (1 − u) ∘ h + u ∘ m,    with originMode  h' = u ∘ h + (1 − u) ∘ m
 * ```
 *
 * This is Fluid's `gru_unit`, with its default: the reset gate acts in front of the product with Uₘ, as in the paper, which has
 * the other `originMode`. The weights of each layer and direction are `w_0` [width, 3 · size] and `w_1` [size, 3 · size], the bias
 * is `b_0` [3 · size], in the order u, r, m. Weights start from Xavier's uniform draw, each gate as a layer of its own; biases
 * from zero. Dtypes and errors are those of `lstm`.
 *
 * Source: Cho et al. (2014).
 *
 * @example
 * ```ts
 * const words = layers.data({ name: "words", shape: [12, 16] })
 * const [outputs, lastH] = layers.gru(words, { size: 32, isBidirec: true })
 * console.log(outputs.type, lastH.type) // float32[batch, 12, 64] float32[2, batch, 32]
 * ```
 */
export function gru(x: Variable, options: GruOptions): [outputs: Variable, lastH: Variable] {
  const cell = ({ size, initH, gateActivation, candidateActivation, originMode = false }: GruOptions) => ({
    gates: 3,
    init: { initH },
    stepWith: (w: Variable): CellStep => {
      const parts = { numOrSections: [2 * size, size], axis: 1 }
      const [ofGates, ofCandidate] = split(w, parts)
      return (given, [h]) => {
        const [toGates, toCandidate] = split(given, parts)
        const gates = activate(add(toGates!, matmul(h!, ofGates!)), gateActivation ?? "sigmoid")
        const [u, r] = split(gates, { numOrSections: 2, axis: 1 })
        const candidate = add(toCandidate!, matmul(mul(r!, h!), ofCandidate!))
        const m = activate(candidate, candidateActivation ?? "tanh")
        return [originMode ? add(m, mul(u!, sub(h!, m))) : add(h!, mul(u!, sub(m, h!)))]
      }
    },
  })
  const [outputs, lastH] = recurrent({ type: "gru", fn: gru, x, options, kinds: gruKinds, cell })
  return [outputs, lastH!]
}

const gruKinds = { ...recurrentKinds, gateActivation: "act", candidateActivation: "act", originMode: "bool" } as const

export interface RnnOptions extends RecurrentOptions {
  /** tanh unless said. */
  activation?: Activation
}

/**
 * Elman's recurrent network over x [batch, time, width]: the outputs [batch, time, size], and the last one, which is
 * [batch, size], or [layers · directions, batch, size] where there are several. For a cell of your own: `scan`, `staticRNN`.
 *
 * ```text
 * h' = tanh(x W + h U + b)
 * ```
 *
 * The weights of each layer and direction are `w_0` [width, size] and `w_1` [size, size], the bias is `b_0` [size]. Weights start
 * from Xavier's uniform draw, biases from zero. Dtypes and errors are those of `lstm`.
 *
 * Source: Elman, Finding structure in time (1990).
 *
 * @example
 * ```ts
 * const words = layers.data({ name: "words", shape: [12, 16] })
 * const [outputs, lastH] = layers.rnn(words, { size: 32, activation: "relu", isReverse: true })
 * console.log(outputs.type, lastH.type) // float32[batch, 12, 32] float32[batch, 32]
 * ```
 */
export function rnn(x: Variable, options: RnnOptions): [outputs: Variable, lastH: Variable] {
  const cell = ({ initH, activation }: RnnOptions) => ({
    gates: 1,
    init: { initH },
    stepWith:
      (w: Variable): CellStep =>
      (given, [h]) => [activate(add(given, matmul(h!, w)), activation ?? "tanh")],
  })
  const [outputs, lastH] = recurrent({ type: "rnn", fn: rnn, x, options, kinds: rnnKinds, cell })
  return [outputs, lastH!]
}

const rnnKinds = { ...recurrentKinds, activation: "act" } as const
