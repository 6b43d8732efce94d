// The tape: what the runs of loops save when nobody knows beforehand how many there are. One buffer, filled from the start in every
// step and grown by doubling; places are counted in units of 8 bytes, so that an int32 reaches 16 GiB.
//
//   chain    | first, last, records, 0 | chain, offset | …      one pair per stack: a stack is the place of its pair
//   record   | next, previous | value | value | …               see tapeRecord; the ends link to the chain

import type { TapeRecord } from "@counterflow/compiler"
import { type DType, fail } from "@counterflow/ir"
import type { NumberArray } from "./kernel.ts"
import { storageOf } from "./storage.ts"

const unit = 8
const headUnits = 2
/** Words of a chain or a record. */
const [next, previous, records] = [0, 1, 2]
const [chainOf, offsetOf] = [0, 1]

export class Tape {
  #buffer = new ArrayBuffer(0)
  #words = new Int32Array(0)
  #views: Partial<Record<DType, NumberArray>> = {}
  /** In units. The first ones are a chain without records: what a place that nobody has written says. */
  #top = headUnits
  #limit = 0
  #mostBytes = 0

  /** Most bytes that a step has needed so far. */
  get mostBytes(): number {
    return Math.max(this.#mostBytes, (this.#top - headUnits) * unit)
  }

  /** Runs a block, and takes off the tape what it has put there: for one that hands out no stack that lies there. */
  releasing(run: () => void): void {
    const top = this.#top
    run()
    this.#mostBytes = this.mostBytes
    this.#top = top
  }

  /** Before a step: the tape is empty, and may take so many bytes. */
  begin(limit: number): void {
    this.#mostBytes = this.mostBytes
    this.#top = headUnits
    this.#limit = limit
    if (this.#buffer.byteLength === 0) this.#grow(headUnits * unit)
    this.#words.fill(0, 0, (headUnits * unit) / 4)
  }

  /** A chain without records, with a stack for each value of a record: their places. */
  open({ offsets }: TapeRecord): number[] {
    const chain = this.#take((headUnits + offsets.length) * unit)
    const words = this.#words
    const at = chain * 2
    words.set([chain, chain, 0, 0], at)
    return offsets.map((offset, i) => {
      words.set([chain, offset / unit], at + 4 + 2 * i)
      return chain + headUnits + i
    })
  }

  /** One more record in the chain of a stack: the last, or, of a loop that runs in reverse, the first. */
  add(place: number, { bytes }: TapeRecord, isReverse: boolean): number {
    const record = this.#take(bytes)
    const words = this.#words
    const chain = this.#chain(place)
    const [inner, outer] = isReverse ? [next, previous] : [previous, next]
    const neighbour = words[chain * 2 + inner]!
    words[record * 2 + inner] = neighbour
    words[record * 2 + outer] = chain
    words[neighbour * 2 + outer] = record
    words[chain * 2 + inner] = record
    words[chain * 2 + records]!++
    return record
  }

  /** How many records a stack has. */
  count(place: number): number {
    return this.#words[this.#chain(place) * 2 + records]!
  }

  /** The record before the first one, whichever direction. */
  start(place: number): number {
    return this.#chain(place)
  }

  step(record: number, isReverse: boolean): number {
    return this.#words[record * 2 + (isReverse ? previous : next)]!
  }

  write(place: number, record: number, dtype: DType, from: NumberArray): void {
    const to = this.#view(dtype)
    const at = this.#valueAt(place, record, to)
    for (let i = 0; i < from.length; i++) to[at + i] = from[i]!
  }

  read(place: number, record: number, dtype: DType, to: NumberArray): void {
    const from = this.#view(dtype)
    const at = this.#valueAt(place, record, from)
    for (let i = 0; i < to.length; i++) to[i] = from[at + i]!
  }

  #chain(place: number): number {
    return this.#words[place * 2 + chainOf]!
  }

  #valueAt(place: number, record: number, { BYTES_PER_ELEMENT }: NumberArray): number {
    return (record + this.#words[place * 2 + offsetOf]!) * (unit / BYTES_PER_ELEMENT)
  }

  #view(dtype: DType): NumberArray {
    return (this.#views[dtype] ??= new storageOf[dtype](this.#buffer))
  }

  #take(bytes: number): number {
    const at = this.#top
    const end = at * unit + bytes
    if (end - headUnits * unit > this.#limit) {
      fail(
        "CF_MEMORY_LIMIT",
        `what its runs save for gradients takes more than the ${this.#limit} bytes that are left`,
        {
          fix: "give the loop maxTrips, raise memoryLimit, or feed a smaller batch",
        },
      )
    }
    if (end > this.#buffer.byteLength) this.#grow(end)
    this.#top = end / unit
    return at
  }

  #grow(bytes: number): void {
    const old = this.#words
    const wanted = Math.max(bytes, 2 * this.#buffer.byteLength, 2 ** 12)
    this.#buffer = allocated(wanted) ?? allocated(bytes) ?? refuse(bytes)
    this.#words = new Int32Array(this.#buffer)
    this.#words.set(old)
    this.#views = {}
  }
}

function allocated(bytes: number): ArrayBuffer | null {
  try {
    return new ArrayBuffer(bytes)
  } catch {
    return null
  }
}

function refuse(bytes: number): never {
  return fail("CF_MEMORY_LIMIT", `the host refused ${bytes} bytes for what its runs save for gradients`, {
    fix: "give the loop maxTrips, or feed a smaller batch",
  })
}
