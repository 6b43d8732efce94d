// Which backend an Executor has when none is named, and what a host is told that cannot run it.
import { runInContext, createContext } from "node:vm"
import { isCounterflowError, layers, Program, programGuard } from "counterflow"
import { afterEach, describe, expect, test, vi } from "vitest"
import { cpu, Executor } from "../src/index.ts"

afterEach(() => {
  vi.unstubAllGlobals()
})

function refusal(): string {
  try {
    new Executor().close()
  } catch (error) {
    if (isCounterflowError(error)) return String(error)
    throw error
  }
  throw new Error("nothing was refused")
}

async function squares(exe: Executor): Promise<unknown> {
  const main = new Program()
  const y = programGuard(main, () => layers.square(layers.data({ name: "x", shape: [2] })))
  const [z] = await exe.run(main, { feed: { x: [[1, 2]] }, fetch: [y] })
  return z.toArray()
}

describe("an Executor without a backend", () => {
  test("runs on WebAssembly", async () => {
    const exe = new Executor()
    expect(exe.backend).toBe("wasm")
    expect(await squares(exe)).toEqual([[1, 4]])
  })

  test("is not made where there is no WebAssembly", () => {
    vi.stubGlobal("WebAssembly", undefined)
    expect(refusal()).toMatchInlineSnapshot(`
      "CounterflowError: CF_HOST_UNFIT  wasm: this host has no WebAssembly
        fix: make the executor with cpu(), which runs everywhere: new Executor(cpu())"
    `)
  })

  test("is not made where WebAssembly has no vectors", () => {
    vi.stubGlobal("WebAssembly", Object.create(WebAssembly, { validate: { value: () => false } }))
    expect(refusal()).toMatchInlineSnapshot(`
      "CounterflowError: CF_HOST_UNFIT  wasm: the WebAssembly of this host has no vector instructions
        fix: make the executor with cpu(), which runs everywhere: new Executor(cpu())"
    `)
  })

  test("is not made where WebAssembly may not be compiled, though modules are called valid", () => {
    // A context that, like a page with a strict policy, makes no code of bytes.
    vi.stubGlobal("WebAssembly", runInContext("WebAssembly", createContext({}, { codeGeneration: { wasm: false } })))
    expect(refusal()).toMatchInlineSnapshot(`
      "CounterflowError: CF_HOST_UNFIT  wasm: this host refused to compile a module of 31 bytes: CompileError: WebAssembly.Module(): Wasm code generation disallowed by embedder
        fix: in a page, allow 'wasm-unsafe-eval' in the script-src of its content security policy; or make the executor with cpu(), which runs everywhere: new Executor(cpu())"
    `)
  })

  test("is made where modules are compiled only asynchronously", async () => {
    class Module {
      constructor() {
        throw new RangeError("too large for this thread")
      }
    }
    vi.stubGlobal("WebAssembly", Object.create(WebAssembly, { Module: { value: Module } }))
    expect(await squares(new Executor())).toEqual([[1, 4]])
  })
})

test("an Executor on plain loops runs where there is no WebAssembly", async () => {
  vi.stubGlobal("WebAssembly", undefined)
  const exe = new Executor(cpu())
  expect(exe.backend).toBe("cpu")
  expect(await squares(exe)).toEqual([[1, 4]])
})
