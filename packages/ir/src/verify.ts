// The verifier: checks every invariant of a Program and names the operator or variable that breaks one. Tests run it
// after every pass. This file holds what each variable and operator must be; flow.ts the order of definitions and what
// sub-blocks may see, commits.ts the writes of state.

import { checkAttrs } from "./attributes.ts"
import type { Block } from "./block.ts"
import { verifyCommits } from "./commits.ts"
import { collectEqualities, type Equality } from "./constraints.ts"
import { type Dim, DimExpr, formatDim, sameShape } from "./dims.ts"
import { isDType } from "./dtype.ts"
import { fail, isCounterflowError } from "./errors.ts"
import { limits } from "./field.ts"
import { verifyFlow } from "./flow.ts"
import { verifyOpenSizes } from "./opensizes.ts"
import type { Operator } from "./operator.ts"
import type { Program } from "./program.ts"
import { unwrapInputs } from "./record.ts"
import { refuseOperator, refuseVariable } from "./refusal.ts"
import { checkSlots, checkTypes } from "./signature.ts"
import type { Variable } from "./variable.ts"

/** Throws CF_BAD_PROGRAM if the program breaks an invariant. */
export function verify(program: Program): void {
  const operators = new Set<Operator>()
  for (const op of program.operators()) {
    if (operators.has(op)) refuseOperator(op, "it stands in the program twice")
    operators.add(op)
  }
  for (const [index, block] of program.blocks.entries()) verifyBlock(program, block, index)
  verifyNames(program)
  const producers = producersOf(operators)
  for (const variable of program.variables.values()) verifyVariable(program, variable, producers.get(variable) ?? null)
  for (const op of operators) verifyOperator(program, op, operators)
  verifyFlow(program)
  verifyOpenSizes(program)
  verifyCommits(program)
}

function verifyBlock(program: Program, block: Block, index: number): void {
  const refuse = (why: string) => fail("CF_BAD_PROGRAM", `block ${index} ${why}`)
  if (block.program !== program || block.index !== index) refuse("belongs to another program or place")
  const { parent } = block
  if (
    index === 0 ? parent !== null : parent === null || program.blocks[parent.index] !== parent || parent.index >= index
  ) {
    refuse("must have an earlier block as its parent; only block 0 has none")
  }
  for (const [name, variable] of block.vars) {
    if (variable.name !== name) refuseVariable(variable, `it is listed under the name "${name}"`)
    if (variable.block !== block)
      refuseVariable(variable, `it is listed in block ${index} but belongs to block ${variable.block.index}`)
  }
  if (index === 0 && block.params.length > 0)
    refuse("must have no parameters: it has no owner that could give them values")
  if (new Set(block.params).size < block.params.length) refuse("has a variable for a parameter twice")
  for (const param of block.params) {
    if (param.block !== block) refuseVariable(param, `it is a parameter of block ${index}, which it does not belong to`)
    if (param.producer !== null || param.isData || param.persistable)
      refuseVariable(param, "a parameter of a block must be no data, no state, and without producer")
  }
  for (const op of block.ops) {
    if (op.block !== block) refuseOperator(op, `it stands in block ${index}, but was made for another block`)
  }
  verifySegments(block)
}

/** Segments of a recomputation stand one behind the other; what the blocks of an operator with a segment hold belongs to it. */
function verifySegments({ ops, owner }: Block): void {
  let last = 0
  for (const op of ops) {
    const { segment } = op
    if (!Number.isSafeInteger(segment) || segment < 0) refuseOperator(op, `there is no segment ${segment}`)
    if (segment !== 0 && segment < last) {
      refuseOperator(op, `it is of segment ${segment} and stands behind an operator of segment ${last}`)
    }
    if (owner !== null && owner.segment !== 0 && segment !== owner.segment) {
      refuseOperator(op, `it is of segment ${segment}, and the operator around it of segment ${owner.segment}`)
    }
    last = Math.max(last, segment)
  }
}

function verifyNames(program: Program): void {
  const listed = program.blocks.flatMap((block) => [...block.vars.values()])
  for (const variable of listed) {
    if (program.variables.get(variable.name) !== variable)
      refuseVariable(variable, "the program does not find it by its name")
  }
  if (program.variables.size === listed.length) return
  for (const [name, variable] of program.variables) {
    if (!listed.includes(variable)) refuseVariable(variable, `the program lists it as "${name}", but no block has it`)
  }
}

function producersOf(operators: Iterable<Operator>): Map<Variable, Operator> {
  const producers = new Map<Variable, Operator>()
  for (const op of operators) {
    for (const output of op.outputList()) {
      if (producers.has(output)) refuseOperator(op, `it assigns ${output.name}, which another operator assigns already`)
      producers.set(output, op)
    }
  }
  return producers
}

function verifyVariable(program: Program, variable: Variable, producer: Operator | null): void {
  const { shape, dtype, persistable, isData, gradientOf } = variable
  if (shape.length > limits.rank) refuseVariable(variable, `its rank is ${shape.length}, more than ${limits.rank}`)
  if (!shape.every(isSize)) refuseVariable(variable, "its dimensions must be sizes of at least 0 or expressions")
  if (!isDType(dtype)) refuseVariable(variable, `there is no dtype ${String(dtype)}`)
  if (variable.producer !== producer) {
    refuseVariable(variable, `its producer is ${textOf(variable.producer)}, but the program has ${textOf(producer)}`)
  }
  if (producer !== null && (persistable || isData)) {
    refuseVariable(variable, `${isData ? "data" : "state"} must have no producer, got ${textOf(producer)}`)
  }
  if (producer !== null && producer.block !== variable.block)
    refuseVariable(variable, "its producer stands in another block")
  verifyLink(program, variable, gradientOf, "is the gradient of", "of which it is the gradient")
  verifyStandIn(program, variable)
}

function verifyLink(program: Program, variable: Variable, to: Variable | null, is: string, as: string): void {
  if (to === null) return
  if (program.variables.get(to.name) !== to) {
    refuseVariable(variable, `it ${is} ${to.name}, which is not of this program`)
  }
  if (to.dtype !== variable.dtype || !sameShape(to.shape, variable.shape)) {
    refuseVariable(variable, `it must have the shape and dtype of ${to.toString()}, ${as}`)
  }
}

/** Only what is computed has another way to be computed, and only the global block has an order that all readers share. */
function verifyStandIn(program: Program, variable: Variable): void {
  const { insteadOf } = variable
  verifyLink(program, variable, insteadOf, "stands instead of", "instead of which it stands")
  if (insteadOf === null) return
  for (const each of [variable, insteadOf]) {
    if (each.producer === null || each.block.index > 0 || insteadOf === variable) {
      const why = `${each.name} must be computed by an operator of the global block`
      refuseVariable(variable, `it stands instead of ${insteadOf.name}: ${why}, each by its own`)
    }
  }
}

function textOf(op: Operator | null): string {
  return op?.toString() ?? "none"
}

function isSize(dim: Dim): boolean {
  return dim instanceof DimExpr || (Number.isSafeInteger(dim) && dim >= 0)
}

function verifyOperator(program: Program, op: Operator, operators: ReadonlySet<Operator>): void {
  const states = op.writes.map(({ state }) => state)
  for (const variable of [...op.inputList(), ...op.outputList(), ...states]) {
    if (program.variables.get(variable.name) !== variable)
      refuseOperator(op, `its ${variable.name} is not of this program`)
  }
  if (op.derivedFrom !== null && !operators.has(op.derivedFrom)) {
    refuseOperator(op, `it is derived from ${textOf(op.derivedFrom)}, which is not of this program`)
  }
  for (const [name, block] of Object.entries(op.blocks)) {
    if (program.blocks[block.index] !== block) refuseOperator(op, `its block ${name} is not of this program`)
    if (block.parent !== op.block) refuseOperator(op, `the parent of its block ${name} must be its own block`)
    if (block.owner !== op) refuseOperator(op, `its block ${name} is owned by ${textOf(block.owner)}`)
  }
  for (const { left, right } of op.equalities) {
    if (!isSize(left) || !isSize(right)) refuseOperator(op, "its equalities must be between sizes")
  }
  verifySignature(op)
}

/** Slots, attributes and types, as the record has them. */
function verifySignature(op: Operator): void {
  const { record } = op
  try {
    checkSlots(op, record)
    if (record.unresolved === true) return
    checkAttrs(record, op.attrs)
    const rule = () => record.inferTypes(unwrapInputs(record, op.inputs), op.attrs, { blocks: op.blocks })
    const { result, equalities } = collectEqualities(rule)
    checkTypes(op, record, result)
    const recorded = new Set(op.equalities.map(equalityText))
    const missing = equalities.map(equalityText).find((text) => !recorded.has(text))
    if (missing !== undefined)
      fail("CF_BAD_PROGRAM", `the shape rule requires ${missing}, which the operator does not record`)
  } catch (error) {
    if (!isCounterflowError(error)) throw error
    refuseOperator(op, error.why)
  }
}

function equalityText({ left, right }: Equality): string {
  return `${formatDim(left)} == ${formatDim(right)}`
}
