// Copies of programs: whole, for test, or pruned. Everything is rebuilt block by block; nothing is shared but records. What
// operators yield or save is left out of copies in which nothing reads it, and what their blocks captured for it.

import type { Block } from "./block.ts"
import type { Equality } from "./constraints.ts"
import { fail } from "./errors.ts"
import { Operator, type StateWrite } from "./operator.ts"
import type { Program } from "./program.ts"
import type { OpRecord, Slots } from "./record.ts"
import { capturesOf, type Needs } from "./needs.ts"
import { handedOut, resultsBehind, withoutUnread } from "./saves.ts"
import { Parameter, Variable } from "./variable.ts"

export interface CopyOptions {
  /** What is copied; unless said, everything. */
  needs?: Needs
  /** Of the variables that no kept operator uses: which stay. */
  keepVar?: (variable: Variable) => boolean
  /** Set `isTest` where an operator has it; drop what those and training's operators write, and training's name counts. */
  forTest?: boolean
  dropWrites?: boolean
  /** The record that an operator gets, and what its shape rule requires, where they are not those it has. */
  resolve?: (op: Operator) => { record: OpRecord; equalities: readonly Equality[] }
}

/** Fills `target`, a new program. */
export function copyProgram(source: Program, target: Program, options: CopyOptions = {}): Program {
  const { needs, keepVar = () => true } = options
  const keepOp = (op: Operator) => needs === undefined || needs.ops.has(op)
  // What only a dropped block mentions is not used.
  const live = source.blocks.filter((block) => block.index === 0 || isLive(block, keepOp))
  const kept = new Map(live.map((block) => [block, block.ops.filter(keepOp)]))
  const used = new Set<Variable>()
  const outputs = new Map<Operator, Slots<Variable>>()
  const results = new Map<Block, readonly Variable[]>()
  // Outer blocks come first: what the owner of a block does not hand out, nothing in the block needs to compute.
  for (const [block, ops] of kept) {
    for (const op of ops) {
      const isRead = (variable: Variable) => needs === undefined || needs.variables.has(variable) || keepVar(variable)
      const trimmed = withoutUnread(op, handedOut(op), isRead)
      outputs.set(op, trimmed.outputs)
      for (const inner of Object.values(op.blocks)) results.set(inner, trimmed.resultsOf(inner))
      const states = keptWrites(op, options).map(({ state }) => state)
      for (const variable of [...Object.values(trimmed.outputs).flat(), ...states]) used.add(variable)
    }
    for (const variable of [...block.params, ...(results.get(block) ?? block.results)]) used.add(variable)
  }
  const inputs = new Map<Operator, Slots<Variable>>()
  // Inner blocks come first: what is captured is what is left in them.
  for (const [, ops] of [...kept].reverse()) {
    for (const op of ops) {
      const read = inputsLeft(op, kept, inputs, results)
      inputs.set(op, read)
      for (const variable of Object.values(read).flat()) used.add(variable)
    }
  }
  const variables = new Map<Variable, Variable>()
  const operators = new Map<Operator, Operator>()
  const blocks = new Map<Block, Block>([[source.globalBlock(), target.globalBlock()]])
  for (const block of live) {
    const copy =
      blocks.get(block) ?? target.createBlock((block.parent && blocks.get(block.parent)) ?? target.globalBlock())
    blocks.set(block, copy)
    for (const variable of block.vars.values()) {
      if (used.has(variable) || keepVar(variable)) variables.set(variable, copyVariable(copy, variable))
    }
  }
  const lookUp = (variable: Variable) =>
    variables.get(variable) ?? fail("CF_INTERNAL", `the copy of a program lost the variable ${variable.name}`)
  const mapSlots = (slots: Slots<Variable>) =>
    Object.fromEntries(Object.entries(slots).map(([slot, list]) => [slot, list.map(lookUp)]))
  // Inner blocks first: an operator takes its blocks when it is made.
  for (const [block, copy] of [...blocks].reverse()) {
    for (const op of kept.get(block) ?? []) {
      const { record, equalities } = options.resolve?.(op) ?? op
      const init = {
        record,
        inputs: mapSlots(inputs.get(op) ?? op.inputs),
        attrs: takesTest(op, options) ? { ...op.attrs, isTest: true } : op.attrs,
        blocks: Object.fromEntries(
          Object.entries(op.blocks).map(([name, inner]) => [name, blocks.get(inner) ?? inner]),
        ),
        writes: keptWrites(op, options).map((write) => moved(write, op, outputs.get(op) ?? op.outputs, lookUp)),
        role: op.role,
        derivedFrom: null,
        segment: op.segment,
        scope: op.scope,
        site: op.site,
        equalities,
      }
      const made = new Operator(copy, init, mapSlots(outputs.get(op) ?? op.outputs))
      if (options.forTest !== true) made.isLoss = op.isLoss
      operators.set(op, made)
      copy.addOp(made)
    }
    copy.setParams(block.params.map(lookUp))
    copy.setResults((results.get(block) ?? block.results).map(lookUp))
  }
  linkGradients(variables)
  linkOperators(operators)
  copyCounters(source, target, options.forTest === true)
  return target
}

function takesTest(op: Operator, options: CopyOptions): boolean {
  return options.forTest === true && Object.hasOwn(op.record.attrs, "isTest")
}

function keptWrites(op: Operator, options: CopyOptions): readonly StateWrite[] {
  if (options.dropWrites === true) return []
  return options.forTest === true ? op.writes.filter((write) => isForTest(op.written(write), options)) : op.writes
}

/** Whether a new value of state is no matter of training: what branches yield, as soon as one of them makes such a value. */
function isForTest(value: Variable | undefined, options: CopyOptions): boolean {
  if (value === undefined || value.role !== "forward" || value.producer === null) return false
  const { producer } = value
  const yielded = resultsBehind(value)
  if (yielded.length > 0) return yielded.some(({ block, index }) => isForTest(block.results[index], options))
  return producer.role === "forward" && !takesTest(producer, options)
}

/** A write from its value's place in a list of which some may have left. */
function moved(
  write: StateWrite,
  op: Operator,
  outputs: Slots<Variable>,
  lookUp: (variable: Variable) => Variable,
): StateWrite {
  const state = lookUp(write.state)
  const value = op.written(write)
  if (write.index === undefined || value === undefined) return { ...write, state }
  return { ...write, state, index: outputs[write.slot]?.indexOf(value) }
}

/** An operator's inputs without what nothing in its blocks captures any more. */
function inputsLeft(
  op: Operator,
  kept: ReadonlyMap<Block, readonly Operator[]>,
  inputs: ReadonlyMap<Operator, Slots<Variable>>,
  results: ReadonlyMap<Block, readonly Variable[]>,
): Slots<Variable> {
  const { captures } = op.record
  const blocks = Object.values(op.blocks)
  const isWhole = (block: Block) =>
    kept.get(block)?.length === block.ops.length &&
    results.get(block)?.length === block.results.length &&
    block.ops.every((inner) => inputs.get(inner) === inner.inputs)
  if (captures === undefined || blocks.every(isWhole)) return op.inputs
  const left = capturesOf(
    blocks,
    (inner) => Object.values(inputs.get(inner) ?? inner.inputs).flat(),
    (block) => ({ ops: [...(kept.get(block) ?? [])], results: results.get(block) ?? block.results }),
  )
  return { ...op.inputs, [captures]: left }
}

function isLive(block: Block, keepOp: (op: Operator) => boolean): boolean {
  const { owner } = block
  return owner === null || (keepOp(owner) && (owner.block.index === 0 || isLive(owner.block, keepOp)))
}

function copyVariable(block: Block, variable: Variable): Variable {
  const { site, role, name } = variable
  const copy =
    variable instanceof Parameter
      ? new Parameter(block, name, parameterInit(variable), site, role)
      : new Variable(block, name, variable, site, role)
  block.addVar(copy)
  return copy
}

function parameterInit(parameter: Parameter) {
  const { shape, dtype, stopGradient, trainable, learningRate, regularizer, initializer, initialValue } = parameter
  return { shape, dtype, stopGradient, trainable, learningRate, regularizer, initializer, initialValue }
}

function linkGradients(variables: ReadonlyMap<Variable, Variable>): void {
  for (const [from, to] of variables) {
    if (from.gradientOf !== null) to.gradientOf = variables.get(from.gradientOf) ?? null
    if (from.insteadOf !== null) to.insteadOf = variables.get(from.insteadOf) ?? null
  }
}

function linkOperators(operators: ReadonlyMap<Operator, Operator>): void {
  for (const [from, to] of operators) {
    if (from.derivedFrom !== null) to.linkTo(operators.get(from.derivedFrom) ?? null)
  }
}

function copyCounters(source: Program, target: Program, forTest: boolean): void {
  target.randomSeed = source.randomSeed
  target.setStreams(source.streams)
  target.setFreshSymbols(source.freshSymbols)
  for (const [prefix, count] of source.nameCounts) target.nameCounts.set(prefix, count)
  if (!forTest) for (const [prefix, count] of source.trainingNameCounts) target.trainingNameCounts.set(prefix, count)
}
