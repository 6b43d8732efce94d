// Reads a dimension back from its text: sums and products of integers, symbols, floorDiv(a, b), mod(a, b), max(a, …).
// The text may come from a file of anyone's making, so its length and depth are limited and errors say where.

import type { Dim } from "./dimexpr.ts"
import { excerpt, maxTextLength } from "./dimexpr.ts"
import { addDims, floorDivDims, maxDims, modDims, mulDims, subDims, symbol } from "./dimops.ts"

const maxDepth = 200

/** The inverse of `formatDim`; any order of terms and redundant parentheses are accepted. */
export function parseDim(text: string): Dim {
  if (text.length > maxTextLength) {
    throw new SyntaxError(`dimension text has ${text.length} characters; at most ${maxTextLength} are read`)
  }
  const reader = new DimReader(text)
  try {
    const dim = reader.sum(0)
    if (reader.token !== "") reader.fail(`expected an operator, got "${reader.token}"`)
    return dim
  } catch (error) {
    if (error instanceof RangeError) reader.fail(error.message)
    throw error
  }
}

class DimReader {
  /** The token at hand; empty at the end of the text. */
  token = ""
  readonly #text: string
  #start = 0
  #end = 0

  constructor(text: string) {
    this.#text = text
    this.next()
  }

  fail(what: string): never {
    throw new SyntaxError(`dimension "${excerpt(this.#text)}": ${what} at position ${this.#start}`)
  }

  next(): void {
    const pattern = /\s*([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[-+*(),]|$)/y
    pattern.lastIndex = this.#end
    const match = pattern.exec(this.#text)
    if (!match) {
      this.#start = this.#end + this.#text.slice(this.#end).search(/\S/)
      this.fail(`unexpected character ${JSON.stringify(this.#text[this.#start])}`)
    }
    this.token = match[1] ?? ""
    this.#end = pattern.lastIndex
    this.#start = this.#end - this.token.length
  }

  accept(token: string): boolean {
    if (this.token !== token) return false
    this.next()
    return true
  }

  expect(token: string): void {
    if (!this.accept(token)) this.fail(`expected "${token}", got ${this.#shown()}`)
  }

  sum(depth: number): Dim {
    if (depth > maxDepth) this.fail(`more than ${maxDepth} levels of nesting`)
    let sum = this.#product(depth)
    for (;;) {
      if (this.accept("+")) sum = addDims(sum, this.#product(depth))
      else if (this.accept("-")) sum = subDims(sum, this.#product(depth))
      else return sum
    }
  }

  #product(depth: number): Dim {
    if (this.accept("-")) {
      if (this.token === "-") this.fail('expected an operand, got "-"')
      return mulDims(-1, this.#product(depth))
    }
    let product = this.#factor(depth)
    while (this.accept("*")) product = mulDims(product, this.#factor(depth))
    return product
  }

  #factor(depth: number): Dim {
    const token = this.token
    if (this.accept("(")) {
      const inner = this.sum(depth + 1)
      this.expect(")")
      return inner
    }
    if (/^[0-9]/.test(token)) {
      if (!Number.isSafeInteger(Number(token))) this.fail(`integer ${excerpt(token)} is beyond 2^53 - 1`)
      this.next()
      return Number(token)
    }
    if (token === "floorDiv" || token === "mod") {
      const args = this.#args(depth)
      const [a, b] = args
      if (a === undefined || b === undefined || args.length > 2) {
        this.fail(`${token} takes 2 arguments, got ${args.length},`)
      }
      return token === "mod" ? modDims(a, b) : floorDivDims(a, b)
    }
    if (token === "max") return maxDims(...this.#args(depth))
    if (!/^[A-Za-z_]/.test(token)) this.fail(`expected an operand, got ${this.#shown()}`)
    this.next()
    return symbol(token)
  }

  #args(depth: number): Dim[] {
    this.next()
    this.expect("(")
    const args = [this.sum(depth + 1)]
    while (this.accept(",")) args.push(this.sum(depth + 1))
    this.expect(")")
    return args
  }

  #shown(): string {
    return this.token === "" ? "the end of the text" : `"${this.token}"`
  }
}
