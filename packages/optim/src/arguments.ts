// Checking what users pass to optimizers, clips, regularizers and schedules: every refusal names the argument.

import { describeValue, fail, nearest } from "@counterflow/ir"

/** Throws CF_BAD_ATTRIBUTE for an option that does not exist, suggesting the nearest. */
export function checkOptions(op: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    fail("CF_BAD_ARGUMENT", `the options must be an object, got ${describeValue(options)}`, { op })
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    const near = nearest(name, known)
    fail("CF_BAD_ATTRIBUTE", `there is no option ${name}; the options are ${known.join(", ")}`, {
      op,
      fix: near === undefined ? `leave ${name} out` : `did you mean ${near}?`,
    })
  }
}

interface Range {
  /** A finite number if nothing else is said. */
  readonly what: string
  readonly holds: (value: number) => boolean
}

export const anyNumber: Range = { what: "a finite number", holds: () => true }
export const positive: Range = { what: "a positive number", holds: (value) => value > 0 }
export const notNegative: Range = { what: "a number of at least 0", holds: (value) => value >= 0 }
/** How much of an average is kept: 1 would never learn. */
export const fraction: Range = { what: "a number from 0 to less than 1", holds: (value) => value >= 0 && value < 1 }
export const positiveInteger: Range = {
  what: "a positive integer",
  holds: (value) => Number.isSafeInteger(value) && value > 0,
}

export function numberIn(op: string, name: string, value: unknown, range: Range = anyNumber): number {
  if (typeof value === "number" && Number.isFinite(value) && range.holds(value)) return value
  return fail("CF_BAD_ATTRIBUTE", `${name} must be ${range.what}, got ${describeValue(value)}`, { op })
}

export function flag(op: string, name: string, value: unknown): boolean {
  if (typeof value === "boolean") return value
  return fail("CF_BAD_ATTRIBUTE", `${name} must be true or false, got ${describeValue(value)}`, { op })
}
