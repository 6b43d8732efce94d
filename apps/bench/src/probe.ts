// One number that stands for a result, so that peers can be compared: it depends on every element and on their order.

/** The mean of |xᵢ| with weights 1 … 7 in turn, so that elements in other places give another number. */
export function probe(values: ArrayLike<number>): number {
  let total = 0
  let weights = 0
  for (let i = 0; i < values.length; i++) {
    const weight = 1 + (i % 7)
    total += Math.abs(values[i] ?? NaN) * weight
    weights += weight
  }
  return total / weights
}

/** Rows that are 1 where the label points to and 0 elsewhere: labels for libraries that take no others. */
export function oneHot(labels: ArrayLike<number>, classes: number): Float32Array {
  const rows = new Float32Array(labels.length * classes)
  for (let row = 0; row < labels.length; row++) rows[row * classes + (labels[row] ?? NaN)] = 1
  return rows
}
