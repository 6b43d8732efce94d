// The opcode tables: complete, without duplicates, and every instruction accepted by the host's validator.

import { describe, expect, test } from "vitest"
import { i32, ModuleBuilder } from "../../src/assembler/index.ts"
import { shuffleEntry } from "../../src/assembler/opcodes/vector.ts"
import {
  atomicEntries,
  loadEntries,
  moduleOf,
  type NamedEntry,
  relaxedEntries,
  scalarEntries,
  storeEntries,
  vectorEntries,
} from "./entries.ts"

const allEntries = [...scalarEntries, ...loadEntries, ...vectorEntries, ...relaxedEntries, ...atomicEntries]
const allStores = [storeEntries.plain, storeEntries.lane, storeEntries.atomic].flatMap((table) => Object.values(table))
const allOpcodes = [...allEntries.map(({ entry }) => entry), ...allStores, shuffleEntry].map(({ opcode }) => opcode)

/** f32x4.relaxed_madd in the smallest module, byte by byte, so that the probe does not trust the assembler. */
const relaxedProbe = Uint8Array.from([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,
  // The type: three vectors to one. The function of it.
  0x01, 0x08, 0x01, 0x60, 0x03, 0x7b, 0x7b, 0x7b, 0x01, 0x7b, 0x03, 0x02, 0x01, 0x00,
  // The body: the three parameters, the instruction, the end.
  0x0a, 0x0d, 0x01, 0x0b, 0x00, 0x20, 0x00, 0x20, 0x01, 0x20, 0x02, 0xfd, 0x85, 0x02, 0x0b,
])

function numbersOf(prefix: number): number[] {
  return allOpcodes
    .filter((opcode) => opcode >> 12 === prefix)
    .map((opcode) => opcode & 0xfff)
    .toSorted((x, y) => x - y)
}

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

describe("the tables", () => {
  test("hold no opcode and no name twice", () => {
    expect(new Set(allOpcodes).size).toBe(allOpcodes.length)
    const names = allEntries.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
  })

  test("hold every instruction of the format that is no control flow", () => {
    // 0xc5 and up are reference types.
    const onebyte = allOpcodes.filter((opcode) => opcode < 0x100).toSorted((x, y) => x - y)
    expect(onebyte).toEqual([...range(0x28, 0x3e), ...range(0x45, 0xc4)])
    expect(numbersOf(0xfc)).toEqual(range(0, 7))
    const holes = [
      0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6, 0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2,
      0xee,
    ]
    const vectorConst = 0x0c
    const vectors = range(0, 0x113).filter((number) => !holes.includes(number) && number !== vectorConst)
    expect(numbersOf(0xfd)).toEqual(vectors)
    expect(numbersOf(0xfe)).toEqual([0, 1, 2, ...range(0x10, 0x4e)])
  })
})

describe("every instruction validates", () => {
  const expectValid = (entries: readonly NamedEntry[]) => {
    const invalid = entries.filter((named) => !WebAssembly.validate(moduleOf(named).finish())).map(({ name }) => name)
    expect(invalid).toEqual([])
  }

  test("scalars and loads", () => expectValid([...scalarEntries, ...loadEntries]))
  test("vectors", () => expectValid(vectorEntries))
  test("atomics", () => expectValid(atomicEntries))

  test("relaxed vectors, exactly where the host has them", () => {
    const hasRelaxed = WebAssembly.validate(relaxedProbe)
    for (const named of relaxedEntries) {
      expect([named.name, WebAssembly.validate(moduleOf(named, true).finish())]).toEqual([named.name, hasRelaxed])
    }
  })

  test("relaxed ones are refused by a module that did not ask for them", () => {
    const named = relaxedEntries.find(({ name }) => name === "f32x4.relaxed_madd")
    expect(named).toBeDefined()
    if (named === undefined) return
    expect(() => moduleOf(named).finish()).toThrowErrorMatchingInlineSnapshot(
      `[CounterflowError: CF_INTERNAL  assembler: f32x4.relaxed_madd is relaxed, which this module does not allow]`,
    )
  })

  test("stores", () => {
    const kinds = Object.keys({ ...storeEntries.plain, ...storeEntries.atomic })
    expect(kinds.length).toBe(17)
    const module = (isShared: boolean) => {
      const result = new ModuleBuilder()
      result.importMemory("host", "memory", { minPages: 1, maxPages: 1, isShared })
      return result
    }
    const plain = module(false)
    const types = ["i32", "i32", "i64", "f32", "f64", "v128"] as const
    plain.function("plain", types, [], (f, p, i, l, x, y, v) => {
      f.store("i32", p, i, 4)
      f.store("i32.8", p, i, 4)
      f.store("i32.16", p, i, 4)
      f.store("i64", p, l, 4)
      f.store("i64.8", p, l, 4)
      f.store("i64.16", p, l, 4)
      f.store("i64.32", p, l, 4)
      f.store("f32", p, x, 4)
      f.store("f64", p, y, 4)
      f.store("v128", p, v, 4, 1)
      for (const bits of [8, 16, 32, 64] as const) f.storeLane(bits, 1, p, v, 70000)
    })
    expect(WebAssembly.validate(plain.finish())).toBe(true)
    const shared = module(true)
    shared.function("atomic", types, [], (f, p, i, l) => {
      f.store("i32.atomic", p, i, 8)
      f.store("i32.atomic8", p, i, 8)
      f.store("i32.atomic16", p, i, 8)
      f.store("i64.atomic", p, l, 8)
      f.store("i64.atomic8", p, l, 8)
      f.store("i64.atomic16", p, l, 8)
      f.store("i64.atomic32", p, l, 8)
      f.fence()
    })
    expect(WebAssembly.validate(shared.finish())).toBe(true)
  })

  test("and a wrong operand does not, so the validator looks", () => {
    const module = new ModuleBuilder()
    module.function("wrong", ["f32"], ["i32"], (f, x) => f.return(i32.eqz({ type: "i32", code: x.code })))
    expect(WebAssembly.validate(module.finish())).toBe(false)
  })
})
