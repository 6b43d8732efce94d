// Networks of fully connected layers: linear regression and the MLP.

import { layers, optim, type Variable } from "counterflow"
import { type Model, model } from "./model.ts"

export interface RegressionSizes {
  readonly width: number
  readonly learningRate: number
}

/** Mean squared error of x w + b; fed x and y, trained by SGD. */
export function regression({ width, learningRate }: RegressionSizes): Model {
  const loss = () => {
    const x = layers.data({ name: "x", shape: [width] })
    const y = layers.data({ name: "y", shape: [1] })
    const predicted = layers.fc(x, { size: 1, paramAttr: "w", biasAttr: "b" })
    return layers.mean(layers.squareErrorCost(predicted, y))
  }
  return model(loss, new optim.SGD({ learningRate }))
}

export interface MlpSizes {
  readonly width: number
  readonly hidden: readonly number[]
  readonly classes: number
}

/** Logits of fully connected layers with relu between; weights w1, b1, w2, b2, …. */
export function stack(x: Variable, hidden: readonly number[], classes: number): Variable {
  const wide = hidden.reduce((h, size, i) => layers.fc(h, { size, act: "relu", ...names(i + 1) }), x)
  return layers.fc(wide, { size: classes, ...names(hidden.length + 1) })
}

function names(layer: number) {
  return { paramAttr: `w${layer}`, biasAttr: `b${layer}` }
}

/** The mean cross entropy of softmax(logits), for labels that are fed. */
export function crossEntropy(logits: Variable): Variable {
  const label = layers.data({ name: "label", shape: logits.shape.slice(1, -1), dtype: "int32" })
  return layers.mean(layers.softmaxWithCrossEntropy(logits, label))
}

function mlpLogits({ width, hidden, classes }: MlpSizes): Variable {
  return stack(layers.data({ name: "x", shape: [width] }), hidden, classes)
}

/** Fed x alone; fetches the logits. */
export function mlpForward(sizes: MlpSizes): Model {
  return model(() => mlpLogits(sizes), null)
}

/** Fed x and label, trained by Adam. */
export function mlpTraining(sizes: MlpSizes): Model {
  return model(() => crossEntropy(mlpLogits(sizes)), new optim.Adam({ learningRate: 1e-3 }))
}
