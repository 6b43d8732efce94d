// The MLP in TensorFlow.js, trained for one step.

import * as tf from "@tensorflow/tfjs-core"
import { batch, labels, parameters, report, x } from "../../dist/cold/sample.js"

export function train() {
  const input = tf.tensor2d(x, [batch, 784])
  const label = tf.cast(tf.oneHot(tf.tensor1d(labels, "int32"), 10), "float32")
  const p = parameters.map(({ data, shape }) => tf.variable(tf.tensor(data, shape)))
  const loss = tf.train.adam(0.001).minimize(
    () => {
      const h1 = tf.relu(tf.add(tf.matMul(input, p[0]), p[1]))
      const h2 = tf.relu(tf.add(tf.matMul(h1, p[2]), p[3]))
      return tf.losses.softmaxCrossEntropy(label, tf.add(tf.matMul(h2, p[4]), p[5]))
    },
    true,
    p,
  )
  report(loss.dataSync()[0])
}
