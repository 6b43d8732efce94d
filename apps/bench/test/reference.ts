// The models once more, in float64 and plain loops over arrays of numbers: what counterflow's answers are compared with.

export type Matrix = readonly (readonly number[])[]

export function matrixOf(values: ArrayLike<number>, columns: number): number[][] {
  return Array.from({ length: values.length / columns }, (_, row) =>
    Array.from({ length: columns }, (_, column) => values[row * columns + column] ?? NaN),
  )
}

export function transposed(a: Matrix): number[][] {
  return (a[0] ?? []).map((_, column) => a.map((row) => row[column] ?? NaN))
}

export function product(a: Matrix, b: Matrix): number[][] {
  const columns = transposed(b)
  return a.map((row) => columns.map((column) => row.reduce((sum, x, i) => sum + x * (column[i] ?? NaN), 0)))
}

export function sum(a: Matrix, b: Matrix): number[][] {
  return a.map((row, i) => row.map((x, j) => x + (b[i]?.[j] ?? NaN)))
}

export function withBias(a: Matrix, bias: ArrayLike<number>): number[][] {
  return a.map((row) => row.map((x, j) => x + (bias[j] ?? NaN)))
}

export function each(a: Matrix, f: (x: number) => number): number[][] {
  return a.map((row) => row.map(f))
}

export const relu = (x: number): number => Math.max(x, 0)

export function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
}

export function softmax(a: Matrix): number[][] {
  return a.map((row) => {
    const most = Math.max(...row)
    const powers = row.map((x) => Math.exp(x - most))
    const total = powers.reduce((sum, x) => sum + x, 0)
    return powers.map((x) => x / total)
  })
}

export function crossEntropy(logits: Matrix, labels: ArrayLike<number>): number {
  const losses = softmax(logits).map((row, i) => -Math.log(row[labels[i] ?? NaN] ?? NaN))
  return losses.reduce((sum, x) => sum + x, 0) / losses.length
}

export function normalized(a: Matrix, scale: ArrayLike<number>, shift: ArrayLike<number>): number[][] {
  return a.map((row) => {
    const mean = row.reduce((sum, x) => sum + x, 0) / row.length
    const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length
    return row.map((x, j) => ((x - mean) / Math.sqrt(variance + 1e-5)) * (scale[j] ?? NaN) + (shift[j] ?? NaN))
  })
}

/** A tensor of rank 4 in one list. */
export interface Images {
  readonly data: ArrayLike<number>
  readonly shape: readonly [number, number, number, number]
}

export function imagesOf(data: ArrayLike<number>, shape: readonly number[]): Images {
  const [n = 1, c = 1, h = 1, w = 1] = shape
  return { data, shape: [n, c, h, w] }
}

/** Filters [out, in, kh, kw], stride 1. */
export function convolution(x: Images, filters: Images, padding: number): Images {
  const [n, c, h, w] = x.shape
  const [f, , kh, kw] = filters.shape
  const [rows, columns] = [h + 2 * padding - kh + 1, w + 2 * padding - kw + 1]
  const at = (b: number, k: number, i: number, j: number) =>
    i < 0 || j < 0 || i >= h || j >= w ? 0 : (x.data[((b * c + k) * h + i) * w + j] ?? NaN)
  const data: number[] = []
  for (let b = 0; b < n; b++)
    for (let o = 0; o < f; o++)
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) {
          let total = 0
          for (let k = 0; k < c; k++)
            for (let p = 0; p < kh; p++)
              for (let q = 0; q < kw; q++) {
                const weight = filters.data[((o * c + k) * kh + p) * kw + q] ?? NaN
                total += weight * at(b, k, i + p - padding, j + q - padding)
              }
          data.push(total)
        }
  return { data, shape: [n, f, rows, columns] }
}

/** Bias per channel, relu, and the largest of each 2 × 2. */
export function pooled(x: Images, bias: ArrayLike<number>): Images {
  const [n, c, h, w] = x.shape
  const data: number[] = []
  for (let plane = 0; plane < n * c; plane++)
    for (let i = 0; i + 1 < h; i += 2)
      for (let j = 0; j + 1 < w; j += 2) {
        const corner = (p: number, q: number) => x.data[(plane * h + i + p) * w + j + q] ?? NaN
        const most = Math.max(corner(0, 0), corner(0, 1), corner(1, 0), corner(1, 1))
        data.push(relu(most + (bias[plane % c] ?? NaN)))
      }
  return { data, shape: [n, c, h >> 1, w >> 1] }
}
