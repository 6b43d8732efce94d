// The versioned JSON form of a Program: its types and the writer. Names are the links between variables and operators;
// whatever has its default value is left out. Call sites are not stored. The reader is in reader.ts.

import { type AttrJson, encodeAttr, encodeNumber, type NumberJson } from "./attributes.ts"
import type { Block } from "./block.ts"
import type { Dim } from "./dims.ts"
import { formatDim } from "./dims.ts"
import type { DType } from "./dtype.ts"
import { isCounterflowError } from "./errors.ts"
import type { Operator, Role } from "./operator.ts"
import { declaredVariables } from "./order.ts"
import type { Program } from "./program.ts"
import { isList, outputSlots } from "./record.ts"
import { Parameter, type Regularizer, type Variable } from "./variable.ts"

/** The version this build writes and the newest it reads. */
export const jsonVersion = 1

/** A size: a number, or the text of an expression such as "2*batch". */
export type DimJson = number | string

export interface ProgramJson {
  version: number
  randomSeed: number
  /** How many streams of random numbers and fresh symbols were given out. */
  streams: number
  freshSymbols: number
  /** How often each prefix of a unique name was given out. Pairs, because a prefix may be any text. */
  nameCounts: [string, number][]
  trainingNameCounts: [string, number][]
  blocks: BlockJson[]
}

export interface BlockJson {
  /** The index of the enclosing block; null for block 0. */
  parent: number | null
  vars: VariableJson[]
  ops: OperatorJson[]
  /** Of a sub-block: what its owner gives values, and what it hands out. */
  params?: string[]
  results?: string[]
}

export interface VariableJson {
  name: string
  dtype: DType
  shape: DimJson[]
  role?: Role
  persistable?: true
  isData?: true
  /** Written where it differs from the default, which is `isData`. */
  stopGradient?: boolean
  initialValue?: NumberJson
  gradientOf?: string
  insteadOf?: string
  parameter?: ParameterJson
}

export interface ParameterJson {
  trainable: boolean
  learningRate: NumberJson
  regularizer?: { kind: Regularizer["kind"]; coefficient: NumberJson }
  initializer?: string
}

export interface WriteJson {
  state: string
  slot: string
  /** The place in a list. */
  index?: number
}

export interface OperatorJson {
  op: string
  /** The version of the op's record, if it is not 1. */
  version?: number
  /** Slot → names. The key of a slot that takes a list begins with "...", as in a record's outputs. */
  inputs: Record<string, string[]>
  outputs: Record<string, string[]>
  attrs: Record<string, AttrJson>
  /** Name → block index. */
  blocks?: Record<string, number>
  writes?: WriteJson[]
  role?: Role
  isLoss?: true
  /** Block index and position of the forward operator. */
  derivedFrom?: [number, number]
  /** Which part of a recomputation it belongs to. */
  segment?: number
  scope?: string
  equalities?: [DimJson, DimJson][]
}

/** The JSON form; plain data that `JSON.stringify` and `structuredClone` take. */
export function programToJson(program: Program): ProgramJson {
  const positions = new Map<Operator, [number, number]>()
  for (const block of program.blocks) block.ops.forEach((op, index) => positions.set(op, [block.index, index]))
  return {
    version: jsonVersion,
    randomSeed: program.randomSeed,
    streams: program.streams,
    freshSymbols: program.freshSymbols,
    nameCounts: [...program.nameCounts],
    trainingNameCounts: [...program.trainingNameCounts],
    blocks: program.blocks.map((block) => blockJson(block, positions)),
  }
}

function blockJson(block: Block, positions: ReadonlyMap<Operator, [number, number]>): BlockJson {
  const params = block.params.map((param) => param.name)
  const results = block.results.map((result) => result.name)
  return {
    parent: block.parent?.index ?? null,
    vars: declaredVariables(block).map(variableJson),
    ops: block.ops.map((op) => operatorJson(op, positions)),
    ...(params.length > 0 && { params }),
    ...(results.length > 0 && { results }),
  }
}

function variableJson(variable: Variable): VariableJson {
  const { name, dtype, role, persistable, isData, stopGradient, initialValue, gradientOf, insteadOf } = variable
  return {
    name,
    dtype,
    shape: variable.shape.map(dimJson),
    ...(role !== "forward" && { role }),
    ...(persistable && { persistable }),
    ...(isData && { isData }),
    ...(stopGradient !== isData && { stopGradient }),
    ...(initialValue !== undefined && { initialValue: encodeNumber(initialValue) }),
    ...(gradientOf !== null && { gradientOf: gradientOf.name }),
    ...(insteadOf !== null && { insteadOf: insteadOf.name }),
    ...(variable instanceof Parameter && { parameter: parameterJson(variable) }),
  }
}

function parameterJson({ trainable, learningRate, regularizer, initializer }: Parameter): ParameterJson {
  return {
    trainable,
    learningRate: encodeNumber(learningRate),
    ...(regularizer !== null && {
      regularizer: { kind: regularizer.kind, coefficient: encodeNumber(regularizer.coefficient) },
    }),
    ...(initializer !== "" && { initializer }),
  }
}

function operatorJson(op: Operator, positions: ReadonlyMap<Operator, [number, number]>): OperatorJson {
  const { record, role, isLoss, scope, segment } = op
  const derivedFrom = op.derivedFrom === null ? undefined : positions.get(op.derivedFrom)
  const blocks = Object.entries(op.blocks).map(([name, block]) => [name, block.index] as const)
  const writes = op.writes.map(({ state, slot, index }) => ({
    state: state.name,
    slot,
    ...(index !== undefined && { index }),
  }))
  const equalities = op.equalities.map(({ left, right }): [DimJson, DimJson] => [dimJson(left), dimJson(right)])
  return {
    op: record.name,
    ...(record.version !== 1 && { version: record.version }),
    inputs: inputsJson(op),
    outputs: outputsJson(op),
    attrs: attrsJson(op),
    ...(blocks.length > 0 && { blocks: Object.fromEntries(blocks) }),
    ...(writes.length > 0 && { writes }),
    ...(role !== "forward" && { role }),
    ...(isLoss && { isLoss }),
    ...(derivedFrom !== undefined && { derivedFrom }),
    ...(segment !== 0 && { segment }),
    ...(scope !== "" && { scope }),
    ...(equalities.length > 0 && { equalities }),
  }
}

// In the record's order, so that the form does not depend on how the caller spelt them; an absent optional one is left out.
function inputsJson({ record, inputs }: Operator): Record<string, string[]> {
  const slots = Object.entries(record.inputs).map(
    ([slot, kind]) => [slotKey(slot, isList(kind)), inputs[slot] ?? []] as const,
  )
  return namesBySlot(slots)
}

function outputsJson({ record, outputs }: Operator): Record<string, string[]> {
  return namesBySlot(
    outputSlots(record).map(({ slot, isList }) => [slotKey(slot, isList), outputs[slot] ?? []] as const),
  )
}

function slotKey(slot: string, isList: boolean): string {
  return isList ? `...${slot}` : slot
}

function namesBySlot(slots: (readonly [string, readonly Variable[]])[]): Record<string, string[]> {
  const present = slots.filter(([key, variables]) => variables.length > 0 || key.startsWith("..."))
  return Object.fromEntries(present.map(([key, variables]) => [key, variables.map((variable) => variable.name)]))
}

function attrsJson(op: Operator): Record<string, AttrJson> {
  const entries = Object.entries(op.attrs).map(([name, value]) => {
    try {
      return [name, encodeAttr(value, `attribute ${name}`)] as const
    } catch (error) {
      throw isCounterflowError(error)
        ? error.with({ op: op.type, where: `this ${op.type} was built at ${op.site.toString()}` })
        : error
    }
  })
  return Object.fromEntries(entries)
}

function dimJson(dim: Dim): DimJson {
  return typeof dim === "number" ? dim : formatDim(dim)
}
