// The one error class of this package: a stable code, what is wrong, where (file, line, byte or argument), how to fix it.

/** `CF_BAD_FILE`: bytes or text that break their format. `CF_BAD_ARGUMENT`: options or columns that cannot be used. */
export type DataErrorCode = "CF_BAD_FILE" | "CF_BAD_ARGUMENT"

export interface DataErrorParts {
  code: DataErrorCode
  /** The rule that was broken and what was got. */
  what: string
  /** The place: "line 3, column 2 (age)", "byte 16", "batches: batchSize". */
  where: string
  /** What to do about it. */
  fix: string
  cause?: unknown
}

export class DataError extends Error {
  readonly code: DataErrorCode
  readonly what: string
  readonly where: string
  readonly fix: string

  constructor({ code, what, where, fix, cause }: DataErrorParts) {
    super(`${code}  ${what}\n    at ${where}\n  fix: ${fix}`, cause === undefined ? undefined : { cause })
    this.name = "DataError"
    this.code = code
    this.what = what
    this.where = where
    this.fix = fix
  }
}

/** Refuses a malformed file. */
export function badFile(what: string, where: string, fix: string, cause?: unknown): never {
  throw new DataError({ code: "CF_BAD_FILE", what, where, fix, cause })
}

/** Refuses an argument. */
export function badArgument(what: string, where: string, fix: string): never {
  throw new DataError({ code: "CF_BAD_ARGUMENT", what, where, fix })
}

/** An argument that must be an integer of at least `least`. */
export function requireInteger(value: number, least: number, where: string): void {
  if (!Number.isSafeInteger(value) || value < least) {
    badArgument(`expected an integer of at least ${least}, got ${value}`, where, "pass a whole number in that range")
  }
}
