// A module in the WebAssembly text format, folded and with names, for golden tests and for reading: one statement a line,
// operands nested in it.

import { orderLocals } from "./encode.ts"
import type { Code, Expr, FunctionRef, Local, ValueType } from "./expression.ts"
import type { FunctionBody, ImportedMemory, Label, ModuleParts, Statement } from "./statement.ts"

const width = 100

/** The text of a module; what only loads modules need not know this file. */
export function printModule({ parts }: { readonly parts: ModuleParts }): string {
  const functionNames = new Names([...parts.imports, ...parts.functions].map(({ ref }) => [ref, ref.name]))
  const dataNames = new Names(parts.data.map(({ ref }) => [ref, "data"]))
  const lines = [
    ...parts.imports.map(({ ref, module, field }) => {
      return `(import "${module}" "${field}" (func ${functionNames.of(ref)}${signature(ref)}))`
    }),
    ...(parts.memory === undefined ? [] : [printMemory(parts.memory)]),
    ...parts.data.map(({ ref, address }) => {
      const place = address === undefined ? "" : ` (i32.const ${address})`
      return `(data ${dataNames.of(ref)}${place} "${escaped(ref.bytes)}")`
    }),
    ...parts.functions.flatMap((body) => new FunctionPrinter(body, functionNames, dataNames).print()),
    ...[...parts.exports].map(([name, target]) => `(export "${name}" (func ${functionNames.of(target)}))`),
  ]
  return ["(module", ...lines.map((line) => `  ${line}`), ")"].join("\n")
}

function printMemory({ module, name, minPages, maxPages, isShared }: ImportedMemory): string {
  const limits = [minPages, maxPages, isShared ? "shared" : undefined].filter((part) => part !== undefined)
  return `(import "${module}" "${name}" (memory ${limits.join(" ")}))`
}

function signature({ params, results }: FunctionRef): string {
  const list = (word: string, types: readonly ValueType[]) =>
    types.length === 0 ? "" : ` (${word} ${types.join(" ")})`
  return `${list("param", params)}${list("result", results)}`
}

/** A few bytes as they are, more as their number. */
function escaped(bytes: Uint8Array): string {
  if (bytes.length > 32) return `… ${bytes.length} bytes`
  return [...bytes].map((byte) => `\\${byte.toString(16).padStart(2, "0")}`).join("")
}

/** Objects by unique names: a name used before gets a number. */
class Names {
  readonly #names = new Map<object, string>()
  readonly #taken = new Set<string>()

  constructor(entries: Iterable<readonly [object, string]>) {
    for (const [key, name] of entries) this.add(key, name)
  }

  add(key: object, name: string): string {
    let unique = `$${name}`
    for (let i = 1; this.#taken.has(unique); i++) unique = `$${name}.${i}`
    this.#taken.add(unique)
    this.#names.set(key, unique)
    return unique
  }

  of(key: object): string {
    return this.#names.get(key) ?? "$?"
  }
}

class FunctionPrinter {
  readonly #body: FunctionBody
  readonly #functions: Names
  readonly #data: Names
  readonly #locals: Names
  readonly #labels = new Names([])

  constructor(body: FunctionBody, functions: Names, data: Names) {
    this.#body = body
    this.#functions = functions
    this.#data = data
    this.#locals = new Names(orderLocals(body).map(({ code }) => [code, code.name]))
  }

  print(): readonly string[] {
    const { ref, params, body } = this.#body
    const locals = orderLocals(this.#body).slice(params.length)
    const declared = (word: string) => (local: Local) => ` (${word} ${this.#locals.of(local.code)} ${local.type})`
    const results = ref.results.length === 0 ? "" : ` (result ${ref.results.join(" ")})`
    const head = `(func ${this.#functions.of(ref)}${params.map(declared("param")).join("")}${results}`
    const declarations = locals.length === 0 ? [] : [`  ${locals.map(declared("local")).join("").trim()}`]
    return [head, ...declarations, ...this.#statements(body), ")"]
  }

  #statements(statements: readonly Statement[]): readonly string[] {
    return statements.flatMap((statement) => this.#statement(statement)).map((line) => `  ${line}`)
  }

  #statement(statement: Statement): readonly string[] {
    switch (statement.kind) {
      case "set":
        return folded(`local.set ${this.#locals.of(statement.local.code)}`, [this.#expression(statement.value)])
      case "run": {
        const value = this.#expression(statement.value)
        const drops = Array.from({ length: statement.results - 1 }, () => "(drop)")
        return statement.results === 0 ? value : [...folded("drop", [value]), ...drops]
      }
      case "receive": {
        const sets = statement.locals.toReversed().map(({ code }) => `(local.set ${this.#locals.of(code)})`)
        return [...this.#expression(statement.value), ...sets]
      }
      case "block":
      case "loop":
        return [
          `(${statement.kind} ${this.#labels.add(statement.label, statement.label.name)}`,
          ...this.#statements(statement.body),
          ")",
        ]
      case "if": {
        const otherwise =
          statement.otherwise.length === 0 ? [] : ["(else", ...this.#statements(statement.otherwise), ")"]
        const arms = ["(then", ...this.#statements(statement.arm), ")", ...otherwise]
        return ["(if", ...[...this.#expression(statement.condition), ...arms].map((line) => `  ${line}`), ")"]
      }
      case "branch": {
        const label = this.#labels.of(statement.label)
        if (statement.condition === undefined) return [`(br ${label})`]
        return folded(`br_if ${label}`, [this.#expression(statement.condition)])
      }
      case "switch": {
        const labels = [...statement.labels, statement.fallback].map((label: Label) => this.#labels.of(label))
        return folded(`br_table ${labels.join(" ")}`, [this.#expression(statement.index)])
      }
      case "initialize": {
        const operands = [
          this.#expression(statement.target),
          ["(i32.const 0)"],
          [`(i32.const ${statement.data.bytes.length})`],
        ]
        return folded(`memory.init ${this.#data.of(statement.data)}`, operands)
      }
      case "return":
        return folded(
          "return",
          statement.values.map((value) => this.#expression(value)),
        )
      case "result":
        return statement.values.flatMap((value) => this.#expression(value))
      case "trap":
        return ["(unreachable)"]
    }
  }

  #expression({ code, type }: Expr): readonly string[] {
    return this.#code(code, type)
  }

  #code(code: Code, type: ValueType): readonly string[] {
    switch (code.kind) {
      case "const":
        return [`(${constText(type, code.value)})`]
      case "get":
        return [`(local.get ${this.#locals.of(code)})`]
      case "tee":
        return folded(`local.tee ${this.#locals.of(code.local.code)}`, [this.#expression(code.value)])
      case "call":
        return folded(
          `call ${this.#functions.of(code.target)}`,
          code.operands.map((operand) => this.#expression(operand)),
        )
      case "apply": {
        const offset = code.memarg === undefined || code.memarg.offset === 0 ? "" : ` offset=${code.memarg.offset}`
        const lanes =
          code.instruction.name.includes("lane") || code.instruction.name === "i8x16.shuffle" ? code.lanes : []
        const head = [`${code.instruction.name}${offset}`, ...lanes].join(" ")
        return folded(
          head,
          code.operands.map((operand) => this.#expression(operand)),
        )
      }
    }
  }
}

/** On one line where it fits, else one operand a line. */
function folded(head: string, operands: readonly (readonly string[])[]): readonly string[] {
  const single = `(${[head, ...operands.flat()].join(" ")})`
  if (operands.every((operand) => operand.length === 1) && single.length <= width) return [single]
  return [`(${head}`, ...operands.flat().map((line) => `  ${line}`), ")"]
}

function constText(type: ValueType, value: number | bigint | Uint8Array): string {
  if (!(value instanceof Uint8Array)) return `${type}.const ${value}`
  const view = new DataView(value.buffer, value.byteOffset)
  if (type === "v128")
    return `v128.const i32x4 ${[0, 4, 8, 12].map((at) => `0x${view.getUint32(at, true).toString(16)}`).join(" ")}`
  return `${type}.const ${floatText(view, type === "f32" ? 4 : 8)}`
}

function floatText(view: DataView, bytes: 4 | 8): string {
  const value = bytes === 4 ? view.getFloat32(0, true) : view.getFloat64(0, true)
  if (Number.isNaN(value)) {
    const bits = bytes === 4 ? BigInt(view.getUint32(0, true)) : view.getBigUint64(0, true)
    const payload = bits & (bytes === 4 ? 0x7fffffn : 0xfffffffffffffn)
    return `${bits >> BigInt(bytes * 8 - 1) === 1n ? "-" : ""}nan:0x${payload.toString(16)}`
  }
  if (Object.is(value, -0)) return "-0"
  return String(value).replace("Infinity", "inf").replace("e+", "e")
}
