// The wasm backend has no kernels for the gradients of convolution filters and of max pooling, so as it comes it trains no
// convolutional net. Here both are expressed by kernels that it has. Images are NHWC, filters HWIO.

/** A convolution of stride 1 without padding, whose gradients are convolutions as well. */
export function convolution(tf) {
  return tf.customGrad((x, filters, save) => {
    save([x, filters])
    return {
      value: tf.conv2d(x, filters, 1, "valid"),
      gradFunc: (dy, [x, filters]) => [
        tf.conv2dTranspose(dy, filters, x.shape, 1, "valid"),
        // The gradient to the filters is a convolution over the batch: it takes the place of the channels, dy that of the filters.
        tf.transpose(
          tf.conv2d(tf.transpose(x, [3, 1, 2, 0]), tf.transpose(dy, [1, 2, 0, 3]), 1, "valid"),
          [1, 2, 0, 3],
        ),
      ],
    }
  })
}

/** Max pooling of windows 2 × 2 as the largest of four slices. */
export function pool(tf, x) {
  const [n, h, w, c] = x.shape
  const windows = tf.reshape(x, [(n * h) / 2, 2, w / 2, 2, c])
  const corner = (row, column) =>
    tf.squeeze(tf.slice(windows, [0, row, 0, column, 0], [(n * h) / 2, 1, w / 2, 1, c]), [1, 3])
  const largest = tf.maximum(tf.maximum(corner(0, 0), corner(0, 1)), tf.maximum(corner(1, 0), corner(1, 1)))
  return tf.reshape(largest, [n, h / 2, w / 2, c])
}

/** Tries `make(false)`, what the library offers; where a kernel is missing, `make(true)`, the way round. */
export async function withFallback(make, what) {
  try {
    return await make(false)
  } catch (error) {
    const job = await make(true)
    const words = String(error.message).split("\n")[0].slice(0, 90)
    return { ...job, note: `as it comes: "${words}"; timed with ${what} made of other kernels` }
  }
}
