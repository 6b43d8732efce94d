// What can go wrong on the WebAssembly backend: operators that refuse their values, and hosts that refuse to compile.

import { createContext, runInContext } from "node:vm"
import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { type Program, symbol, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import {
  add,
  exp,
  fillConstant,
  gather,
  gatherNd,
  legalize,
  less,
  mul,
  oneHot,
  reduceSum,
  scale,
  scatterNdAdd,
  sin,
  whileLoop,
  write,
} from "@counterflow/ops"
import { afterEach, describe, expect, test } from "vitest"
import { build, input, refusalOf, rejectionOf } from "./building.ts"

const own = Object.getOwnPropertyDescriptor(globalThis, "WebAssembly")

afterEach(() => {
  if (own !== undefined) Object.defineProperty(globalThis, "WebAssembly", own)
})

function setHost(value: unknown): void {
  Object.defineProperty(globalThis, "WebAssembly", { value, configurable: true, writable: true })
}

describe("indices outside", () => {
  const cases: Record<string, { places: readonly number[]; make: (x: Variable, index: Variable) => Variable }> = {
    "a row that is not there": { places: [0, 3], make: (x, index) => gather(x, index) },
    "a column that is not there": { places: [0, 2], make: (x, index) => gather(x, index, { axis: 1 }) },
    "a negative place": { places: [-1, 0], make: (x, index) => gatherNd(x, index) },
    "a place far beyond 32 bits": { places: [0, 2 ** 40], make: (x, index) => gatherNd(x, index) },
    "the first of several": { places: [5, 9], make: (x, index) => gatherNd(x, index) },
    "a class": { places: [1, 4], make: (_x, index) => oneHot(index, { depth: 4 }) },
    "an update": {
      places: [1, 7],
      make: (x, index) => scatterNdAdd(gatherNd(x, mul(index, 0)), index, { shape: [3, 2] }),
    },
  }

  test.each(Object.entries(cases))(
    "%s: the same refusal as on cpu, with the user's line",
    (_name, { places, make }) => {
      for (const dtype of ["int32", "int64"] as const) {
        if (dtype === "int32" && places.some((place) => place > 2 ** 31)) continue
        const { main, z } = build((program) => ({
          z: make(input(program, "x", [3, 2]), input(program, "index", [2, 1], dtype)),
        }))
        const feed = { x: [1, 2, 3, 4, 5, 6], index: places }
        const [expected, got] = [cpu(), wasm()].map((backend) => {
          const executor = new Executor(backend, { legalize })
          return refusalOf(() => executor.runSync(main, { feed, fetch: [z] }))
        })
        expect(got).toBe(expected)
        expect(got).toContain("CF_INDEX_RANGE")
      }
    },
  )

  test("in the middle of a thousand operators: the right one is named, and no state is written", () => {
    const { main, z } = build((program) => {
      const w = program
        .globalBlock()
        .createVar({ name: "w", shape: [3], dtype: "float32", persistable: true, initialValue: 1 })
      const index = input(program, "index", [1], "int32")
      write(w, scale(w, { scale: 2 }))
      let h: Variable = w
      for (let i = 0; i < 700; i++) h = add(h, 1)
      const picked = reduceSum(gather(h, index))
      for (let i = 0; i < 700; i++) h = add(h, picked)
      return { z: reduceSum(gather(exp(mul(h, 0)), index)) }
    })
    const executor = new Executor(wasm(), { legalize })
    expect(executor.runSync(main, { feed: { index: [2] }, fetch: [z] })[0].item()).toBe(1)
    const refusal = refusalOf(() => executor.runSync(main, { feed: { index: [3] }, fetch: [z] }))
    expect(refusal).toMatch(
      /^CounterflowError: CF_INDEX_RANGE {2}gather: index 3 lies outside axis 0 of size 3\n {4}x = add_699.tmp_0 float32\[3\]/,
    )
    expect(executor.scope.get("w").toArray()).toEqual([2, 2, 2])
  })
})

/** The functions of a host's WebAssembly, which are not enumerable. */
function plainHost(host: typeof WebAssembly) {
  const { Module, Instance, compile, instantiate, validate } = host
  return { Module, Instance, compile, instantiate, validate }
}

function doubling() {
  return build((program) => ({ z: scale(input(program, "x", [symbol("n")]), { scale: 2 }) }))
}

function run(executor: Executor, main: Program, z: Variable, x: readonly number[]) {
  return executor.runSync(main, { feed: { x }, fetch: [z] })[0].toArray()
}

describe("hosts", () => {
  test("that let memory grow no further end a loop that needs more, and state stays", () => {
    const { main, w } = build((program) => {
      const w = program
        .globalBlock()
        .createVar({ name: "w", shape: [1000], dtype: "float32", persistable: true, initialValue: 1 })
      const [i, n] = [fillConstant({ shape: [], value: 0, dtype: "int32", program }), input(program, "n", [], "int32")]
      const [, y] = whileLoop(
        (i) => less(i, n),
        (i, c) => [add(i, 1), add(c, scale(sin(c), { scale: 0.001 }))],
        [i, w],
      )
      write(w, gradients(y, w)[0]!)
      return { w }
    })
    const host = WebAssembly
    class SmallMemory extends host.Memory {
      constructor(limits: WebAssembly.MemoryDescriptor) {
        super({ ...limits, maximum: 6 })
      }
    }
    setHost({ ...plainHost(host), Memory: SmallMemory })
    const executor = new Executor(wasm(), { legalize })
    const step = (n: number) => executor.runSync(main, { feed: { n }, fetch: [w] })[0].toArray()
    // Six pages of 64 KiB, of 4,008 bytes per run.
    step(80)
    const before = executor.scope.get("w").toArray()
    expect(refusalOf(() => step(200)).replace(/refused \d+/, "refused N")).toMatchInlineSnapshot(`
      "CounterflowError: CF_MEMORY_LIMIT  whileLoop: the host refused N bytes for what its runs save for gradients
          init = fill_constant_0.tmp_0 int32[]
          init = w float32[1000]
          captures = n int32[]
        this whileLoop was built at LINE
        fix: give the loop maxTrips, or feed a smaller batch"
    `)
    expect(executor.scope.get("w").toArray()).toEqual(before)
    expect(step(80)).not.toEqual(before)
    executor.close()
  })

  test("without WebAssembly are told of cpu()", () => {
    setHost(undefined)
    expect(refusalOf(() => new Executor(wasm(), { legalize }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_HOST_UNFIT  wasm: this host has no WebAssembly
        fix: make the executor with cpu(), which runs everywhere: new Executor(cpu())"
    `)
  })

  test("that forbid to compile are quoted, and state stays", () => {
    const { main, z } = doubling()
    const executor = new Executor(wasm(), { legalize })
    executor.scope.set("w", { data: [1, 2], shape: [2] })
    // A context that, like a page with a strict policy, makes no code of bytes.
    setHost(runInContext("WebAssembly", createContext({}, { codeGeneration: { wasm: false } })))
    expect(refusalOf(() => run(executor, main, z, [1])).replace(/\d+ bytes/, "N bytes")).toMatchInlineSnapshot(`
      "CounterflowError: CF_HOST_UNFIT  wasm: this host refused to compile a module of N bytes: CompileError: WebAssembly.Module(): Wasm code generation disallowed by embedder
        fix: in a page, allow 'wasm-unsafe-eval' in the script-src of its content security policy; or make the executor with cpu(), which runs everywhere: new Executor(cpu())"
    `)
    expect(executor.scope.get("w").toArray()).toEqual([1, 2])
    setHost(own?.value)
    expect(run(executor, main, z, [1])).toEqual([2])
  })

  describe("that compile only asynchronously, as pages do with large modules", () => {
    /** What the main thread of a browser says to a module that is too large for it. */
    function patient(): object {
      const Module = class {
        constructor() {
          throw new RangeError(
            "WebAssembly.Compile is disallowed on the main thread, if the buffer size is larger than 8MB.",
          )
        }
      }
      return Object.create(WebAssembly, { Module: { value: Module } }) as object
    }

    test("are waited for by run, in call order; runSync says why it cannot", async () => {
      setHost(patient())
      const { main, z } = doubling()
      const executor = new Executor(wasm(), { legalize })
      expect(refusalOf(() => run(executor, main, z, [1])).replace(/\d+ bytes/, "N bytes")).toMatchInlineSnapshot(`
        "CounterflowError: CF_ASYNC_ONLY  runSync: this host compiles a module of N bytes only asynchronously
          fix: await run(…), or run in a worker"
      `)
      const runs = [[1], [2, 3], [4], [5, 6]].map((x) => executor.run(main, { feed: { x }, fetch: [z] }))
      expect((await Promise.all(runs)).map(([value]) => value.toArray())).toEqual([[2], [4, 6], [8], [10, 12]])
      // What has been compiled runs at once.
      expect(run(executor, main, z, [7])).toEqual([14])
    })

    test("keep what was fed when the arena moves meanwhile", async () => {
      setHost(patient())
      const { main, z } = doubling()
      const executor = new Executor(wasm(), { legalize })
      const running = executor.run(main, { feed: { x: [1, 2, 3] }, fetch: [z] })
      for (let i = 0; i < 3; i++) await Promise.resolve()
      executor.scope.set("behind", { data: [9], shape: [1] })
      executor.compileSync(main, { feed: { x: [100_000] }, fetch: [z] })
      executor.scope.set("where the arena was", { data: [9, 9, 9, 9], shape: [4] })
      expect((await running)[0].toArray()).toEqual([2, 4, 6])
    })

    test("that refuse in the end reject the run, and only the run", async () => {
      const forbidding = patient()
      const compile = () => Promise.reject(new Error("no"))
      setHost(Object.create(forbidding, { compile: { value: compile } }))
      const { main, z } = doubling()
      const executor = new Executor(wasm(), { legalize })
      expect(await rejectionOf(executor.run(main, { feed: { x: [1] }, fetch: [z] }))).toMatch(
        /^CounterflowError: CF_HOST_UNFIT {2}wasm: this host refused to compile a module of \d+ bytes: Error: no/,
      )
    })
  })
})
