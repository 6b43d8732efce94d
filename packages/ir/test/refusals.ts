// What a test says of an error: its whole message, which begins with the code. And plants one wrong value in plain data.

import { isCounterflowError } from "@counterflow/ir"

/** The message of the error that `body` throws. */
export function messageOf(body: () => unknown): string {
  try {
    body()
  } catch (error) {
    if (isCounterflowError(error)) return error.message
    throw error
  }
  throw new Error("nothing was thrown")
}

/** A copy of plain data in which the value at a path such as "blocks.0.ops.1" is another one, or is gone. */
export function edited(data: unknown, path: string, value?: unknown): unknown {
  const copy: unknown = JSON.parse(JSON.stringify(data))
  const steps = path.split(".")
  const last = steps.pop() ?? ""
  const owner = steps.reduce(memberOf, copy)
  if (typeof owner !== "object" || owner === null) throw new Error(`nothing at ${path}`)
  if (value === undefined) Reflect.deleteProperty(owner, last)
  else Object.defineProperty(owner, last, { value, enumerable: true, configurable: true, writable: true })
  return copy
}

function memberOf(owner: unknown, step: string): unknown {
  if (typeof owner !== "object" || owner === null || !(step in owner)) throw new Error(`no ${step} there`)
  return Reflect.get(owner, step)
}
