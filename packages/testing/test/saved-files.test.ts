// Files of compiled steps that are no such files, or only almost, and hosts that cannot run what they hold.

import { Executor } from "@counterflow/executor"
import { isCounterflowError } from "@counterflow/ir"
import { saveSteps, wasm } from "@counterflow/kernels-wasm"
import { loadSteps } from "@counterflow/kernels-wasm/saved"
import { legalize } from "@counterflow/ops"
import { afterEach, describe, expect, test, vi } from "vitest"
import { refusalOf, rejectionOf } from "./building.ts"
import { mlp } from "./passes-programs.ts"
import { compiled } from "./saved-models.ts"

const model = mlp(2, 3, 4)
const { feed } = model
const executor = new Executor(wasm(), { legalize })
const { begin, train } = compiled(model, executor)
begin.runSync()
const file = saveSteps({ train }, { scope: executor.scope })

const prefix = 16
const headerBytes = new DataView(file.buffer).getUint32(12, true)
const header: unknown = JSON.parse(new TextDecoder().decode(file.subarray(prefix, prefix + headerBytes)))

function withHeader(changed: unknown): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(changed))
  const made = new Uint8Array([...file.subarray(0, prefix), ...text, ...file.subarray(prefix + headerBytes)])
  new DataView(made.buffer).setUint32(12, text.length, true)
  return made
}

const use = (bytes: Uint8Array) => () => {
  const steps = loadSteps(bytes)
  for (const name of steps.names) steps.step(name).runSync(feed)
}

describe("a file is refused by name", () => {
  test("if it is something else", () => {
    expect(refusalOf(use(new TextEncoder().encode("<!doctype html><title>404</title>")))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_FILE  loadSteps: the bytes do not begin like a file of compiled steps
        fix: fetch the file again, or save the steps anew"
    `)
    expect(refusalOf(() => loadSteps("steps.bin" as never))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  loadSteps: the bytes of a file are needed
        fix: loadSteps(await (await fetch(url)).arrayBuffer())"
    `)
  })

  test("if its end is missing, wherever it was cut", () => {
    for (let i = 0; i < 60; i++) {
      const length = Math.floor((file.length * i) / 60)
      expect(refusalOf(use(file.subarray(0, length)))).toContain("CF_BAD_FILE  loadSteps: ")
    }
    expect(refusalOf(use(file.subarray(0, file.length - 1))).replace(/\d+/g, "N")).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_FILE  loadSteps: it ends after N bytes of data, and states[N].values reaches to N
        fix: fetch the file again, or save the steps anew"
    `)
  })

  test("if a later version made it", () => {
    const later = file.slice()
    new DataView(later.buffer).setUint32(8, 2, true)
    expect(refusalOf(use(later))).toMatchInlineSnapshot(`
      "CounterflowError: CF_NEWER_VERSION  loadSteps: the steps were saved in version 2 of the format, this package reads 1
        fix: update counterflow, or save the steps with the version that loads them"
    `)
  })

  test("if its header is no JSON, or a module is none", () => {
    const [spoilt, broken] = [file.slice(), file.slice()]
    spoilt[prefix] = 0x21
    expect(refusalOf(use(spoilt))).toContain("CF_BAD_FILE  loadSteps: its header is no JSON")
    broken[prefix + headerBytes] = 1
    expect(refusalOf(use(broken))).toContain("CF_BAD_FILE  loadSteps: a module of the file is not valid")
  })

  test("if any value of its header is another", () => {
    const others = [null, -1, 2 ** 50, "state", []]
    const found = new Set<string>()
    for (const path of pathsOf(header)) {
      for (const other of others) {
        const code = codeOf(use(withHeader(replaced(header, path, other))))
        // A value that is as good as the one that was there changes what a step does, not whether it may.
        expect([path.join("."), other, code]).toEqual([
          path.join("."),
          other,
          expect.stringMatching(/^(none|CF_(BAD_FILE|MEMORY_LIMIT|FEED_\w+|STATE_\w+))$/),
        ])
        found.add(code)
      }
    }
    expect([...found].toSorted()).toEqual(expect.arrayContaining(["CF_BAD_FILE", "CF_MEMORY_LIMIT", "none"]))
  })
})

/** The ways to all values inside a value, but for long lists, of which the first items stand for all. */
function pathsOf(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [[]]
  const entries = Object.entries(value).slice(0, Array.isArray(value) ? 2 : undefined)
  return [[], ...entries.flatMap(([key, inner]) => pathsOf(inner).map((path) => [key, ...path]))]
}

function replaced(value: unknown, [key, ...rest]: readonly string[], by: unknown): unknown {
  if (key === undefined) return by
  const copy: unknown = structuredClone(value)
  if (typeof copy !== "object" || copy === null) throw new Error("a path leads through a value")
  Reflect.set(copy, key, replaced(Reflect.get(copy, key), rest, by))
  return copy
}

function codeOf(body: () => void): string {
  try {
    body()
  } catch (error) {
    return isCounterflowError(error) ? error.code : String(error)
  }
  return "none"
}

describe("a host", () => {
  afterEach(() => {
    vi.unstubAllGlobals()
  })

  const relaxed = withHeader(replaced(header, ["relaxed"], true))

  /** It takes the module of the probe for vectors, and what `takes` says. */
  function stubHost(takes: (bytes: Uint8Array) => boolean): void {
    const own = WebAssembly
    const isKnown = (bytes: Uint8Array) => bytes.length === 31 || takes(bytes)
    const Module = class extends own.Module {
      constructor(bytes: Uint8Array<ArrayBuffer>) {
        if (!isKnown(bytes)) throw new own.CompileError("invalid numeric opcode 0xfd85")
        super(bytes)
      }
    }
    const validate = (bytes: Uint8Array<ArrayBuffer>) => isKnown(bytes) && own.validate(bytes)
    vi.stubGlobal("WebAssembly", Object.create(own, { Module: { value: Module }, validate: { value: validate } }))
  }

  test("that lacks relaxed instructions is told how to save without", () => {
    stubHost(() => false)
    expect(refusalOf(use(relaxed))).toMatchInlineSnapshot(`
      "CounterflowError: CF_HOST_UNFIT  loadSteps: the steps were saved with relaxed vector instructions, which this host lacks
        fix: save them with saveSteps(steps, { deterministic: true })"
    `)
    // Without them it is the file that is wrong.
    expect(refusalOf(use(file))).toContain("CF_BAD_FILE")
  })

  test("that takes the modules all the same runs them", () => {
    stubHost(() => true)
    expect(refusalOf(use(relaxed))).toBe("nothing was refused")
  })

  test("without WebAssembly is refused before anything else", () => {
    vi.stubGlobal("WebAssembly", undefined)
    expect(refusalOf(use(file))).toContain("CF_HOST_UNFIT  wasm: this host has no WebAssembly")
  })

  test("that compiles only asynchronously is waited for by run", async () => {
    const own = WebAssembly
    const Module = class extends own.Module {
      constructor(bytes: Uint8Array<ArrayBuffer>) {
        if (bytes.length > 31) throw new RangeError("WebAssembly.Compile is disallowed on the main thread")
        super(bytes)
      }
    }
    vi.stubGlobal("WebAssembly", Object.create(own, { Module: { value: Module } }))
    const step = loadSteps(file).step("train")
    expect(refusalOf(() => step.runSync(feed))).toContain("CF_ASYNC_ONLY")
    const [value] = await step.run(feed)
    expect(value?.data).toEqual(train.runSync(feed)[0]?.data)
    expect(step.runSync(feed)[0]?.data).toEqual(train.runSync(feed)[0]?.data)
    expect(
      await rejectionOf(
        loadSteps(file)
          .step("train")
          .run({ x: [1] }),
      ),
    ).toContain("CF_FEED_SHAPE")
  })
})
