// From JSON to a Program: checks everything first, then builds. Operators get placeholder records made of what the file
// says of them; attachRecords (resolve.ts) puts the real ones in their place.

import { type AttrJson, decodeAttr, decodeNumber } from "./attributes.ts"
import type { Block } from "./block.ts"
import { parseDim, type Dim } from "./dims.ts"
import { fail } from "./errors.ts"
import type { Refuse } from "./field.ts"
import type { BlockJson, DimJson, OperatorJson, ProgramJson, VariableJson } from "./json.ts"
import { Operator } from "./operator.ts"
import type { Program } from "./program.ts"
import type { AttrKind, InputKind, OpRecord, Slots } from "./record.ts"
import { checkReferences } from "./references.ts"
import { checkSchema } from "./schema.ts"
import { unknownSite } from "./site.ts"
import { Parameter, Variable } from "./variable.ts"

const refuseJson: Refuse = (path, why, fix) => fail("CF_BAD_JSON", `${path} ${why}`, { op: "Program.fromJSON", fix })

/** Fills a new program with what a JSON value, or its text, says. */
export function readProgram(json: unknown, target: Program, refuse: Refuse = refuseJson): Program {
  const checked = checkSchema(typeof json === "string" ? parseText(json, refuse) : json, refuse)
  checkReferences(checked, refuse)
  build(checked, target)
  return target
}

function parseText(text: string, refuse: Refuse): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    return refuse("the program", `is no JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function build(json: ProgramJson, target: Program): void {
  const blocks: Block[] = []
  for (const { parent } of json.blocks) {
    const outer = parent === null ? undefined : blocks[parent]
    blocks.push(outer === undefined ? target.globalBlock() : target.createBlock(outer))
  }
  const variables = new Map<string, Variable>()
  const find = (name: string) =>
    variables.get(name) ?? fail("CF_INTERNAL", `the checks let a name without a variable pass: ${name}`)
  const pairs = blocks.map(
    (block, index) => [block, json.blocks[index] ?? { parent: null, vars: [], ops: [] }] as const,
  )
  for (const [block, blockJson] of pairs) {
    for (const variableJson of inOrder(blockJson)) {
      const variable = makeVariable(block, variableJson)
      block.addVar(variable)
      variables.set(variable.name, variable)
    }
  }
  // Inner blocks first: an operator takes its blocks when it is made.
  for (const [block, blockJson] of pairs.toReversed()) {
    for (const op of blockJson.ops) block.addOp(makeOperator(block, op, blocks, find))
    if (blockJson.params !== undefined) block.setParams(blockJson.params.map(find))
    if (blockJson.results !== undefined) block.setResults(blockJson.results.map(find))
  }
  for (const [block, blockJson] of pairs) {
    for (const { name, gradientOf, insteadOf } of blockJson.vars) {
      if (gradientOf !== undefined) find(name).gradientOf = find(gradientOf)
      if (insteadOf !== undefined) find(name).insteadOf = find(insteadOf)
    }
    for (const [index, { derivedFrom }] of blockJson.ops.entries()) {
      if (derivedFrom !== undefined) block.ops[index]?.linkTo(blocks[derivedFrom[0]]?.ops[derivedFrom[1]] ?? null)
    }
  }
  target.randomSeed = json.randomSeed
  target.setStreams(json.streams)
  target.setFreshSymbols(json.freshSymbols)
  for (const [prefix, count] of json.nameCounts) target.nameCounts.set(prefix, count)
  for (const [prefix, count] of json.trainingNameCounts) target.trainingNameCounts.set(prefix, count)
}

/** The variables in the order of `declarations`, whatever order the file has them in. */
function inOrder({ vars, ops }: BlockJson): VariableJson[] {
  const byName = new Map(vars.map((variable) => [variable.name, variable]))
  const producers = new Map<string, number>()
  ops.forEach((op, index) => {
    for (const name of Object.values(op.outputs).flat()) producers.set(name, index)
  })
  const ordered = new Set<VariableJson>()
  let next = 0
  const placeUpTo = (last: number) => {
    for (; next <= last; next++) {
      for (const name of Object.values(ops[next]?.outputs ?? {}).flat()) {
        const output = byName.get(name)
        if (output !== undefined) ordered.add(output)
      }
    }
  }
  for (const variable of vars) {
    const producer = producers.get(variable.name)
    if (producer === undefined) ordered.add(variable)
    else placeUpTo(producer)
  }
  return [...ordered]
}

function makeVariable(block: Block, json: VariableJson): Variable {
  const { name, dtype, role = "forward", persistable, isData, stopGradient, parameter } = json
  const initialValue = json.initialValue === undefined ? undefined : decodeNumber(json.initialValue)
  const init = { shape: json.shape.map(readDim), dtype, persistable, isData, stopGradient, initialValue }
  if (parameter === undefined) return new Variable(block, name, init, unknownSite, role)
  const { trainable, initializer, regularizer } = parameter
  const penalty = regularizer && { kind: regularizer.kind, coefficient: decodeNumber(regularizer.coefficient) }
  const learningRate = decodeNumber(parameter.learningRate)
  const own = { trainable, learningRate, initializer, regularizer: penalty }
  return new Parameter(block, name, { ...init, ...own }, unknownSite, role)
}

function makeOperator(
  block: Block,
  json: OperatorJson,
  blocks: readonly Block[],
  find: (name: string) => Variable,
): Operator {
  const inner = Object.entries(json.blocks ?? {}).flatMap(([name, index]) => {
    const owned = blocks[index]
    return owned === undefined ? [] : [[name, owned] as const]
  })
  const init = {
    record: placeholderRecord(json),
    inputs: slotsOf(json.inputs, find),
    attrs: Object.fromEntries(Object.entries(json.attrs).map(([name, value]) => [name, decodeAttr(value)])),
    blocks: Object.fromEntries(inner),
    writes: (json.writes ?? []).map((write) => ({ ...write, state: find(write.state) })),
    role: json.role ?? "forward",
    derivedFrom: null,
    segment: json.segment ?? 0,
    scope: json.scope ?? "",
    site: unknownSite,
    equalities: (json.equalities ?? []).map(([left, right]) => ({ left: readDim(left), right: readDim(right) })),
  }
  const op = new Operator(block, init, slotsOf(json.outputs, find))
  op.isLoss = json.isLoss ?? false
  return op
}

function slotsOf(slots: Record<string, string[]>, find: (name: string) => Variable): Slots<Variable> {
  return Object.fromEntries(Object.entries(slots).map(([key, names]) => [slotOf(key), names.map(find)]))
}

function slotOf(key: string): string {
  return key.startsWith("...") ? key.slice("...".length) : key
}

/** A record that knows what the file says of its operator, and no shape rule. */
function placeholderRecord({ op, version = 1, inputs, outputs, attrs }: OperatorJson): OpRecord {
  return {
    name: op,
    version,
    inputs: Object.fromEntries(
      Object.keys(inputs).map((key): [string, InputKind] => [
        slotOf(key),
        key.startsWith("...") ? "tensors" : "tensor",
      ]),
    ),
    outputs: Object.keys(outputs),
    attrs: Object.fromEntries(Object.entries(attrs).map(([name, value]) => [name, kindOf(value)])),
    writes: {},
    unresolved: true,
    inferTypes: () =>
      fail("CF_UNKNOWN_OP", "the operator was read from a file and has no record yet", {
        op,
        fix: "call resolve(program, registry), or pass a registry to the Executor",
      }),
  }
}

function kindOf(value: AttrJson): AttrKind {
  if (typeof value === "boolean") return "bool"
  if (typeof value === "string" || value === null) return "string?"
  if (Array.isArray(value)) return value.every((item) => typeof item === "number") ? "numbers" : "dims"
  return typeof value === "number" ? "number" : "dim"
}

function readDim(dim: DimJson): Dim {
  return typeof dim === "number" ? dim : parseDim(dim)
}
