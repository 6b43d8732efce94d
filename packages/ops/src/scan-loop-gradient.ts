// The gradient of a loop: a scan in the other direction, whose carry are the gradients of the carry, and sums over the runs for
// what the body captures. What it reads of the values of a run, the loop saves: the gradient adds results to the body and outputs
// to the operator, and scans them. So nothing is computed twice, and the gradient can be differentiated like any other scan.

import {
  type Block,
  type Dim,
  capturesOf,
  extendOutputs,
  fail,
  isFloat,
  type Operator,
  type TensorType,
  type Variable,
} from "@counterflow/ir"
import { add } from "./arithmetic.ts"
import { dependents } from "./control.ts"
import { openLoop } from "./control-loop.ts"
import { fillConstant } from "./creation.ts"
import type { GradContext } from "./define.ts"
import { closeScan, type Scanned } from "./scan-loop.ts"

/** A loop, as its gradient sees it: `count` runs of at most `length`, each stack as long as that. */
interface Differentiated extends Scanned {
  readonly captures: readonly Variable[]
}

interface Cotangents {
  readonly carry: readonly (Variable | null)[]
  /** Of everything that is stacked, in the order of the body's results. */
  readonly stacks: readonly (Variable | null)[]
}

interface Gradients {
  readonly init: (Variable | null)[]
  readonly xs: (Variable | null)[]
  readonly captures: (Variable | null)[]
}

/** For an operator with a block `body`: parameters index, carry…, slice…; results next carry…, then what is stacked. */
export function loopGradient(
  { init, xs, captures, length, reverse, count }: Differentiated,
  cotangents: Cotangents,
  { op, needs, pullBack }: GradContext,
): Gradients {
  const { program } = op.block
  const body = op.blocks["body"] ?? fail("CF_INTERNAL", `${op.type} has no body`)
  const [index, ...params] = body.params
  const [carry, slices] = [params.slice(0, init.length), params.slice(init.length)]
  const next = body.results.slice(0, init.length)

  const isWanted = (slot: string) => (variable: Variable, i: number) => isFloat(variable.dtype) && needs(slot, i)
  const read = new Set(capturesOf([body]))
  const captured = captures.filter(isWanted("captures")).filter((variable) => read.has(variable))
  const scanned = slices.filter((_, i) => isWanted("xs")(xs[i]!, i))
  const wantedCarry = carry.filter((_, i) => isWanted("init")(init[i]!, i))
  const active = activeCarries(body, carry, wantedCarry, [...scanned, ...captured])

  const zeros = ({ shape, dtype }: TensorType) => fillConstant({ shape, dtype, value: 0, program })
  const stacks = cotangents.stacks.flatMap((cotangent, i) =>
    cotangent === null ? [] : [{ cotangent, result: body.results[init.length + i]! }],
  )
  const start = [...active.map((i) => cotangents.carry[i] ?? zeros(init[i]!)), ...captured.map(zeros)]
  const inputs = stacks.map(({ cotangent }) => cotangent)
  const loop = openLoop(program, "scan", start, inputs, length)
  const [dCarry, sums] = [loop.carry.slice(0, active.length), loop.carry.slice(active.length)]

  // What the gradients read of a run, and what they read in its place: slices of what is scanned, or of what the loop saves.
  const readValues: Variable[] = []
  const readSlices: Variable[] = []
  const standIn = (variable: Variable): Variable => {
    if (variable === index) return loop.index
    const { shape, dtype } = variable
    const slice = loop.block.createVar({ shape, dtype, name: program.uniqueName("scan.slice") })
    readValues.push(variable)
    readSlices.push(slice)
    return slice
  }

  const gradients = program.within({ block: loop.block, trip: null }, () => {
    const wrt = [...active.map((i) => carry[i]!), ...captured, ...scanned]
    const found = pullBack(body, {
      targets: [...active.map((i) => next[i]!), ...stacks.map(({ result }) => result)],
      cotangents: [...dCarry, ...loop.slices],
      wrt,
      read: standIn,
    })
    const collected = active.length + captured.length
    return found.map((gradient, i) => {
      const sum = i < collected ? sums[i - active.length] : undefined
      if (sum === undefined) return gradient ?? zeros(wrt[i]!)
      return gradient === null ? sum : add(sum, gradient)
    })
  })
  loop.block.setParams([...loop.block.params, ...readSlices])
  inputs.push(...stacksOf(op, body, readValues, new Map(slices.map((slice, i) => [slice, xs[i]!])), length))
  const carried = active.length + captured.length
  const made = closeScan(loop, gradients.slice(0, carried), gradients.slice(carried), {
    init: start,
    xs: inputs,
    length,
    reverse: !reverse,
    count,
  })
  const found = (list: readonly Variable[], of: readonly Variable[], results: readonly Variable[]) =>
    list.map((variable) => results[of.indexOf(variable)] ?? null)
  const activeWanted = active.map((i) => carry[i]!)
  return {
    init: found(carry, activeWanted, made.carry),
    xs: found(slices, scanned, made.ys),
    captures: found(captures, captured, made.carry.slice(active.length)),
  }
}

/** Places of the carries whose gradients matter: in some run they depend on something whose gradient is wanted. */
function activeCarries(
  body: Block,
  carry: readonly Variable[],
  wanted: readonly Variable[],
  sources: readonly Variable[],
): number[] {
  const active = new Set(wanted)
  for (let before = -1; before !== active.size;) {
    before = active.size
    const reached = dependents(body, [...sources, ...active])
    carry.forEach((param, i) => {
      if (reached.has(body.results[i]!)) active.add(param)
    })
  }
  return carry.flatMap((param, i) => (active.has(param) ? [i] : []))
}

/** What values of a body are in all runs: what is scanned, or outputs of the loop, added to it where they are not there. */
function stacksOf(
  op: Operator,
  body: Block,
  values: readonly Variable[],
  scanned: ReadonlyMap<Variable, Variable>,
  length: Dim,
): Variable[] {
  const { saves } = op.record
  const saved = saves?.slot ?? fail("CF_INTERNAL", `${op.type} saves nothing`)
  const stacks = new Map(scanned)
  const outputs = [...(saves?.before ?? []), saved].flatMap((slot) => op.outputs[slot] ?? [])
  body.results.slice(body.results.length - outputs.length).forEach((result, i) => stacks.set(result, outputs[i]!))
  const missing = values.filter((value) => !stacks.has(value))
  const types = missing.map(({ shape, dtype, name }) => ({ shape: [length, ...shape], dtype, name: `${name}@STACK` }))
  body.setResults([...body.results, ...missing])
  extendOutputs(op, saved, types).forEach((stack, i) => stacks.set(missing[i]!, stack))
  return values.map((value) => stacks.get(value) ?? fail("CF_INTERNAL", `${value.name} is not saved`))
}
