// One error class with stable codes: what, where (the user's line), why, how to fix. The catalogue below is the list of
// codes; it makes docs/errors.md and is what tests match.

/** Every code with the sentence that explains it in docs/errors.md. */
export const errorCatalogue = {
  CF_SHAPE_MISMATCH: "Shapes that must agree do not.",
  CF_DTYPE_MISMATCH: "An operator, feed or state got an element type it does not take.",
  CF_BAD_ATTRIBUTE: "An attribute is missing, of the wrong kind, or out of range.",
  CF_BAD_ARGUMENT: "An argument of a public function is not of the kind the function takes.",
  CF_BAD_SLOT: "An operator was given an unknown input, or lacks a required one.",
  CF_DUPLICATE_NAME: "A variable of this name exists already in the program.",
  CF_UNKNOWN_NAME: "No variable of this name exists; the nearest one is suggested.",
  CF_FOREIGN_VARIABLE: "A variable of another program was used.",
  CF_NOT_A_LOSS: "The loss is not one element produced by an operator of its own program.",
  CF_NO_GRADIENT: "A gradient was asked through an operator that has none; the reason is the operator's own.",
  CF_BAD_RULE: "A gradient rule answered with the wrong shape, dtype or input name.",
  CF_BAD_PROGRAM: "The verifier found a program that breaks an invariant of the IR.",
  CF_BAD_JSON: "A program file is malformed.",
  CF_BAD_TEXT: "A program text does not parse.",
  CF_NEWER_VERSION:
    "A program, or a file of compiled steps, was written by a newer version of the format or of an operator.",
  CF_UNKNOWN_OP: "An operator is not in the registry, or the program was not resolved against one.",
  CF_FEED_MISSING: "A data variable that the run needs was not fed.",
  CF_FEED_UNKNOWN: "A feed names no data variable of the program.",
  CF_FEED_SHAPE: "A feed's shape or length does not fit its variable.",
  CF_FEED_DTYPE: "A feed's element type would have to be narrowed.",
  CF_INT_RANGE: "An integer lies outside ±(2^53 − 1) or outside its dtype.",
  CF_FETCH_UNKNOWN: "A fetch names no variable of the program.",
  CF_STATE_MISSING: "A parameter or other state has no value yet: run the startup program.",
  CF_STATE_MISMATCH: "State of this name exists with another shape or dtype.",
  CF_SYMBOL_CONFLICT: "One symbolic dimension was bound to two sizes, or a recorded constraint does not hold.",
  CF_SYMBOL_UNBOUND: "A symbolic dimension got no size from the feeds.",
  CF_KERNEL_MISSING: "The backend has no kernel for an operator.",
  CF_INDEX_RANGE: "An index lies outside the axis it indexes.",
  CF_HOST_UNFIT: "The host lacks, or forbids, something that the backend cannot do without.",
  CF_LOOP_LIMIT: "A loop would run more often than it may.",
  CF_TIME_BUDGET: "A loop still ran when the time of its step was over.",
  CF_ABORTED: "A run was aborted by its signal.",
  CF_MEMORY_LIMIT: "The plan needs more memory than allowed or available.",
  CF_ASYNC_ONLY: "This backend cannot run synchronously.",
  CF_BUSY: "A synchronous call came while asynchronous runs are queued.",
  CF_CLOSED: "The executor, scope or step was closed.",
  CF_BAD_FILE: "A file of weights, data or compiled steps is malformed.",
  CF_INTERNAL: "An invariant of counterflow itself is broken; please report it with the program attached.",
} as const

export type ErrorCode = keyof typeof errorCatalogue

export interface ErrorParts {
  code: ErrorCode
  /** The rule that was broken and what was got, in one lower-case sentence. */
  why: string
  /** The operator or public function the error is about. */
  op?: string | undefined
  /** Indented facts, one per line: the variables involved with their types and lines. */
  notes?: readonly string[] | undefined
  /** Where: a complete phrase such as "this add was built at train.ts:21:9". */
  where?: string | undefined
  /** What to do about it. */
  fix?: string | undefined
  cause?: unknown
}

const marker = Symbol.for("counterflow.error")

/** The only error class that counterflow throws at its users; `code` is stable, `message` is the whole text. */
export class CounterflowError extends Error {
  readonly code: ErrorCode
  readonly why: string
  readonly op: string | undefined
  readonly notes: readonly string[]
  readonly where: string | undefined
  readonly fix: string | undefined
  readonly [marker]: boolean = true

  constructor(parts: ErrorParts) {
    super(textOf(parts), parts.cause === undefined ? undefined : { cause: parts.cause })
    this.name = "CounterflowError"
    this.code = parts.code
    this.why = parts.why
    this.op = parts.op
    this.notes = parts.notes ?? []
    this.where = parts.where
    this.fix = parts.fix
  }

  /** The same error with facts added that only an outer layer knows; what is already known stays. */
  with(more: Partial<ErrorParts>): CounterflowError {
    return new CounterflowError({
      code: this.code,
      why: this.why,
      op: this.op ?? more.op,
      notes: this.notes.length > 0 ? this.notes : more.notes,
      where: this.where ?? more.where,
      fix: this.fix ?? more.fix,
      cause: this.cause ?? more.cause,
    })
  }
}

function textOf(parts: ErrorParts): string {
  const lines = [`${parts.code}  ${parts.op === undefined ? "" : `${parts.op}: `}${parts.why}`]
  for (const note of parts.notes ?? []) lines.push(`    ${note}`)
  if (parts.where !== undefined) lines.push(`  ${parts.where}`)
  if (parts.fix !== undefined) lines.push(`  fix: ${parts.fix}`)
  return lines.join("\n")
}

/** Known across copies of the package in one process. */
export function isCounterflowError(value: unknown): value is CounterflowError {
  return value instanceof Error && marker in value
}

/** Throws; for rules and checks that know only the reason. Outer layers add operator, variables and lines. */
export function fail(code: ErrorCode, why: string, more: Omit<ErrorParts, "code" | "why"> = {}): never {
  throw new CounterflowError({ code, why, ...more })
}

/** "did you mean …" for a misspelt name, or undefined when nothing is near. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase(), bestDistance)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Levenshtein distance, given up at `limit` (Wagner & Fischer 1974, two rows). */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      current.push(Math.min(substitution, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1))
    }
    previous = current
  }
  return previous[b.length] ?? limit
}
