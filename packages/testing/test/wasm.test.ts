// The conformance suite on the WebAssembly backend. Every module that a plan becomes is valid, and none calls out.

import type { Backend } from "@counterflow/executor"
import { explainPlan, wasm } from "@counterflow/kernels-wasm"
import { backendCases } from "@counterflow/testing"
import { afterAll, describe, expect, test } from "vitest"
import { register } from "./registering.ts"

/** By op: the kernels that have served it. */
const served = new Map<string, Set<string>>()
let modules = 0

function recording(): Backend {
  const own = wasm()
  return {
    ...own,
    load: (plan, memory, states) => {
      const { kernels, bytes } = explainPlan(plan)
      if (!WebAssembly.validate(bytes)) throw new Error(`the module of this plan is not valid:\n${plan.toString()}`)
      modules++
      for (const [{ type }, names] of kernels) {
        const known = served.get(type) ?? new Set()
        for (const name of names) known.add(name.replace(/_\d+$/, ""))
        served.set(type, known)
      }
      return own.load(plan, memory, states)
    },
  }
}

describe("conformance", () => {
  const suite = backendCases(recording)
  register(suite.cases)
  afterAll(() => {
    console.log(suite.summary())
    suite.close()
  })
})

test("every primitive was served by a kernel of its own module, none by JavaScript", () => {
  expect(modules).toBeGreaterThan(1000)
  const lines = [...served].sort(([a], [b]) => (a < b ? -1 : 1)).map(([op, names]) => `${op}: ${[...names].join(", ")}`)
  console.log(`${modules} modules, all valid. Kernels by op:\n${lines.join("\n")}`)
  const missing = Object.keys(wasm().kernels).filter((op) => !served.has(op))
  expect(missing).toEqual([])
  expect([...served].filter(([, names]) => names.has("host"))).toEqual([])
})
