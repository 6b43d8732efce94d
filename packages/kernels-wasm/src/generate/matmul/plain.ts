// The matrix product in its plain form: rows of x with four columns of y at a time, the sums in registers, in order of k.
// Transposing swaps two steps; nothing is copied for it.

import type { DType } from "@counterflow/ir"
import type { FunctionBuilder, Local } from "../../assembler/index.ts"
import { bytesOf, elementOf } from "../expression/element.ts"
import type { Kernel } from "../kernel.ts"
import type { Emit, PlacedTensor } from "../signature.ts"
import { count } from "../space/space.ts"

interface MatmulSpec {
  readonly dtype: DType
  readonly alpha: number
  readonly batch: number
  readonly m: number
  readonly n: number
  readonly k: number
  /** Steps in bytes. */
  readonly xRow: number
  readonly xColumn: number
  readonly yRow: number
  readonly yColumn: number
}

const side = 4

const matmul: Kernel<"x" | "y" | "z", MatmulSpec> = {
  name: "matmul",
  build: ({ f }, { x, y, z }, spec) => {
    const { dtype, batch, m, n, k, xRow, yColumn } = spec
    const bytes = bytesOf(dtype)
    f.forRange(
      batch,
      () => {
        const row = f.let(x)
        f.forRange(
          m,
          () => {
            const column = f.let(y)
            const blocks = Math.floor(n / side)
            const advance = [[column, side * yColumn] as const, [z, side * bytes] as const]
            f.forRange(blocks, () => dotSide(f, row, column, z, side, spec), { advance })
            const rest = n - blocks * side
            if (rest === 0) return
            dotSide(f, row, column, z, rest, spec)
            f.increment(z, rest * bytes)
          },
          { advance: [[row, xRow]] },
        )
      },
      {
        advance: [
          [x, m * k * bytes],
          [y, k * n * bytes],
        ],
      },
    )
  },
}

/** z[j] = alpha · ⟨row of x, column j of y⟩ for as many columns as are said. */
function dotSide(
  f: FunctionBuilder,
  row: Local<"i32">,
  column: Local<"i32">,
  z: Local<"i32">,
  columns: number,
  { dtype, alpha, k, xColumn, yRow, yColumn }: MatmulSpec,
): void {
  const element = elementOf(dtype)
  const sums = Array.from({ length: columns }, () => f.let(element.constant(0)))
  const [p, q] = [f.let(row), f.let(column)]
  const advance = [[p, xColumn] as const, [q, yRow] as const]
  f.forRange(
    k,
    () => {
      const factor = f.let(element.load(p))
      sums.forEach((sum, j) => {
        f.set(sum, element.add(sum, element.mul(factor, element.load(q, j * yColumn))))
      })
    },
    { advance },
  )
  sums.forEach((sum, j) => {
    const scaled = alpha === 1 ? sum : element.mul(element.constant(alpha), sum)
    element.store(f, z, scaled, j * element.bytes)
  })
}

interface MatmulCall {
  readonly inputs: { readonly x: PlacedTensor; readonly y: PlacedTensor }
  readonly outputs: { readonly z: PlacedTensor }
  readonly attrs: { readonly transposeX: boolean; readonly transposeY: boolean; readonly alpha: number }
}

/** Of any dtype; operands lie rows first. */
export function plainMatmul({ inputs: { x, y }, outputs: { z }, attrs }: MatmulCall, emit: Emit): void {
  const { transposeX, transposeY, alpha } = attrs
  const [m = 1, n = 1] = z.shape.slice(-2)
  const k = x.shape.at(transposeX ? -2 : -1) ?? 1
  const { dtype } = x
  const bytes = bytesOf(dtype)
  const [xRow, xColumn] = transposeX ? [bytes, m * bytes] : [k * bytes, bytes]
  const [yRow, yColumn] = transposeY ? [bytes, k * bytes] : [n * bytes, bytes]
  const batch = count(z.shape.slice(0, -2))
  const at = { x: x.place, y: y.place, z: z.place }
  emit.run(matmul, at, { dtype, alpha, batch, m, n, k, xRow, xColumn, yRow, yColumn })
}
