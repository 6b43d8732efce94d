// What the fuzzer makes and takes apart: a recipe says which values a program starts from and which operators are applied, by
// plain numbers. A recipe builds a program, or is refused; with a part left out it is a recipe again.

import { gradients } from "@counterflow/autodiff"
import {
  appendOperator,
  type Dim,
  type DType,
  isFloat,
  type Operator,
  outputSlots,
  Program,
  programGuard,
  symbol,
  type Variable,
} from "@counterflow/ir"
import type { Op } from "@counterflow/ops"
import * as optimizers from "@counterflow/optim"
import type { Value } from "./point.ts"

/** A value of a recipe: an input, or an output of a step. */
export type Id = number

export interface RecipeInput {
  readonly id: Id
  readonly role: "data" | "state" | "parameter"
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly values: readonly number[]
}

export interface RecipeStep {
  readonly op: Op
  readonly inputs: Readonly<Record<string, readonly Id[]>>
  readonly attrs: Readonly<Record<string, unknown>>
  /** Of all slots, in order. */
  readonly outputs: readonly Id[]
}

/** What is appended to the forward part. */
export type Backward =
  | { readonly kind: "gradients"; readonly target: Id; readonly wrt: readonly Id[]; readonly order: 1 | 2 }
  | { readonly kind: "minimize"; readonly target: Id; readonly optimizer: OptimizerName }

export interface Recipe {
  readonly inputs: readonly RecipeInput[]
  readonly steps: readonly RecipeStep[]
  readonly fetches: readonly Id[]
  readonly backward: Backward | null
  /** Sizes that data variables leave open: each is a symbol. */
  readonly open: readonly number[]
  /** How often the program is run. */
  readonly runs: number
}

/** A step whose op has another number of outputs than its recipe says. */
export class OutputCount extends Error {
  readonly count: number

  constructor(count: number) {
    super(`the operator has ${count} outputs`)
    this.count = count
  }
}

const rate = { learningRate: 0.05 }
const made = {
  SGD: () => new optimizers.SGD(rate),
  Momentum: () => new optimizers.Momentum({ ...rate, momentum: 0.9, useNesterov: true }),
  Adagrad: () => new optimizers.Adagrad(rate),
  RMSProp: () => new optimizers.RMSProp(rate),
  Adam: () => new optimizers.Adam(rate),
  AdamW: () => new optimizers.AdamW({ ...rate, weightDecay: 0.1 }),
  "Adam with clip and decay": () =>
    new optimizers.Adam({
      ...rate,
      gradClip: new optimizers.ClipByGlobalNorm(1),
      regularization: new optimizers.L2Decay(0.01),
    }),
} as const

export type OptimizerName = keyof typeof made
export const optimizerNames = Object.keys(made) as OptimizerName[]

export interface Built {
  readonly program: Program
  readonly startup: Program
  readonly feed: Readonly<Record<string, Value>>
  readonly states: ReadonlyMap<string, Value>
  readonly fetch: readonly Variable[]
  readonly variables: ReadonlyMap<Id, Variable>
}

/** Throws what an op, its rule or the gradient engine throws if it refuses. `prefix` is put in front of names of state. */
export function build(recipe: Recipe, prefix = ""): Built {
  const [program, startup] = [new Program(), new Program()]
  return programGuard(program, startup, () => {
    const variables = new Map<Id, Variable>()
    // A symbol that no feed gives a size has none.
    const fed = new Set(recipe.inputs.flatMap(({ role, shape }) => (role === "data" ? shape : [])))
    const open = recipe.open.filter((size) => fed.has(size))
    const sizes = new Map(open.map((size) => [size, symbol(`n${size}`)] as const))
    for (const input of recipe.inputs) variables.set(input.id, declare(program, input, prefix, sizes))
    for (const step of recipe.steps) append(program, step, variables, sizes)
    const of = (id: Id) => variables.get(id) ?? lost(id)
    const found = recipe.backward === null ? [] : appendBackward(recipe.backward, of, startup)
    const fetched = recipe.fetches.map(of)
    const named = (states: boolean) =>
      recipe.inputs
        .filter(({ role }) => (role !== "data") === states)
        .map(({ id, values: data, shape, dtype }) => [of(id).name, { data, shape, dtype }] as const)
    return {
      program,
      startup,
      variables,
      feed: Object.fromEntries(named(false)),
      states: new Map(named(true)),
      fetch: [...fetched, ...found],
    }
  })
}

function declare(
  program: Program,
  { id, role, dtype, shape: numbers, values }: RecipeInput,
  prefix: string,
  sizes: ReadonlyMap<number, Dim>,
): Variable {
  const block = program.globalBlock()
  if (values.length !== numbers.reduce((product, size) => product * size, 1))
    throw new Error(`value ${id} has ${values.length} elements for [${numbers.join(", ")}]`)
  if (role === "data") {
    const shape = numbers.map((size) => sizes.get(size) ?? size)
    return block.createVar({ name: `x${id}`, shape, dtype, isData: true, stopGradient: !isFloat(dtype) })
  }
  const shape = [...numbers]
  if (role === "state") return block.createVar({ name: `${prefix}s${id}`, shape, dtype, persistable: true })
  return block.createParameter({ name: `${prefix}w${id}`, shape, dtype, initialValue: 0 })
}

function append(
  program: Program,
  { op, inputs, attrs, outputs }: RecipeStep,
  variables: Map<Id, Variable>,
  sizes: ReadonlyMap<number, Dim>,
): void {
  const slots = Object.fromEntries(
    Object.keys(op.inputs).map((slot) => [slot, (inputs[slot] ?? []).map((id) => variables.get(id) ?? lost(id))]),
  )
  const spec = { record: op, inputs: slots, attrs: withSizes(op, attrs, sizes), above: append, program }
  const results = outputsOf(appendOperator(spec))
  if (results.length !== outputs.length) throw new OutputCount(results.length)
  results.forEach((variable, at) => variables.set(outputs[at] ?? lost(at), variable))
}

/** In order of slots. */
function outputsOf(operator: Operator): Variable[] {
  return outputSlots(operator.record).flatMap(({ slot }) => operator.outputs[slot] ?? [])
}

/** Attributes that hold sizes hold those that are open as symbols, where an op takes dims. */
function withSizes(op: Op, attrs: RecipeStep["attrs"], sizes: ReadonlyMap<number, Dim>): RecipeStep["attrs"] {
  if (sizes.size === 0) return attrs
  const open = (value: unknown) => (typeof value === "number" ? (sizes.get(value) ?? value) : value)
  return Object.fromEntries(
    Object.entries(attrs).map(([name, value]) => {
      const kind = op.attrs[name]
      if (kind === "dim") return [name, open(value)]
      return [name, kind === "dims" && Array.isArray(value) ? value.map(open) : value]
    }),
  )
}

/** Gradients that exist, to be fetched as well; what an optimizer changes is state. */
function appendBackward(backward: Backward, of: (id: Id) => Variable, startup: Program): Variable[] {
  const target = of(backward.target)
  if (backward.kind === "minimize") {
    const [, pairs] = made[backward.optimizer]().minimize(target, { startupProgram: startup })
    return pairs.flatMap(([, gradient]) => (gradient === null ? [] : [gradient]))
  }
  const inputs = backward.wrt.map(of)
  const isFound = (gradient: Variable | null): gradient is Variable => gradient !== null
  const first = gradients([target], inputs).filter(isFound)
  if (backward.order === 1 || first.length === 0) return first
  return [...first, ...gradients(first, inputs).filter(isFound)]
}

function lost(id: Id): never {
  throw new Error(`the recipe has lost value ${id}`)
}
