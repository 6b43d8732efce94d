// What a matrix product asks of gemm: one product for each place of the batch, how its operands lie, and the parts that may
// run at the same time.

import type { Strides } from "@counterflow/compiler"
import { cutGemm, cutLines, type GemmSpec, gemmWorkspaceBytes, partsWorth, sumsOf } from "../../gemm/index.ts"
import { keyOf } from "../kernel.ts"
import type { TensorShape } from "../signature.ts"
import { count, rowMajor } from "../space/space.ts"

export type MatmulShapes = {
  readonly inputs: { readonly x: TensorShape; readonly y: TensorShape }
  readonly outputs: { readonly z: TensorShape }
  readonly attrs: { readonly transposeX: boolean; readonly transposeY: boolean; readonly alpha: number }
}

/** One product for each place of the batch. */
export interface Products {
  readonly gemm: GemmSpec
  /** Sizes of the batch, and the steps of each operand along it, in elements. */
  readonly batch: readonly number[]
  readonly x: Strides
  readonly y: Strides
  readonly z: Strides
}

/** Undefined if an operand lies in neither of the two orders. */
export function productsOf({ inputs: { x, y }, outputs: { z }, attrs }: MatmulShapes): Products | undefined {
  const { transposeX, transposeY, alpha } = attrs
  const [m = 1, n = 1] = z.shape.slice(-2)
  const k = x.shape.at(transposeX ? -2 : -1) ?? 1
  const [xSteps, ySteps, zSteps] = [stepsOf(x), stepsOf(y), stepsOf(z)]
  const [a, b, c] = [orderOf(m, k, xSteps, transposeX), orderOf(k, n, ySteps, transposeY), orderOf(m, n, zSteps, false)]
  if (a === undefined || b === undefined || c?.form !== "N") return undefined
  const gemm = { m, n, k, alpha, form: `${a.form}${b.form}`, lda: a.line, ldb: b.line, ldc: c.line } as const
  const outer = (steps: Strides) => steps.slice(0, -2)
  return { gemm, batch: z.shape.slice(0, -2), x: outer(xSteps), y: outer(ySteps), z: outer(zSteps) }
}

function stepsOf({ shape, strides }: TensorShape): Strides {
  return strides ?? rowMajor(shape)
}

/** How op(A) lies: N with its columns side by side, T with its rows; and the elements from line to line. */
function orderOf(rows: number, columns: number, steps: Strides, isTransposed: boolean) {
  const [first = 1, second = 1] = steps.slice(-2)
  const [down, across] = isTransposed ? [second, first] : [first, second]
  const [isN, isT] = [across === 1 || columns === 1, down === 1 || rows === 1]
  if (isTransposed ? isT : !isN && isT) return order("T", across, columns, rows)
  return isN ? order("N", down, rows, columns) : undefined
}

/** A single line may be said to have any step to the next; several may not overlap. */
function order(form: "N" | "T", line: number, lines: number, width: number) {
  return line < width && lines > 1 ? undefined : { form, line: Math.max(line, width) }
}

/** Some products that run one after the other, beside other parts. */
export interface Part {
  readonly size: PartSize
  /** Where it begins: in each axis of the batch, and in rows and columns. */
  readonly first: readonly number[]
  readonly row: number
  readonly column: number
}

/** Parts of one size are served by one function. */
export interface PartSize {
  readonly gemm: GemmSpec
  readonly batch: readonly number[]
  /** Bytes, a multiple of 16, whether relaxed instructions are used or not. */
  readonly scratch: number
}

/** Of the products asked about last: plans ask for scratch, for what may be absorbed and for code, of the same ones. */
const recent = new Map<string, readonly Part[]>()
const recentMost = 256

export function partsOf(products: Products): readonly Part[] {
  const key = `${keyOf(products.gemm)} ${products.batch.join(" ")}`
  let parts = recent.get(key)
  if (parts === undefined) {
    if (recent.size >= recentMost) recent.clear()
    recent.set(key, (parts = cut(products)))
  }
  return parts
}

/** The batch is cut first, its outer axes before its inner ones; then each product. */
function cut({ gemm, batch }: Products): readonly Part[] {
  const { m, n, k } = gemm
  const wanted = partsWorth(2 * m * n * k * count(batch))
  let boxes: readonly { readonly first: readonly number[]; readonly sizes: readonly number[] }[] = [
    { first: [], sizes: [] },
  ]
  for (const size of batch) {
    const runs = cutLines(size, Math.floor(wanted / boxes.length))
    boxes = boxes.flatMap(({ first, sizes }) =>
      runs.map((run) => ({ first: [...first, run.first], sizes: [...sizes, run.count] })),
    )
  }
  const cuts = cutGemm(gemm, Math.floor(wanted / boxes.length))
  const known = new Map<string, PartSize>()
  const sizeOf = (rows: number, columns: number, sizes: readonly number[]): PartSize => {
    const key = [rows, columns, ...sizes].join(" ")
    let size = known.get(key)
    if (size === undefined) {
      const own = { ...gemm, m: rows, n: columns }
      known.set(key, (size = { gemm: own, batch: sizes, scratch: scratchOf(own) }))
    }
    return size
  }
  return boxes.flatMap(({ first, sizes }) =>
    cuts.map(({ row, rows, column, columns }) => ({ size: sizeOf(rows, columns, sizes), first, row, column })),
  )
}

/** Products of the same numbers with equal texts have equal bits. */
export function bitsOf(products: Products, hasEpilogue = false): string {
  const parts = partsOf(products).map(({ size: { gemm }, row, column }) => [row, column, sumsOf(gemm, hasEpilogue)])
  return parts.every(([, , sums]) => sums === "in order") ? "in order" : parts.join("; ")
}

/** The same products, with operands that lie rows first. */
export function unstrided({ inputs: { x, y }, outputs: { z }, attrs }: MatmulShapes): MatmulShapes {
  const plain = ({ shape, elements, dtype }: TensorShape) => ({ shape, elements, dtype })
  return { inputs: { x: plain(x), y: plain(y) }, outputs: { z: plain(z) }, attrs }
}

function scratchOf(gemm: GemmSpec): number {
  const bytes = Math.max(gemmWorkspaceBytes(gemm), gemmWorkspaceBytes({ ...gemm, relaxed: true }))
  return 16 * Math.ceil(bytes / 16)
}
