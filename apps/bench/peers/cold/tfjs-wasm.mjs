// The core, one backend and the gradients: the parts a bundler can leave the rest away from.
import "@tensorflow/tfjs-core/dist/register_all_gradients.js"
import * as tf from "@tensorflow/tfjs-core"
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm"
import { train } from "./tfjs-model.mjs"

if (globalThis.process?.env?.TFJS_WASM) setWasmPaths(`${process.env.TFJS_WASM}/`)
await tf.setBackend("wasm")
train()
