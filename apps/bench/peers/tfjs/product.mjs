// The wasm backend computes A B by XNNPACK, but Aᵀ B and A Bᵀ by a plain loop that is 10 to 30 times as slow, and the gradients of
// a product are just these. This transposes first, by a kernel that the backend has too, and then takes the fast way.

export function transposeBeforeProduct(tf) {
  const config = tf.getKernel("BatchMatMul", "wasm")
  const transpose = tf.getKernel("Transpose", "wasm").kernelFunc
  const kernelFunc = ({ inputs, backend, attrs }) => {
    const temporaries = []
    const plain = (x, isTransposed) => {
      if (!isTransposed) return x
      const perm = x.shape.map((_, axis) => axis)
      perm.push(...perm.splice(-2).reverse())
      const y = transpose({ inputs: { x }, backend, attrs: { perm } })
      temporaries.push(y)
      return y
    }
    const product = config.kernelFunc({
      inputs: { a: plain(inputs.a, attrs.transposeA), b: plain(inputs.b, attrs.transposeB) },
      backend,
      attrs: { transposeA: false, transposeB: false },
    })
    for (const { dataId } of temporaries) backend.disposeData(dataId)
    return product
  }
  tf.unregisterKernel("BatchMatMul", "wasm")
  tf.registerKernel({ ...config, kernelFunc })
}
