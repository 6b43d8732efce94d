// Building programs in tests: verified, and with the text of what is refused.

import { isCounterflowError, Program, programGuard, verify } from "@counterflow/ir"

export function build<T>(body: () => T): { main: Program; startup: Program; made: T } {
  const [main, startup] = [new Program(), new Program()]
  const made = programGuard(main, startup, body)
  verify(main)
  verify(startup)
  return { main, startup, made }
}

/** The message of what `body` is refused with; places are lines of a test, which come and go. */
export function refusalOf(body: () => unknown): string {
  try {
    body()
  } catch (error) {
    if (!isCounterflowError(error)) throw error
    return error.message.replaceAll(/packages\/\S+\.test\.ts:\d+:\d+/g, "HERE")
  }
  throw new Error("nothing was refused")
}

/** An argument that the types forbid and a JavaScript user passes all the same. */
export function untyped<T>(value: unknown): T {
  return value as T
}
