// Weights and programs through bytes and files, against a scope of a few lines.
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type DType, Program, type TypedArray } from "@counterflow/ir"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { loadProgram, loadWeights, saveProgram, saveWeights, type WeightScope } from "../src/index.ts"

type Held = { data: TypedArray; shape: readonly number[]; dtype: DType }

function scopeOf(entries: Record<string, Held>): WeightScope & { held: Map<string, Held> } {
  const held = new Map(Object.entries(entries))
  return {
    held,
    names: () => [...held.keys()],
    get: (name) => held.get(name) ?? { data: new Float32Array(0), shape: [0], dtype: "float32" },
    set: (name, value) => void held.set(name, value),
  }
}

const full = () =>
  scopeOf({
    "fc_0.w_0": { data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3], dtype: "float32" },
    "fc_0.b_0": { data: Float32Array.of(-0, Number.NaN, Infinity), shape: [3], dtype: "float32" },
    random_step: { data: Int32Array.of(7), shape: [], dtype: "int32" },
  })

function program(): Program {
  const made = new Program()
  const block = made.globalBlock()
  block.createParameter({ name: "fc_0.w_0", shape: [2, 3], dtype: "float32" })
  block.createParameter({ name: "fc_0.b_0", shape: [3], dtype: "float32" })
  block.createVar({ name: "random_step", shape: [], dtype: "int32", persistable: true, initialValue: 0 })
  return made
}

describe("weights", () => {
  let folder = ""
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "weights-"))
  })
  afterAll(() => rm(folder, { recursive: true }))

  test("everything a scope holds comes back bit by bit, from bytes and from a file", async () => {
    const file = join(folder, "all.safetensors")
    const bytes = await saveWeights(full(), file, { metadata: { step: "7" } })
    expect(new Uint8Array(await readFile(file))).toEqual(bytes)
    for (const source of [bytes, file]) {
      const empty = scopeOf({})
      expect(await loadWeights(empty, source)).toEqual(["fc_0.b_0", "fc_0.w_0", "random_step"])
      expect(Object.fromEntries(empty.held)).toEqual(Object.fromEntries(full().held))
    }
  })

  test("a program chooses what is saved and loaded", async () => {
    const bytes = await saveWeights(full(), { program: program(), parametersOnly: true })
    expect(await loadWeights(scopeOf({}), bytes)).toEqual(["fc_0.b_0", "fc_0.w_0"])
    expect(await loadWeights(scopeOf({}), bytes, { program: program(), parametersOnly: true })).toEqual([
      "fc_0.w_0",
      "fc_0.b_0",
    ])
  })

  test("a file that lacks a variable, or has it with another shape, sets nothing", async () => {
    const bytes = await saveWeights(full(), { program: program(), parametersOnly: true })
    const scope = scopeOf({})
    const wider = program()
    wider.globalBlock().createParameter({ name: "fc_1.w_0", shape: [3], dtype: "float32" })
    await expect(loadWeights(scope, bytes, { program: wider })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [CounterflowError: CF_BAD_FILE  loadWeights: the file holds no "fc_1.w_0", which the program needs
        fix: it holds "fc_0.w_0"]
    `)
    // A counter that starts by itself is no reason to refuse.
    expect(await loadWeights(scopeOf({}), bytes, { program: program() })).toEqual(["fc_0.w_0", "fc_0.b_0"])
    const held = scopeOf({ "fc_0.w_0": { data: new Float32Array(6), shape: [3, 2], dtype: "float32" } })
    await expect(loadWeights(held, bytes)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[CounterflowError: CF_STATE_MISMATCH  loadWeights: the file holds fc_0.w_0 as float32[2, 3], the scope as float32[3, 2]]`,
    )
    const other = new Program()
    other.globalBlock().createParameter({ name: "fc_0.w_0", shape: [2, 4], dtype: "float32" })
    await expect(loadWeights(scope, bytes, { program: other })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[CounterflowError: CF_STATE_MISMATCH  loadWeights: the file holds fc_0.w_0 as float32[2, 3], the program as float32[2, 4]]`,
    )
    expect(scope.held.size).toBe(0)
    expect([...(held.held.get("fc_0.w_0")?.data ?? [])]).toEqual([0, 0, 0, 0, 0, 0])
  })

  test("state that has no value, and files that are not there", async () => {
    await expect(saveWeights(scopeOf({}), { program: program() })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [CounterflowError: CF_STATE_MISSING  saveWeights: the scope holds no fc_0.w_0
        fix: run the startup program first]
    `)
    await expect(loadWeights(scopeOf({}), "no/such/file")).rejects.toThrowErrorMatchingInlineSnapshot(`
      [CounterflowError: CF_BAD_FILE  no/such/file cannot be read
        fix: check the path, or pass the bytes]
    `)
    await expect(saveWeights(full(), join(folder, "no", "such", "folder"))).rejects.toThrow("CF_BAD_FILE")
  })

  test("programs as files", async () => {
    const file = join(folder, "program.json")
    const text = await saveProgram(program(), file)
    expect((await loadProgram(file)).toString()).toBe(program().toString())
    expect((await loadProgram(new TextEncoder().encode(text))).toString()).toBe(program().toString())
  })
})
