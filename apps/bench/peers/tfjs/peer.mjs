// TensorFlow.js. Variants: cpu; wasm (SIMD, one thread); wasm-tuned (the same, with transposed products done another way, see
// product.mjs). It is eager, and every kernel of both backends is synchronous: an op has been computed when it returns.

import { createRequire } from "node:module"
import path from "node:path"
import { denseWorkloads } from "./dense.mjs"
import { gptWorkload } from "./gpt.mjs"
import { kernelWorkloads } from "./kernels.mjs"
import { lenetWorkloads } from "./lenet.mjs"
import { transposeBeforeProduct } from "./product.mjs"

const require = createRequire(import.meta.url)

export default async function start(variant, given) {
  const tf = require("@tensorflow/tfjs")
  const isWasm = variant.startsWith("wasm")
  if (isWasm) {
    const { setWasmPaths } = require("@tensorflow/tfjs-backend-wasm")
    setWasmPaths(`${path.dirname(require.resolve("@tensorflow/tfjs-backend-wasm"))}/`)
  }
  await tf.setBackend(isWasm ? "wasm" : "cpu")
  await tf.ready()
  if (variant === "wasm-tuned") transposeBeforeProduct(tf)

  const tensor = (name, shape) => {
    const values = given.load(name)
    return tf.tensor(values.data, shape ?? values.shape, "float32")
  }
  const tools = { ...given, tf, tensor, variable: (name) => tf.variable(tensor(name)), train }
  return {
    version: `@tensorflow/tfjs ${require("@tensorflow/tfjs/package.json").version}, backend ${variant}`,
    workloads: {
      ...kernelWorkloads(tools, isWasm),
      ...denseWorkloads(tools),
      ...lenetWorkloads(tools, isWasm),
      gpt: gptWorkload(tools),
    },
  }
}

/** Minimizes loss() and reads it at each step, as a loop does that logs it. */
function train(optimizer, loss, variables, steps) {
  let check
  const step = () => {
    const value = optimizer.minimize(loss, true, variables)
    check = value.dataSync()[0]
    value.dispose()
  }
  for (let i = 0; i < steps; i++) step()
  return { step, check }
}
