// jax-js, backend wasm: one thread, synchronous. Every workload is one function under jit; a training step is jitted whole,
// gradient and optimizer together. Arrays are counted by hand: a use consumes one unless it goes through `ref`.

import { readFileSync } from "node:fs"
import { denseWorkloads } from "./dense.mjs"
import { gptWorkload } from "./gpt.mjs"
import { kernelWorkloads } from "./kernels.mjs"
import { lenetWorkloads } from "./lenet.mjs"

export default async function start(variant, given) {
  // init() asks for navigator.gpu, and Node 20 has no navigator.
  globalThis.navigator ??= {}
  const jax = await import("@jax-js/jax")
  await jax.init(variant)
  jax.defaultDevice(variant)
  const { numpy: np } = jax
  const tools = {
    ...given,
    jax,
    array: (name, shape) => {
      const values = given.load(name)
      const dtype = values.data instanceof Int32Array ? { dtype: np.int32 } : {}
      return np.array(values.data, dtype).reshape(shape ?? values.shape)
    },
  }
  const manifest = new URL("../node_modules/@jax-js/jax/package.json", import.meta.url)
  return {
    version: `@jax-js/jax ${JSON.parse(readFileSync(manifest, "utf8")).version}, backend ${variant}`,
    workloads: {
      ...kernelWorkloads(tools),
      ...denseWorkloads(tools),
      ...lenetWorkloads(tools),
      gpt: gptWorkload(tools),
    },
  }
}
