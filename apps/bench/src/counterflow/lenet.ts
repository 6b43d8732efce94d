// LeNet: two convolutions with pooling, three fully connected layers.

import { layers, optim, type Variable } from "counterflow"
import { crossEntropy, stack } from "./dense.ts"
import { type Model, model } from "./model.ts"

export interface LenetSizes {
  /** Channels, height, width. */
  readonly image: readonly number[]
  readonly filters: readonly number[]
  readonly filterSize: number
  readonly hidden: readonly number[]
  readonly classes: number
}

function logits({ image, filters, filterSize, hidden, classes }: LenetSizes): Variable {
  const x = layers.data({ name: "x", shape: image })
  const pooled = filters.reduce((h, numFilters, i) => {
    const names = { paramAttr: `k${i + 1}`, biasAttr: `c${i + 1}` }
    const convolved = layers.conv2d(h, { numFilters, filterSize, act: "relu", ...names })
    return layers.pool2d(convolved, { poolSize: 2, poolStride: 2, poolType: "max" })
  }, x)
  return stack(pooled, hidden, classes)
}

/** Fed x alone; fetches the logits. */
export function lenetForward(sizes: LenetSizes): Model {
  return model(() => logits(sizes), null)
}

/** Fed x and label, trained by SGD with momentum. */
export function lenetTraining(sizes: LenetSizes): Model {
  return model(() => crossEntropy(logits(sizes)), new optim.Momentum({ learningRate: 0.01, momentum: 0.9 }))
}
