// Saved steps in a page, whose engine has instructions that Node may lack: the same bits as the executor that compiled them, and
// of a file without those instructions as well.

import { Executor, type Tensor } from "@counterflow/executor"
import { saveSteps, wasm } from "@counterflow/kernels-wasm"
import { loadSteps } from "@counterflow/kernels-wasm/saved"
import { legalize } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { models } from "./saved-models.ts"

describe.each(Object.entries(models))("%s", (_name, make) => {
  test.each([false, true])("deterministic: %s", (deterministic) => {
    const { main, startup, loss, shapes, feed } = make()
    const compiled = (backend: ReturnType<typeof wasm>) => {
      const executor = new Executor(backend, { legalize })
      const [begin, train] = [
        executor.compileSync(startup),
        executor.compileSync(main, { feed: shapes, fetch: [loss] }),
      ]
      begin.runSync()
      return { begin, train }
    }
    const steps = loadSteps(saveSteps(compiled(wasm()), { deterministic }))
    const { train } = compiled(wasm({ deterministic }))
    steps.step("begin").runSync()
    for (let i = 0; i < 3; i++) {
      expect(steps.step<[Tensor]>("train").runSync(feed(i))[0].data).toEqual(train.runSync(feed(i))[0].data)
    }
  })
})
