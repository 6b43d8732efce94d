// Fluid's documentation of append_backward, word for word in TypeScript.
import { appendBackward, layers } from "counterflow"

const x = layers.data({ name: "x", shape: [13], dtype: "float32" })
const y = layers.data({ name: "y", shape: [1], dtype: "float32" })
const predict = layers.fc(x, { size: 1 })
const loss = layers.mean(layers.squareErrorCost(predict, y))
const paramGrads = appendBackward(loss)

for (const [parameter, gradient] of paramGrads) console.log(`${parameter}  ${gradient}`)
