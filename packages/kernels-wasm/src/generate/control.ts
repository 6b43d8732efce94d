// The control area: a few bytes at the start of every memory in which a failing kernel says what was wrong. Its step answers
// which operator it was; the text of the error is made outside.

import { call, type Expr, type FunctionBuilder, type FunctionRef, i32, i64, type Operand } from "../assembler/index.ts"

/** No tensor lies below this address. */
export const controlBytes = 96

/** What trips of loops burn before somebody is asked whether they may go on. */
export const fuelAt = 8
const placeAt = 16
const axisAt = 24
const sizeAt = 32

/** More runs than an int32 counts are an endless loop. */
export const mostTrips = 2 ** 31 - 1

/** Leaves the kernel: an index names `place` along an axis, and there is no such place. */
export function reportPlace(f: FunctionBuilder, place: Expr<"i64">, axis: number, size: Operand<"i64">): void {
  f.store("i64", 0, place, placeAt)
  f.store("i64", 0, axis, axisAt)
  f.store("i64", 0, size, sizeAt)
  f.return(1)
}

/** In place of an axis: what is reported is no place. */
export const tooManyRuns = -1n
export const ended = -2n

/** A loop has run as often as it may. */
export function reportRuns(f: FunctionBuilder, most: number): void {
  f.store("i64", 0, tooManyRuns, axisAt)
  f.store("i64", 0, most, sizeAt)
}

/** Fuel of which nobody sees the end. */
export const endlessFuel = 2 ** 30

/** How loops find out whether they may go on. */
export interface Fuel {
  /** Answers how much there is to burn from now on; 0: the step is to end. */
  readonly refuel: FunctionRef<readonly [], readonly ["i32"]>
  /** What one trip burns. */
  readonly burns: number
}

/** Before a trip after others: lets the function answer `op`, the number of the loop, if the step is to end. */
export function burnFuel(f: FunctionBuilder, { refuel, burns }: Fuel, trips: Expr<"i32">, op: number): void {
  const left = f.let(i32.sub(i32.load(0, fuelAt), burns))
  f.if(i32.leS(left, 0), () => {
    f.set(left, call(refuel))
    f.if(i32.eqz(left), () => {
      f.store("i64", 0, i64.extendI32U(trips), sizeAt)
      f.store("i64", 0, ended, axisAt)
      f.return(op)
    })
  })
  f.store("i32", 0, left, fuelAt)
}

/**
 * Words of the control area: where the tape begins, where memory for it ends, where it must end, where its next byte is, and where
 * that has been at most when something was taken off; and a chain without records. The first two words of memory are a pair of
 * that one: a place that nobody has written, 0, is a stack without rows.
 */
export const tapeWords = { base: 64, end: 68, limit: 72, top: 76, most: 80, empty: 84 } as const
/** The last page is never used, so that the end of anything is an address. */
export const lastEnd = 2 ** 32 - 2 ** 16

/** What the axis is where the tape finds no memory: behind what it may take, or because the host has no more. */
export const tapeAxes = { limit: -3n, host: -4n } as const

/** Leaves the kernel: there is no memory for what a run saves. `bytes` is what the tape may take, or what was asked for. */
export function reportTape(f: FunctionBuilder, why: keyof typeof tapeAxes, bytes: Expr<"i64">): void {
  f.store("i64", 0, tapeAxes[why], axisAt)
  f.store("i64", 0, bytes, sizeAt)
  f.return(1)
}

/** What the last failing kernel reported. */
export function readReport(buffer: ArrayBufferLike): Record<"place" | "axis" | "size", bigint> {
  const view = new DataView(buffer, 0, controlBytes)
  const at = (offset: number) => view.getBigInt64(offset, true)
  return { place: at(placeAt), axis: at(axisAt), size: at(sizeAt) }
}
