// LeNet. Max pooling is a maximum over windows that a reshape makes axes of.

import { crossEntropy, train } from "./training.mjs"

const names = ["k1", "c1", "k2", "c2", "w1", "b1", "w2", "b2", "w3", "b3"]

export function lenetWorkloads(tools) {
  const { jax, array, probe } = tools
  const { numpy: np, nn, lax, jit, tree, valueAndGrad, blockUntilReady } = jax
  const pool = (x) => {
    const [n, c, h, w] = x.shape
    return np.max(x.reshape([n, c, h / 2, 2, w / 2, 2]), [3, 5])
  }
  const stage = (x, filters, bias) =>
    pool(nn.relu(lax.conv(x, filters, [1, 1], "VALID").add(bias.reshape([1, -1, 1, 1]))))
  const logits = (p, x) => {
    const flat = stage(stage(x, p.k1, p.c1), p.k2, p.c2).reshape([-1, 256])
    const f1 = nn.relu(np.matmul(flat, p.w1).add(p.b1))
    const f2 = nn.relu(np.matmul(f1, p.w2).add(p.b2))
    return np.matmul(f2, p.w3).add(p.b3)
  }
  const parameters = () => Object.fromEntries(names.map((name) => [name, array(`lenet.${name}`)]))

  const training = (batch) => () => {
    const loss = (p, x, labels) => crossEntropy(tools, logits(p, x), labels, 10).div(batch)
    const step = (state, x, labels) => {
      const [value, gradient] = valueAndGrad(loss)(tree.ref(state.p), x, labels)
      const [leaves, structure] = tree.flatten(state.p)
      const gradients = tree.leaves(gradient)
      const velocities = tree.leaves(state.velocity).map((v, i) => v.mul(0.9).add(gradients[i]))
      const next = leaves.map((leaf, i) => leaf.sub(velocities[i].ref.mul(0.01)))
      return [{ p: tree.unflatten(structure, next), velocity: tree.unflatten(structure, velocities) }, value]
    }
    const p = parameters()
    const state = { p, velocity: tree.map((each) => np.zeros(each.shape), p) }
    return train(tools, state, step, [array(`lenet.x.${batch}`), array(`lenet.labels.${batch}`)], 10)
  }

  return {
    "lenet.forward": async () => {
      const [p, x, jitted] = [parameters(), array("lenet.x.32"), jit(logits)]
      await blockUntilReady([p, x])
      const step = () => jitted(tree.ref(p), x.ref).data()
      return { step, check: probe(await step()) }
    },
    "lenet.32": training(32),
    "lenet.64": training(64),
  }
}
