// Products, the elementwise chain, and the convolution.

import { convolution, withFallback } from "./convolution.mjs"

export function kernelWorkloads({ tf, tensor, load, probe }, isWasm) {
  const workloads = {}
  const probeAll = (tensors) => tensors.reduce((total, t) => total + probe(t.dataSync()), 0)
  /** A job that keeps the results of its last step. */
  const kernel = (compute, readable = (tensors) => tensors) => {
    let results = []
    const step = () => {
      tf.dispose(results)
      results = tf.tidy(compute)
    }
    step()
    return { step, check: tf.tidy(() => probeAll(readable(results))) }
  }

  for (const n of [64, 128, 256, 512, 1024]) {
    const square = (name) => tf.tensor2d(load(name).data.slice(0, n * n), [n, n])
    const product = (transposeA, transposeB) => () => {
      const [a, b] = [square("gemm.a"), square("gemm.b")]
      return kernel(() => [tf.matMul(a, b, transposeA, transposeB)])
    }
    workloads[`gemm.nn.${n}`] = product(false, false)
    workloads[`gemm.nt.${n}`] = product(false, true)
    workloads[`gemm.tn.${n}`] = product(true, false)
  }

  const chain = (a, b, c) => tf.sub(tf.mul(tf.tanh(tf.add(tf.mul(a, b), c)), tf.sigmoid(a)), tf.relu(c))
  const operands = () => ["a", "b", "c"].map((name) => tensor(`elementwise.${name}`))
  workloads["elementwise.forward"] = () => {
    const [a, b, c] = operands()
    return kernel(() => [chain(a, b, c)])
  }
  workloads["elementwise.gradient"] = () => {
    const inputs = operands()
    const dy = tf.onesLike(inputs[0])
    const gradients = tf.grads(chain)
    return kernel(() => gradients(inputs, dy))
  }

  const nhwc = (name) => tf.tidy(() => tf.transpose(tensor(name), [0, 2, 3, 1]))
  const hwio = (name) => tf.tidy(() => tf.transpose(tensor(name), [2, 3, 1, 0]))
  const nchw = (images) => tf.transpose(images, [0, 3, 1, 2])
  const oihw = (filters) => tf.transpose(filters, [3, 2, 0, 1])
  workloads["conv2d.forward"] = () => {
    const [x, w] = [nhwc("conv2d.x"), hwio("conv2d.w")]
    return kernel(
      () => [tf.conv2d(x, w, 1, "same")],
      ([y]) => [nchw(y)],
    )
  }
  const gradients = (isRound) => {
    const [x, w, dy] = [nhwc("conv2d.x"), hwio("conv2d.w"), nhwc("conv2d.dy")]
    const around = [
      [0, 0],
      [1, 1],
      [1, 1],
      [0, 0],
    ]
    const convolve = isRound ? (a, b) => convolution(tf)(tf.pad(a, around), b) : (a, b) => tf.conv2d(a, b, 1, "same")
    return kernel(
      () => {
        const { value, grads } = tf.engine().gradients(() => convolve(x, w), [x, w], dy)
        return [value, ...grads]
      },
      ([y, dx, dw]) => [nchw(y), nchw(dx), oihw(dw)],
    )
  }
  workloads["conv2d.gradients"] = isWasm
    ? () => withFallback(gradients, "the gradient to the filters")
    : () => gradients(false)
  return workloads
}
