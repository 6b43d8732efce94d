// Activations by name: what the option `act` of a layer may say.

import type { Variable } from "@counterflow/ir"
import {
  abs,
  ceil,
  cos,
  elu,
  erf,
  exp,
  floor,
  gelu,
  hardSigmoid,
  hardSwish,
  leakyRelu,
  log,
  logSigmoid,
  logSoftmax,
  mish,
  reciprocal,
  relu,
  relu6,
  round,
  rsqrt,
  selu,
  sigmoid,
  sin,
  softmax,
  softplus,
  softsign,
  sqrt,
  square,
  swish,
  tanh,
} from "@counterflow/ops"

const activations = {
  relu,
  relu6,
  leakyRelu,
  elu,
  selu,
  gelu,
  sigmoid,
  logSigmoid,
  hardSigmoid,
  tanh,
  softplus,
  softsign,
  swish,
  hardSwish,
  mish,
  softmax,
  logSoftmax,
  abs,
  ceil,
  cos,
  erf,
  exp,
  floor,
  log,
  reciprocal,
  round,
  rsqrt,
  sin,
  sqrt,
  square,
} satisfies Readonly<Record<string, (x: Variable) => Variable>>

/** An activation with the defaults of its op; for others call the op: `leakyRelu(fc(x, { size }), { alpha })`. */
export type Activation = keyof typeof activations

export const activationNames: readonly string[] = /*#__PURE__*/ Object.keys(activations)

/** x itself where no activation is asked for. */
export function activate(x: Variable, act: Activation | null | undefined): Variable {
  return act === undefined || act === null ? x : activations[act](x)
}
