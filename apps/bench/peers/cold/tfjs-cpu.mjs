// The core, one backend and the gradients: the parts a bundler can leave the rest away from.
import "@tensorflow/tfjs-core/dist/register_all_gradients.js"
import "@tensorflow/tfjs-backend-cpu"
import * as tf from "@tensorflow/tfjs-core"
import { train } from "./tfjs-model.mjs"

await tf.setBackend("cpu")
train()
