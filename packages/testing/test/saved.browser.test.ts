// Saved steps in a page, whose engine has instructions that Node may lack: the same bits as the executor that compiled them, and
// of a file without those instructions as well.

import { Executor } from "@counterflow/executor"
import { saveSteps, wasm } from "@counterflow/kernels-wasm"
import { loadSteps } from "@counterflow/kernels-wasm/saved"
import { legalize } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { compiled, models } from "./saved-models.ts"

describe.each(Object.entries(models))("%s", (_name, model) => {
  test.each([false, true])("deterministic: %s", (deterministic) => {
    const network = model()
    const steps = loadSteps(saveSteps(compiled(network, new Executor(wasm(), { legalize })), { deterministic }))
    const { begin, train } = compiled(network, new Executor(wasm({ deterministic }), { legalize }))
    begin.runSync()
    steps.step("begin").runSync()
    for (let i = 0; i < 3; i++) {
      const [got, expected] = [steps.step("train"), train].map((step) => step.runSync(network.feed))
      expect(got?.map(({ data }) => data)).toEqual(expected?.map(({ data }) => data))
    }
  })
})
