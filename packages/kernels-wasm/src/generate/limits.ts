// What every host accepts of a module: the limits that the WebAssembly JavaScript interface names for all engines.

import { fail } from "@counterflow/ir"

const limits = {
  bytes: 2 ** 30,
  functions: 1_000_000,
  "data segments": 100_000,
} as const

/** Refuses a module that no host would take, before one is asked. */
export function checkLimits(sizes: Readonly<Record<keyof typeof limits, number>>): void {
  for (const what of ["bytes", "functions", "data segments"] as const) {
    if (sizes[what] <= limits[what]) continue
    fail("CF_MEMORY_LIMIT", `the plan compiles to ${sizes[what]} ${what}, and hosts take ${limits[what]}`, {
      op: "wasm",
      fix: "split the program, or feed large constants instead of writing them into it",
    })
  }
}
