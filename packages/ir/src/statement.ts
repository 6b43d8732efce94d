// The two lines that fill a block: a variable without a producer, and an operator with its outputs.

import { encodeNumber } from "./attributes.ts"
import type { Cursor } from "./cursor.ts"
import { type DType, dtypes, isDType } from "./dtype.ts"
import { nearest } from "./errors.ts"
import type { DimJson, OperatorJson, ParameterJson, VariableJson, WriteJson } from "./json.ts"
import { soleSlot } from "./literal.ts"
import { type Role, roles } from "./operator.ts"

export function readRole(line: Cursor): Role {
  const word = line.word("a role")
  return roles.find((role) => role === word) ?? line.fail(`a part is one of ${roles.join(", ")}, got ${word}`)
}

export type DeclarationKind = "data" | "state" | "parameter" | "param" | "variable"

/** `parameter fc_0.w_0 : float32[13, 1] trainable=false`, behind its first word. */
export function readDeclaration(line: Cursor, kind: DeclarationKind, role: Role): VariableJson {
  const variable: VariableJson = { name: line.name(), ...readType(line), ...(role !== "forward" && { role }) }
  if (kind === "data") variable.isData = true
  if (kind === "state") variable.stopGradient = true
  if (kind === "state" || kind === "parameter") variable.persistable = true
  const parameter: ParameterJson = { trainable: true, learningRate: 1 }
  if (kind === "parameter") variable.parameter = parameter
  if (line.accept("=")) variable.initialValue = encodeNumber(line.number())
  while (!line.isDone) {
    const key = line.word("a property")
    if (!readVariableFlag(line, variable, key) && !(kind === "parameter" && readParameterFlag(line, parameter, key))) {
      line.fail(`${key} is no property of ${kind === "data" ? kind : `a ${kind}`}`)
    }
  }
  return variable
}

function readType(line: Cursor): { dtype: DType; shape: DimJson[] } {
  line.expect(":")
  const word = line.word("a dtype")
  const near = nearest(word, dtypes)
  const dtype = isDType(word)
    ? word
    : line.fail(`there is no dtype ${word}${near === undefined ? "" : `; did you mean ${near}?`}`)
  return { dtype, shape: line.list("[", "]", () => line.dim()) }
}

function readVariableFlag(line: Cursor, variable: VariableJson, key: string): boolean {
  if (key === "persistable") variable.persistable = true
  else if (key === "data") variable.isData = true
  else if (["stopGradient", "gradientOf", "insteadOf", "role", "initialValue"].includes(key)) {
    line.expect("=")
    if (key === "stopGradient") variable.stopGradient = line.boolean()
    if (key === "gradientOf" || key === "insteadOf") variable[key] = line.name()
    if (key === "initialValue") variable.initialValue = encodeNumber(line.number())
    if (key === "role") setRole(variable, readRole(line))
  } else return false
  return true
}

function setRole(variable: VariableJson, role: Role): void {
  if (role === "forward") delete variable.role
  else variable.role = role
}

function readParameterFlag(line: Cursor, parameter: ParameterJson, key: string): boolean {
  if (!["trainable", "learningRate", "l1", "l2", "initializer"].includes(key)) return false
  line.expect("=")
  if (key === "trainable") parameter.trainable = line.boolean()
  if (key === "learningRate") parameter.learningRate = encodeNumber(line.number())
  if (key === "l1" || key === "l2") parameter.regularizer = { kind: key, coefficient: encodeNumber(line.number()) }
  if (key === "initializer") parameter.initializer = line.quoted()
  return true
}

export interface OperatorLine {
  op: OperatorJson
  outputs: VariableJson[]
  /** The output, or block and position, of the operator it was derived from. */
  origin: string | [number, number] | null
}

/** `z : float32[2] = mul(x: a, y: b) {…} from=c`, behind the name of a sole output if there is one. */
export function readOperatorLine(line: Cursor, sole: string | null, role: Role): OperatorLine {
  const outputs: VariableJson[] = []
  const output = (name: string) => {
    const variable: VariableJson = { name, ...readType(line), ...(role !== "forward" && { role }) }
    outputs.push(variable)
    return variable
  }
  const soleVariable = sole === null ? null : output(sole)
  const outputSlots = sole === null ? readSlots(line, () => readOutput(line, output)) : []
  line.expect("=")
  const op: OperatorJson = { op: line.name(), inputs: {}, outputs: {}, attrs: {} }
  op.inputs = line.unique(readSlots(line, () => line.name()))
  op.outputs = sole === null ? line.unique(outputSlots) : { [soleSlot]: [sole] }
  if (line.sees("{")) op.attrs = line.unique(line.entries(() => line.value()))
  if (role !== "forward") op.role = role
  const result: OperatorLine = { op, outputs, origin: null }
  while (!line.isDone) {
    const key = line.word("a property")
    if (soleVariable !== null && readVariableFlag(line, soleVariable, key)) continue
    if (!readOperatorFlag(line, result, key)) line.fail(`${key} is no property of an operator`)
  }
  return result
}

function readOutput(line: Cursor, output: (name: string) => VariableJson): string {
  const variable = output(line.name())
  while (!line.sees(",") && !line.sees(")") && !line.sees("]")) {
    const key = line.word("a property")
    if (!readVariableFlag(line, variable, key)) line.fail(`${key} is no property of an output`)
  }
  return variable.name
}

/** (x: a, ys: [b, c]); the key of a list gets "..." in front, as in the JSON form. */
function readSlots(line: Cursor, item: () => string): [string, string[]][] {
  return line.list("(", ")", (): [string, string[]] => {
    const slot = line.name()
    line.expect(":")
    return line.sees("[") ? [`...${slot}`, line.list("[", "]", item)] : [slot, [item()]]
  })
}

function readOperatorFlag(line: Cursor, result: OperatorLine, key: string): boolean {
  const { op } = result
  if (key === "loss") op.isLoss = true
  else if (["writes", "from", "segment", "scope", "requires", "version"].includes(key)) {
    line.expect("=")
    if (key === "writes") op.writes = readWrites(line, op)
    if (key === "from") result.origin = line.sees("[") ? readPosition(line) : line.name()
    if (key === "segment") op.segment = line.integer()
    if (key === "scope") op.scope = line.quoted()
    if (key === "version") op.version = line.integer()
    if (key === "requires") {
      op.equalities = line.list("[", "]", (): [DimJson, DimJson] => {
        const left = line.dim()
        line.expect("==")
        return [left, line.dim()]
      })
    }
  } else return false
  return true
}

function readWrites(line: Cursor, { outputs }: OperatorJson): WriteJson[] {
  if (line.sees("{")) return line.list("{", "}", () => readWrite(line))
  const [slot = ""] = Object.keys(outputs)
  return [{ state: line.name(), slot }]
}

function readWrite(line: Cursor): WriteJson {
  const slot = line.name()
  const isPlace = line.accept("[")
  const index = isPlace ? line.integer() : null
  if (isPlace) line.expect("]")
  line.expect(":")
  return { state: line.name(), slot, ...(index !== null && { index }) }
}

function readPosition(line: Cursor): [number, number] {
  const [block = -1, position = -1, ...others] = line.list("[", "]", () => line.integer())
  return others.length === 0 && position >= 0 ? [block, position] : line.fail("a position is [block, index]")
}
