// Fluid's documentation of gradients, word for word in TypeScript.
import { gradients, layers } from "counterflow"

const x = layers.data({ name: "x", shape: [2, 8, 8], dtype: "float32" })
x.stopGradient = false
let y = layers.conv2d(x, { numFilters: 4, filterSize: 1, biasAttr: false })
y = layers.relu(y)
y = layers.conv2d(y, { numFilters: 4, filterSize: 1, biasAttr: false })
y = layers.relu(y)
const [dx] = gradients([y], x)

console.log(`${y}  ${dx ?? "null"}`)
