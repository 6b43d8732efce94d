// A file of compiled steps: what it says of them, and how that lies in bytes. Numbers are little-endian, as in WebAssembly.
//
//   | "cfsteps\0" | version | header length n | header (JSON) + spaces | modules and values of state, end to end |
//   0             8         12                16                       16 + n

import type { DType } from "@counterflow/ir"
import { encodeText } from "../host.ts"
import type { OperatorTrace } from "../running.ts"

/** "cfsteps" and a zero. */
export const magic = [0x63, 0x66, 0x73, 0x74, 0x65, 0x70, 0x73, 0] as const
/** Raised when a file of today could not be read as it is meant. */
export const version = 1
export const prefixBytes = 16

/** Bytes behind the header: where they begin, and how many. */
export type Range = readonly [start: number, length: number]

export interface SavedTensor {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
}

/** State that the steps share. Its address is written into their modules. */
export interface SavedState extends SavedTensor {
  readonly address: number
  /** Its value as stored. */
  readonly values?: Range
  /** The value of every element, as text, if it has no other. */
  readonly fill?: string
}

/** A fed, fetched or committed tensor, or a state variable, whose place is that of the state of its name. */
export interface SavedVar extends SavedTensor {
  readonly kind: "data" | "state" | "value"
  /** Where it lies in the arena. */
  readonly offset?: number
  /** The variable whose state it shares. */
  readonly state?: number
}

/** Variables are named by their place in `vars`. */
export interface SavedStep {
  readonly name: string
  readonly module: Range
  readonly vars: readonly SavedVar[]
  readonly feeds: readonly number[]
  readonly fetches: readonly number[]
  readonly states: readonly number[]
  readonly reads: readonly number[]
  readonly writes: readonly number[]
  /** Pairs of a state and what becomes its value. */
  readonly commits: readonly (readonly [number, number])[]
  readonly peakBytes: number
  readonly arenaBytes: number
  readonly parameterBytes: number
  readonly stateBytes: number
  readonly bytesPerTrip: number
  readonly flops: number
  /** Whether there is a loop of which nobody knows how often it runs at most. */
  readonly mayBeEndless?: boolean
  /** What errors say of the operators that can fail, by number. */
  readonly traces: readonly (readonly [number, OperatorTrace])[]
}

export interface SavedHeader {
  /** Whether modules may hold relaxed vector instructions. */
  readonly relaxed: boolean
  /** By address. */
  readonly states: readonly SavedState[]
  readonly steps: readonly SavedStep[]
}

/** Collects what stands behind the header. */
export class Sections {
  readonly #parts: Uint8Array[] = []
  #length = 0

  add(bytes: Uint8Array): Range {
    const range = [this.#length, bytes.length] as const
    this.#parts.push(bytes)
    this.#length += bytes.length
    return range
  }

  /** The whole file. */
  file(header: SavedHeader): Uint8Array<ArrayBuffer> {
    const text = encodeText(JSON.stringify(header))
    const headerBytes = Math.ceil(text.length / 16) * 16
    const file = new Uint8Array(prefixBytes + headerBytes + this.#length)
    file.set(magic)
    const view = new DataView(file.buffer)
    view.setUint32(8, version, true)
    view.setUint32(12, headerBytes, true)
    file.fill(0x20, prefixBytes, prefixBytes + headerBytes)
    file.set(text, prefixBytes)
    let at = prefixBytes + headerBytes
    for (const part of this.#parts) {
      file.set(part, at)
      at += part.length
    }
    return file
  }
}
