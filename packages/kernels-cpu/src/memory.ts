// Memory of the CPU backend: one buffer for the arena, one for each state variable. What it counts is what it allocates.

import type { DType } from "@counterflow/ir"
import { fail } from "@counterflow/ir"
import type { Memory, StateRegion, StorageArray } from "@counterflow/executor"
import type { NumberArray } from "./kernel.ts"

/** int64 lives in float64: integers within ±(2^53 − 1) are exact there, and kernels stay plain arithmetic. */
export const storageOf = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: Float64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Record<DType, unknown>

export class CpuMemory implements Memory {
  #arena = new ArrayBuffer(0)
  #stateBytes = 0
  /** Rises when the arena moves, so that loaded plans know to look again. */
  generation = 0

  get arenaBytes(): number {
    return this.#arena.byteLength
  }

  get stateBytes(): number {
    return this.#stateBytes
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
