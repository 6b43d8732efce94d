// Floats as bit patterns: the neighbour below a number. Through a DataView, so the host's byte order does not matter.

const view = new DataView(new ArrayBuffer(8))

/** The largest float32 strictly below x, for any finite x above the smallest float32. */
export function float32Below(x: number): number {
  const nearest = Math.fround(x)
  if (nearest < x) return nearest
  if (nearest === 0) return -(2 ** -149)
  view.setFloat32(0, nearest)
  // Sign and magnitude: towards −∞ is one bit pattern down for positive numbers, one up for negative ones.
  view.setInt32(0, view.getInt32(0) + (nearest > 0 ? -1 : 1))
  return view.getFloat32(0)
}

/** The largest float64 strictly below x, for any finite x above the smallest float64. */
export function float64Below(x: number): number {
  if (x === 0) return -Number.MIN_VALUE
  view.setFloat64(0, x)
  const high = view.getInt32(0)
  const low = view.getUint32(4)
  const step = x > 0 ? -1 : 1
  const carries = low === (x > 0 ? 0 : 0xffffffff)
  view.setInt32(4, low + step)
  if (carries) view.setInt32(0, high + step)
  return view.getFloat64(0)
}
