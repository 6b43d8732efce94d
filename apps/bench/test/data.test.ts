// The arrays all peers share: drawn alike everywhere and at any time, written once.

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { draw, readData, streams, writeData } from "../src/data.ts"
import { oneHot, probe } from "../src/probe.ts"
import { arrays, type ArraySpec } from "../src/sizes.ts"

const folder = mkdtempSync(join(tmpdir(), "counterflow-bench-"))
afterAll(() => rmSync(folder, { recursive: true }))

const specs: readonly ArraySpec[] = [
  { name: "zeros", shape: [2], draw: { kind: "constant", value: 0 } },
  { name: "x", shape: [2, 3], draw: { kind: "uniform", low: -1, high: 1 } },
  { name: "ids", shape: [5], draw: { kind: "integers", below: 10 } },
]

describe("draws", () => {
  test("are the same for ever", () => {
    expect(Array.from(draw({ kind: "uniform", low: -1, high: 1 }, 3, 1), (x) => x.toFixed(6))).toMatchInlineSnapshot(`
      [
        "0.380199",
        "0.483288",
        "-0.245833",
      ]
    `)
    expect(Array.from(draw({ kind: "integers", below: 10 }, 6, 2))).toMatchInlineSnapshot(`
      [
        8,
        9,
        3,
        6,
        2,
        1,
      ]
    `)
  })

  test("of fewer elements are the beginning of longer ones", () => {
    const kind = { kind: "uniform", low: 0, high: 1 } as const
    expect(draw(kind, 10, 3).slice(0, 4)).toEqual(draw(kind, 4, 3))
  })

  test("constants take no stream, so that each array keeps its own", () => {
    expect(streams(specs).map(([{ name }, stream]) => [name, stream])).toEqual([
      ["zeros", 0],
      ["x", 1],
      ["ids", 2],
    ])
  })

  test("no name is used twice", () => {
    expect(new Set(arrays.map(({ name }) => name)).size).toBe(arrays.length)
  })
})

describe("files", () => {
  test("hold what was drawn, with shape and kind", () => {
    writeData(folder, specs)
    const load = readData(folder)
    expect(load("x")).toEqual({ data: draw({ kind: "uniform", low: -1, high: 1 }, 6, 1), shape: [2, 3] })
    expect(load("ids").data).toBeInstanceOf(Int32Array)
    expect(() => load("y")).toThrow("there is no array y")
  })

  test("are written anew only when what is to be drawn has changed", () => {
    const file = join(folder, "x.bin")
    writeFileSync(file, "")
    writeData(folder, specs)
    expect(statSync(file).size).toBe(0)
    writeData(folder, specs.slice(1))
    expect(readFileSync(file).length).toBe(24)
  })
})

describe("the probe", () => {
  test("is a weighted mean of absolute values", () => {
    expect(probe([-2, -2, 2])).toBe(2)
    expect(probe([3, 0])).toBe(1)
  })

  test("sees elements that changed places, and NaN", () => {
    expect(probe([1, 2, 3, 4])).not.toBe(probe([1, 3, 2, 4]))
    expect(probe([1, NaN])).toBeNaN()
  })
})

test("one-hot rows", () => {
  expect(Array.from(oneHot([2, 0], 3))).toEqual([0, 0, 1, 1, 0, 0])
})
