// The GPT. The embedding is a one-hot product, since a gather has no gradient here.

import { adam, adamState, crossEntropy, train } from "./training.mjs"

const [vocabulary, length, batch, width, heads, blocks] = [256, 128, 4, 128, 4, 2]
const inBlock = ["norm1.scale", "norm1.shift", "query", "key", "value", "output", "norm2.scale", "norm2.shift"]
const inWideLayer = ["up", "up.bias", "down", "down.bias"]

export function gptWorkload(tools) {
  const { jax, array } = tools
  const { numpy: np, nn } = jax
  const named = (names, prefix) => Object.fromEntries(names.map((name) => [name, array(`${prefix}${name}`)]))
  const norm = (x, scale, shift) => {
    const centred = x.ref.sub(np.mean(x, -1, { keepdims: true }))
    const variance = np.mean(np.square(centred.ref), -1, { keepdims: true })
    return centred
      .div(np.sqrt(variance.add(1e-5)))
      .mul(scale)
      .add(shift)
  }
  const split = (x, w) =>
    np
      .matmul(x, w)
      .reshape([batch, length, heads, width / heads])
      .transpose([0, 2, 1, 3])

  const loss = (p, tokens, targets, mask) => {
    const embedded = np.matmul(nn.oneHot(tokens, vocabulary).reshape([batch * length, vocabulary]), p.embedding)
    let x = embedded
      .reshape([batch, length, width])
      .add(p.positions)
      .reshape([batch * length, width])
    for (const q of p.inner) {
      const h = norm(x.ref, q["norm1.scale"], q["norm1.shift"])
      const [query, key, value] = [split(h.ref, q.query), split(h.ref, q.key), split(h, q.value)]
      const scores = np.matmul(query, key.transpose([0, 1, 3, 2])).mul(1 / Math.sqrt(width / heads))
      const weights = nn.softmax(scores.add(mask.ref), -1)
      const attended = np
        .matmul(weights, value)
        .transpose([0, 2, 1, 3])
        .reshape([batch * length, width])
      x = x.add(np.matmul(attended, q.output))
      const wide = nn.gelu(np.matmul(norm(x.ref, q["norm2.scale"], q["norm2.shift"]), q.up).add(q["up.bias"]))
      x = x.add(np.matmul(wide, q.down).add(q["down.bias"]))
    }
    mask.dispose()
    const logits = np.matmul(norm(x, p["norm.scale"], p["norm.shift"]), p.head)
    return crossEntropy(tools, logits, targets, vocabulary).div(batch * length)
  }

  return async () => {
    const outer = named(["embedding", "positions", "norm.scale", "norm.shift", "head"], "gpt.")
    const inner = Array.from({ length: blocks }, (_, i) => named([...inBlock, ...inWideLayer], `gpt.${i}.`))
    const mask = Float32Array.from({ length: length ** 2 }, (_, i) => (i % length > Math.floor(i / length) ? -1e9 : 0))
    const data = [
      array("gpt.tokens", [batch * length]),
      array("gpt.targets", [batch * length]),
      np.array(mask).reshape([length, length]),
    ]
    const job = await train(tools, adamState(tools, { ...outer, inner }), adam(tools, loss), data, 5)
    return { ...job, note: "embedding as a one-hot product" }
  }
}
