// One value of a file with its path, which answers itself as a typed value or refuses. Limits that protect whoever
// reads a file of unknown origin are here.

import { isNumberJson, type NumberJson } from "./attributes.ts"
import { parseDim } from "./dims.ts"
import { nearest } from "./errors.ts"
import type { DimJson } from "./json.ts"

export const limits = { name: 1000, operators: 1_000_000, rank: 32, depth: 64, dim: 1000 } as const

/** Throws the error of the form that is read, at a path such as `blocks[0].ops[3]`. */
export type Refuse = (path: string, why: string, fix?: string) => never

export class Field {
  readonly value: unknown
  readonly path: string
  readonly #refuse: Refuse

  constructor(value: unknown, path: string, refuse: Refuse) {
    this.value = value
    this.path = path
    this.#refuse = refuse
  }

  refuse(why: string, fix?: string): never {
    return this.#refuse(this.path === "" ? "the program" : this.path, why, fix)
  }

  #refuseKind(kind: string): never {
    return this.refuse(`must be ${kind}, got ${describe(this.value)}`)
  }

  #object(): object {
    const { value } = this
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : this.#refuseKind("an object")
  }

  /** The value at an own key; a missing one refuses itself when it is read. */
  at(key: string): Field {
    const owner = this.#object()
    const value: unknown = Object.hasOwn(owner, key) ? Reflect.get(owner, key) : undefined
    return new Field(value, this.path === "" ? key : `${this.path}.${key}`, this.#refuse)
  }

  has(key: string): boolean {
    return Object.hasOwn(this.#object(), key)
  }

  /** Refuses unknown keys and missing ones. */
  keys(required: readonly string[], optionals: readonly string[] = []): void {
    const known = [...required, ...optionals]
    for (const key of Object.keys(this.#object())) {
      if (known.includes(key)) continue
      const near = nearest(key, known)
      this.at(key).refuse("is an unknown key", near === undefined ? undefined : `did you mean "${near}"?`)
    }
    for (const key of required) if (!this.has(key)) this.at(key).refuse("is missing")
  }

  /** `{ [key]: … }` to be spread, or nothing. */
  optional<K extends string, T>(key: K, read: (field: Field) => T): { [key in K]?: T } {
    const found: { [key in K]?: T } = {}
    if (this.has(key)) found[key] = read(this.at(key))
    return found
  }

  items(): Field[] {
    const { value } = this
    if (!Array.isArray(value)) return this.#refuseKind("an array")
    return value.map((item: unknown, index) => new Field(item, `${this.path}[${index}]`, this.#refuse))
  }

  pair(): readonly [Field, Field] {
    const [first, second, ...others] = this.items()
    return first !== undefined && second !== undefined && others.length === 0
      ? [first, second]
      : this.#refuseKind("a pair")
  }

  entries(): [string, Field][] {
    return Object.keys(this.#object()).map((key) => {
      if (key === "" || key.length > limits.name)
        this.refuse(`has a key of ${key.length} characters, not 1 to ${limits.name}`)
      return [key, this.at(key)]
    })
  }

  map<T>(read: (field: Field, key: string) => T): Record<string, T> {
    return Object.fromEntries(this.entries().map(([key, field]) => [key, read(field, key)]))
  }

  string(): string {
    return typeof this.value === "string" ? this.value : this.#refuseKind("a string")
  }

  name(): string {
    const text = this.string()
    if (text !== "" && text.length <= limits.name) return text
    return this.refuse(`must have 1 to ${limits.name} characters, got ${text.length}`)
  }

  boolean(): boolean {
    return typeof this.value === "boolean" ? this.value : this.#refuseKind("true or false")
  }

  true(): true {
    return this.value === true ? this.value : this.#refuseKind("true or left out")
  }

  integer(least = 0): number {
    const { value } = this
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) return value
    return this.#refuseKind(least < 0 ? "a safe integer" : `a safe integer of at least ${least}`)
  }

  number(): NumberJson {
    const { value } = this
    if (typeof value === "number" && Number.isFinite(value)) return value
    if (typeof value === "object" && value !== null && isNumberJson(value)) return { $number: value.$number }
    return this.#refuseKind('a finite number or {"$number": "NaN"}')
  }

  oneOf<T extends string>(choices: readonly T[]): T {
    const choice = choices.find((candidate) => candidate === this.value)
    return choice ?? this.#refuseKind(`one of ${choices.map((text) => `"${text}"`).join(", ")}`)
  }

  /** A size: a number or an expression that parses. */
  dim(): DimJson {
    if (typeof this.value !== "string") return this.integer()
    const dim = this.dimText()
    return typeof dim === "string" || dim >= 0 ? dim : this.#refuseKind("a size of at least 0")
  }

  /** The text of an expression, or the number that it is. */
  dimText(): DimJson {
    const text = this.string()
    if (text.length > limits.dim) this.refuse(`must have at most ${limits.dim} characters, got ${text.length}`)
    try {
      const dim = parseDim(text)
      return typeof dim === "number" ? dim : text
    } catch (error) {
      return this.refuse(`is no dim: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing"
  if (value === null || typeof value === "number" || typeof value === "boolean") return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === "string")
    return value.length > 60 ? `a string of ${value.length} characters` : JSON.stringify(value)
  return typeof value === "object" ? "an object" : `a ${typeof value}`
}
