// A language model of one LSTM: an embedding, the LSTM, and a head. Once as the layer, whose steps are one loop in the program, and
// once with every step written out, which is what a library without loops in its graph compiles.

import { layers, ops, optim, type Variable } from "counterflow"
import { crossEntropy } from "./dense.ts"
import { type Model, model } from "./model.ts"

export interface LstmSizes {
  readonly vocabulary: number
  /** Tokens in a sequence. */
  readonly length: number
  readonly batch: number
  readonly width: number
}

type Recurrence = (x: Variable, sizes: LstmSizes) => Variable

const looped: Recurrence = (x, { width }) => {
  const [outputs] = layers.lstm(x, { size: width, paramAttr: ["input", "state"], biasAttr: "bias" })
  return outputs
}

const unrolled: Recurrence = (x, { length, batch, width }) => {
  const parameter = (name: string, shape: number[]) => layers.createParameter({ shape, name })
  const [input, state] = [parameter("input", [width, 4 * width]), parameter("state", [width, 4 * width])]
  const steps = ops.transpose(x, { perm: [1, 0, 2] })
  const given = ops.add(ops.flattenMatmul(steps, input, { xNumColDims: 2 }), parameter("bias", [4 * width]))
  let h = ops.fillConstant({ shape: [batch, width], value: 0 })
  let c = h
  const outputs = ops.unstack(given, { axis: 0 }).map((z) => {
    const [i, f, g, o] = ops.split(ops.add(z, ops.matmul(h, state)), { numOrSections: 4, axis: 1 })
    c = ops.add(ops.mul(ops.sigmoid(f!), c), ops.mul(ops.sigmoid(i!), ops.tanh(g!)))
    h = ops.mul(ops.sigmoid(o!), ops.tanh(c))
    return h
  })
  if (outputs.length !== length) throw new Error(`${length} steps were asked for, not ${outputs.length}`)
  return ops.stack(outputs, { axis: 1 })
}

function logits(recurrence: Recurrence, sizes: LstmSizes): Variable {
  const { vocabulary, length, batch, width } = sizes
  const tokens = layers.data({ name: "tokens", shape: [batch, length], dtype: "int32", appendBatchSize: false })
  const embedded = layers.embedding(tokens, { size: [vocabulary, width], paramAttr: "embedding" })
  const outputs = recurrence(embedded, sizes)
  return layers.fc(outputs, { size: vocabulary, numFlattenDims: 2, paramAttr: "head", biasAttr: false })
}

/** Fed tokens and label, trained by Adam. */
export function lstmTraining(sizes: LstmSizes, isUnrolled = false): Model {
  const recurrence = isUnrolled ? unrolled : looped
  return model(() => crossEntropy(logits(recurrence, sizes)), new optim.Adam({ learningRate: 1e-3 }))
}
