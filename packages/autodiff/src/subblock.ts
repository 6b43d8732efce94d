// Differentiating sub-blocks, for the rules of control flow. A branch is computed again: `differentiateBlock` makes a block that
// does that and hands out gradients. A loop keeps what its gradient reads: `pullBack` emits the gradients of one run into the
// loop's own backward block, and asks for the values it reads.

import { type Block, commitOperator, type Operator, type Variable } from "@counterflow/ir"
import {
  type DifferentiateRequest,
  fillConstant,
  isOp,
  type OpFactsRule,
  type PullBackRequest,
  type RunGradient,
  type RunProduct,
} from "@counterflow/ops"
import { again, reread } from "./again.ts"
import { backpropagate, type Pass } from "./backpropagate.ts"
import { operatorPath } from "./path.ts"

/** See `GradContext.differentiate`. */
export function differentiateBlock(block: Block, request: DifferentiateRequest): Block {
  const { program } = block
  const copy = program.createBlock(program.currentBlock())
  program.within({ block: copy }, () => {
    const variables = new Map<Variable, Variable>()
    const { targets, cotangents, wrt } = request
    // What nothing downstream has used, as new values of state, is not computed again.
    const used = targets.filter((_, index) => (cotangents[index] ?? null) !== null)
    for (const op of operatorPath([block], used)) again(op, variables)
    const here = (variable: Variable) => variables.get(variable) ?? variable
    const mapped = { targets: targets.map(here), cotangents, wrt: wrt.map(here) }
    const gradients = staged(
      copy,
      () => gradientsIn([...copy.ops], mapped),
      (ops, made) => {
        commit(ops)
        return made
      },
    )
    copy.setResults(
      gradients.map((gradient, i) => {
        const { shape, dtype } = request.wrt[i]!
        return gradient ?? fillConstant({ shape, dtype, value: 0, program })
      }),
    )
  })
  return copy
}

/** See `GradContext.pullBack`. */
export function pullBack(block: Block, request: PullBackRequest): RunGradient[] {
  const here = block.program.currentBlock()
  const now = new StandIns(block, request.read)
  const products = new Map<Variable, RunProduct[]>()
  const addedHere = (primal: Variable, parts: readonly Variable[]) => {
    if (!request.summed.has(primal)) return parts
    const found = parts.map((part) => productOf(part, here, (value) => now.isKept(value)))
    products.set(
      primal,
      found.filter((product) => product !== null),
    )
    return parts.filter((_, i) => found[i] === null)
  }
  return staged(
    here,
    () => gradientsIn(block.ops, request, addedHere),
    (ops, gradients) => {
      const factors = [...products.values()].flat().flatMap((product) => Object.values(product.factors))
      const read = [...gradients.filter((gradient) => gradient !== null), ...factors.map(({ value }) => value)]
      const needed = neededFor(ops, read)
      for (const op of needed) reread(op, block, (variable) => now.of(variable))
      const answers = gradients.map((gradient) => gradient && now.of(gradient))
      commit(needed)
      return answers.map((gradient, i) => ({ gradient, products: products.get(request.wrt[i]!) ?? [] }))
    },
  )
}

/** A part of a gradient as a product whose sum over the runs is a product as well; null if it is none. */
function productOf(part: Variable, here: Block, isKept: (value: Variable) => boolean): RunProduct | null {
  const views: Operator[] = []
  for (let { producer } = part; producer !== null && producer.position < 0;) {
    const op: Operator = producer
    const facts = factsOf(op)
    const addsAlong = facts?.addsAlong?.(op.attrs)
    if (addsAlong !== undefined) {
      const factors = Object.entries(addsAlong).map(([slot, axis]) => {
        const [input] = op.inputs[slot] ?? []
        return [slot, input && { value: viewed(input), shape: input.shape, axis }] as const
      })
      const isOurs = factors.every(([, factor]) => factor && (factor.value.block === here || isKept(factor.value)))
      return isOurs ? { op, factors: Object.fromEntries(factors) as RunProduct["factors"], views } : null
    }
    const [input, ...others] = op.inputList()
    if (input === undefined || others.length > 0 || (facts?.aliases ?? facts?.permutes) === undefined) return null
    views.unshift(op)
    producer = input.producer
  }
  return null
}

/** What a variable is another shape of. */
function viewed(variable: Variable): Variable {
  let value = variable
  for (let { producer } = value; producer !== null; { producer } = value) {
    const [input] = producer.inputs[factsOf(producer)?.aliases ?? ""] ?? []
    if (input === undefined || input.block !== value.block) break
    value = input
  }
  return value
}

/** The operators, in order, that these variables are made by. */
function neededFor(ops: readonly Operator[], variables: readonly Variable[]): Operator[] {
  const needed = new Set(variables)
  const found: Operator[] = []
  for (const op of ops.toReversed()) {
    if (!op.outputList().some((output) => needed.has(output))) continue
    found.push(op)
    for (const input of op.inputList()) needed.add(input)
  }
  return found.reverse()
}

function gradientsIn(
  ops: readonly Operator[],
  request: DifferentiateRequest,
  addedHere: NonNullable<Pass["addedHere"]> = (_primal, parts) => parts,
): (Variable | null)[] {
  const { targets, cotangents, wrt } = request
  const seeds = targets.flatMap((target, index) => {
    const cotangent = cotangents[index]
    return cotangent === null || cotangent === undefined ? [] : [[target, cotangent] as const]
  })
  const found = backpropagate({
    ops,
    targets: seeds.map(([target]) => target),
    seed: () => seeds,
    wrt: new Set(wrt),
    isCut: (variable) => variable.stopGradient,
    perform: (_forward, work) => work(),
    differentiate: differentiateBlock,
    pullBack,
    current: (gradient) => gradient,
    addedHere,
  })
  return wrt.map((variable) => found.get(variable) ?? null)
}

function commit(ops: readonly Operator[]): void {
  for (const op of ops) commitOperator(op)
}

/** Builds with staging on, so that composites can be expanded in place; `finish` is to append what came of it. */
function staged<T, R>(block: Block, build: () => T, finish: (ops: readonly Operator[], made: T) => R): R {
  const waiting: Operator[] = []
  const outer = block.staged
  block.staged = waiting
  let made: T
  try {
    made = build()
  } finally {
    block.staged = outer
  }
  return finish(waiting, made)
}

/** What the current block reads in place of the variables of another. */
class StandIns {
  readonly #block: Block
  readonly #read: (variable: Variable) => Variable
  readonly #known: Map<Variable, Variable> = new Map()
  /** Operators whose results are the same in every run: they depend on nothing of the block. */
  readonly #constant: Set<Operator> = new Set()

  constructor(block: Block, read: (variable: Variable) => Variable) {
    this.#block = block
    this.#read = read
    for (const op of block.ops) {
      const isConstant = op.inputList().every(({ block: own, producer }) => {
        return own !== block || (producer !== null && this.#constant.has(producer))
      })
      if (isConstant && isPure(op)) this.#constant.add(op)
    }
  }

  of(variable: Variable): Variable {
    if (variable.block !== this.#block) return variable
    const known = this.#known.get(variable)
    if (known !== undefined) return known
    const { producer } = variable
    if (producer === null || !this.#isCheap(producer)) {
      const read = this.#read(variable)
      this.#known.set(variable, read)
      return read
    }
    for (const op of this.#cheapPath(producer)) {
      for (const input of op.inputList()) if (input.producer === null || !this.#isCheap(input.producer)) this.of(input)
      again(op, this.#known)
    }
    return this.#known.get(variable) ?? variable
  }

  /** Operators, in order, that are computed again rather than read to make what one makes. */
  #cheapPath(last: Operator): Operator[] {
    const found = new Set<Operator>()
    const pending: (Operator | null)[] = [last]
    for (let op = pending.pop(); op !== undefined; op = pending.pop()) {
      if (op === null || op.block !== this.#block || found.has(op) || !this.#isCheap(op)) continue
      if (op.outputList().some((output) => this.#known.has(output))) continue
      found.add(op)
      for (const input of op.inputList()) pending.push(input.producer)
    }
    return [...found].sort((a, b) => a.position - b.position)
  }

  /** A view, or a repetition, of something costs less than keeping it; so does what never changes. */
  #isCheap(op: Operator): boolean {
    if (op.block !== this.#block) return false
    const facts = factsOf(op)
    return this.#constant.has(op) || (facts?.aliases ?? facts?.stretches) !== undefined
  }

  /** Whether a variable is of the block, and another one in every run. */
  isKept({ block, producer }: Variable): boolean {
    return block === this.#block && (producer === null || !this.#constant.has(producer))
  }
}

function factsOf({ record }: Operator): OpFactsRule | null {
  return isOp(record) ? record.facts : null
}

function isPure({ record, blocks }: Operator): boolean {
  return isOp(record) && record.facts.kind !== "random" && Object.keys(blocks).length === 0
}
