// Reads the text of printProgram back to the same Program. Each line becomes the JSON of a variable or operator; the
// reader of the JSON form checks and builds. Blank lines and everything behind "#" are ignored.

import { Cursor } from "./cursor.ts"
import { fail } from "./errors.ts"
import type { Refuse } from "./field.ts"
import { type BlockJson, jsonVersion, type OperatorJson, type ProgramJson, type VariableJson } from "./json.ts"
import type { Role } from "./operator.ts"
import { Program } from "./program.ts"
import { readProgram } from "./reader.ts"
import { type DeclarationKind, readDeclaration, readOperatorLine, readRole } from "./statement.ts"

export function parseProgram(text: string): Program {
  const reader = new TextReader()
  text.split("\n").forEach((line, index) => reader.readLine(line.replace(/\r$/, ""), index + 1))
  return readProgram(reader.finish(), new Program(), reader.refuse)
}

interface Frame {
  json: BlockJson
  index: number
  /** How far the line that opened the block is indented. */
  indent: number
  role: Role
}

class TextReader {
  readonly #program: ProgramJson = {
    version: jsonVersion,
    randomSeed: 0,
    streams: 0,
    freshSymbols: 0,
    nameCounts: [],
    trainingNameCounts: [],
    blocks: [],
  }
  readonly #blocks = new Map<number, BlockJson>()
  #frames: Frame[] = []
  /** Where the text says what a path of the JSON says. */
  readonly #lines = new Map<string, Cursor>()
  readonly #producers = new Map<string, [number, number]>()
  readonly #origins: { op: OperatorJson; name: string; line: Cursor }[] = []

  /** Shows the line instead of the path. */
  readonly refuse: Refuse = (path, why, fix) => {
    const place = /^blocks\[\d+\](?:\.(?:ops|vars)\[\d+\])?/.exec(path)?.[0] ?? ""
    const line = this.#lines.get(place) ?? this.#lines.get(place.replace(/\..*/, ""))
    const part = path.slice(place.length).replace(/^\./, "")
    return fail("CF_BAD_TEXT", `${line === undefined ? path : part} ${this.#linesIn(why)}`.trimStart(), {
      op: "parseProgram",
      notes: line && [line.text.trim().slice(0, 120)],
      where: line && `at line ${line.line}`,
      fix,
    })
  }

  #linesIn(why: string): string {
    return why.replace(/blocks\[\d+\]\.(?:ops|vars)\[\d+\]/g, (path) => `line ${this.#lines.get(path)?.line ?? "?"}`)
  }

  readLine(text: string, number: number): void {
    const line = new Cursor(text, number)
    if (line.isDone) return
    if (text.trimStart().startsWith("\t") || /^ *\t/.test(text)) line.fail("indent with spaces, not tabs")
    const indent = text.length - text.trimStart().length
    if (this.#frames.length === 0) return this.#readHeader(line, indent)
    while (indent <= (this.#frames.at(-1)?.indent ?? -1)) this.#frames.pop()
    const frame = this.#frames.at(-1)
    if (frame === undefined) return line.fail("a program ends where the indentation does")
    this.#readStatement(line, frame, indent)
    line.end()
  }

  #readHeader(line: Cursor, indent: number): void {
    if (this.#blocks.size > 0) line.fail("a program ends where the indentation does")
    if (line.word('"program"') !== "program") line.fail('a text begins with "program"')
    while (!line.isDone) {
      const key = line.word("randomSeed, streams or freshSymbols")
      if (key !== "randomSeed" && key !== "streams" && key !== "freshSymbols")
        line.fail(`there is no ${key} of a program`)
      line.expect("=")
      this.#program[key] = line.integer()
    }
    this.#open(line, { parent: null, vars: [], ops: [] }, 0, indent, "forward")
  }

  #open(line: Cursor, json: BlockJson, index: number, indent: number, role: Role): void {
    if (this.#blocks.has(index)) line.fail(`block ${index} is there already`)
    this.#blocks.set(index, json)
    this.#frames.push({ json, index, indent, role })
    this.#lines.set(`blocks[${index}]`, line)
  }

  #readStatement(line: Cursor, frame: Frame, indent: number): void {
    if (line.accept("--")) frame.role = readRole(line)
    else if (line.sees("(")) this.#addOperator(line, frame, null)
    else {
      const isQuoted = line.sees('"')
      const word = line.name()
      if (line.sees(":")) this.#addOperator(line, frame, word)
      else if (!isQuoted) this.#readKeyword(line, frame, indent, word)
      else line.expect(":")
    }
  }

  #readKeyword(line: Cursor, frame: Frame, indent: number, word: string): void {
    switch (word) {
      case "data":
      case "state":
      case "parameter":
      case "variable":
      case "param":
        return this.#addVariable(line, frame, this.#declaration(line, frame, word))
      case "block":
        return this.#readBlock(line, frame, indent)
      case "return":
        frame.json.results = [line.name()]
        while (line.accept(",")) frame.json.results.push(line.name())
        return
      case "names":
        this.#program.nameCounts = line.entries(() => line.integer())
        return
      case "trainingNames":
        this.#program.trainingNameCounts = line.entries(() => line.integer())
        return
      default:
        line.fail(`"${word}" is neither the name of an output, which ":" follows, nor a keyword`)
    }
  }

  #declaration(line: Cursor, frame: Frame, word: DeclarationKind): VariableJson {
    const variable = readDeclaration(line, word, frame.role)
    if (word === "param") frame.json.params = [...(frame.json.params ?? []), variable.name]
    return variable
  }

  #readBlock(line: Cursor, frame: Frame, indent: number): void {
    const index = line.integer()
    const name = line.name()
    if (name === "parent" && line.accept("=")) {
      return this.#open(line, { parent: line.integer(), vars: [], ops: [] }, index, indent, "forward")
    }
    const owner = frame.json.ops.at(-1) ?? line.fail("a block must follow the operator that owns it")
    owner.blocks ??= {}
    if (Object.hasOwn(owner.blocks, name)) line.fail(`the operator has a block ${name} already`)
    // Defined, not assigned: "__proto__" must become a key, for the checks to refuse.
    Object.defineProperty(owner.blocks, name, { value: index, enumerable: true, configurable: true, writable: true })
    this.#open(line, { parent: frame.index, vars: [], ops: [] }, index, indent, owner.role ?? "forward")
  }

  #addVariable(line: Cursor, frame: Frame, variable: VariableJson): void {
    this.#lines.set(`blocks[${frame.index}].vars[${frame.json.vars.length}]`, line)
    frame.json.vars.push(variable)
  }

  #addOperator(line: Cursor, frame: Frame, sole: string | null): void {
    const { op, outputs, origin } = readOperatorLine(line, sole, frame.role)
    const position = frame.json.ops.length
    this.#lines.set(`blocks[${frame.index}].ops[${position}]`, line)
    frame.json.ops.push(op)
    for (const output of outputs) {
      this.#addVariable(line, frame, output)
      this.#producers.set(output.name, [frame.index, position])
    }
    if (typeof origin === "string") this.#origins.push({ op, name: origin, line })
    else if (origin !== null) op.derivedFrom = origin
  }

  finish(): ProgramJson {
    if (this.#blocks.size === 0) fail("CF_BAD_TEXT", 'a text begins with "program"', { op: "parseProgram" })
    for (const { op, name, line } of this.#origins) {
      op.derivedFrom = this.#producers.get(name) ?? line.fail(`from=${name}: no operator assigns "${name}"`)
    }
    for (let index = 0; index < this.#blocks.size; index++) {
      const block = this.#blocks.get(index)
      if (block === undefined) fail("CF_BAD_TEXT", `block ${index} is missing`, { op: "parseProgram" })
      this.#program.blocks.push(block)
    }
    return this.#program
  }
}
