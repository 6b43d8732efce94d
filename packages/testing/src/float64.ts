// A program in float64: every float32 variable, and every float32 that an attribute of kind dtype says, becomes float64, and
// every shape rule is asked again. A gradient check needs the digits; the program checked is the one the user wrote.

import {
  type Attrs,
  type Block,
  collectEqualities,
  fail,
  Operator,
  outputSlots,
  Parameter,
  Program,
  type Slots,
  type TensorType,
  type TypeBySlot,
  unwrapInputs,
  Variable,
  withSite,
} from "@counterflow/ir"
import { add, cast } from "@counterflow/ops"

/** A copy of a program in float64. Names, roles, links, state writes and sub-blocks stay. */
export function toFloat64(program: Program): Program {
  return float64Copy(program).program
}

export interface Float64Copy {
  readonly program: Program
  /** Variables of the original → what stands for them in the copy. */
  readonly variables: ReadonlyMap<Variable, Variable>
  /** By computed variable that is to be moved. */
  readonly shifts: ReadonlyMap<Variable, Shift>
}

/** `by`, a data variable, is added to `base` before anything reads it. */
export interface Shift {
  readonly base: Variable
  readonly by: Variable
}

/** As `toFloat64`, with the correspondence. Variables in `moved` get a shift that is fed: their values can be varied. */
export function float64Copy(source: Program, moved: ReadonlySet<Variable> = new Set()): Float64Copy {
  return new Copying(source, moved, true).run()
}

/** The same with every dtype as it is: what draws, draws the same numbers in such a copy. */
export function shiftedCopy(source: Program, moved: ReadonlySet<Variable>): Float64Copy {
  return new Copying(source, moved, false).run()
}

class Copying {
  readonly #source: Program
  readonly #moved: ReadonlySet<Variable>
  readonly #isWide: boolean
  readonly #target = new Program()
  readonly #blocks = new Map<Block, Block>()
  readonly #variables = new Map<Variable, Variable>()
  readonly #operators = new Map<Operator, Operator>()
  readonly #shifts = new Map<Variable, Shift>()

  constructor(source: Program, moved: ReadonlySet<Variable>, isWide: boolean) {
    this.#source = source
    this.#moved = moved
    this.#isWide = isWide
  }

  run(): Float64Copy {
    const [source, target] = [this.#source, this.#target]
    target.randomSeed = source.randomSeed
    target.setStreams(source.streams)
    target.setFreshSymbols(source.freshSymbols)
    for (const [prefix, count] of source.nameCounts) target.nameCounts.set(prefix, count)
    for (const [prefix, count] of source.trainingNameCounts) target.trainingNameCounts.set(prefix, count)
    for (const block of source.blocks) {
      const parent = block.parent === null ? undefined : this.#blocks.get(block.parent)
      this.#blocks.set(block, block.index === 0 ? target.globalBlock() : target.createBlock(parent))
    }
    for (const block of source.blocks) {
      for (const variable of block.vars.values()) if (variable.producer === null) this.#declare(variable)
    }
    for (const [block, copy] of this.#blocks) copy.setParams(block.params.map((param) => this.#now(param)))
    this.#fill(source.globalBlock())
    for (const [from, to] of this.#variables) {
      if (from.gradientOf !== null) to.gradientOf = this.#variables.get(from.gradientOf) ?? null
      if (from.insteadOf !== null) to.insteadOf = this.#variables.get(from.insteadOf) ?? null
    }
    for (const [from, to] of this.#operators) {
      if (from.derivedFrom !== null) to.linkTo(this.#operators.get(from.derivedFrom) ?? null)
    }
    return { program: target, variables: this.#variables, shifts: this.#shifts }
  }

  /** Data and state. */
  #declare(variable: Variable): void {
    const { name, shape, site, role } = variable
    const block = this.#blockOf(variable.block)
    const dtype = this.#isWide ? wide(variable.dtype) : variable.dtype
    const { persistable, isData, initialValue, stopGradient } = variable
    const init = { name, shape, dtype, persistable, isData, initialValue, stopGradient }
    const declare = () => {
      if (!(variable instanceof Parameter)) return block.createVar(init)
      const { trainable, learningRate, regularizer, initializer } = variable
      return block.createParameter({ ...init, trainable, learningRate, regularizer, initializer })
    }
    this.#variables.set(
      variable,
      withSite(site, () => this.#target.within({ role }, declare)),
    )
  }

  /** Operators in order, inner blocks before the operator that owns them: its shape rule may look at their results. */
  #fill(block: Block): void {
    for (const op of block.ops) {
      for (const inner of Object.values(op.blocks)) this.#fill(inner)
      const { role, scope, segment } = op
      const position = { block: this.#blockOf(block), role, scope, segment }
      withSite(op.site, () => this.#target.within(position, () => this.#append(op)))
    }
    this.#blockOf(block).setResults(block.results.map((result) => this.#now(result)))
  }

  #append(op: Operator): void {
    const block = this.#blockOf(op.block)
    const { record, role, scope, segment, site } = op
    const inputs = this.#mapped(op.inputs)
    const attrs = this.#isWide ? wideAttrs(op) : op.attrs
    const blocks = Object.fromEntries(Object.entries(op.blocks).map(([name, inner]) => [name, this.#blockOf(inner)]))
    const rule = () => record.inferTypes(unwrapInputs(record, inputs), attrs, { blocks })
    const { result: types, equalities } = collectEqualities(rule)
    const outputs = Object.fromEntries(
      outputSlots(record).map(({ slot }) => [slot, this.#outputs(op.outputs[slot] ?? [], slot, types)]),
    )
    const writes = op.writes.map((write) => ({ ...write, state: this.#now(write.state) }))
    const init = { record, inputs, attrs, blocks, writes, role, derivedFrom: null, segment, scope, site, equalities }
    const made = new Operator(block, init, outputs)
    made.isLoss = op.isLoss
    for (const output of made.outputList()) block.addVar(output)
    block.addOp(made)
    this.#operators.set(op, made)
    for (const [slot, list] of Object.entries(op.outputs)) {
      list.forEach((output, index) => this.#settle(output, outputs[slot]?.[index]))
    }
  }

  #outputs(originals: readonly Variable[], slot: string, types: TypeBySlot): Variable[] {
    const answer = types[slot]
    const list: readonly TensorType[] = answer === undefined ? [] : isTypes(answer) ? answer : [answer]
    return originals.map((original, index) => {
      const { shape, dtype } = list[index] ?? fail("CF_INTERNAL", `the float64 copy of ${original.name} has no type`)
      const { stopGradient, site, role, name } = original
      return new Variable(this.#blockOf(original.block), name, { shape, dtype, stopGradient }, site, role)
    })
  }

  /** What readers of an output read: itself, or more of it. */
  #settle(original: Variable, made: Variable | undefined): void {
    if (made === undefined) return
    // A few ops answer float32 whatever they are given; what follows them expects float64.
    let now = this.#isWide && made.dtype === "float32" ? cast(made, { dtype: "float64" }) : made
    if (this.#moved.has(original)) {
      const name = this.#target.uniqueName(`${original.name}@SHIFT`)
      const by = this.#target.globalBlock().createVar({ name, shape: now.shape, dtype: now.dtype, isData: true })
      this.#shifts.set(original, { base: now, by })
      now = add(now, by)
    }
    this.#variables.set(original, now)
  }

  #mapped(slots: Slots<Variable>): Slots<Variable> {
    return Object.fromEntries(Object.entries(slots).map(([slot, list]) => [slot, list.map((v) => this.#now(v))]))
  }

  #now(variable: Variable): Variable {
    return this.#variables.get(variable) ?? fail("CF_INTERNAL", `the float64 copy lost the variable ${variable.name}`)
  }

  #blockOf(block: Block): Block {
    return this.#blocks.get(block) ?? fail("CF_INTERNAL", `the float64 copy lost block ${block.index}`)
  }
}

function wide<T>(dtype: T): T | "float64" {
  return dtype === "float32" ? "float64" : dtype
}

function wideAttrs({ record, attrs }: Operator): Attrs {
  return Object.fromEntries(
    Object.entries(attrs).map(([name, value]) => [name, record.attrs[name] === "dtype" ? wide(value) : value]),
  )
}

function isTypes(answer: TensorType | readonly TensorType[]): answer is readonly TensorType[] {
  return Array.isArray(answer)
}
