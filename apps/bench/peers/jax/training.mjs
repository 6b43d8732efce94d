// Training steps under jit: (state, ...data) → [state, loss], with the loss read at each step.

export async function train({ jax }, state, stepFunction, data, steps) {
  const { jit, tree, blockUntilReady } = jax
  await blockUntilReady([state, data])
  const jitted = jit(stepFunction)
  let current = state
  const step = async () => {
    const [next, loss] = jitted(current, ...tree.ref(data))
    current = next
    return (await loss.data())[0]
  }
  let check
  for (let i = 0; i < steps; i++) check = await step()
  return { step, check }
}

/** Parameters with Adam's moments, both zero. */
export function adamState({ jax: { numpy: np, tree } }, parameters) {
  const zeros = () => tree.map((p) => np.zeros(p.shape), parameters)
  return { parameters, means: zeros(), squares: zeros(), t: np.array(0) }
}

/** A step of Adam for a loss of (parameters, ...data). */
export function adam({ jax: { numpy: np, tree, valueAndGrad } }, loss) {
  return (state, ...data) => {
    const [value, gradient] = valueAndGrad(loss)(tree.ref(state.parameters), ...data)
    const t = state.t.add(1)
    const correction1 = np.subtract(1, np.power(0.9, t.ref))
    const correction2 = np.subtract(1, np.power(0.999, t.ref))
    const [leaves, structure] = tree.flatten(state.parameters)
    const [gradients, means, squares] = [gradient, state.means, state.squares].map((each) => tree.leaves(each))
    const nextMeans = means.map((mean, i) => mean.mul(0.9).add(gradients[i].ref.mul(0.1)))
    const nextSquares = squares.map((square, i) => square.mul(0.999).add(np.square(gradients[i]).mul(0.001)))
    const next = leaves.map((leaf, i) => {
      const size = np.sqrt(nextSquares[i].ref.div(correction2.ref)).add(1e-8)
      return leaf.sub(nextMeans[i].ref.div(correction1.ref).mul(0.001).div(size))
    })
    correction1.dispose()
    correction2.dispose()
    const whole = (list) => tree.unflatten(structure, list)
    return [{ parameters: whole(next), means: whole(nextMeans), squares: whole(nextSquares), t }, value]
  }
}

/** The summed cross entropy of softmax(logits). */
export function crossEntropy({ jax: { nn } }, logits, labels, classes) {
  return nn.logSoftmax(logits, -1).mul(nn.oneHot(labels, classes)).sum().neg()
}
