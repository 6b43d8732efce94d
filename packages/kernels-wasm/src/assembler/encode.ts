// Function bodies as bytes: expressions in postfix order, labels as depths, locals numbered in groups of one type.

import { fail } from "@counterflow/ir"
import { ByteWriter } from "./bytes.ts"
import type { Expr, FunctionRef, Instruction, Local, ValueType, Variable } from "./expression.ts"
import { misc } from "./opcodes/table.ts"
import { type DataRef, type FunctionBody, type Label, type Statement, valueTypeCodes } from "./statement.ts"

const valueTypes: readonly ValueType[] = ["i32", "i64", "f32", "f64", "v128"]

const opcodes = {
  trap: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  branch: 0x0c,
  branchIf: 0x0d,
  switch: 0x0e,
  return: 0x0f,
  call: 0x10,
  drop: 0x1a,
  get: 0x20,
  set: 0x21,
  tee: 0x22,
}

const constOpcodes: Readonly<Record<ValueType, number>> = { i32: 0x41, i64: 0x42, f32: 0x43, f64: 0x44, v128: 0xfd }
const vectorConstNumber = 12
const emptyBlockType = 0x40

/** The numbers the module gave to what bodies refer to. */
export interface Numbering {
  readonly functions: ReadonlyMap<FunctionRef, number>
  readonly data: ReadonlyMap<DataRef, number>
  readonly allowsRelaxed: boolean
}

/** Locals in the order of their numbers: parameters first, then the rest by type. */
export function orderLocals({ params, locals }: FunctionBody): readonly Local[] {
  return [...params, ...valueTypes.flatMap((type) => locals.filter((local) => local.type === type))]
}

/** Writes one entry of the code section, without its size. */
export function encodeBody(writer: ByteWriter, body: FunctionBody, numbering: Numbering): void {
  const counts: Record<ValueType, number> = { i32: 0, i64: 0, f32: 0, f64: 0, v128: 0 }
  for (const { type } of body.locals) counts[type]++
  const types = valueTypes.filter((type) => counts[type] > 0)
  writer.unsigned(types.length)
  for (const type of types) {
    writer.unsigned(counts[type])
    writer.byte(valueTypeCodes[type])
  }
  new BodyEncoder(writer, body, numbering).encode()
}

class BodyEncoder {
  readonly #writer: ByteWriter
  readonly #body: FunctionBody
  readonly #numbering: Numbering
  /** Parameters and locals in the order in which they were made, and their numbers. */
  readonly #variables: Variable[] = []
  readonly #numbers: number[] = []
  /** Innermost last; undefined for the arms of an if, which count as a level but are no target. */
  readonly #labels: (Label | undefined)[] = []

  constructor(writer: ByteWriter, body: FunctionBody, numbering: Numbering) {
    this.#writer = writer
    this.#body = body
    this.#numbering = numbering
    for (const { code } of [...body.params, ...body.locals]) this.#variables.push(code)
    orderLocals(body).forEach(({ code }, number) => {
      this.#numbers[code.at] = number
    })
  }

  encode(): void {
    this.#statements(this.#body.body)
    this.#writer.byte(opcodes.end)
  }

  #statements(statements: readonly Statement[]): void {
    for (const statement of statements) this.#statement(statement)
  }

  #statement(statement: Statement): void {
    const writer = this.#writer
    switch (statement.kind) {
      case "set":
        this.#expression(statement.value)
        return this.#indexed(opcodes.set, this.#number(statement.local.code))
      case "run":
        this.#expression(statement.value)
        for (let i = 0; i < statement.results; i++) writer.byte(opcodes.drop)
        return
      case "receive":
        this.#expression(statement.value)
        for (const local of statement.locals.toReversed()) this.#indexed(opcodes.set, this.#number(local.code))
        return
      case "block":
      case "loop":
        return this.#level(opcodes[statement.kind], statement.label, () => this.#statements(statement.body))
      case "if":
        this.#expression(statement.condition)
        return this.#level(opcodes.if, undefined, () => {
          this.#statements(statement.arm)
          if (statement.otherwise.length === 0) return
          writer.byte(opcodes.else)
          this.#statements(statement.otherwise)
        })
      case "branch":
        if (statement.condition === undefined) return this.#indexed(opcodes.branch, this.#depth(statement.label))
        this.#expression(statement.condition)
        return this.#indexed(opcodes.branchIf, this.#depth(statement.label))
      case "switch":
        this.#expression(statement.index)
        this.#indexed(opcodes.switch, statement.labels.length)
        for (const label of [...statement.labels, statement.fallback]) writer.unsigned(this.#depth(label))
        return
      case "initialize":
        return this.#initialize(statement.target, statement.data)
      case "return":
        for (const value of statement.values) this.#expression(value)
        return writer.byte(opcodes.return)
      case "result":
        for (const value of statement.values) this.#expression(value)
        return
      case "trap":
        return writer.byte(opcodes.trap)
    }
  }

  #level(opcode: number, label: Label | undefined, body: () => void): void {
    this.#writer.byte(opcode)
    this.#writer.byte(emptyBlockType)
    this.#labels.push(label)
    body()
    this.#labels.pop()
    this.#writer.byte(opcodes.end)
  }

  #expression({ type, code }: Expr): void {
    const writer = this.#writer
    switch (code.kind) {
      case "const":
        return this.#constant(type, code.value)
      case "get":
        return this.#indexed(opcodes.get, this.#number(code))
      case "tee":
        this.#expression(code.value)
        return this.#indexed(opcodes.tee, this.#number(code.local.code))
      case "call":
        for (const operand of code.operands) this.#expression(operand)
        return this.#indexed(opcodes.call, this.#function(code.target))
      case "apply":
        for (const operand of code.operands) this.#expression(operand)
        this.#instruction(code.instruction)
        if (code.memarg !== undefined) {
          writer.byte(Math.log2(code.memarg.align))
          writer.unsigned(code.memarg.offset)
        }
        for (const lane of code.lanes) writer.byte(lane)
    }
  }

  #constant(type: ValueType, value: number | bigint | Uint8Array): void {
    this.#writer.byte(constOpcodes[type])
    if (type === "v128") this.#writer.unsigned(vectorConstNumber)
    if (typeof value === "number") this.#writer.signed(value)
    else if (typeof value === "bigint") this.#writer.signed64(value)
    else this.#writer.append(value)
  }

  #initialize(target: Expr, data: DataRef): void {
    this.#expression(target)
    this.#constant("i32", 0)
    this.#constant("i32", data.bytes.length)
    const number = this.#numbering.data.get(data)
    if (number === undefined) fail("CF_INTERNAL", "assembler: the data segment is of another module")
    this.#instruction({ name: "memory.init", opcode: misc(8), isRelaxed: false })
    this.#writer.unsigned(number)
    this.#writer.byte(0)
  }

  #instruction({ name, opcode, isRelaxed }: Instruction): void {
    if (isRelaxed && !this.#numbering.allowsRelaxed) {
      fail("CF_INTERNAL", `assembler: ${name} is relaxed, which this module does not allow`)
    }
    if (opcode < 0x100) return this.#writer.byte(opcode)
    this.#writer.byte(opcode >> 12)
    this.#writer.unsigned(opcode & 0xfff)
  }

  #indexed(opcode: number, index: number): void {
    this.#writer.byte(opcode)
    this.#writer.unsigned(index)
  }

  #number(variable: Variable): number {
    if (this.#variables[variable.at] === variable) return this.#numbers[variable.at] ?? 0
    return fail("CF_INTERNAL", `assembler: ${variable.name} is no local of ${this.#body.ref.name}`)
  }

  #function(target: FunctionRef): number {
    const number = this.#numbering.functions.get(target)
    return number ?? fail("CF_INTERNAL", `assembler: ${target.name} is no function of this module`)
  }

  #depth(label: Label): number {
    const position = this.#labels.lastIndexOf(label)
    if (position < 0) fail("CF_INTERNAL", `assembler: ${this.#body.ref.name} branches to ${label.name} from outside it`)
    return this.#labels.length - 1 - position
  }
}
