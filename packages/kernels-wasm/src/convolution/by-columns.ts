// Convolution and its gradients as matrix products with the columns of x:
//
//   z = w · columns       columns of x += wᵀ · z, folded back       w = Σ over images   z · columnsᵀ
//
// image by image, in bands of rows; small images are joined, so that products do not become too narrow.

import { type Expr, type FunctionBuilder, i32, type Local, type ModuleBuilder } from "../assembler/index.ts"
import { emitGemm, type GemmSpec } from "../gemm/index.ts"
import { type Procedure, procedure } from "../gemm/procedure.ts"
import type { KernelContext } from "../generate/kernel.ts"
import { bandBytes } from "./band.ts"
import { bandOf, columnsFunction, foldFunction, isInside } from "./columns.ts"
import { channelSteps, type ConvolutionFinish, finishFunction, imageSteps, movable } from "./finish.ts"
import type { Part } from "./parts.ts"
import { placesOf } from "./places.ts"
import { type Relation, sizesOf, type Wanted } from "./relation.ts"
import { copyFloats } from "./rows.ts"
import type { ColumnSchedule } from "./schedule.ts"

/** The images and the rows of each that one matrix of columns is made of. */
export interface ColumnMatrix {
  readonly images: number
  readonly rows: number
}

export interface ColumnWork {
  readonly relation: Relation
  readonly part: Omit<Part, "first">
  readonly schedule: ColumnSchedule
}

type At = Readonly<Record<"x" | "w" | "z" | "workspace", Local<"i32">>>

/** The product that one matrix of columns takes part in. */
export function columnProduct(
  wanted: Wanted,
  relation: Relation,
  isMatrix: boolean,
  { images, rows }: ColumnMatrix,
  relaxed: boolean,
): GemmSpec {
  const { filters, geometry } = relation
  const { places, depth } = sizesOf(relation)
  const count = images * rows * geometry.result[1]
  const zLine = images === 1 ? places : count
  const line = images === 1 && isMatrix ? places : count
  if (wanted === "result") return { m: filters, n: count, k: depth, ldb: line, ldc: zLine, relaxed }
  if (wanted === "image") return { m: depth, n: count, k: filters, form: "TN", ldb: zLine, ldc: line, relaxed }
  return { m: filters, n: depth, k: count, form: "NT", lda: zLine, ldb: line, accumulate: true, relaxed }
}

/** Runs through all images of a part. */
export function convolveByColumns(
  { f, module, relaxed }: KernelContext,
  wanted: Wanted,
  { x, w, z, workspace }: At,
  { relation, part, schedule }: ColumnWork,
  finish?: ConvolutionFinish,
): void {
  const { groups, geometry } = relation
  const { isMatrix, joined, rows, at } = schedule
  const { images } = part
  const sizes = sizesOf(relation)
  const [xImage, zImage] = [4 * groups * sizes.x, 4 * groups * sizes.z]
  const { band, columns, joined: pooled, product: scratch } = placesOf(f, workspace, at)
  if (wanted === "filter") f.fill(w, 0, 4 * groups * sizes.w)
  if (!isInside(geometry) && wanted !== "image") f.fill(band, 0, bandBytes(bandOf(geometry, rows)))

  const matrix = (count: number, some: number, first: Expr<"i32">, own: Own) => {
    const isCopied = !isMatrix || count > 1
    const length = count * some * geometry.result[1]
    const spec = { channels: relation.channels, geometry, rows: some, length }
    const zFirst = f.let(i32.add(own.z, i32.mul(first, 4 * geometry.result[1])))
    const after = own.finish
    const gemm = columnProduct(wanted, relation, isMatrix, { images: count, rows: some }, relaxed)
    const product = emitGemm(module, gemm, count === 1 ? after?.epilogue : undefined)
    const eachImage = (body: (x: Local<"i32">, columns: Local<"i32">) => void) => {
      const [image, part] = [f.let(own.x), f.let(columns)]
      const advance = [[image, xImage] as const, [part, 4 * sizes.places] as const]
      f.forRange(count, () => body(image, part), { advance })
    }
    const join = { lines: relation.filters, length: sizes.places, images: count, imageStep: zImage }
    if (isCopied && wanted !== "image") {
      const make = columnsFunction(module, spec)
      eachImage((image, part) => f.run(make, image, part, band, first))
    }
    if (count > 1 && wanted !== "result") f.run(joinFunction(module, join), own.z, pooled)
    const right = isCopied ? columns : f.let(i32.add(own.x, i32.mul(first, 4 * geometry.result[1])))
    const result = count > 1 ? pooled : zFirst
    const operands = count === 1 && after !== undefined ? operandsAt(f, after, first, geometry.result[1]) : []
    if (wanted === "result") f.run(product, own.w, right, result, scratch, ...operands)
    else if (wanted === "image") f.run(product, own.w, result, right, scratch)
    else f.run(product, result, right, own.w, scratch)
    if (count > 1 && wanted === "result") {
      f.run(splitFunction(module, join), pooled, own.z)
      if (after !== undefined) finishImages(module, f, after, own.z, count, relation)
    }
    if (isCopied && wanted === "image") {
      const fold = foldFunction(module, spec)
      eachImage((image, part) => f.run(fold, part, image, band, first))
    }
  }

  const some = (count: number) => {
    // What is folded is added to the image.
    if (wanted === "image" && !(isMatrix && count === 1)) f.fill(x, 0, count * xImage)
    const own: Own = { x: f.let(x), w: f.let(w), z: f.let(z), finish: movable(f, finish) }
    const advance = [[own.x, 4 * sizes.x] as const, [own.w, 4 * sizes.w] as const, [own.z, 4 * sizes.z] as const]
    const body = () => inBands(f, part, rows, (band, first) => matrix(count, band, first, own))
    f.forRange(groups, body, { advance: [...advance, ...channelSteps(own.finish, relation.filters)] })
  }
  const whole = Math.floor(images / joined)
  const advance = [[x, joined * xImage] as const, [z, joined * zImage] as const]
  f.forRange(whole, () => some(joined), { advance: [...advance, ...imageSteps(finish, joined)] })
  if (images % joined > 0) some(images % joined)
}

/** One group of channels of some images. */
interface Own {
  readonly x: Local<"i32">
  readonly w: Local<"i32">
  readonly z: Local<"i32">
  readonly finish: ConvolutionFinish | undefined
}

/** The operands of the epilogue at the first place of row `first`. */
function operandsAt(
  f: FunctionBuilder,
  { spec, operands }: ConvolutionFinish,
  first: Expr<"i32">,
  width: number,
): Local<"i32">[] {
  return operands.map((operand, i) => {
    const step = spec.epilogue.operands[i]?.columnStep ?? 0
    return step === 0 ? operand : f.let(i32.add(operand, i32.mul(first, step * width)))
  })
}

function finishImages(
  module: ModuleBuilder,
  f: FunctionBuilder,
  finish: ConvolutionFinish,
  z: Local<"i32">,
  images: number,
  relation: Relation,
): void {
  const { places, z: size } = sizesOf(relation)
  const pass = finishFunction(module, finish, relation.filters, places)
  const own = movable(f, finish)
  const image = f.let(z)
  const advance = [[image, 4 * relation.groups * size] as const, ...imageSteps(own, 1)]
  f.forRange(images, () => f.run(pass, image, ...(own?.operands ?? [])), { advance })
}

/** Runs `body` on bands of `size` of the rows, then on those that are left. */
export function inBands(
  f: FunctionBuilder,
  { row, rows }: Pick<Part, "row" | "rows">,
  size: number,
  body: (rows: number, first: Expr<"i32">) => void,
): void {
  const end = row + Math.floor(rows / size) * size
  if (end === row + size) body(size, i32.const(row))
  else f.forRange(end, (first) => body(size, first), { from: row, step: size })
  if (end < row + rows) body(row + rows - end, i32.const(end))
}

interface JoinSpec {
  readonly lines: number
  readonly length: number
  readonly images: number
  /** Bytes. */
  readonly imageStep: number
}

/** A function (z, joined): line i of the result is line i of all images, one behind the other. */
function joinFunction(module: ModuleBuilder, spec: JoinSpec): Procedure {
  return procedure(module, "join", spec, ["i32", "i32"], (f, z, joined) => {
    walkJoined(f, spec, z, joined, (from, to) => copyFloats(f, to, from, spec.length))
  })
}

/** A function (joined, z), the inverse. */
function splitFunction(module: ModuleBuilder, spec: JoinSpec): Procedure {
  return procedure(module, "split", spec, ["i32", "i32"], (f, joined, z) => {
    walkJoined(f, spec, z, joined, (to, from) => copyFloats(f, to, from, spec.length))
  })
}

function walkJoined(
  f: FunctionBuilder,
  { lines, length, images, imageStep }: JoinSpec,
  z: Local<"i32">,
  joined: Local<"i32">,
  body: (z: Local<"i32">, joined: Local<"i32">) => void,
): void {
  const rounds = () => {
    const [own, other] = [f.let(z), f.let(joined)]
    const advance = [[own, 4 * length] as const, [other, 4 * length * images] as const]
    f.forRange(lines, () => body(own, other), { advance })
  }
  f.forRange(images, rounds, {
    advance: [
      [z, imageStep],
      [joined, 4 * length],
    ],
  })
}
