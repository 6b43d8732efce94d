// The default programs and the guards that replace them for the duration of a function, as in Fluid.

import { fail } from "./errors.ts"
import { Program } from "./program.ts"

let main: Program | null = null
let startup: Program | null = null

/** Where operators go that have no input to tell: the program of the innermost guard, else one made on first use. */
export function defaultMainProgram(): Program {
  main ??= new Program()
  return main
}

/** Where initializers go. */
export function defaultStartupProgram(): Program {
  startup ??= new Program()
  return startup
}

/** Runs `body` with these as the default programs and answers what it returns. */
export function programGuard<T>(mainProgram: Program, startupProgram: Program | (() => T), body?: () => T): T {
  const run = body ?? startupProgram
  if (!(mainProgram instanceof Program) || typeof run !== "function") {
    fail("CF_BAD_ARGUMENT", "programGuard takes a main Program, optionally a startup Program, and a function", {
      op: "programGuard",
    })
  }
  const outer = { main, startup }
  main = mainProgram
  if (startupProgram instanceof Program) startup = startupProgram
  try {
    const result = run()
    if (result instanceof Promise) {
      fail("CF_BAD_ARGUMENT", "the function of a programGuard must not be async: the guard ends when it returns", {
        op: "programGuard",
        fix: "build the program in a plain function, await before or after it",
      })
    }
    return result
  } finally {
    main = outer.main
    startup = outer.startup
  }
}

/** Operators built in `body` carry this scope in their name scope, for pictures and profiles. */
export function nameScope<T>(name: string, body: () => T): T {
  const program = defaultMainProgram()
  const scope = program.scope === "" ? name : `${program.scope}/${name}`
  return program.within({ scope }, body)
}

/** A name of the current main program that no variable has: `prefix_0`, `prefix_1`, … */
export function uniqueName(prefix: string): string {
  return defaultMainProgram().uniqueName(prefix)
}
