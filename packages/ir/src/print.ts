// The readable text of a Program, which parse.ts reads back to the same Program.
//
//   program
//     data x : float32[batch, 13]
//     parameter fc_0.w_0 : float32[13, 1] initializer="xavierUniform"
//     fc_0.tmp_0 : float32[batch, 1] = matmul(x: x, y: fc_0.w_0) {transposeX: false}
//     -- backward
//     fc_0.w_0@GRAD : float32[13, 1] = matmul(x: x, y: …) {transposeX: true} gradientOf=fc_0.w_0 from=fc_0.tmp_0
//
// One line per variable without a producer and per operator; what has its default value is left out. "-- role" opens a
// part. A sole output is in slot z; all others are written (mean: a : float32[], parts: [b : …, c : …]) = ….
// What is written from a list says its place: writes={zs[1]: w}. State has stopGradient=true unless said, as data has. "param" declares what the owner of a block gives a value.

import type { Block } from "./block.ts"
import { briefText } from "./brief.ts"
import { formatDim } from "./dims.ts"
import { entriesText, nameText, numberText, soleSlot } from "./literal.ts"
import { Operator, type Role } from "./operator.ts"
import { declarations } from "./order.ts"
import type { Program } from "./program.ts"
import { isList, outputSlots } from "./record.ts"
import { Parameter, type Variable } from "./variable.ts"

export interface PrintOptions {
  /** Only lines such as "z = mul(x, y)": no types and no bookkeeping. Does not parse back. */
  brief?: boolean | undefined
  /** In brief text: only the operators of these parts. */
  roles?: readonly Role[] | undefined
}

export function printProgram(program: Program, options: PrintOptions = {}): string {
  return options.brief === true ? briefText(program, options.roles) : fullText(program)
}

/** All there is to say: what a Program is as a string. */
export function fullText(program: Program): string {
  const { randomSeed, streams, freshSymbols } = program
  const counters = { randomSeed, streams, freshSymbols }
  const flags = Object.entries(counters).flatMap(([key, count]) => (count === 0 ? [] : [`${key}=${count}`]))
  const lines = [["program", ...flags].join(" ")]
  const positions = new Map(program.blocks.flatMap((block) => block.ops.map((op, index) => [op, index] as const)))
  const sheet = { lines, positions }
  printBlock(program.globalBlock(), "  ", "forward", sheet)
  const owned = new Set([...positions.keys()].flatMap((op) => Object.values(op.blocks)))
  for (const block of program.blocks.slice(1)) {
    if (owned.has(block)) continue
    lines.push(`  block ${block.index} parent=${block.parent?.index ?? 0}`)
    printBlock(block, "    ", "forward", sheet)
  }
  if (program.nameCounts.size > 0) lines.push(`  names ${entriesText([...program.nameCounts])}`)
  if (program.trainingNameCounts.size > 0) lines.push(`  trainingNames ${entriesText([...program.trainingNameCounts])}`)
  return `${lines.join("\n")}\n`
}

interface Sheet {
  lines: string[]
  /** Where in its block each operator of the program stands. */
  positions: ReadonlyMap<Operator, number>
}

function printBlock(block: Block, indent: string, outer: Role, sheet: Sheet): void {
  const { lines, positions } = sheet
  let role = outer
  for (const item of declarations(block)) {
    if (item.role !== role) {
      role = item.role
      lines.push(`${indent}-- ${role}`)
    }
    if (!(item instanceof Operator)) lines.push(indent + declarationText(item, block))
    else {
      lines.push(indent + operatorText(item, positions))
      for (const [name, inner] of Object.entries(item.blocks)) {
        lines.push(`${indent}  block ${inner.index} ${nameText(name)}`)
        printBlock(inner, `${indent}    `, role, sheet)
      }
    }
  }
  if (block.results.length > 0)
    lines.push(`${indent}return ${block.results.map((result) => nameText(result.name)).join(", ")}`)
}

function declarationText(variable: Variable, block: Block): string {
  const { initialValue } = variable
  const kind = block.params.includes(variable) ? "param" : kindOf(variable)
  const words = [kind, `${typed(variable)}${initialValue === undefined ? "" : ` = ${numberText(initialValue)}`}`]
  if (kind === "data" && variable.persistable) words.push("persistable")
  if (variable instanceof Parameter) words.push(...parameterFlags(variable))
  words.push(...variableFlags(variable, kind === "data" || kind === "state"))
  return words.join(" ")
}

function kindOf(variable: Variable): "parameter" | "data" | "state" | "variable" {
  if (variable instanceof Parameter) return "parameter"
  if (variable.isData) return "data"
  return variable.persistable ? "state" : "variable"
}

function parameterFlags({ trainable, learningRate, regularizer, initializer }: Parameter): string[] {
  return [
    ...(trainable ? [] : ["trainable=false"]),
    ...(learningRate === 1 ? [] : [`learningRate=${numberText(learningRate)}`]),
    ...(regularizer === null ? [] : [`${regularizer.kind}=${numberText(regularizer.coefficient)}`]),
    ...(initializer === "" ? [] : [`initializer=${JSON.stringify(initializer)}`]),
  ]
}

function variableFlags(variable: Variable, stops: boolean): string[] {
  const { stopGradient, gradientOf, insteadOf } = variable
  return [
    ...(stopGradient === stops ? [] : [`stopGradient=${stopGradient}`]),
    ...(gradientOf === null ? [] : [`gradientOf=${nameText(gradientOf.name)}`]),
    ...(insteadOf === null ? [] : [`insteadOf=${nameText(insteadOf.name)}`]),
  ]
}

/** What a variable with a producer cannot leave to its kind and part. */
function outputFlags(variable: Variable, role: Role): string[] {
  return [
    ...(variable.role === role ? [] : [`role=${variable.role}`]),
    ...(variable.persistable ? ["persistable"] : []),
    ...(variable.isData ? ["data"] : []),
    ...(variable.initialValue === undefined ? [] : [`initialValue=${numberText(variable.initialValue)}`]),
    ...variableFlags(variable, variable.isData),
  ]
}

function operatorText(op: Operator, positions: Sheet["positions"]): string {
  const attrs = Object.entries(op.attrs)
  const sole = soleOutput(op)
  const inputs = Object.entries(op.record.inputs).flatMap(([slot, kind]) => {
    const names = (op.inputs[slot] ?? []).map((variable) => nameText(variable.name))
    if (isList(kind)) return [`${nameText(slot)}: [${names.join(", ")}]`]
    return names.map((name) => `${nameText(slot)}: ${name}`)
  })
  const words = [
    `${sole === null ? outputsText(op) : typed(sole)} = ${nameText(op.type)}(${inputs.join(", ")})`,
    ...(attrs.length === 0 ? [] : [entriesText(attrs)]),
    ...(sole === null ? [] : outputFlags(sole, op.role)),
    ...operatorFlags(op, positions),
  ]
  return words.join(" ")
}

function soleOutput(op: Operator): Variable | null {
  const [first, ...others] = outputSlots(op.record)
  if (first === undefined || others.length > 0 || first.isList || first.slot !== soleSlot) return null
  return op.outputs[first.slot]?.[0] ?? null
}

function outputsText(op: Operator): string {
  const slots = outputSlots(op.record).flatMap(({ slot, isList: list }) => {
    const outputs = (op.outputs[slot] ?? []).map((output) => [typed(output), ...outputFlags(output, op.role)].join(" "))
    return list
      ? [`${nameText(slot)}: [${outputs.join(", ")}]`]
      : outputs.map((output) => `${nameText(slot)}: ${output}`)
  })
  return `(${slots.join(", ")})`
}

function operatorFlags(op: Operator, positions: Sheet["positions"]): string[] {
  const { derivedFrom, equalities, record, scope, segment } = op
  const requires = equalities.map(({ left, right }) => `${formatDim(left)} == ${formatDim(right)}`)
  return [
    ...(op.writes.length === 0 ? [] : [`writes=${writesText(op)}`]),
    ...(op.isLoss ? ["loss"] : []),
    ...(derivedFrom === null ? [] : originText(derivedFrom, positions.get(derivedFrom))),
    ...(segment === 0 ? [] : [`segment=${segment}`]),
    ...(scope === "" ? [] : [`scope=${JSON.stringify(scope)}`]),
    ...(requires.length === 0 ? [] : [`requires=[${requires.join(", ")}]`]),
    ...(record.version === 1 ? [] : [`version=${record.version}`]),
  ]
}

function writesText(op: Operator): string {
  const [first, ...others] = op.writes
  const isPlain = first !== undefined && first.index === undefined && others.length === 0
  if (isPlain && op.record.outputs.length === 1) return nameText(first.state.name)
  const place = (index: number | undefined) => (index === undefined ? "" : `[${index}]`)
  const entries = op.writes.map(({ slot, index, state }) => `${nameText(slot)}${place(index)}: ${nameText(state.name)}`)
  return `{${entries.join(", ")}}`
}

/** An operator is named by its first output, or, without one, by block and position. */
function originText(op: Operator, position: number | undefined): string[] {
  if (position === undefined) return []
  const [output] = op.outputList()
  return [`from=${output === undefined ? `[${op.block.index}, ${position}]` : nameText(output.name)}`]
}

function typed(variable: Variable): string {
  return `${nameText(variable.name)} : ${variable.type}`
}
