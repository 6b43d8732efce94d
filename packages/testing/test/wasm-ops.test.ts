// Every op on the WebAssembly backend, by what its record says of itself: gradients to order 2, unknown sizes, files.

import { wasm } from "@counterflow/kernels-wasm"
import { catalogue, registry } from "@counterflow/ops"
import { autodiffCases, opCases } from "@counterflow/testing"
import { afterAll, describe } from "vitest"
import { register } from "./registering.ts"

describe("ops", () => {
  const suite = opCases(catalogue, { registry, backend: wasm() })
  register(suite.cases)
  afterAll(() => {
    console.log(suite.summary())
    suite.close()
  })
})

describe("autodiff", () => {
  register(autodiffCases(wasm))
})
