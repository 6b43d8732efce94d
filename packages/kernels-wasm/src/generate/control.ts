// The control area: a few bytes at the start of every memory in which a failing kernel says what was wrong. Its step answers
// which operator it was; the text of the error is made outside.

import type { Expr, FunctionBuilder } from "../assembler/index.ts"

/** No tensor lies below this address. */
export const controlBytes = 64

const placeAt = 16
const axisAt = 24
const sizeAt = 32

/** More runs than an int32 counts are an endless loop. */
export const mostTrips = 2 ** 31 - 1

/** Leaves the kernel: an index names `place` along an axis, and there is no such place. */
export function reportPlace(f: FunctionBuilder, place: Expr<"i64">, axis: number, size: number): void {
  f.store("i64", 0, place, placeAt)
  f.store("i64", 0, axis, axisAt)
  f.store("i64", 0, size, sizeAt)
  f.return(1)
}

/** A loop has run as often as it may. Told from a place by the axis −1, which no tensor has. */
export function reportRuns(f: FunctionBuilder, most: number): void {
  f.store("i64", 0, -1, axisAt)
  f.store("i64", 0, most, sizeAt)
}

/** What the last failing kernel reported. */
export function readReport(buffer: ArrayBufferLike): Record<"place" | "axis" | "size", bigint> {
  const view = new DataView(buffer, 0, controlBytes)
  const at = (offset: number) => view.getBigInt64(offset, true)
  return { place: at(placeAt), axis: at(axisAt), size: at(sizeAt) }
}
