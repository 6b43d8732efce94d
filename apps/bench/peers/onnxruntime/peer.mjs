// ONNX Runtime on one thread: variants node (native) and web (wasm, SIMD). It has no autodiff, so forward passes are its part here.
// For some workloads the gradient and the optimizer are written out by hand as ONNX nodes: what a static graph for a whole
// training step can reach when it is called from JavaScript.

import { readFileSync } from "node:fs"
import { denseWorkloads } from "./dense.mjs"
import { kernelWorkloads } from "./kernels.mjs"
import { lenetWorkloads } from "./lenet.mjs"

export default async function start(variant, given) {
  const isNative = variant === "node"
  const name = `onnxruntime-${variant}`
  const loaded = await import(name)
  const ort = loaded.env === undefined ? loaded.default : loaded
  if (!isNative) ort.env.wasm.numThreads = 1
  const options = isNative
    ? { executionProviders: ["cpu"], intraOpNumThreads: 1, interOpNumThreads: 1 }
    : { executionProviders: ["wasm"] }
  const tensor = (data, shape) => new ort.Tensor("float32", data, shape)
  const tools = {
    ...given,
    session: (graph) => ort.InferenceSession.create(graph.build(), { graphOptimizationLevel: "all", ...options }),
    tensor,
    loaded: (name) => {
      const { data, shape } = given.load(name)
      return tensor(data, shape)
    },
    constant: (graph, name) => {
      const { data, shape } = given.load(name)
      return graph.constant(data, shape)
    },
  }
  const manifest = new URL(`../node_modules/${name}/package.json`, import.meta.url)
  return {
    version: `${name} ${JSON.parse(readFileSync(manifest, "utf8")).version}, 1 thread`,
    workloads: { ...kernelWorkloads(tools), ...denseWorkloads(tools), ...lenetWorkloads(tools) },
    cannot: {
      lenet: "it has no autodiff, and ONNX no operator for the gradient of max pooling",
      gpt: "it has no autodiff",
      lstm: "it has no autodiff",
    },
  }
}
