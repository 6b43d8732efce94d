// What happens to each element of z before the next operator sees it. As a matrix an image has a row for each channel, in it
// the places of z; operands of the epilogue lie evenly along both.

import { type FunctionBuilder, i32, type Local, type ModuleBuilder } from "../assembler/index.ts"
import { loadLanes, storeLanes } from "../gemm/lanes.ts"
import { more, type Procedure, procedure } from "../gemm/procedure.ts"
import { type Finish, finishOf } from "../gemm/store.ts"
import { gemmEpilogue, type MatrixEpilogue } from "../generate/elementwise/epilogue.ts"

export interface FinishSpec {
  readonly epilogue: MatrixEpilogue
  /** Bytes from image to image of each operand. */
  readonly steps: readonly number[]
}

/** An epilogue with the addresses of its operands at some image. */
export interface ConvolutionFinish extends Finish {
  readonly spec: FinishSpec
}

export function convolutionFinish(
  spec: FinishSpec | undefined,
  at: Readonly<Record<string, Local<"i32">>>,
): ConvolutionFinish | undefined {
  if (spec === undefined) return undefined
  const operands = spec.epilogue.operands.flatMap((_, i) => at[`e${i}`] ?? [])
  return { spec, epilogue: gemmEpilogue(spec.epilogue), operands }
}

/** The same with addresses of its own, that may be moved. */
export function movable(f: FunctionBuilder, finish: ConvolutionFinish | undefined): ConvolutionFinish | undefined {
  return finish && { ...finish, operands: finish.operands.map((operand) => f.let(operand)) }
}

/** How operands move on with the images. */
export function imageSteps(finish: ConvolutionFinish | undefined, images: number): (readonly [Local<"i32">, number])[] {
  return advanced(finish, (_, i) => images * (finish?.spec.steps[i] ?? 0))
}

/** How operands move on with the channels. */
export function channelSteps(
  finish: ConvolutionFinish | undefined,
  channels: number,
): (readonly [Local<"i32">, number])[] {
  return advanced(finish, ({ rowStep }) => channels * rowStep)
}

function advanced(
  finish: ConvolutionFinish | undefined,
  stepOf: (operand: MatrixEpilogue["operands"][number], i: number) => number,
): (readonly [Local<"i32">, number])[] {
  if (finish === undefined) return []
  return finish.spec.epilogue.operands.flatMap((operand, i) => {
    const [pointer, step] = [finish.operands[i], stepOf(operand, i)]
    return pointer === undefined || step === 0 ? [] : [[pointer, step] as const]
  })
}

/** A function (z, …operands) that finishes the rows of one image or group of channels. */
export function finishFunction(
  module: ModuleBuilder,
  { spec, epilogue }: ConvolutionFinish,
  rows: number,
  columns: number,
): Procedure {
  const params = ["i32", ...more(epilogue.operands)] as const
  const key = { ...spec, rows, columns }
  return procedure(module, `finish${rows}x${columns}`, key, params, (f, z, ...operands) => {
    const ready = finishOf(f, epilogue, operands)
    if (ready === undefined) return
    f.forRange(rows, (row) => {
      const column = f.local("i32", 0)
      const step = (lanes: number) => {
        const tile = { row, column }
        const at = { row, column, tile, offset: { row: 0, column: 0 }, operands, constants: ready.constants }
        const value = epilogue.apply(f, { ...at, acc: f.let(loadLanes(z, 0, lanes)), lanes })
        storeLanes(f, z, f.let(value), 0, lanes)
        f.increment(z, 4 * lanes)
        f.set(column, i32.add(column, lanes))
      }
      f.forRange(Math.floor(columns / 4), () => step(4))
      if (columns % 4 > 0) step(columns % 4)
    })
  })
}
