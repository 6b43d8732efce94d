// The file of compiled steps that a page or a process of `saved.ts` loads: made once, on the machine that measures.

import { mkdirSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { Executor, saveSteps } from "counterflow"
import { trainingMlp } from "./model.ts"
import { batch } from "./sample.ts"

export function writeSteps(file: string): void {
  const { main, startup, loss } = trainingMlp()
  const executor = new Executor()
  const steps = {
    startup: executor.compileSync(startup),
    train: executor.compileSync(main, { feed: { x: [batch, 784], label: [batch] }, fetch: [loss] }),
  }
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, saveSteps(steps))
}
