// Products, the elementwise chain, and the convolution.

export function kernelWorkloads({ jax, array, load, probe }) {
  const { numpy: np, jit, grad, vjp, lax, nn, tree, blockUntilReady } = jax
  const workloads = {}
  /** A job of a jitted function that answers a list of arrays. */
  const kernel = async (compute, inputs) => {
    await blockUntilReady(inputs)
    const jitted = jit(compute)
    let check = 0
    for (const result of jitted(...tree.ref(inputs))) check += probe(await result.data())
    const step = async () => {
      const results = jitted(...tree.ref(inputs))
      await blockUntilReady(results)
      tree.dispose(results)
    }
    return { step, check }
  }

  const products = {
    nn: (a, b) => [np.matmul(a, b)],
    nt: (a, b) => [np.matmul(a, b.transpose())],
    tn: (a, b) => [np.matmul(a.transpose(), b)],
  }
  for (const n of [64, 128, 256, 512, 1024]) {
    const square = (name) => np.array(load(name).data.slice(0, n * n)).reshape([n, n])
    for (const [form, product] of Object.entries(products)) {
      workloads[`gemm.${form}.${n}`] = () => kernel(product, [square("gemm.a"), square("gemm.b")])
    }
  }

  const chain = (a, b, c) => np.tanh(a.ref.mul(b).add(c.ref)).mul(nn.sigmoid(a)).sub(nn.relu(c))
  const operands = () => ["a", "b", "c"].map((name) => array(`elementwise.${name}`))
  workloads["elementwise.forward"] = () => kernel((a, b, c) => [chain(a, b, c)], operands())
  workloads["elementwise.gradient"] = () =>
    kernel(
      grad((a, b, c) => chain(a, b, c).sum(), { argnums: [0, 1, 2] }),
      operands(),
    )

  const convolve = (x, w) => lax.conv(x, w, [1, 1], "SAME")
  workloads["conv2d.forward"] = () => kernel((x, w) => [convolve(x, w)], [array("conv2d.x"), array("conv2d.w")])
  workloads["conv2d.gradients"] = () => {
    const gradients = (x, w, dy) => {
      const [y, pull] = vjp(convolve, [x, w])
      const [dx, dw] = pull(dy)
      pull.dispose?.()
      return [y, dx, dw]
    }
    return kernel(gradients, [array("conv2d.x"), array("conv2d.w"), array("conv2d.dy")])
  }
  return workloads
}
