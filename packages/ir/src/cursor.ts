// A position in one line of a program's text, and the tokens that may stand there. Errors show line and column.

import type { AttrJson } from "./attributes.ts"
import { parseDim } from "./dims.ts"
import { fail } from "./errors.ts"
import type { DimJson } from "./json.ts"
import { valueWords } from "./literal.ts"

const depthLimit = 32

export class Cursor {
  readonly line: number
  readonly text: string
  #at: number
  /** Where the last token began, or where one was expected: what an error points at. */
  #mark: number

  constructor(text: string, line: number) {
    this.text = text
    this.line = line
    this.#at = text.length - text.trimStart().length
    this.#mark = this.#at
  }

  fail(why: string): never {
    return fail("CF_BAD_TEXT", why, {
      op: "parseProgram",
      notes: [this.text.trim().slice(0, 120)],
      where: `at line ${this.line}, column ${this.#mark + 1}`,
    })
  }

  #failExpected(what: string): never {
    this.#mark = this.#at
    const rest = this.text.slice(this.#at)
    return this.fail(`expected ${what}, got ${rest === "" ? "the end of the line" : `"${rest.slice(0, 20)}"`}`)
  }

  /** The match of a sticky pattern here, consumed with the spaces behind it. */
  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.text)?.[0]
    if (found === undefined) return undefined
    this.#mark = this.#at
    this.#at += found.length
    this.#skipSpaces()
    return found
  }

  #skipSpaces(): void {
    while (this.text[this.#at] === " ") this.#at++
  }

  /** Whether nothing but a comment is left. */
  get isDone(): boolean {
    return this.#at >= this.text.length || this.text[this.#at] === "#"
  }

  end(): void {
    if (!this.isDone) this.#failExpected("the end of the line")
  }

  sees(token: string): boolean {
    return this.text.startsWith(token, this.#at)
  }

  accept(token: string): boolean {
    if (!this.sees(token)) return false
    this.#at += token.length
    this.#skipSpaces()
    return true
  }

  expect(token: string): void {
    if (!this.accept(token)) this.#failExpected(`"${token}"`)
  }

  word(what: string): string {
    return this.#match(/[A-Za-z][A-Za-z0-9]*/y) ?? this.#failExpected(what)
  }

  /** A name, quoted or not. */
  name(): string {
    if (this.sees('"')) return this.quoted()
    return this.#match(/[A-Za-z0-9_.@/$]+/y) ?? this.#failExpected("a name")
  }

  quoted(): string {
    const token = this.#match(/"(?:[^"\\]|\\.)*"/y) ?? this.#failExpected("a quoted text")
    try {
      return String(JSON.parse(token))
    } catch {
      return this.fail("this is no JSON string")
    }
  }

  integer(): number {
    return Number(this.#match(/-?[0-9]+/y) ?? this.#failExpected("an integer"))
  }

  number(): number {
    return Number(
      this.#match(/-?(?:Infinity|[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)|NaN/y) ?? this.#failExpected("a number"),
    )
  }

  boolean(): boolean {
    if (this.accept("true")) return true
    if (this.accept("false")) return false
    return this.#failExpected("true or false")
  }

  /** The items between two brackets, separated by commas. */
  list<T>(open: string, close: string, item: () => T): T[] {
    this.expect(open)
    const items: T[] = []
    if (this.accept(close)) return items
    do items.push(item())
    while (this.accept(","))
    this.expect(close)
    return items
  }

  /** {key: …, key: …} with the keys in order. */
  entries<T>(item: () => T): [string, T][] {
    return this.list("{", "}", () => this.entry(item))
  }

  /** An object of entries, none of which may come twice. */
  unique<T>(entries: readonly [string, T][]): Record<string, T> {
    const keys = new Set<string>()
    for (const [key] of entries) {
      if (keys.has(key)) this.fail(`${key} is given twice`)
      keys.add(key)
    }
    return Object.fromEntries(entries)
  }

  /** key: … */
  entry<T>(item: () => T): [string, T] {
    const key = this.name()
    this.expect(":")
    return [key, item()]
  }

  /** An expression up to a comma, bracket or "==" outside of its parentheses. */
  #expression(): string {
    const start = this.#at
    let depth = 0
    for (; this.#at < this.text.length; this.#at++) {
      const letter = this.text[this.#at] ?? ""
      if (depth === 0 && (",]}#".includes(letter) || this.sees("=="))) break
      if (letter === "(") depth++
      if (letter === ")") depth--
      if (depth < 0) break
    }
    const text = this.text.slice(start, this.#at).trimEnd()
    if (text === "") this.#failExpected("a value")
    return text
  }

  dim(): DimJson {
    const start = this.#at
    return this.#dimOf(this.#expression(), start)
  }

  #dimOf(text: string, start: number): DimJson {
    try {
      const dim = parseDim(text)
      return typeof dim === "number" ? dim : text
    } catch (error) {
      this.#mark = start
      return this.fail(error instanceof Error ? error.message : String(error))
    }
  }

  /** The value of an attribute. */
  value(depth = 0): AttrJson {
    if (depth > depthLimit) this.fail(`values nest deeper than ${depthLimit}`)
    if (this.sees('"')) return this.quoted()
    if (this.sees("[")) return this.list("[", "]", () => this.value(depth + 1))
    if (this.sees("{")) return this.unique(this.entries(() => this.value(depth + 1)))
    const start = this.#at
    const text = this.#expression()
    if (text === "NaN" || text === "Infinity" || text === "-Infinity" || text === "-0") return { $number: text }
    if (text === "null") return null
    if (text === "true" || text === "false") return text === "true"
    if (/^-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?$/.test(text)) return Number(text)
    const escaped = /^dim\((\w+)\)$/.exec(text)?.[1]
    const dim = this.#dimOf(escaped !== undefined && valueWords.includes(escaped) ? escaped : text, start)
    return typeof dim === "number" ? dim : { $dim: dim }
  }
}
