// The tape by itself: chains of records in linear memory, how memory grows with them, and what is reported when it does not.

import { expect, test } from "vitest"
import { ModuleBuilder } from "../src/assembler/index.ts"
import { lastEnd, readReport, tapeAxes, tapeWords } from "../src/generate/control.ts"
import type { Kernel } from "../src/generate/kernel.ts"
import type { Emit, Place } from "../src/generate/signature.ts"
import { addToStacks, beginStacks } from "../src/generate/flow/tape.ts"

const pageBytes = 2 ** 16
/** Where two stacks say where they lie, and what a run has of them: 4 and 16 bytes. */
const [place, other, row, wide] = [256, 260, 264, 272]
const base = 1024

/** Functions that begin two stacks and add to them, over memory of `pages` that may grow to `maximum`. */
function tape(pages: number, maximum: number, isReverse = false) {
  const module = new ModuleBuilder()
  module.importMemory("host", "memory", { minPages: 1 })
  const calls: number[][] = []
  const emit: Emit = {
    relaxed: false,
    write: () => {},
    parallel: () => {},
    run: <P extends string, S>(kernel: Kernel<P, S>, at: Readonly<Record<P, Place>>, spec: S) => {
      const names = Object.keys(at) as P[]
      const made = module.function(
        kernel.name,
        names.map(() => "i32" as const),
        ["i32"] as const,
        (f, ...given) => {
          const entries = names.map((name, i) => [name, given[i]!] as const)
          kernel.build(
            { f, module, relaxed: false },
            Object.fromEntries(entries) as Parameters<typeof kernel.build>[1],
            spec,
          )
        },
      )
      module.export(kernel.name, made)
      calls.push(names.map((name) => at[name].offset))
    },
  }
  const fixed = (offset: number): Place => ({ base: "fixed", offset })
  const stacks = [
    { stack: fixed(place), row: fixed(row), bytes: 4 },
    { stack: fixed(other), row: fixed(wide), bytes: 16 },
  ]
  beginStacks(stacks, emit)
  addToStacks(stacks, isReverse, emit)
  const memory = new WebAssembly.Memory({ initial: pages, maximum })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { host: { memory } })
  const call = (name: string, values: readonly number[] = []) =>
    (exports[name] as (...v: number[]) => number)(...values)
  const words = () => new Uint32Array(memory.buffer)
  return {
    memory,
    words,
    begin: (limit = lastEnd, end = limit) => {
      Object.entries({ base, top: base, most: base, limit, end }).forEach(([word, value]) => {
        words()[tapeWords[word as keyof typeof tapeWords] / 4] = value
      })
      return call("beginStacks", calls[0])
    },
    add: (value: number) => {
      words()[row / 4] = value
      new Float32Array(memory.buffer, wide, 4).fill(value)
      return call("addToStacks", calls[1])
    },
    /** Rows of the stack whose place lies at an address, forwards and backwards. */
    rows: (at: number) =>
      [0, 4].map((link) => {
        const [pair, found] = [words()[at / 4]!, [] as number[]]
        const [chain, offset] = [words()[pair / 4]!, words()[pair / 4 + 1]!]
        for (let record = words()[(chain + link) / 4]!; record !== chain; record = words()[(record + link) / 4]!)
          found.push(
            at === place ? words()[(record + offset) / 4]! : new Float32Array(memory.buffer, record + offset, 4)[3]!,
          )
        expect(words()[chain / 4 + 2]).toBe(found.length)
        return found
      }),
  }
}

test("records follow each other, and of a loop in reverse go before each other", () => {
  for (const isReverse of [false, true]) {
    const { begin, add, rows } = tape(1, 1, isReverse)
    expect(begin(lastEnd, pageBytes)).toBe(0)
    expect(rows(place)).toEqual([[], []])
    expect([7, 8, 9].map(add)).toEqual([0, 0, 0])
    const order = isReverse ? [9, 8, 7] : [7, 8, 9]
    expect(rows(place)).toEqual([order, order.toReversed()])
    expect(rows(other)).toEqual([order, order.toReversed()])
  }
})

test("memory grows by doubling, and what is written stays", () => {
  const { memory, begin, add, rows } = tape(1, 100)
  begin(lastEnd, pageBytes)
  const sizes = new Set<number>()
  const values = Array.from({ length: 20_000 }, (_, i) => i)
  for (const value of values) {
    expect(add(value)).toBe(0)
    sizes.add(memory.buffer.byteLength / pageBytes)
  }
  // Records of 32 bytes: ten pages, and what was doubled once too often.
  expect([...sizes]).toEqual([1, 2, 4, 8, 16])
  expect(rows(place)[0]).toEqual(values)
})

test("memory that has grown elsewhere is used as it is, though nobody has said so", () => {
  const { memory, begin, add } = tape(5, 5)
  expect(begin(lastEnd, base)).toBe(0)
  for (let i = 0; i < 1000; i++) expect(add(i)).toBe(0)
  expect(memory.buffer.byteLength).toBe(5 * pageBytes)
})

test("where doubling is refused, what is needed is enough; then the host has no more", () => {
  const { memory, begin, add } = tape(1, 3)
  begin(lastEnd, pageBytes)
  let added = 0
  while (add(added) === 0) added++
  expect(memory.buffer.byteLength).toBe(3 * pageBytes)
  // Behind the head and two pairs.
  const start = base + 16 + 2 * 8
  expect(added).toBe(Math.floor((3 * pageBytes - start) / 32))
  const { axis, size } = readReport(memory.buffer)
  expect([axis, Number(size)]).toEqual([tapeAxes.host, start - base + 32 * (added + 1)])
})

test("a limit holds although memory is there", () => {
  const { memory, begin, add, rows } = tape(2, 2)
  begin(base + 32 + 5 * 32)
  expect([1, 2, 3, 4, 5, 6].map(add)).toEqual([0, 0, 0, 0, 0, 1])
  const { axis, size } = readReport(memory.buffer)
  expect([axis, Number(size)]).toEqual([tapeAxes.limit, 32 + 5 * 32])
  expect(rows(other)[1]).toEqual([5, 4, 3, 2, 1])
})
