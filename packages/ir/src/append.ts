// Appending one operator: checks its slots, runs the shape rule, names the outputs. The only place operators are born.

import type { Block } from "./block.ts"
import { collectEqualities } from "./constraints.ts"
import { type CounterflowError, fail, isCounterflowError } from "./errors.ts"
import { Operator, type Role, type StateWrite } from "./operator.ts"
import type { Program } from "./program.ts"
import { defaultMainProgram } from "./guards.ts"
import {
  type Attrs,
  isList,
  isOptional,
  type OpRecord,
  outputSlots,
  type Slots,
  type TensorType,
  unwrapInputs,
} from "./record.ts"
import { currentSite, type Site } from "./site.ts"
import { Variable } from "./variable.ts"

export interface AppendSpec {
  record: OpRecord
  inputs: Slots<Variable>
  attrs: Attrs
  blocks?: Readonly<Record<string, Block>> | undefined
  /**
   * Output slot → state that takes its value, for a list one entry per place; added to what the record itself declares.
   * Null: it writes nothing, whatever the record declares.
   */
  writes?: Readonly<Record<string, Variable | readonly (Variable | null)[]>> | null | undefined
  /** Output slot → name; the others get unique ones. */
  names?: Readonly<Record<string, string>> | undefined
  /** What unnamed outputs are called behind their stem: "tmp" unless said. */
  suffix?: string | undefined
  /** The public function below whose frames the user's line is. */
  above: (...args: never[]) => unknown
  program?: Program | undefined
}

/** Appends an operator to the current block of its inputs' program (the default main program if it has none). */
export function appendOperator(spec: AppendSpec): Operator {
  const { record } = spec
  const at = currentSite(spec.above)
  const program = programOf(spec, at)
  const block = program.currentBlock()
  const { types, equalities } = guarded(record, spec.inputs, at, () => {
    checkSlots(record, spec.inputs)
    checkVisible(block, spec.inputs)
    const rule = () => record.inferTypes(unwrapInputs(record, spec.inputs), spec.attrs, { blocks: spec.blocks ?? {} })
    const { result, equalities } = collectEqualities(rule)
    return { types: result, equalities }
  })
  const writes = writesOf(spec)
  const init = {
    record,
    inputs: spec.inputs,
    attrs: spec.attrs,
    blocks: spec.blocks ?? {},
    writes,
    role: program.role,
    derivedFrom: program.derivedFrom,
    segment: program.segment,
    scope: program.scope,
    site: at,
    equalities,
  }
  const op = new Operator(block, init, makeOutputs(block, spec, types, at))
  if (block.staged === null) commitOperator(op, spec.names, spec.suffix)
  else block.staged.push(op)
  return op
}

/** Names what is still unnamed and puts a staged operator into its block. */
export function commitOperator(op: Operator, names: Readonly<Record<string, string>> = {}, suffix?: string): void {
  const { block } = op
  const { program } = block
  let stem: string | null = program.stem
  for (const [slot, outputs] of Object.entries(op.outputs)) {
    for (const output of outputs) {
      if (!output.isNamed) {
        const write = op.writes.find((candidate) => candidate.slot === slot && op.written(candidate) === output)
        stem ??= write === undefined ? program.uniqueName(snakeCase(op.type)) : null
        output.rename(names[slot] ?? nameOf(output, stem, suffix, write))
      }
      block.addVar(output)
    }
  }
  block.addOp(op)
}

/**
 * Adds variables to an output list of an operator that is in the program already: a gradient wants it to hand out more of what
 * its blocks compute. Undone with everything else that a failing call did.
 */
export function extendOutputs(
  op: Operator,
  slot: string,
  more: readonly (TensorType & { name: string })[],
): Variable[] {
  const { block } = op
  const { program } = block
  // A staged operator names and adds its outputs when it is committed.
  const isStaged = op.position < 0
  const outputs = more.map(({ name, ...type }) => {
    const output = new Variable(block, isStaged ? null : freeName(program, name), type, op.site, program.role)
    if (!isStaged) block.addVar(output)
    return output
  })
  op.extend(slot, outputs)
  return outputs
}

const suffixes = { forward: "tmp", backward: "grad", optimize: "update", schedule: "schedule" } as const

function nameOf(
  { program, role }: Variable,
  stem: string | null,
  suffix: string | undefined,
  write: StateWrite | undefined,
): string {
  // What a branch yields of training must not shift the names of what is yielded besides.
  return program.within({ role }, () => {
    if (write !== undefined) return freeName(program, `${write.state.name}@NEXT`)
    return program.uniqueName(`${stem}.${suffix ?? suffixes[role]}`)
  })
}

/** The name itself, or with the first free number behind it. */
export function freeName(program: Program, wanted: string): string {
  return program.variables.has(wanted) ? program.uniqueName(wanted) : wanted
}

/** softmaxWithCrossEntropy → softmax_with_cross_entropy; `conv2d` stays. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replace(/\./g, "_")
}

function programOf(spec: AppendSpec, at: Site): Program {
  const inputs = Object.values(spec.inputs).flat()
  for (const input of inputs) {
    if (!(input instanceof Variable)) {
      fail("CF_BAD_ARGUMENT", `an input is not a Variable but ${describeValue(input)}`, {
        op: spec.record.name,
        where: `this ${spec.record.name} was built at ${at}`,
      })
    }
  }
  const program =
    spec.program ?? inputs[0]?.program ?? Object.values(spec.blocks ?? {})[0]?.program ?? defaultMainProgram()
  const foreign = inputs.find((input) => input.program !== program)
  if (foreign !== undefined) {
    fail("CF_FOREIGN_VARIABLE", `the inputs belong to different programs`, {
      op: spec.record.name,
      notes: describeInputs(spec.record, spec.inputs),
      where: `this ${spec.record.name} was built at ${at}`,
      fix: "build all of it under one programGuard; a clone has variables of its own: clone.globalBlock().var(name)",
    })
  }
  return program
}

export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === "object") return `a ${value.constructor?.name ?? "object"}`
  return typeof value === "function"
    ? "a function"
    : `the ${typeof value} ${String(value as string | number | boolean)}`
}

function checkSlots(record: OpRecord, inputs: Slots<Variable>): void {
  for (const [slot, kind] of Object.entries(record.inputs)) {
    const count = inputs[slot]?.length ?? 0
    if (!isList(kind) && count > 1) fail("CF_BAD_SLOT", `input ${slot} takes one variable, got ${count}`)
    if (!isList(kind) && !isOptional(kind) && count === 0) fail("CF_BAD_SLOT", `input ${slot} is missing`)
  }
  const unknown = Object.keys(inputs).find((slot) => !Object.hasOwn(record.inputs, slot))
  if (unknown !== undefined) {
    fail("CF_BAD_SLOT", `there is no input ${unknown}; the inputs are ${Object.keys(record.inputs).join(", ")}`)
  }
}

/** What a gradient rule builds may read what the engine will put something in the place of. */
function checkVisible(block: Block, inputs: Slots<Variable>): void {
  for (const input of Object.values(inputs).flat()) {
    if (input.block === block || block.sees(input) || isStaged(block)) continue
    fail("CF_BAD_ARGUMENT", `${input.name} belongs to a sub-block, and this operator stands outside of it`, {
      fix: "let the function of the branch or loop answer it, and use what the branch or loop answers",
    })
  }
}

function isStaged(block: Block): boolean {
  return block.staged !== null || (block.parent !== null && isStaged(block.parent))
}

/** Adds operator, inputs with their lines, and the operator's own line to an error of its rule. */
function guarded<T>(record: OpRecord, inputs: Slots<Variable>, at: Site, body: () => T): T {
  try {
    return body()
  } catch (error) {
    if (!isCounterflowError(error)) throw error
    const known: CounterflowError = error
    throw known.with({
      op: record.name,
      notes: describeInputs(record, inputs),
      where: `this ${record.name} was built at ${at}`,
    })
  }
}

/** "x = fc_0.tmp_0   float32[batch, 128]   built at train.ts:18:12", one line per input, in columns. */
export function describeInputs(record: OpRecord, inputs: Slots<Variable>): string[] {
  const rows = Object.entries(inputs).flatMap(([slot, variables]) =>
    variables.map((variable, index) => {
      const kind = record.inputs[slot]
      const label = kind !== undefined && isList(kind) ? `${slot}[${index}]` : slot
      return [`${label} = ${variable.name}`, variable.type, `built at ${variable.site}`] as const
    }),
  )
  const width = (column: 0 | 1) => Math.max(0, ...rows.map((row) => row[column].length))
  const [names, types] = [width(0), width(1)]
  return rows.map(([name, type, built]) => `${name.padEnd(names)}   ${type.padEnd(types)}   ${built}`)
}

function writesOf({ record, inputs, writes = {} }: AppendSpec): StateWrite[] {
  if (writes === null) return []
  const declared = Object.entries(record.writes).flatMap(([input, slot]) => {
    const state = inputs[input]?.[0]
    return state === undefined || !state.persistable ? [] : [{ state, slot }]
  })
  const added = Object.entries(writes).flatMap(([slot, given]): StateWrite[] => {
    if (given instanceof Variable) return [{ state: given, slot }]
    return given.flatMap((state, index) => (state === null ? [] : [{ state, slot, index }]))
  })
  return [...declared.filter(({ slot }) => writes[slot] === undefined), ...added]
}

function makeOutputs(
  block: Block,
  { record, blocks = {} }: AppendSpec,
  types: Readonly<Record<string, TensorType | readonly TensorType[]>>,
  at: Site,
): Slots<Variable> {
  const outputs: Record<string, readonly Variable[]> = {}
  for (const { slot } of outputSlots(record)) {
    const answer = types[slot]
    if (answer === undefined) fail("CF_INTERNAL", `the shape rule of ${record.name} says nothing of its output ${slot}`)
    const list = Array.isArray(answer) ? (answer as readonly TensorType[]) : [answer as TensorType]
    outputs[slot] = list.map(({ shape, dtype }, index) => {
      const yielded = slot === record.yields ? Object.values(blocks).map(({ results }) => results[index]) : []
      return new Variable(block, null, { shape, dtype }, at, roleOf(yielded, block.program.role))
    })
  }
  return outputs
}

/** What any block computes for training is training's, also where it is yielded. */
function roleOf(yielded: readonly (Variable | undefined)[], usual: Role): Role {
  return yielded.map((value) => value?.role ?? usual).find((role) => role !== "forward") ?? usual
}
