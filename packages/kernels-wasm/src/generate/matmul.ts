// The matrix product in its plain form: rows of x with four columns of y at a time, the sums in registers, in order of k.
// Transposing swaps two steps; nothing is copied for it.

import type { DType } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import type { FunctionBuilder, Local } from "../assembler/index.ts"
import { emitGemm, type GemmSpec, gemmWorkspaceBytes } from "../gemm/index.ts"
import { emitFill } from "./copy.ts"
import { bytesOf, elementOf } from "./element.ts"
import type { Kernel } from "./kernel.ts"
import type { Generators, TensorShape } from "./signature.ts"
import { count } from "./space.ts"

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

type MatmulShapes = {
  readonly inputs: { readonly x: TensorShape }
  readonly outputs: { readonly z: TensorShape }
  readonly attrs: { readonly transposeX: boolean; readonly transposeY: boolean; readonly alpha: number }
}

function gemmSpecOf({
  inputs: { x },
  outputs: { z },
  attrs: { transposeX, transposeY, alpha },
}: MatmulShapes): GemmSpec {
  const [m = 1, n = 1] = z.shape.slice(-2)
  const k = x.shape.at(transposeX ? -2 : -1) ?? 1
  const form = `${transposeX ? "T" : "N"}${transposeY ? "T" : "N"}` as const
  return { m, n, k, form, batch: count(z.shape.slice(0, -2)), alpha }
}

/** Products of float32 are made by the fast one. */
const gemm: Kernel<"x" | "y" | "z" | "workspace", GemmSpec> = {
  name: "gemm",
  build: ({ f, module }, { x, y, z, workspace }, spec) => f.run(emitGemm(module, spec), x, y, z, workspace),
}

export const matmulGenerators = {
  matmul: {
    workspace: (shapes) => (shapes.outputs.z.dtype === "float32" ? gemmWorkspaceBytes(gemmSpecOf(shapes)) : 0),
    emit: (call, emit) => {
      const {
        inputs: { x, y },
        outputs: { z },
        attrs: { transposeX, transposeY },
        workspace,
      } = call
      const { m, n, k, alpha = 1, batch = 1 } = gemmSpecOf(call)
      const at = { x: x.place, y: y.place, z: z.place }
      if (z.elements === 0) return
      if (k === 0) return emitFill(z, 0, emit)
      if (z.dtype === "float32") return emit.run(gemm, { ...at, workspace }, gemmSpecOf(call))
      const bytes = bytesOf(x.dtype)
      const [xRow, xColumn] = transposeX ? [bytes, m * bytes] : [k * bytes, bytes]
      const [yRow, yColumn] = transposeY ? [bytes, k * bytes] : [n * bytes, bytes]
      emit.run(matmul, at, { dtype: x.dtype, alpha, batch, m, n, k, xRow, xColumn, yRow, yColumn })
    },
  },
} satisfies Generators<Registry>
