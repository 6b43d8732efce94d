// The linear memory of one executor, which every compiled plan imports. State gets permanent addresses, allocated side by
// side; the arena is one region that a larger plan may move, and what it leaves behind is given to later state.
//
//   0     | control area: what a failing operator reports, and how threads meet |
//   …     | state … | arena | state … | larger arena | … | tape, while a step runs that needs one
//
// What it counts is what plans and state asked for; rounding to the alignment is not counted.

import type { Memory, StateRegion, StorageArray } from "@counterflow/executor/runtime"
import { type DType, fail } from "@counterflow/ir"
import { controlBytes, lastEnd, tapeWords } from "./generate/control.ts"
import { type HostMemory, hostWebAssembly } from "./host.ts"
import type { Team } from "./threads/team.ts"
import { sharedControlBytes } from "./threads/words.ts"

/** int64 is stored as it is: 64-bit integers. */
export const storageOf = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Record<DType, unknown>

const views: Readonly<Record<DType, new (buffer: ArrayBufferLike, address: number, elements: number) => StorageArray>> =
  storageOf

const alignment = 16
const pageBytes = 2 ** 16
/** Addresses are 32 bits wide. */
const maximumPages = 2 ** 16

interface Region {
  readonly address: number
  /** A multiple of the alignment. */
  readonly bytes: number
}

export class WasmMemory implements Memory {
  #memory: HostMemory | null
  /** The threads that work on it; null if it is not shared. */
  readonly team: Team | null
  /** Regions below `top` that nobody owns, by address; neighbours are merged. */
  #free: Region[] = []
  #top: number
  #arena: Region
  #arenaBytes = 0
  #stateBytes = 0
  #tapeBytes = 0
  #generation = 0
  #seenBytes = 0
  #isHeld = false

  /** Shared if there is to be a team, and if the host allows it. */
  constructor(openTeam?: (memory: HostMemory) => Team) {
    const shared = openTeam === undefined ? null : openShared()
    this.#memory = shared ?? open()
    this.team = shared === null ? null : (openTeam?.(shared) ?? null)
    this.team?.endWith(this)
    this.#top = shared === null ? controlBytes : sharedControlBytes
    this.#arena = { address: this.#top, bytes: 0 }
  }

  get arenaBytes(): number {
    return this.#arenaBytes
  }

  get stateBytes(): number {
    return this.#stateBytes
  }

  /** What the addresses reach, but for the control area. */
  get limitBytes(): number {
    return maximumPages * pageBytes - (this.team === null ? controlBytes : sharedControlBytes)
  }

  /** Where the arena begins; plans ask before every step. */
  get arenaAddress(): number {
    return this.#arena.address
  }

  /** Rises when views of memory have become stale: it has grown, a step's tape with it, or the arena has moved. */
  get generation(): number {
    const bytes = this.#memory?.buffer.byteLength ?? 0
    if (bytes !== this.#seenBytes) {
      this.#seenBytes = bytes
      this.#generation++
    }
    return this.#generation
  }

  get tapeBytes(): number {
    if (this.#memory === null) return this.#tapeBytes
    const words = new Uint32Array(this.#memory.buffer, 0, controlBytes / 4)
    const at = (word: number) => words[word / 4] ?? 0
    return Math.max(this.#tapeBytes, at(tapeWords.top) - at(tapeWords.base), at(tapeWords.most) - at(tapeWords.base))
  }

  /**
   * Before a step whose loops save what nobody can plan: the tape begins behind everything else, in memory that is there or is
   * grown by the step, and may take so many bytes. Between steps nothing lies there: what is allocated next may take it.
   */
  beginTape(limit: number): void {
    this.#tapeBytes = this.tapeBytes
    const { buffer } = this.memory
    const base = this.#top
    const last = Math.min(base + limit, lastEnd)
    const values = { base, end: Math.min(last, buffer.byteLength), limit: last, top: base, most: base }
    const words = new Uint32Array(buffer, 0, controlBytes / 4)
    for (const [word, value] of Object.entries(values)) words[tapeWords[word as keyof typeof values] / 4] = value
    words[0] = tapeWords.empty
  }

  /** For modules to import. */
  get memory(): HostMemory {
    return this.#memory ?? fail("CF_CLOSED", "the executor was closed", { fix: "make a new one" })
  }

  /** A step runs in another thread now: nobody may look at what it writes, or move it. */
  hold(): void {
    this.#isHeld = true
  }

  release(): void {
    this.#isHeld = false
  }

  requireFree(): void {
    if (this.#isHeld)
      fail("CF_BUSY", "a run is under way in another thread", { op: "wasm", fix: "await it before you look at state" })
  }

  /** What lies in the arena stays: a run that still waits for its module may have its feeds there. */
  reserveArena(bytes: number): void {
    if (bytes <= this.#arenaBytes) return
    this.requireFree()
    const old = this.#arena
    if (old.address + old.bytes === this.#top) {
      this.#grow(old.address + aligned(bytes))
      this.#arena = { address: old.address, bytes: aligned(bytes) }
      this.#top = old.address + aligned(bytes)
    } else {
      this.#arena = this.#take(aligned(bytes))
      new Uint8Array(this.memory.buffer).copyWithin(this.#arena.address, old.address, old.address + old.bytes)
      this.#release(old)
    }
    this.#arenaBytes = bytes
    this.#generation++
  }

  allocateState(dtype: DType, elements: number): StateRegion {
    this.requireFree()
    const bytes = storageOf[dtype].BYTES_PER_ELEMENT * elements
    const { address } = this.#take(aligned(bytes))
    new Uint8Array(this.memory.buffer, address, bytes).fill(0)
    this.#stateBytes += bytes
    return new WasmState(this, dtype, address, elements, bytes)
  }

  view(dtype: DType, address: number, elements: number): StorageArray {
    return new views[dtype](this.memory.buffer, address, elements)
  }

  close(): void {
    this.#memory = null
    this.team?.close()
    this.#free = []
    this.#arenaBytes = 0
    this.#stateBytes = 0
    this.#tapeBytes = 0
    this.#generation++
  }

  /** The lowest free region that is large enough, or new bytes at the top. */
  #take(bytes: number): Region {
    const index = this.#free.findIndex((region) => region.bytes >= bytes)
    const found = this.#free[index]
    if (found === undefined) {
      const address = this.#top
      this.#grow(address + bytes)
      this.#top = address + bytes
      return { address, bytes }
    }
    const rest = { address: found.address + bytes, bytes: found.bytes - bytes }
    this.#free.splice(index, 1, ...(rest.bytes > 0 ? [rest] : []))
    return { address: found.address, bytes }
  }

  #release(region: Region): void {
    if (region.bytes === 0) return
    const merged: Region[] = []
    for (const next of [...this.#free, region].sort((a, b) => a.address - b.address)) {
      const last = merged.at(-1)
      if (last !== undefined && last.address + last.bytes === next.address)
        merged[merged.length - 1] = { address: last.address, bytes: last.bytes + next.bytes }
      else merged.push(next)
    }
    this.#free = merged
  }

  #grow(bytes: number): void {
    const { memory } = this
    const held = memory.buffer.byteLength / pageBytes
    const pages = Math.ceil(bytes / pageBytes)
    if (pages <= held) return
    if (pages > maximumPages) {
      fail("CF_MEMORY_LIMIT", `${bytes} bytes are needed, and WebAssembly memory ends at ${maximumPages * pageBytes}`, {
        notes: [`arena ${this.#arenaBytes} bytes`, `state ${this.#stateBytes} bytes`],
        fix: "feed a smaller batch, fetch fewer intermediates, or train a smaller model on this backend",
      })
    }
    try {
      memory.grow(pages - held)
    } catch (cause) {
      fail(
        "CF_MEMORY_LIMIT",
        `the host refused to let memory grow from ${held * pageBytes} to ${pages * pageBytes} bytes`,
        {
          notes: [`arena ${this.#arenaBytes} bytes`, `state ${this.#stateBytes} bytes`],
          fix: "feed a smaller batch, or set memoryLimit",
          cause,
        },
      )
    }
    this.#generation++
  }
}

/** A state variable: its address never changes, its view does when memory grows. */
export class WasmState implements StateRegion {
  readonly bytes: number
  readonly address: number
  readonly #memory: WasmMemory
  readonly #dtype: DType
  readonly #elements: number
  #view: StorageArray | null = null
  #generation = -1

  constructor(memory: WasmMemory, dtype: DType, address: number, elements: number, bytes: number) {
    this.#memory = memory
    this.#dtype = dtype
    this.#elements = elements
    this.address = address
    this.bytes = bytes
  }

  view(): StorageArray {
    this.#memory.requireFree()
    const { generation } = this.#memory
    if (this.#view === null || this.#generation !== generation) {
      this.#view = this.#memory.view(this.#dtype, this.address, this.#elements)
      this.#generation = generation
    }
    return this.#view
  }
}

function open(): HostMemory {
  const { Memory: Opened } = hostWebAssembly()
  try {
    return new Opened({ initial: 1, maximum: maximumPages })
  } catch (cause) {
    return fail("CF_MEMORY_LIMIT", "the host refused to open one more WebAssembly memory", {
      op: "wasm",
      fix: "close executors that are done, or share one",
      cause,
    })
  }
}

/** Null where the host opens none: one thread is enough. */
function openShared(): HostMemory | null {
  const { Memory: Opened } = hostWebAssembly()
  try {
    return new Opened({ initial: 1, maximum: maximumPages, shared: true })
  } catch {
    return null
  }
}

/** Bytes as they are given out. */
export function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment
}
