// Linear regression and the MLP.

import { adam, adamState, crossEntropy, train } from "./training.mjs"

export function denseWorkloads(tools) {
  const { jax, array, probe } = tools
  const { numpy: np, nn, jit, tree, valueAndGrad, blockUntilReady } = jax
  const logits = (p, x) => {
    const h1 = nn.relu(np.matmul(x, p.w1).add(p.b1))
    const h2 = nn.relu(np.matmul(h1, p.w2).add(p.b2))
    return np.matmul(h2, p.w3).add(p.b3)
  }
  const parameters = () =>
    Object.fromEntries(["w1", "b1", "w2", "b2", "w3", "b3"].map((name) => [name, array(`mlp.${name}`)]))
  const training = (batch) => () => {
    const loss = (p, x, labels) => crossEntropy(tools, logits(p, x), labels, 10).div(batch)
    const data = [array(`mlp.x.${batch}`), array(`mlp.labels.${batch}`)]
    return train(tools, adamState(tools, parameters()), adam(tools, loss), data, 5)
  }

  return {
    regression: () => {
      const loss = (p, x, y) => np.square(np.matmul(x, p.w).add(p.b).sub(y)).mean()
      const step = (p, x, y) => {
        const [value, gradient] = valueAndGrad(loss)(tree.ref(p), x, y)
        return [{ w: p.w.sub(gradient.w.mul(0.01)), b: p.b.sub(gradient.b.mul(0.01)) }, value]
      }
      const state = { w: array("regression.w"), b: array("regression.b") }
      return train(tools, state, step, [array("regression.x"), array("regression.y")], 10)
    },
    "mlp.forward": async () => {
      const [p, x, jitted] = [parameters(), array("mlp.x.64"), jit(logits)]
      await blockUntilReady([p, x])
      const step = () => jitted(tree.ref(p), x.ref).data()
      return { step, check: probe(await step()) }
    },
    "mlp.64": training(64),
    "mlp.128": training(128),
  }
}
