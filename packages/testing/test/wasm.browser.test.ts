// The WebAssembly backend in a page: the conformance suite, and a module that is too large to be compiled on the main thread
// at once.

import { Executor } from "@counterflow/executor"
import { isCounterflowError, Program } from "@counterflow/ir"
import { wasm } from "@counterflow/kernels-wasm"
import { arrayValue, legalize, reduceSum } from "@counterflow/ops"
import { backendCases } from "@counterflow/testing"
import { afterAll, describe, expect, test } from "vitest"
import { register } from "./registering.ts"

describe("conformance", () => {
  const suite = backendCases(wasm)
  register(suite.cases)
  afterAll(() => {
    console.log(suite.summary())
    suite.close()
  })
})

test("a program with megabytes of constants is compiled and run all the same", async () => {
  const program = new Program()
  const length = 1_200_000
  const values = Array.from({ length }, (_, i) => i % 3)
  const total = reduceSum(arrayValue({ values, shape: [length], dtype: "float64", program }))
  const executor = new Executor(wasm(), { legalize })
  // Whether the page may compile it at once is the browser's affair; if not, it says so and `run` waits.
  const atOnce = refusalCode(() => executor.runSync(program, { fetch: [total] }))
  expect(["none", "CF_ASYNC_ONLY"]).toContain(atOnce)
  const [value] = await executor.run(program, { fetch: [total] })
  expect(value.item()).toBe(length)
  console.log(`9.6 MB module: ${atOnce === "none" ? "compiled at once" : "compiled asynchronously"}`)
})

function refusalCode(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (isCounterflowError(error)) return error.code
    throw error
  }
  return "none"
}
