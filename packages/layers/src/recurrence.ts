// What recurrent layers share: layers on top of each other, each in one direction or both, and each a single loop over time. Of
// the products only the one with the state is inside the loop; all steps of the input are multiplied at once, in front of it.

import { fail, formatShape, type Shape, unifyShapes, type Variable } from "@counterflow/ir"
import {
  add,
  concat,
  dropout,
  fillConstant,
  flattenMatmul,
  requireFloat,
  scan,
  stack,
  transpose,
  unstack,
} from "@counterflow/ops"
import { type ParamAttrLike, paramAttrOf } from "./attribute.ts"
import { Xavier } from "./fans.ts"
import { Constant } from "./initializer.ts"
import { layer } from "./layer.ts"
import type { OptionKinds } from "./options.ts"

export interface RecurrentOptions {
  /** The width of a state. */
  size: number
  /** How many layers are on top of each other; each reads the outputs of the one below. */
  numLayers?: number
  /** From the last step to the first; the output of a step stays in its place. */
  isReverse?: boolean
  /** Each layer in both directions, their outputs side by side: 2 · size wide. */
  isBidirec?: boolean
  /** x and the outputs are [time, batch, …]. */
  timeMajor?: boolean
  /** The state before the first step: [batch, size], or [count, batch, size] where there are several. Zeros unless given. */
  initH?: Variable | null
  /** Of the weights: one for all (without a name), or a list, for each layer and direction first of x, then of the state. */
  paramAttr?: ParamAttrLike | readonly ParamAttrLike[]
  /** Of the bias of each layer and direction; false for none. */
  biasAttr?: ParamAttrLike | readonly ParamAttrLike[]
  /** How likely an output of a layer is dropped on its way to the next one. */
  dropoutProb?: number
  isTest?: boolean
  seed?: number | null
  name?: string | null
}

export const recurrentKinds: OptionKinds<RecurrentOptions> = {
  size: "required size",
  numLayers: "size",
  isReverse: "bool",
  isBidirec: "bool",
  timeMajor: "bool",
  initH: "any",
  paramAttr: "attr",
  biasAttr: "attr",
  dropoutProb: "number",
  isTest: "bool",
  seed: "int",
  name: "name",
}

/** One step of a cell: from x W + b of the step and the states their next values, of which the first is the output. */
export type CellStep = (given: Variable, states: readonly Variable[]) => readonly [Variable, ...Variable[]]

export interface Cell {
  /** How many widths of a state the products have. */
  readonly gates: number
  /** The states before the first step, by the name of the option; what is not given is zero. */
  readonly init: Readonly<Record<string, Variable | null | undefined>>
  /** The step with these weights [size, gates · size] of the state; what is built here is in front of the loop. */
  readonly stepWith: (w: Variable) => CellStep
}

interface RecurrentInit<O extends RecurrentOptions> {
  type: string
  fn: (...args: never[]) => unknown
  x: Variable
  options: O
  kinds: OptionKinds<O>
  cell: (options: O) => Cell
}

/** The outputs, and the last value of each state. */
export function recurrent<O extends RecurrentOptions>(init: RecurrentInit<O>): [Variable, ...Variable[]] {
  const { type, fn, x, options, kinds } = init
  return layer({ type, fn, inputs: { x }, options, kinds }, (own) => {
    const { size, numLayers = 1, isReverse = false, isBidirec = false, timeMajor = false, dropoutProb = 0 } = options
    const { isTest = false, seed = null, paramAttr, biasAttr } = options
    const { dtype } = x
    checkInput(x)
    const { gates, init: given, stepWith } = init.cell(options)
    const swapped = (variable: Variable) => (timeMajor ? variable : transpose(variable, { perm: [1, 0, 2] }))
    const directions = isBidirec ? [false, true] : [isReverse]
    const count = numLayers * directions.length
    const weightAttrs = attrsOf("paramAttr", paramAttr, 2 * count)
    const biasAttrs = attrsOf("biasAttr", biasAttr, count)
    if (weightAttrs.includes(false)) {
      fail("CF_BAD_ATTRIBUTE", `paramAttr must not be false: ${type} needs its weights`)
    }
    const batch = x.shape[timeMajor ? 1 : 0] ?? 1
    const starts = Object.entries(given).map(([name, value]) => startOf(name, value ?? null, x, [batch, size], count))

    let input = swapped(x)
    const last: (readonly Variable[])[] = []
    for (let level = 0; level < numLayers; level++) {
      if (level > 0 && dropoutProb > 0) input = dropout(input, { dropoutProb, isTest, seed })
      const width = input.shape[2] as number
      const outputs = directions.map((reverse) => {
        const place = last.length
        const weight = (rows: number, index: number) =>
          own.parameter({
            letter: "w",
            shape: [rows, gates * size],
            dtype,
            attr: weightAttrs[2 * place + index],
            // Each gate is a layer of its own.
            initializer: new Xavier({ fanIn: rows, fanOut: size }),
          })
        const product = flattenMatmul(input, weight(width, 0), { xNumColDims: 2 })
        const step = stepWith(weight(size, 1))
        const attr = biasAttrs[place]
        const bias = { letter: "b", shape: [gates * size], dtype, attr, initializer: new Constant(0) } as const
        const xs = attr === false ? product : add(product, own.parameter(bias))
        const body = (states: readonly Variable[], now: Variable) => {
          const next = step(now, states)
          return [next, next[0]] as const
        }
        const [states, ys] = scan(body, { init: starts.map((start) => start[place]!), xs, reverse })
        last.push(states)
        return ys
      })
      input = outputs.length === 1 ? outputs[0]! : concat(outputs, { axis: 2 })
    }
    const lastOf = (state: number) => {
      const values = last.map((states) => states[state]!)
      return values.length === 1 ? values[0]! : stack(values, { axis: 0 })
    }
    return [swapped(input), ...starts.map((_, state) => lastOf(state))]
  })
}

function checkInput(x: Variable): void {
  requireFloat("x", x)
  if (x.shape.length !== 3) {
    fail("CF_SHAPE_MISMATCH", `x must be [batch, time, width], got shape ${formatShape(x.shape)}`, {
      fix: "give every sequence a time axis: reshape(x, { shape: [0, -1, width] })",
    })
  }
  if (typeof x.shape[2] === "number") return
  fail("CF_SHAPE_MISMATCH", `the width of x must be known when the program is built, got ${formatShape(x.shape)}`)
}

/** One entry per parameter; what stands for all must not have a name, which only one can have. */
function attrsOf(option: string, given: RecurrentOptions["paramAttr"], count: number): readonly ParamAttrLike[] {
  if (isList(given)) {
    if (given.length === count) return given
    return fail("CF_BAD_ATTRIBUTE", `${option} must hold one entry per parameter, ${count}, got ${given.length}`)
  }
  if (count > 1 && given !== false && paramAttrOf(given).name !== undefined) {
    fail("CF_BAD_ATTRIBUTE", `${option} names one parameter, but there are ${count}`, {
      fix: `give a list of ${count}, or name the layer: its parameters are called after it`,
    })
  }
  return Array.from({ length: count }, () => given)
}

function isList(given: RecurrentOptions["paramAttr"]): given is readonly ParamAttrLike[] {
  return Array.isArray(given)
}

/** The state before the first step of each layer and direction. */
function startOf(
  name: string,
  given: Variable | null,
  { dtype, program }: Variable,
  shape: Shape,
  count: number,
): readonly Variable[] {
  if (given === null) {
    const zeros = fillConstant({ shape, dtype, value: 0, program })
    return Array.from({ length: count }, () => zeros)
  }
  const wanted = count === 1 ? shape : [count, ...shape]
  const why = () => `${name} must have shape ${formatShape(wanted)}, got ${formatShape(given.shape)}`
  if (given.dtype !== dtype) fail("CF_DTYPE_MISMATCH", `${name} must be ${dtype}, as x is, got ${given.dtype}`)
  if (given.shape.length !== wanted.length) fail("CF_SHAPE_MISMATCH", why())
  unifyShapes(given.shape, wanted, why)
  return count === 1 ? [given] : unstack(given, { axis: 0 })
}
