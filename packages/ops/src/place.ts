// Public functions that do more than append one operator: their errors say where the user called them.

import { currentSite, isCounterflowError, site } from "@counterflow/ir"

/**
 * Runs `body` with the caller of `fn` as call site of all it builds. An error that does not name its operator and line yet
 * gets `name` and "this name was built at train.ts:3:7".
 */
export function builtBy<T>(fn: (...args: never[]) => unknown, name: string, body: () => T, verb = "built"): T {
  return site(fn, () => {
    try {
      return body()
    } catch (error) {
      if (!isCounterflowError(error)) throw error
      throw error.with({ op: name, where: `this ${name} was ${verb} at ${currentSite(fn)}` })
    }
  })
}
