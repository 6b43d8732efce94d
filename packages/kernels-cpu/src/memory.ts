// Memory of the CPU backend: one buffer for the arena, one for each state variable. What it counts is what it allocates.

import { type DType, fail } from "@counterflow/ir"
import type { Memory, StateRegion, StorageArray } from "@counterflow/executor"
import type { NumberArray } from "./kernel.ts"
import { storageOf } from "./storage.ts"
import { Tape } from "./tape.ts"

export class CpuMemory implements Memory {
  #arena = new ArrayBuffer(0)
  #stateBytes = 0
  #tape = new Tape()
  /** Rises when the arena moves, so that loaded plans know to look again. */
  generation = 0

  get arenaBytes(): number {
    return this.#arena.byteLength
  }

  get stateBytes(): number {
    return this.#stateBytes
  }

  get tapeBytes(): number {
    return this.#tape.mostBytes
  }

  /** What runs of loops save of which nobody knows how many there will be. */
  get tape(): Tape {
    return this.#tape
  }

  reserveArena(bytes: number): void {
    if (bytes <= this.#arena.byteLength) return
    this.#arena = allocateBuffer(bytes)
    this.generation++
  }

  allocateState(dtype: DType, elements: number): StateRegion {
    const Storage = storageOf[dtype]
    const bytes = Storage.BYTES_PER_ELEMENT * elements
    const view: StorageArray = new Storage(allocateBuffer(bytes))
    this.#stateBytes += bytes
    return { bytes, view: () => view }
  }

  arenaView(dtype: DType, offset: number, elements: number): NumberArray {
    return new storageOf[dtype](this.#arena, offset, elements)
  }

  close(): void {
    this.#arena = new ArrayBuffer(0)
    this.#tape = new Tape()
    this.#stateBytes = 0
    this.generation++
  }
}

function allocateBuffer(bytes: number): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes)
  } catch (cause) {
    return fail("CF_MEMORY_LIMIT", `the host refused ${bytes} bytes`, {
      fix: "feed a smaller batch, or set memoryLimit",
      cause,
    })
  }
}
