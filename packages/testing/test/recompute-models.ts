// Small models with everything that recomputation has to get right: draws, running statistics, views, branches and loops, losses
// that read gradients.

import { gradients } from "@counterflow/autodiff"
import type { Variable } from "@counterflow/ir"
import { batchNorm, conv2d, data, dropout, fc, layerNorm } from "@counterflow/layers"
import {
  add,
  cond,
  dropout as drop,
  greater,
  logLoss,
  matmul,
  mean,
  mse,
  mul,
  reduceSum,
  reshape,
  gelu,
  scan,
  sigmoid,
  softmax,
  softmaxWithCrossEntropy,
  square,
  sub,
  tanh,
  transpose,
} from "@counterflow/ops"
import { waves } from "./passes-programs.ts"

/** Builds a loss and names values that may be kept. */
export interface Model {
  readonly feed: Readonly<Record<string, ReturnType<typeof waves> | { shape: readonly number[]; data: Int32Array }>>
  build(keep: (variable: Variable) => Variable): Variable
}

const labels = { shape: [4, 1], data: Int32Array.from([2, 0, 3, 1]) }

const mlp: Model = {
  feed: { x: waves([4, 6]), label: labels },
  build(keep) {
    let h = data({ name: "x", shape: [6] })
    for (let i = 0; i < 3; i++) h = keep(dropout(fc(h, { size: 8, act: "relu" }), { dropoutProb: 0.25 }))
    return mean(softmaxWithCrossEntropy(fc(h, { size: 5 }), data({ name: "label", shape: [1], dtype: "int32" })))
  },
}

const convolutions: Model = {
  feed: { x: waves([2, 1, 6, 6]), y: waves([2, 3, 6, 6], 2) },
  build(keep) {
    let h = data({ name: "x", shape: [1, 6, 6] })
    for (let i = 0; i < 3; i++) {
      h = keep(batchNorm(conv2d(h, { numFilters: 3, filterSize: 3, padding: 1 }), { act: "relu" }))
    }
    return mean(mse(h, data({ name: "y", shape: [3, 6, 6] })))
  },
}

const attention: Model = {
  feed: { x: waves([2, 6, 8]), y: waves([2, 6, 8], 2) },
  build(keep) {
    const linear = (x: Variable, size: number) => fc(x, { size, numFlattenDims: 2 })
    const split = (x: Variable) => transpose(reshape(x, { shape: [0, 0, 2, -1] }), { perm: [0, 2, 1, 3] })
    let x = data({ name: "x", shape: [6, 8] })
    for (let i = 0; i < 2; i++) {
      const normed = layerNorm(x, { beginNormAxis: 2 })
      const [query, key, value] = [0, 1, 2].map(() => split(linear(normed, 8)))
      const weights = drop(softmax(matmul(query!, key!, { transposeY: true, alpha: 0.5 })), { dropoutProb: 0.1 })
      const seen = transpose(matmul(weights, value!), { perm: [0, 2, 1, 3] })
      const h = add(x, linear(reshape(seen, { shape: [0, 0, 8] }), 8))
      x = keep(add(h, linear(gelu(linear(h, 16)), 8)))
    }
    return mean(mse(x, data({ name: "y", shape: [6, 8] })))
  },
}

const loops: Model = {
  feed: { x: waves([5, 3]), first: waves([1, 3], 2) },
  build(keep) {
    const x = data({ name: "x", shape: [5, 3], appendBatchSize: false })
    let h = fc(data({ name: "first", shape: [1, 3], appendBatchSize: false }), { size: 3 })
    for (let i = 0; i < 2; i++) {
      const [last, ys] = scan(
        (carry, each) => {
          const next = tanh(add(fc(carry, { size: 3 }), each))
          return [next, drop(mul(next, carry), { dropoutProb: 0.25 })]
        },
        { init: h, xs: fc(x, { size: 3 }) },
      )
      const wide = fc(reshape(ys, { shape: [5, 3] }), { size: 4, act: "tanh" })
      const gated = cond(
        greater(reduceSum(wide), 0),
        () => mul(last, reduceSum(wide)),
        () => square(sub(last, reduceSum(wide))),
      )
      h = keep(tanh(gated))
    }
    return mean(square(fc(h, { size: 2 })))
  },
}

const penalty: Model = {
  feed: { x: waves([3, 4]) },
  build(keep) {
    const x = data({ name: "x", shape: [4] })
    x.stopGradient = false
    let h = x
    for (let i = 0; i < 3; i++) h = keep(fc(h, { size: 6, act: "tanh" }))
    const y = sigmoid(fc(h, { size: 1 }))
    const [dx] = gradients(y, x)
    const norm = keep(reduceSum(square(dx!), { axis: 1, keepDim: true }))
    return add(mean(logLoss(y, sigmoid(norm))), mean(square(sub(norm, 1))))
  },
}

export const models = { mlp, convolutions, attention, loops, penalty } as const
