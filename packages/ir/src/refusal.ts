// How the verifier refuses: the operator or variable with its text and the line that built it.

import { fail } from "./errors.ts"
import type { Operator } from "./operator.ts"
import type { Variable } from "./variable.ts"

export function refuseOperator(op: Operator, why: string, notes?: readonly string[]): never {
  const where = `this ${op.type} was built at ${op.site.toString()}`
  return fail("CF_BAD_PROGRAM", why, { op: op.type, notes: notes ?? [op.toString()], where })
}

export function refuseVariable(variable: Variable, why: string): never {
  const where = `this variable was built at ${variable.site.toString()}`
  return fail("CF_BAD_PROGRAM", `${variable.name}: ${why}`, { notes: [variable.toString()], where })
}
