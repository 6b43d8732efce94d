// LeNet. Images are NHWC here, so the data, the filters and the rows of the first fully connected layer are put into that order
// before anything is timed, and the losses are those of the other peers.

import { convolution, pool, withFallback } from "./convolution.mjs"

export function lenetWorkloads({ tf, tensor, load, probe, oneHot, train }, isWasm) {
  const logits = (x, p, isRound) => {
    const convolve = isRound ? convolution(tf) : (a, filters) => tf.conv2d(a, filters, 1, "valid")
    const shrink = (h) => (isRound ? pool(tf, h) : tf.maxPool(h, 2, 2, "valid"))
    const h1 = shrink(tf.relu(tf.add(convolve(x, p[0]), p[1])))
    const h2 = shrink(tf.relu(tf.add(convolve(h1, p[2]), p[3])))
    const f1 = tf.relu(tf.add(tf.matMul(tf.reshape(h2, [-1, 256]), p[4]), p[5]))
    const f2 = tf.relu(tf.add(tf.matMul(f1, p[6]), p[7]))
    return tf.add(tf.matMul(f2, p[8]), p[9])
  }
  const parameters = (make) => {
    const filters = (name) => make(tf.tidy(() => tf.transpose(tensor(name), [2, 3, 1, 0])))
    const first = tf.tidy(() => tf.reshape(tf.transpose(tensor("lenet.w1", [16, 4, 4, 120]), [1, 2, 0, 3]), [256, 120]))
    return [
      filters("lenet.k1"),
      make(tensor("lenet.c1")),
      filters("lenet.k2"),
      make(tensor("lenet.c2")),
      make(first),
      ...["b1", "w2", "b2", "w3", "b3"].map((name) => make(tensor(`lenet.${name}`))),
    ]
  }
  const images = (batch) => tf.tidy(() => tf.transpose(tensor(`lenet.x.${batch}`), [0, 2, 3, 1]))

  const training = (batch) => (isRound) => {
    const x = images(batch)
    const label = tf.tensor2d(oneHot(load(`lenet.labels.${batch}`).data, 10), [batch, 10])
    const p = parameters((t) => tf.variable(t))
    const loss = () => tf.losses.softmaxCrossEntropy(label, logits(x, p, isRound))
    return train(tf.train.momentum(0.01, 0.9), loss, p, 10)
  }
  const trained = (batch) =>
    isWasm ? () => withFallback(training(batch), "gradients of convolution and pooling") : () => training(batch)(false)

  return {
    "lenet.forward": () => {
      const x = images(32)
      const p = parameters((t) => t)
      const step = () => {
        const y = tf.tidy(() => logits(x, p, false))
        const values = y.dataSync()
        y.dispose()
        return values
      }
      return { step, check: probe(step()) }
    },
    "lenet.32": trained(32),
    "lenet.64": trained(64),
  }
}
