// The package as documented first, with the wasm backend.
import * as tf from "@tensorflow/tfjs"
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm"
import { train } from "./tfjs-model.mjs"

if (globalThis.process?.env?.TFJS_WASM) setWasmPaths(`${process.env.TFJS_WASM}/`)
await tf.setBackend("wasm")
train()
