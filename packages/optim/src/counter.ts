// The step counter of schedules: one state of the program that advances once a step, whatever number of schedules read it.

import { fail, type Program, type Variable } from "@counterflow/ir"
import { cast, createState, scale, write } from "@counterflow/ops"

/** A reserved name: by it clones, texts and checkpoints find the counter again. */
const counterName = "lr_counter"

/** How many steps were committed, int32: 0 in the first step. */
export function stepCounter(main: Program, startup: Program): Variable {
  const found = main.globalBlock().vars.get(counterName)
  if (found !== undefined) {
    if (found.persistable && found.dtype === "int32" && found.shape.length === 0) return found
    fail("CF_DUPLICATE_NAME", `"${counterName}" is the name of the state that counts steps for schedules`, {
      notes: [`${found}   built at ${found.site}`],
      fix: "give that variable another name",
    })
  }
  const counter = createState({ name: counterName, shape: [], dtype: "int32", value: 0, main, startup })
  main.within({ stem: counterName }, () => write(counter, scale(counter, { bias: 1 })))
  return counter
}

/** The counter as a float, to compute with. */
export function currentStep(main: Program, startup: Program): Variable {
  return cast(stepCounter(main, startup), { dtype: "float32" })
}
