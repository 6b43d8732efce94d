// The linear memory of an executor: permanent addresses, an arena that moves, regions that are used again, honest counts.

import { setFlagsFromString } from "node:v8"
import type { StorageArray } from "@counterflow/executor"
import { isCounterflowError } from "@counterflow/ir"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { WasmMemory, WasmState } from "../src/memory.ts"

function addressOf(region: unknown): number {
  return region instanceof WasmState ? region.address : NaN
}

/** Numbers into a view that holds numbers. */
function write(view: StorageArray, values: readonly number[]): void {
  if (!(view instanceof BigInt64Array)) view.set(values)
}

function refusalOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (isCounterflowError(error)) return error.message
    throw error
  }
  return "nothing was refused"
}

describe("state", () => {
  test("allocated together lies side by side, sixteen bytes aligned, and starts as zeros", () => {
    const memory = new WasmMemory()
    const [a, b, c] = [
      memory.allocateState("float32", 4),
      memory.allocateState("uint8", 3),
      memory.allocateState("int64", 2),
    ]
    expect([addressOf(b) - addressOf(a), addressOf(c) - addressOf(b)]).toEqual([16, 16])
    expect([a.view(), b.view(), c.view()]).toEqual([new Float32Array(4), new Uint8Array(3), new BigInt64Array(2)])
    expect(memory.stateBytes).toBe(16 + 3 + 16)
  })

  test("keeps its address and its values when memory grows; a view is renewed", () => {
    const memory = new WasmMemory()
    const state = memory.allocateState("float64", 2)
    const [before, address] = [state.view(), addressOf(state)]
    write(before, [1.5, -2])
    expect(state.view()).toBe(before)
    memory.reserveArena(2 ** 20)
    memory.allocateState("float32", 2 ** 18)
    expect(before.length).toBe(0)
    expect(state.view()).toEqual(Float64Array.of(1.5, -2))
    expect(addressOf(state)).toBe(address)
  })
})

describe("the arena", () => {
  test("grows where it lies while nothing lies behind it", () => {
    const memory = new WasmMemory()
    memory.reserveArena(100)
    const address = memory.arenaAddress
    for (const bytes of [50, 100, 1000, 2 ** 17]) memory.reserveArena(bytes)
    expect([memory.arenaAddress, memory.arenaBytes]).toEqual([address, 2 ** 17])
  })

  test("moves behind later state with what it holds, and state is given the place it left", () => {
    const memory = new WasmMemory()
    memory.reserveArena(64)
    const first = memory.arenaAddress
    write(memory.view("float32", first, 2), [1, 2])
    const state = memory.allocateState("float32", 4)
    const { generation } = memory
    memory.reserveArena(128)
    expect(memory.generation).toBeGreaterThan(generation)
    expect(memory.arenaAddress).toBe(addressOf(state) + 16)
    expect(memory.view("float32", memory.arenaAddress, 2)).toEqual(Float32Array.of(1, 2))
    const [a, b, c] = [
      memory.allocateState("float32", 8),
      memory.allocateState("int32", 8),
      memory.allocateState("bool", 1),
    ]
    expect([addressOf(a), addressOf(b)]).toEqual([first, first + 32])
    expect(addressOf(c)).toBe(memory.arenaAddress + 128)
    expect(a.view()).toEqual(new Float32Array(8))
  })

  test("no two owners ever share a byte", () => {
    const request = fc.record({ isArena: fc.boolean(), bytes: fc.nat(300_000) })
    const property = fc.property(fc.array(request, { maxLength: 30 }), (requests) => {
      const memory = new WasmMemory()
      const owned: [number, number][] = []
      for (const { isArena, bytes } of requests) {
        if (isArena) memory.reserveArena(bytes)
        else owned.push([addressOf(memory.allocateState("uint8", bytes)), bytes])
      }
      const all = [...owned, [memory.arenaAddress, memory.arenaBytes] as [number, number]].filter(
        ([, bytes]) => bytes > 0,
      )
      all.sort(([a], [b]) => a - b)
      all.forEach(([address, bytes], i) => {
        expect(address).toBeGreaterThanOrEqual(64)
        expect(address % 16).toBe(0)
        expect(address + bytes).toBeLessThanOrEqual(all[i + 1]?.[0] ?? memory.memory.buffer.byteLength)
      })
      expect(memory.stateBytes).toBe(owned.reduce((total, [, bytes]) => total + bytes, 0))
      expect(memory.arenaBytes).toBe(
        Math.max(0, ...requests.filter(({ isArena }) => isArena).map(({ bytes }) => bytes)),
      )
    })
    fc.assert(property, { seed: 1, numRuns: 60 })
  })
})

describe("limits", () => {
  test("more than addresses can name is refused with the limit, and nothing is lost", () => {
    const memory = new WasmMemory()
    const state = memory.allocateState("float32", 1)
    write(state.view(), [7])
    memory.reserveArena(1000)
    expect(refusalOf(() => memory.reserveArena(2 ** 32))).toMatchInlineSnapshot(`
      "CF_MEMORY_LIMIT  4294967408 bytes are needed, and WebAssembly memory ends at 4294967296
          arena 1000 bytes
          state 4 bytes
        fix: feed a smaller batch, fetch fewer intermediates, or train a smaller model on this backend"
    `)
    expect(refusalOf(() => memory.allocateState("float64", 2 ** 30))).toMatch(/^CF_MEMORY_LIMIT/)
    expect([memory.arenaBytes, memory.stateBytes]).toEqual([1000, 4])
    expect(state.view()).toEqual(Float32Array.of(7))
    memory.reserveArena(2000)
    expect(memory.arenaBytes).toBe(2000)
  })

  test("a host that does not let memory grow is quoted", () => {
    const memory = new WasmMemory()
    setFlagsFromString("--wasm-max-mem-pages=3")
    try {
      expect(refusalOf(() => memory.reserveArena(2 ** 20))).toMatchInlineSnapshot(`
        "CF_MEMORY_LIMIT  the host refused to let memory grow from 65536 to 1114112 bytes
            arena 0 bytes
            state 0 bytes
          fix: feed a smaller batch, or set memoryLimit"
      `)
      expect([memory.arenaBytes, memory.memory.buffer.byteLength]).toEqual([0, 2 ** 16])
    } finally {
      setFlagsFromString("--wasm-max-mem-pages=65536")
    }
    memory.reserveArena(2 ** 20)
    expect(memory.arenaBytes).toBe(2 ** 20)
  })

  test("after close nothing is held", () => {
    const memory = new WasmMemory()
    const state = memory.allocateState("float32", 4)
    memory.reserveArena(64)
    memory.close()
    expect([memory.arenaBytes, memory.stateBytes]).toEqual([0, 0])
    expect(refusalOf(() => state.view())).toMatch(/^CF_CLOSED {2}the executor was closed/)
  })
})
