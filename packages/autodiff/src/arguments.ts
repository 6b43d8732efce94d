// Checking what users pass: every refusal comes before anything is appended.

import { describeValue, fail, nearest, type Program, Variable } from "@counterflow/ir"

export function requireVariable(value: unknown, op: string, what: string): Variable {
  if (value instanceof Variable) return value
  return fail("CF_BAD_ARGUMENT", `${what} must be a Variable, got ${describeValue(value)}`, { op })
}

/** Variables given by name or object; unknown names and variables of other programs are refused. */
export function resolveVariables(
  given: Iterable<string | Variable> | undefined,
  program: Program,
  op: string,
  what: string,
): Variable[] | undefined {
  if (given === undefined) return undefined
  if (typeof given === "string" || given instanceof Variable || typeof given[Symbol.iterator] !== "function") {
    return fail("CF_BAD_ARGUMENT", `${what} must be a list of names or Variables, got ${describeValue(given)}`, { op })
  }
  return [...given].map((entry) => {
    if (typeof entry !== "string")
      return ownVariable(requireVariable(entry, op, `an entry of ${what}`), program, op, what)
    const found = program.variables.get(entry)
    if (found !== undefined) return found
    const suggestion = nearest(entry, program.variables.keys())
    return fail("CF_UNKNOWN_NAME", `${what} names "${entry}", which the program does not have`, {
      op,
      fix: suggestion === undefined ? "name a variable of the program" : `did you mean "${suggestion}"?`,
    })
  })
}

/** Refuses a variable of a sub-block that is not being built: nothing can be appended behind it there. */
export function requireVisible(variable: Variable, op: string, what: string): void {
  if (variable.program.currentBlock().sees(variable)) return
  fail("CF_BAD_ARGUMENT", `${what} ${variable.name} belongs to a sub-block, which is closed`, {
    op,
    notes: [`${variable}   built at ${variable.site}`],
    fix: "call it inside the function of the branch or loop, or let that answer the variable and use what the branch or loop answers",
  })
}

export function ownVariable(variable: Variable, program: Program, op: string, what: string): Variable {
  if (variable.program === program) return variable
  return fail("CF_FOREIGN_VARIABLE", `${what} holds ${variable.name}, which belongs to another program`, {
    op,
    notes: [`${variable}   built at ${variable.site}`],
    fix: `take the variable of this program: program.globalBlock().var("${variable.name}")`,
  })
}
