// The form of a program file: every value is of its kind, no key is unknown, nothing exceeds the limits. Answers typed
// JSON made anew, so that nothing of the caller's object is used later. What names refer to is checked in references.ts.

import { type AttrJson, isDimJson, isNumberJson, prototypeKeys } from "./attributes.ts"
import { dtypes } from "./dtype.ts"
import { fail } from "./errors.ts"
import { Field, limits, type Refuse } from "./field.ts"
import {
  type BlockJson,
  type DimJson,
  jsonVersion,
  type OperatorJson,
  type ParameterJson,
  type ProgramJson,
  type VariableJson,
  type WriteJson,
} from "./json.ts"
import { roles } from "./operator.ts"

export function checkSchema(value: unknown, refuse: Refuse): ProgramJson {
  const top = new Field(value, "", refuse)
  const version = top.at("version").integer(1)
  if (version > jsonVersion) {
    fail(
      "CF_NEWER_VERSION",
      `written by version ${version}; this build reads up to ${jsonVersion}: update counterflow`,
      {
        op: "Program.fromJSON",
      },
    )
  }
  checkCount(top.at("blocks"))
  scan(value, [], refuse)
  top.keys(["version", "randomSeed", "streams", "freshSymbols", "nameCounts", "trainingNameCounts", "blocks"])
  const blocks = top.at("blocks").items().map(readBlock)
  if (blocks.length === 0) top.at("blocks").refuse("must hold the global block")
  return {
    version,
    randomSeed: top.at("randomSeed").integer(-Number.MAX_SAFE_INTEGER),
    streams: top.at("streams").integer(),
    freshSymbols: top.at("freshSymbols").integer(),
    nameCounts: readCounts(top.at("nameCounts")),
    trainingNameCounts: readCounts(top.at("trainingNameCounts")),
    blocks,
  }
}

/** Before the rest, which takes time in proportion. */
function checkCount(blocks: Field): void {
  const count = blocks.items().reduce((sum, block) => sum + block.at("ops").items().length, 0)
  if (count > limits.operators) blocks.refuse(`hold ${count} operators, more than ${limits.operators}`)
}

/** Depth and forbidden keys of the whole value, before anything else looks into it. */
function scan(value: unknown, path: (string | number)[], refuse: Refuse): void {
  if (typeof value !== "object" || value === null) return
  if (path.length > limits.depth) refuse(pathText(path.slice(0, 5)), `nests deeper than ${limits.depth}`)
  for (const [key, item] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
    if (typeof key === "string" && prototypeKeys.includes(key)) refuse(pathText(path), `has the forbidden key "${key}"`)
    path.push(key)
    scan(item, path, refuse)
    path.pop()
  }
}

function pathText(path: readonly (string | number)[]): string {
  const text = path.map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`)).join("")
  return text === "" ? "the program" : text.replace(/^\./, "")
}

function readBlock(block: Field): BlockJson {
  block.keys(["parent", "vars", "ops"], ["params", "results"])
  const parent = block.at("parent")
  return {
    parent: parent.value === null ? null : parent.integer(),
    vars: block.at("vars").items().map(readVariable),
    ops: block.at("ops").items().map(readOperator),
    ...block.optional("params", readNames),
    ...block.optional("results", readNames),
  }
}

function readVariable(variable: Field): VariableJson {
  const optionals = [
    "role",
    "persistable",
    "isData",
    "stopGradient",
    "initialValue",
    "gradientOf",
    "insteadOf",
    "parameter",
  ]
  variable.keys(["name", "dtype", "shape"], optionals)
  const shape = variable.at("shape").items()
  if (shape.length > limits.rank) variable.at("shape").refuse(`has rank ${shape.length}, more than ${limits.rank}`)
  if (variable.has("parameter") && (!variable.has("persistable") || variable.has("isData"))) {
    variable.refuse("is a parameter, so it must be persistable and no data")
  }
  return {
    name: variable.at("name").name(),
    dtype: variable.at("dtype").oneOf(dtypes),
    shape: shape.map((dim) => dim.dim()),
    ...variable.optional("role", (role) => role.oneOf(roles)),
    ...variable.optional("persistable", (flag) => flag.true()),
    ...variable.optional("isData", (flag) => flag.true()),
    ...variable.optional("stopGradient", (flag) => flag.boolean()),
    ...variable.optional("initialValue", (value) => value.number()),
    ...variable.optional("gradientOf", (primal) => primal.name()),
    ...variable.optional("insteadOf", (original) => original.name()),
    ...variable.optional("parameter", readParameter),
  }
}

function readParameter(parameter: Field): ParameterJson {
  parameter.keys(["trainable", "learningRate"], ["regularizer", "initializer"])
  return {
    trainable: parameter.at("trainable").boolean(),
    learningRate: parameter.at("learningRate").number(),
    ...parameter.optional("regularizer", (regularizer) => {
      regularizer.keys(["kind", "coefficient"])
      return {
        kind: regularizer.at("kind").oneOf(["l1", "l2"]),
        coefficient: regularizer.at("coefficient").number(),
      }
    }),
    ...parameter.optional("initializer", (text) => text.string()),
  }
}

function readOperator(op: Field): OperatorJson {
  const optionals = ["version", "blocks", "writes", "role", "isLoss", "derivedFrom", "segment", "scope", "equalities"]
  op.keys(["op", "inputs", "outputs", "attrs"], optionals)
  return {
    op: op.at("op").name(),
    ...op.optional("version", (version) => version.integer(1)),
    inputs: op.at("inputs").map(readSlot),
    outputs: op.at("outputs").map(readSlot),
    attrs: op.at("attrs").map(readAttr),
    ...op.optional("blocks", (blocks) => blocks.map((index) => index.integer(1))),
    ...op.optional("writes", (writes) => writes.items().map(readWrite)),
    ...op.optional("role", (role) => role.oneOf(roles)),
    ...op.optional("isLoss", (flag) => flag.true()),
    ...op.optional("derivedFrom", (origin): [number, number] => {
      const [block, position] = origin.pair()
      return [block.integer(), position.integer()]
    }),
    ...op.optional("segment", (segment) => segment.integer(1)),
    ...op.optional("scope", (scope) => scope.string()),
    ...op.optional("equalities", (equalities) => equalities.items().map(readEquality)),
  }
}

function readWrite(write: Field): WriteJson {
  write.keys(["state", "slot"], ["index"])
  return {
    state: write.at("state").name(),
    slot: write.at("slot").name(),
    ...write.optional("index", (index) => index.integer()),
  }
}

function readEquality(equality: Field): [DimJson, DimJson] {
  const [left, right] = equality.pair()
  return [left.dim(), right.dim()]
}

function readSlot(slot: Field, key: string): string[] {
  const names = readNames(slot)
  if (names.length !== 1 && !key.startsWith("...")) {
    slot.refuse(`must hold one name, got ${names.length}`, `the key of a list is "...${key}"`)
  }
  return names
}

function readNames(names: Field): string[] {
  return names.items().map((name) => name.name())
}

function readAttr(attr: Field): AttrJson {
  const { value } = attr
  if (value === null || typeof value === "string" || typeof value === "boolean") return value
  if (typeof value === "number") return attr.number()
  if (Array.isArray(value)) return attr.items().map(readAttr)
  if (typeof value === "object" && isNumberJson(value)) return attr.number()
  if (typeof value === "object" && isDimJson(value)) {
    const dim = attr.at("$dim").dimText()
    return typeof dim === "string" ? { $dim: dim } : dim
  }
  const reserved = attr.entries().find(([key]) => key.startsWith("$"))
  if (reserved !== undefined) attr.refuse(`has no meaning for the key "${reserved[0]}" here`)
  return attr.map(readAttr)
}

function readCounts(counts: Field): [string, number][] {
  const seen = new Set<string>()
  return counts.items().map((item): [string, number] => {
    const [prefix, count] = item.pair()
    const text = prefix.string()
    if (seen.has(text)) prefix.refuse(`counts "${text}" a second time`)
    seen.add(text)
    return [text, count.integer()]
  })
}
