// The matrix product, one gemm per matrix of the batch. Transposing swaps two strides; nothing is copied for it.

import type { Registry } from "@counterflow/ops"
import type { CpuKernels, HostType, NumberArray } from "../kernel.ts"
import { gemm, gemmInt, gemmWorkspace } from "../numeric/gemm.ts"
import { doublesOf, realsOf, scratchSize } from "../scratch.ts"
import { count } from "../strides.ts"

interface Sizes {
  readonly m: number
  readonly n: number
  readonly k: number
}

function sizesOf(x: HostType, z: HostType, transposeX: boolean): Sizes {
  const [m = 1, n = 1] = z.shape.slice(-2)
  const k = x.shape.at(transposeX ? -2 : -1) ?? 1
  return { m, n, k }
}

/** Only sums of floats (and of int64, which is stored as integers in float64) go through packed panels. */
function packSize({ dtype }: HostType, { m, n, k }: Sizes): number {
  return dtype === "float32" || dtype === "float64" || dtype === "int64" ? gemmWorkspace(m, n, k) : 0
}

export const matmul = {
  matmul: {
    workspace: ({ inputs: { x }, outputs: { z }, attrs: { transposeX } }) =>
      scratchSize(z, 0, packSize(z, sizesOf(x, z, transposeX))),

    bind: ({ inputs: { x, y }, outputs: { z }, attrs: { transposeX, transposeY, alpha }, workspace }) => {
      const sizes = sizesOf(x, z, transposeX)
      const { m, n, k } = sizes
      const [xRow, xCol] = transposeX ? [1, m] : [k, 1]
      const [yRow, yCol] = transposeY ? [1, k] : [n, 1]
      const batch = count(z.shape.slice(0, -2))

      if (x.data instanceof Int32Array && y.data instanceof Int32Array && z.data instanceof Int32Array) {
        const [a, b, c] = [x.data, y.data, z.data]
        return () => {
          for (let i = 0; i < batch; i++) {
            gemmInt(m, n, k, alpha, a, i * m * k, xRow, xCol, b, i * k * n, yRow, yCol, 0, c, i * m * n, n)
          }
        }
      }
      if (z.data instanceof Uint8Array) {
        return () => {
          for (let i = 0; i < batch; i++) {
            multiplyBytes(sizes, alpha, x.data, i * m * k, xRow, xCol, y.data, i * k * n, yRow, yCol, z.data, i * m * n)
          }
        }
      }
      const [a, b, c] = [realsOf(x.data), realsOf(y.data), realsOf(z.data)]
      const pack = doublesOf(workspace, 0, packSize(z, sizes))
      return () => {
        for (let i = 0; i < batch; i++) {
          gemm(m, n, k, alpha, a, i * m * k, xRow, xCol, b, i * k * n, yRow, yCol, 0, c, i * m * n, n, pack)
        }
      }
    },
  },
} satisfies CpuKernels<Registry>

/** The product modulo 256, which is what storing the sum modulo 2^32 into a byte leaves. */
function multiplyBytes(
  { m, n, k }: Sizes,
  alpha: number,
  a: NumberArray,
  aOffset: number,
  aRowStride: number,
  aColStride: number,
  b: NumberArray,
  bOffset: number,
  bRowStride: number,
  bColStride: number,
  c: NumberArray,
  cOffset: number,
): void {
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0
      for (let p = 0; p < k; p++) {
        const factor = a[aOffset + i * aRowStride + p * aColStride]!
        sum = (sum + Math.imul(factor, b[bOffset + p * bRowStride + j * bColStride]!)) | 0
      }
      c[cOffset + i * n + j] = Math.imul(alpha, sum)
    }
  }
}
