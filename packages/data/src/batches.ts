// Data sets cut into batches that a run takes as its feed, and into a training and a held-out part. Orders are drawn
// from seeds; an iterable of batches is a value: iterating it twice gives the same batches twice.
import { badArgument, requireInteger } from "./errors.ts"
import { shuffled } from "./random.ts"
import { type Dataset, rowCount, takeRows } from "./tensor.ts"

export interface BatchOptions {
  batchSize: number
  /** Draw the order of the rows from `seed` and `epoch`; otherwise they come as they stand. Default false. */
  shuffle?: boolean
  /** Default 0. */
  seed?: number
  /** Pass the number of the epoch to get another order in each, reproducibly. Default 0. */
  epoch?: number
  /** Leave out a last batch that is not full. Default false. */
  dropLast?: boolean
}

export interface Batches<T> extends Iterable<T> {
  /** How many batches one iteration gives. */
  readonly length: number
}

/**
 * The rows in batches: `for (const feed of batches(train, { batchSize: 32, shuffle: true, epoch })) await step.run(feed)`.
 * Every batch is a fresh copy, which its consumer may change in place.
 */
export function batches<T extends Dataset>(dataset: T, options: BatchOptions): Batches<T> {
  const { batchSize, shuffle = false, seed = 0, epoch = 0, dropLast = false } = options
  requireInteger(batchSize, 1, "batches: batchSize")
  requireInteger(seed, 0, "batches: seed")
  requireInteger(epoch, 0, "batches: epoch")
  const rows = rowCount(dataset)
  const length = dropLast ? Math.floor(rows / batchSize) : Math.ceil(rows / batchSize)
  return {
    length,
    *[Symbol.iterator]() {
      const order = shuffle ? shuffled(rows, seed, epoch) : inOrder(rows)
      for (let i = 0; i < length; i++) {
        yield takeRows(dataset, order.subarray(i * batchSize, Math.min((i + 1) * batchSize, rows)))
      }
    },
  }
}

export interface SplitOptions {
  /** The part of the rows to hold out, 0 ≤ heldOut < 1; a fraction of a row counts as a row. */
  heldOut: number
  /** Draw the rows to hold out; otherwise they are the last ones. Default false. */
  shuffle?: boolean
  /** Default 0. */
  seed?: number
}

/** Cuts a data set in two: rows to train on and rows held out to test on, each row in exactly one of them. */
export function splitRows<T extends Dataset>(dataset: T, options: SplitOptions): { train: T; test: T } {
  const { heldOut, shuffle = false, seed = 0 } = options
  if (!(heldOut >= 0 && heldOut < 1)) {
    badArgument(`expected a fraction from 0 to below 1, got ${heldOut}`, "splitRows: heldOut", "hold out 0.2, say")
  }
  const rows = rowCount(dataset)
  // 100 · 0.07 is 7.000000000000001: the rounding error must not cost a row.
  const kept = rows - Math.ceil(rows * heldOut - 1e-9)
  const order = shuffle ? shuffled(rows, seed) : inOrder(rows)
  return { train: takeRows(dataset, order.subarray(0, kept)), test: takeRows(dataset, order.subarray(kept)) }
}

function inOrder(rows: number): Uint32Array {
  return Uint32Array.from({ length: rows }, (_, i) => i)
}
