// Small programs for tests, and how their refusals read.

import { type Operator, Program, programGuard, type Variable } from "@counterflow/ir"

/** What `body` builds in a new main program, with that program and its startup program. */
export function build<T extends object>(
  body: (program: Program, startup: Program) => T,
): T & { main: Program; startup: Program } {
  const [main, startup] = [new Program(), new Program()]
  return { ...programGuard(main, startup, () => body(main, startup)), main, startup }
}

export function parameter(
  program: Program,
  name: string,
  shape: Variable["shape"] = [2],
  options: { trainable?: boolean; stopGradient?: boolean; initialValue?: number } = {},
): Variable {
  return program.globalBlock().createParameter({ name, shape, dtype: "float32", initialValue: 1, ...options })
}

/** A data variable that gradients reach. */
export function input(
  program: Program,
  name: string,
  shape: Variable["shape"] = [2],
  dtype: Variable["dtype"] = "float32",
): Variable {
  return program.globalBlock().createVar({ name, shape, dtype, isData: true, stopGradient: false })
}

export function backwardOps(program: Program): Operator[] {
  return program.globalBlock().ops.filter(({ role }) => role === "backward")
}

export function namesOf(pairs: readonly (readonly (Variable | null)[])[]): (string | undefined)[][] {
  return pairs.map((pair) => pair.map((variable) => variable?.name))
}

/** The text of what `body` throws, with lines of test files as LINE. */
export function refusalOf(body: () => unknown): string {
  try {
    body()
  } catch (error) {
    return withoutLines(error)
  }
  return "nothing was refused"
}

export async function rejectionOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return withoutLines(error)
  }
  return "nothing was refused"
}

function withoutLines(error: unknown): string {
  return String(error).replace(/[\w/.-]*test\/[\w.-]+\.ts:\d+:\d+/g, "LINE")
}
