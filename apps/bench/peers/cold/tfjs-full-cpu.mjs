// The package as documented first.
import * as tf from "@tensorflow/tfjs"
import { train } from "./tfjs-model.mjs"

await tf.setBackend("cpu")
train()
