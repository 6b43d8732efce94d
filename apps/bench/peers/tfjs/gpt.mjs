// The GPT.

const [vocabulary, length, batch, width, heads, blocks] = [256, 128, 4, 128, 4, 2]
const inBlock = ["norm1.scale", "norm1.shift", "query", "key", "value", "output", "norm2.scale", "norm2.shift"]
const inWideLayer = ["up", "up.bias", "down", "down.bias"]

export function gptWorkload({ tf, variable, load, oneHot, train }) {
  const named = (names, prefix) => Object.fromEntries(names.map((name) => [name, variable(`${prefix}${name}`)]))
  const norm = (x, scale, shift) => {
    const centred = tf.sub(x, tf.mean(x, -1, true))
    const variance = tf.mean(tf.square(centred), -1, true)
    return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, 1e-5))), scale), shift)
  }
  const gelu = (x) => {
    const inner = tf.mul(0.7978845608028654, tf.add(x, tf.mul(0.044715, tf.mul(x, tf.square(x)))))
    return tf.mul(tf.mul(x, 0.5), tf.add(1, tf.tanh(inner)))
  }
  const split = (x, w) => tf.transpose(tf.reshape(tf.matMul(x, w), [batch, length, heads, width / heads]), [0, 2, 1, 3])
  const rows = [batch * length, width]

  return () => {
    const outer = named(["embedding", "positions", "norm.scale", "norm.shift", "head"], "gpt.")
    const inner = Array.from({ length: blocks }, (_, i) => named([...inBlock, ...inWideLayer], `gpt.${i}.`))
    const tokens = load("gpt.tokens").data
    const ids = tf.tensor1d(tokens, "int32")
    const hot = tf.tensor2d(oneHot(tokens, vocabulary), [batch * length, vocabulary])
    const targets = tf.tensor2d(oneHot(load("gpt.targets").data, vocabulary), [batch * length, vocabulary])
    const mask = tf.tidy(() => tf.mul(tf.sub(1, tf.linalg.bandPart(tf.ones([length, length]), -1, 0)), -1e9))

    const loss = (canGather) => () => {
      const embedded = canGather ? tf.gather(outer.embedding, ids) : tf.matMul(hot, outer.embedding)
      let x = tf.reshape(tf.add(tf.reshape(embedded, [batch, length, width]), outer.positions), rows)
      for (const p of inner) {
        const h = norm(x, p["norm1.scale"], p["norm1.shift"])
        const [query, key, value] = [split(h, p.query), split(h, p.key), split(h, p.value)]
        const scores = tf.mul(tf.matMul(query, key, false, true), 1 / Math.sqrt(width / heads))
        const weights = tf.softmax(tf.add(scores, mask))
        const attended = tf.reshape(tf.transpose(tf.matMul(weights, value), [0, 2, 1, 3]), rows)
        x = tf.add(x, tf.matMul(attended, p.output))
        const wide = gelu(tf.add(tf.matMul(norm(x, p["norm2.scale"], p["norm2.shift"]), p.up), p["up.bias"]))
        x = tf.add(x, tf.add(tf.matMul(wide, p.down), p["down.bias"]))
      }
      const logits = tf.matMul(norm(x, outer["norm.scale"], outer["norm.shift"]), outer.head)
      return tf.losses.softmaxCrossEntropy(targets, logits)
    }

    const variables = [...Object.values(outer), ...inner.flatMap((block) => Object.values(block))]
    const run = (canGather) => train(tf.train.adam(0.001, 0.9, 0.999, 1e-8), loss(canGather), variables, 5)
    try {
      return run(true)
    } catch (error) {
      const words = String(error.message).split("\n")[0].slice(0, 90)
      return { ...run(false), note: `as it comes: "${words}"; timed with the embedding as a one-hot product` }
    }
  }
}
