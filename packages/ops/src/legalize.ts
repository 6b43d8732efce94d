// Phases 1 and 2 of the compiler, on symbolic shapes: keep what the fetches and the state writes need, and expand composites
// until only primitives (and what the backend keeps whole) are left. Yields plain data that needs no op record any more.

import {
  type Attrs,
  type Block,
  type Dim,
  DimExpr,
  fail,
  handedOut,
  isList,
  lastWritten,
  type LoweredBlock,
  type LoweredConstraint,
  type LoweredOp,
  type LoweredProgram,
  type LoweredVar,
  mulDims,
  numel,
  type OpFacts,
  type Operator,
  outputSlots,
  Parameter,
  type Program,
  type Scalar,
  unwrapInputs,
  unwrapOutputs,
  type VarId,
  type Variable,
  withoutUnread,
  withSite,
} from "@counterflow/ir"
import { add } from "./arithmetic.ts"
import { assign } from "./creation.ts"
import { isOp, type Op } from "./define.ts"

export interface LegalizeOptions {
  /** Names of what will be read; everything that leads to a state write is kept besides. */
  fetches: readonly string[]
  /** Composites the backend has kernels for. */
  keep: ReadonlySet<string>
}

/** Lowers a program for a set of fetches. The program itself is left as it was. */
export function legalize(program: Program, options: LegalizeOptions): LoweredProgram {
  return program.scratch(() => new Lowering(program, options.keep).run(options.fetches))
}

interface Written {
  state: Variable
  value: Variable
}

class Lowering {
  readonly #program: Program
  readonly #keep: ReadonlySet<string>
  readonly #vars: LoweredVar[] = []
  readonly #ids: Map<Variable, VarId> = new Map()
  /** Outputs of expanded composites, and what others stand instead of from here on → the variables that take their place. */
  readonly #standIns: Map<Variable, Variable> = new Map()
  readonly #constraints: LoweredConstraint[] = []
  /** What the operators that are kept read, and what is fetched or handed out. */
  readonly #read: Set<Variable> = new Set()
  /** The step counter, once something draws. */
  #randomStep: Variable | null = null

  constructor(program: Program, keep: ReadonlySet<string>) {
    this.#program = program
    this.#keep = keep
  }

  run(fetches: readonly string[]): LoweredProgram {
    const block = this.#program.globalBlock()
    const places = new StandIns(block)
    const roots = [...fetches.map((name) => block.var(name)), ...block.ops.flatMap(valuesWritten)]
    const targets = roots.map((root) => places.last(root))
    const live = liveOperators(block, targets, places)
    for (const target of targets) this.#read.add(target)
    for (const op of live) for (const input of op.inputList()) this.#read.add(places.at(input, op))
    // All data variables take part: an unneeded feed still binds symbols.
    for (const variable of block.vars.values()) if (variable.isData) this.#id(variable)
    const ops = live.flatMap((op) => this.#lowerInOrder(op))
    const written = [...lastWritten(block.ops)].map(([state, value]): Written => ({ state, value }))
    if (this.#randomStep !== null) ops.push(...this.#advance(this.#randomStep, written))
    for (const write of written) ops.push(...this.#separate(write))
    for (const name of fetches) ops.push(...this.#keepOld(block.var(name), written))
    const commits = written.map(({ state, value }) => ({ state: this.#id(state), value: this.#id(value) }))
    const names = new Map<string, VarId>()
    for (const name of fetches) names.set(name, this.#id(block.var(name)))
    for (const variable of this.#program.variables.values()) {
      const id = this.#ids.get(this.#standIn(variable))
      if (id !== undefined) names.set(variable.name, id)
    }
    return {
      version: 1,
      vars: this.#vars,
      block: { ops, params: [], results: [] },
      names,
      commits,
      constraints: this.#constraints,
    }
  }

  /** What an operator's outputs stand instead of is read no more by what comes after it. */
  #lowerInOrder(op: Operator): LoweredOp[] {
    const ops = this.#lower(op)
    for (const output of op.outputList()) {
      if (output.insteadOf !== null) this.#standIns.set(output.insteadOf, this.#standIn(output))
    }
    return ops
  }

  #advance(step: Variable, written: Written[]): LoweredOp[] {
    if (written.some(({ state }) => state === step)) return []
    const { result, ops } = staged(this.#program, () => add(step, 1))
    written.push({ state: step, value: result })
    return ops.flatMap((op) => this.#lower(op))
  }

  /** A state that takes another state's or a feed's value: a copy of its own, so that commits do not depend on their order. */
  #separate(write: Written): LoweredOp[] {
    const value = this.#standIn(write.value)
    if (!value.persistable && !value.isData) return []
    const { result, ops } = staged(this.#program, () => assign(value))
    write.value = result
    return ops.flatMap((op) => this.#lower(op))
  }

  /** A fetch that is a state by another name: the value at the start of the step, not the committed one, so a copy. */
  #keepOld(fetch: Variable, written: readonly Written[]): LoweredOp[] {
    const state = this.#standIn(fetch)
    if (state === fetch || !written.some((write) => write.state === state)) return []
    const { result, ops } = staged(this.#program, () => assign(state))
    this.#standIns.set(fetch, result)
    return ops.flatMap((op) => this.#lower(op))
  }

  #lower(op: Operator): LoweredOp[] {
    const record = recordOf(op)
    const origin = { type: originOf(op).type, role: op.role, scope: op.scope, site: op.site }
    for (const equality of op.equalities) this.#constraints.push({ ...equality, origin })
    if (record.kind === "composite" && !this.#keep.has(record.name)) return this.#expand(op, record)
    if (record.facts.kind === "random") this.#randomStep ??= op.inputs["step"]?.[0] ?? null
    const slots = (variables: Readonly<Record<string, readonly Variable[]>>) =>
      Object.fromEntries(
        Object.entries(variables).map(([slot, list]) => [slot, list.map((variable) => this.#id(variable))]),
      )
    const { outputs, resultsOf } = withoutUnread(op, handedOut(op, { withBefore: true }), (variable) =>
      this.#read.has(variable),
    )
    const blocks = Object.entries(op.blocks).map(
      ([name, inner]) => [name, this.#lowerBlock(inner, resultsOf(inner))] as const,
    )
    return [
      {
        type: record.name,
        inputs: slots(op.inputs),
        outputs: slots(outputs),
        listInputs: Object.entries(record.inputs).flatMap(([slot, kind]) => (isList(kind) ? [slot] : [])),
        listOutputs: outputSlots(record).flatMap(({ slot, isList: list }) => (list ? [slot] : [])),
        attrs: seeded(op.attrs, this.#program.randomSeed),
        facts: factsOf(op, record),
        blocks: Object.fromEntries(blocks),
        ...(op.segment === 0 ? {} : { segment: op.segment }),
        origin,
      },
    ]
  }

  #expand(op: Operator, record: Op): LoweredOp[] {
    const { decomposition } = record
    if (decomposition === null) return fail("CF_INTERNAL", `the composite ${record.name} has no decomposition`)
    const inputs = Object.fromEntries(
      Object.entries(op.inputs).map(([slot, list]) => [slot, list.map((variable) => this.#standIn(variable))]),
    )
    const build = () => decomposition(unwrapInputs(record, inputs), op.attrs, { op })
    const { result, ops } = stage(op, build)
    const lowered = ops.flatMap((inner) => this.#lower(inner))
    for (const [slot, outputs] of Object.entries(op.outputs)) {
      const made = result[slot]
      const list = made === undefined ? [] : Array.isArray(made) ? (made as readonly Variable[]) : [made as Variable]
      outputs.forEach((output, index) => {
        const by = list[index]
        if (by !== undefined) this.#standIns.set(output, this.#standIn(by))
      })
    }
    return lowered
  }

  #lowerBlock(block: Block, results: readonly Variable[]): LoweredBlock {
    const live = operatorsFor(
      block,
      results.map((result) => result.producer),
    )
    for (const result of [...results, ...live.flatMap((op) => op.inputList())]) this.#read.add(result)
    const ops = live.flatMap((op) => this.#lower(op))
    return {
      ops,
      params: block.params.map((param) => this.#id(param)),
      results: results.map((result) => this.#id(result)),
    }
  }

  #standIn(variable: Variable): Variable {
    return this.#standIns.get(variable) ?? variable
  }

  #id(variable: Variable): VarId {
    const actual = this.#standIn(variable)
    const known = this.#ids.get(actual)
    if (known !== undefined) return known
    const id = this.#vars.length
    const { shape, dtype, isData, persistable, initialValue } = actual
    this.#ids.set(actual, id)
    this.#vars.push({
      name: actual.isNamed ? actual.name : `${actual.producer?.type ?? "value"}_${id}`,
      shape,
      dtype,
      kind: isData ? "data" : persistable ? "state" : "value",
      isParameter: actual instanceof Parameter,
      ...(initialValue === undefined ? {} : { initialValue }),
    })
    return id
  }
}

/** What `build` emits in the place of an operator, without appending it. */
export function stage<T>(op: Operator, build: () => T): { result: T; ops: Operator[] } {
  const { program } = op.block
  const { role, segment, scope } = op
  const position = { role, derivedFrom: originOf(op), segment, scope }
  return withSite(op.site, () => program.within(position, () => staged(program, build)))
}

function staged<T>(program: Program, build: () => T): { result: T; ops: Operator[] } {
  const block = program.currentBlock()
  const ops: Operator[] = []
  const outer = block.staged
  block.staged = ops
  try {
    return { result: build(), ops }
  } finally {
    block.staged = outer
  }
}

function recordOf(op: Operator): Op {
  if (isOp(op.record)) return op.record
  return fail("CF_UNKNOWN_OP", `the record of ${op.type} is not attached, so it cannot run`, {
    op: op.type,
    fix: "it was read from a file: call resolve(program, registry), or make the Executor with { registry }",
  })
}

/** The user's operator: a backward one answers for the forward one it came from only in its line, not its type. */
function originOf(op: Operator): Operator {
  return op.block.ops[op.position] === op ? op : (op.derivedFrom ?? op)
}

/** What runs: every operator the fetches need and every operator that leads to a state write, in program order. */
function liveOperators(block: Block, targets: readonly Variable[], places: StandIns): Operator[] {
  const producers = targets.map((target) => target.producer)
  return operatorsFor(block, producers, (input, reader) => places.at(input, reader))
}

function valuesWritten(op: Operator): Variable[] {
  return op.writes.flatMap((write) => op.written(write) ?? [])
}

/** Which variables stand instead of others, for those that come later in a block. */
class StandIns {
  readonly #by: Map<Variable, Variable> = new Map()

  constructor({ ops }: Block) {
    for (const op of ops) {
      for (const output of op.outputList()) if (output.insteadOf !== null) this.#by.set(output.insteadOf, output)
    }
  }

  /** What stands for a variable at the end of the block. */
  last(variable: Variable): Variable {
    return this.#by.get(variable) ?? variable
  }

  /** What an operator reads where it names a variable. */
  at(variable: Variable, reader: Operator): Variable {
    const by = this.last(variable)
    return (by.producer?.position ?? Infinity) < reader.position ? by : variable
  }
}

function operatorsFor(
  block: Block,
  roots: readonly (Operator | null)[],
  readAt: (input: Variable, reader: Operator) => Variable = (input) => input,
): Operator[] {
  const found = new Set<Operator>()
  const pending = [...roots]
  while (pending.length > 0) {
    const op = pending.pop()
    if (op === undefined || op === null || op.block !== block || found.has(op)) continue
    found.add(op)
    for (const input of op.inputList()) pending.push(readAt(input, op).producer)
  }
  return [...found].sort((a, b) => a.position - b.position)
}

/** A draw without a seed of its own takes the program's. */
function seeded(attrs: Attrs, programSeed: number): Attrs {
  return attrs["seed"] === null ? { ...attrs, seed: programSeed } : attrs
}

/** What a compiler may know of an operator of this record. */
export function factsOf(op: Operator, record: Op): OpFacts {
  const { kind, flops, aliases, stretches, permutes, constant, repeats, mayBeEndless, carries, overwrites, canFail } =
    record.facts
  const opens = record.saves?.opens === undefined ? null : op.attrs[record.saves.opens]
  const slots = Object.keys(record.inputs).map((slot) => [slot, { op: "input", slot }] as const)
  const scalar: Scalar | null = record.scalar?.(Object.fromEntries(slots), op.attrs) ?? null
  return {
    kind,
    flops:
      flops?.(unwrapInputs(record, op.inputs), unwrapOutputs(record, op.outputs), op.attrs) ??
      usualFlops(op, kind, scalar),
    // An op from outside may throw whatever it likes.
    canFail: canFail ?? record.name.includes("."),
    ...(scalar === null ? {} : { scalar }),
    ...(aliases === undefined ? {} : { aliases }),
    ...(stretches === undefined ? {} : { stretches }),
    ...(permutes === undefined ? {} : { permutes: permutes(op.attrs) }),
    ...(constant === undefined ? {} : { constant: constant(op.attrs) }),
    ...(repeats === undefined ? {} : { repeats: repeats(op.attrs) }),
    ...(record.yields === undefined ? {} : { yields: record.yields }),
    ...(mayBeEndless?.(op.attrs) === true ? { mayBeEndless: true } : {}),
    ...(carries === undefined ? {} : { carries }),
    ...(overwrites === undefined ? {} : { overwrites }),
    ...(opens instanceof DimExpr ? { opens } : {}),
  }
}

function usualFlops(op: Operator, kind: OpFacts["kind"], scalar: Scalar | null): Dim {
  if (kind === "view" || kind === "gather" || kind === "opaque") return 0
  const [input] = op.inputList()
  const [output] = op.outputList()
  const elements = kind === "reduce" ? input?.shape : output?.shape
  return mulDims(numel(elements ?? []), scalar === null ? 1 : scalarFlops(scalar))
}

function scalarFlops(scalar: Scalar): number {
  if (scalar.op === "input" || scalar.op === "const") return 0
  const own = scalar.op === "cast" ? 0 : 1
  const operands = ["x", "y", "condition"].flatMap((key) =>
    key in scalar ? [(scalar as { [k: string]: unknown })[key] as Scalar] : [],
  )
  return operands.reduce((total, operand) => total + scalarFlops(operand), own)
}
