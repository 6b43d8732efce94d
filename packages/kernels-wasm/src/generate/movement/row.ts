// Rows of a stack at a place that is data. A stack that is written in place is not copied.

import type { DType } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import { type FunctionBuilder, i32, i64, type Local, select } from "../../assembler/index.ts"
import { reportPlace } from "../control.ts"
import { copyRun, emitWhole } from "./copy.ts"
import { bytesOf } from "../expression/element.ts"
import type { Kernel } from "../kernel.ts"
import { type Generators, isSamePlace, type PlacedTensor } from "../signature.ts"

interface RowSpec {
  readonly index: DType
  /** Of the length, if fewer rows than `size` may be there. */
  readonly length: DType | null
  readonly size: number
  /** Bytes of a row. */
  readonly run: number
}

type RowPointer = "stack" | "row" | "index" | "length"

export const arrays = {
  rowAt: ({ inputs: { x, index, length }, outputs: { z } }, emit) => {
    const spec = specOf(x, z, index, length?.dtype ?? null)
    // Without a length its pointer is read by nobody.
    const at = { stack: x.place, row: z.place, index: index.place, length: (length ?? index).place }
    emit.run(readRow, at, spec)
  },

  withRow: ({ inputs: { x, row, index }, outputs: { z } }, emit) => {
    if (!isSamePlace(x, z)) emitWhole(x, z, emit)
    const at = { stack: z.place, row: row.place, index: index.place, length: index.place }
    emit.run(writeRow, at, specOf(x, row, index, null))
  },
} satisfies Generators<Registry>

function specOf(x: PlacedTensor, row: PlacedTensor, index: PlacedTensor, length: DType | null): RowSpec {
  return { index: index.dtype, length, size: x.shape[0] ?? 0, run: row.elements * bytesOf(row.dtype) }
}

const readRow: Kernel<RowPointer, RowSpec> = {
  name: "readRow",
  canFail: true,
  build: ({ f }, { stack, row, index, length }, spec) => {
    findRow(f, stack, index, length, spec)
    copyRun(f, row, stack, spec.run)
    f.return(0)
  },
}

const writeRow: Kernel<RowPointer, RowSpec> = {
  name: "writeRow",
  canFail: true,
  build: ({ f }, { stack, row, index, length }, spec) => {
    findRow(f, stack, index, length, spec)
    copyRun(f, stack, row, spec.run)
    f.return(0)
  },
}

/** Moves the pointer of a stack to the row that is named; leaves the kernel where there is none. */
function findRow(
  f: FunctionBuilder,
  stack: Local<"i32">,
  index: Local<"i32">,
  length: Local<"i32">,
  { index: dtype, length: lengthDType, size, run }: RowSpec,
): void {
  const place = f.let(integer(dtype, index))
  const limit = f.let(i64.const(size))
  if (lengthDType !== null) {
    const given = f.let(integer(lengthDType, length))
    f.set(limit, select(i64.ltS(given, size), given, i64.const(size)))
  }
  // Without sign a negative place is a very large one.
  f.if(i64.geU(place, limit), () => reportPlace(f, place, 0, limit))
  f.increment(stack, i32.mul(i32.wrapI64(place), run))
}

function integer(dtype: DType, at: Local<"i32">) {
  return dtype === "int64" ? i64.load(at) : i64.extendI32S(i32.load(at))
}
