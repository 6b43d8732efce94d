// Linear regression and the MLP.

export function denseWorkloads({ tf, tensor, variable, load, probe, oneHot, train }) {
  const logits = (x, p) => {
    const h1 = tf.relu(tf.add(tf.matMul(x, p[0]), p[1]))
    const h2 = tf.relu(tf.add(tf.matMul(h1, p[2]), p[3]))
    return tf.add(tf.matMul(h2, p[4]), p[5])
  }
  const names = ["w1", "b1", "w2", "b2", "w3", "b3"].map((name) => `mlp.${name}`)

  const training = (batch) => () => {
    const x = tensor(`mlp.x.${batch}`)
    const label = tf.tensor2d(oneHot(load(`mlp.labels.${batch}`).data, 10), [batch, 10])
    const p = names.map(variable)
    const loss = () => tf.losses.softmaxCrossEntropy(label, logits(x, p))
    return train(tf.train.adam(0.001, 0.9, 0.999, 1e-8), loss, p, 5)
  }

  return {
    regression: () => {
      const [x, y] = [tensor("regression.x"), tensor("regression.y")]
      const [w, b] = [variable("regression.w"), variable("regression.b")]
      const loss = () => tf.mean(tf.square(tf.sub(tf.add(tf.matMul(x, w), b), y)))
      return train(tf.train.sgd(0.01), loss, [w, b], 10)
    },
    "mlp.forward": () => {
      const x = tensor("mlp.x.64")
      const p = names.map((name) => tensor(name))
      const step = () => {
        const y = tf.tidy(() => logits(x, p))
        const values = y.dataSync()
        y.dispose()
        return values
      }
      return { step, check: probe(step()) }
    },
    "mlp.64": training(64),
    "mlp.128": training(128),
  }
}
