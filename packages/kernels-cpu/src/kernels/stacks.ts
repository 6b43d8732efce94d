// Rows of stacks, as loops read and write them: at their places in the arena where the plan knows how many there are, and else run by
// run on the tape.

import { type TapeRecord, tapeRecord } from "@counterflow/compiler"
import type { HostTensor, NumberArray } from "../kernel.ts"
import { storageOf } from "../storage.ts"
import type { Tape } from "../tape.ts"

interface Pair {
  readonly stack: HostTensor
  /** What one run has of it. */
  readonly row: HostTensor
}

interface Taped extends Pair {
  readonly tape: Tape
}

function split(stacks: readonly HostTensor[], rows: readonly HostTensor[]): [taped: Taped[], planned: Pair[]] {
  const pairs = stacks.map((stack, i) => ({ stack, row: rows[i]! }))
  const taped = pairs.flatMap((pair) =>
    pair.stack.stack === undefined ? [] : [{ ...pair, tape: pair.stack.stack.tape }],
  )
  return [taped, pairs.filter(({ stack }) => stack.stack === undefined)]
}

/** What a loop stacks. */
export class WrittenStacks {
  readonly #taped: readonly Taped[]
  readonly #planned: readonly Pair[]
  readonly #record: TapeRecord

  constructor(stacks: readonly HostTensor[], rows: readonly HostTensor[]) {
    ;[this.#taped, this.#planned] = split(stacks, rows)
    this.#record = tapeRecord(this.#taped.map(({ row }) => storageOf[row.dtype].BYTES_PER_ELEMENT * row.data.length))
  }

  begin(): void {
    const [first] = this.#taped
    const places = first?.tape.open(this.#record) ?? []
    for (let i = 0; i < places.length; i++) this.#taped[i]!.stack.data[0] = places[i]!
  }

  push(run: number, isReverse: boolean): void {
    for (const { stack, row } of this.#planned) copyRow(row.data, 0, stack.data, run)
    const [first] = this.#taped
    if (first === undefined) return
    const record = first.tape.add(first.stack.data[0]!, this.#record, isReverse)
    for (const { stack, row, tape } of this.#taped) tape.write(stack.data[0]!, record, row.dtype, row.data)
  }

  /** What no run has written is zero. */
  end(runs: number): void {
    for (const { stack, row } of this.#planned) stack.data.fill(0, runs * row.data.length)
  }
}

/** What a loop scans. */
export class ReadStacks {
  readonly #taped: readonly Taped[]
  readonly #planned: readonly Pair[]
  readonly #records: number[] = []

  constructor(stacks: readonly HostTensor[], rows: readonly HostTensor[]) {
    ;[this.#taped, this.#planned] = split(stacks, rows)
  }

  /** Answers how many runs there are: as many as every stack of unknown length has rows, `most` where there is none. */
  begin(most: number): number {
    let runs = most
    this.#taped.forEach(({ stack, tape }, i) => {
      const place = stack.data[0]!
      this.#records[i] = tape.start(place)
      runs = Math.min(runs, tape.count(place))
    })
    return runs === Infinity ? 0 : runs
  }

  /** Reads the next rows. */
  next(run: number, isReverse: boolean): void {
    for (const { stack, row } of this.#planned) copyRow(stack.data, run, row.data, 0)
    for (let i = 0; i < this.#taped.length; i++) {
      const { stack, row, tape } = this.#taped[i]!
      const record = tape.step(this.#records[i]!, isReverse)
      this.#records[i] = record
      tape.read(stack.data[0]!, record, row.dtype, row.data)
    }
  }
}

/** Copies a place along the leading axis of one to a place of the other. */
function copyRow(from: NumberArray, fromPlace: number, to: NumberArray, toPlace: number): void {
  const length = Math.min(from.length, to.length)
  const [source, target] = [from.length > length ? fromPlace * length : 0, to.length > length ? toPlace * length : 0]
  for (let i = 0; i < length; i++) to[target + i] = from[source + i]!
}
