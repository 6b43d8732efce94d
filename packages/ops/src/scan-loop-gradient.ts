// The gradient of a loop: a scan in the other direction, whose carry are the gradients of the carry. What it reads of the values
// of a run, the loop saves: the gradient adds results to the body and outputs to the operator, and scans them. So nothing is
// computed twice, and the gradient can be differentiated like any other scan. What the runs give to a captured variable is added
// up from run to run; but where it is a product, one product does for all runs, behind the loop: see scan-loop-product.ts.

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
import { addParam, openLoop } from "./control-loop.ts"
import { fillConstant } from "./creation.ts"
import type { GradContext } from "./define.ts"
import { closeScan, type Scanned } from "./scan-loop.ts"
import { factorsOf, productOfRuns } from "./scan-loop-product.ts"
import { sum } from "./sum.ts"

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

  const isWanted = (slot: string) => (variable: Variable, i: number) => isFloat(variable.dtype) && needs(slot, i)
  const read = new Set(capturesOf([body]))
  const captured = captures.filter(isWanted("captures")).filter((variable) => read.has(variable))
  const scanned = slices.filter((_, i) => isWanted("xs")(xs[i]!, i))
  const wantedCarry = carry.filter((_, i) => isWanted("init")(init[i]!, i))
  const active = activeCarries(body, carry, wantedCarry, [...scanned, ...captured])
  const activeCarry = active.map((i) => carry[i]!)

  const zeros = ({ shape, dtype }: TensorType) => fillConstant({ shape, dtype, value: 0, program })
  const stacks = cotangents.stacks.flatMap((cotangent, i) =>
    cotangent === null ? [] : [{ cotangent, result: body.results[init.length + i]! }],
  )
  const start = active.map((i) => cotangents.carry[i] ?? zeros(init[i]!))
  const inputs = stacks.map(({ cotangent }) => cotangent)
  const loop = openLoop(program, "scan", start, inputs, length)
  const here = <T>(build: () => T) => program.within({ block: loop.block, trip: null }, build)

  // What is read here of the values of a run: slices of what is scanned, or of what the loop saves.
  const readSlices = new Map<Variable, Variable>()
  const standIn = (variable: Variable): Variable => {
    if (variable === index) return loop.index
    const { shape, dtype } = variable
    const known = readSlices.get(variable)
    const slice = known ?? loop.block.createVar({ shape, dtype, name: program.uniqueName("scan.slice") })
    readSlices.set(variable, slice)
    return slice
  }

  const wanted = [...activeCarry, ...scanned]
  const runs = here(() =>
    pullBack(body, {
      targets: [...active.map((i) => body.results[i]!), ...stacks.map(({ result }) => result)],
      cotangents: [...loop.carry, ...loop.slices],
      wrt: [...wanted, ...captured],
      read: standIn,
      // One product for all runs needs to know how many there are.
      summed: new Set(program.isOpen(length) ? [] : captured),
    }),
  )
  // Nothing can fill what a run alone knows the size of.
  const isOpen = ({ shape }: Variable) => shape.some((dim) => program.isOpen(dim))
  const ofRun = here(() => wanted.map((v, i) => runs[i]?.gradient ?? (isOpen(v) ? null : zeros(v))))
  const [dCarry, dSlices] = [ofRun.slice(0, active.length), ofRun.slice(active.length)]

  // What the runs give to a captured variable, and is no product, is carried and added up.
  const given = captured.map((variable, i) => ({ variable, ...runs[wanted.length + i]! }))
  const added = given.flatMap(({ variable, gradient }) => (gradient === null ? [] : [{ variable, gradient }]))
  const sums = added.map(({ variable }) => addParam(loop.block, "scan.carry", variable))
  const nextSums = here(() => added.map(({ gradient }, i) => add(sums[i]!, gradient)))

  // The factors of products are stacked here, but for those of which there is a stack. Where there are fewer runs than places,
  // they must be zero behind the last run: what a loop stacks is, what it scans need not be.
  const scans = new Map(slices.map((slice, i) => [slice, xs[i]!]))
  const whole = count === undefined ? new Map([...scans, ...loop.slices.map((s, i) => [s, inputs[i]!] as const)]) : null
  const factors = factorsOf(given.flatMap(({ products }) => products))
  const isThere = (value: Variable) => whole?.has(value) === true || (value.block === body && !scans.has(value))
  const there = factors.filter(isThere)
  const made = factors.filter((value) => !isThere(value))
  const stacked = made.map((value) => (value.block === body ? standIn(value) : value))

  loop.block.setParams([loop.index, ...loop.carry, ...sums, ...loop.slices, ...readSlices.values()])
  const known = stacksOf(op, body, [...readSlices.keys(), ...there], whole ?? scans, length)
  const isSome = (gradient: Variable | null) => gradient !== null
  const results = [...new Set([...dSlices.filter(isSome), ...stacked])]
  const gradient = closeScan(
    { ...loop, carry: [...loop.carry, ...sums] },
    [...dCarry.filter(isSome), ...nextSums],
    results,
    {
      init: [...start, ...added.map(({ variable }) => zeros(variable))],
      xs: [...inputs, ...known.slice(0, readSlices.size)],
      length,
      reverse: !reverse,
      count,
    },
  )

  const stackOf = new Map([
    ...there.map((value, i) => [value, known[readSlices.size + i]!] as const),
    ...made.map((value, i) => [value, gradient.ys[results.indexOf(stacked[i]!)]!] as const),
  ])
  const sumOf = new Map(added.map(({ variable }, i) => [variable, gradient.carry[active.length + i]!]))
  const total = ({ variable, products }: (typeof given)[number]) => {
    const carried = sumOf.get(variable)
    const parts = products.map((product) => productOfRuns(product, stackOf, length))
    const all = carried === undefined ? parts : [carried, ...parts]
    return all.length > 1 ? sum(all) : (all[0] ?? zeros(variable))
  }
  const found = (list: readonly Variable[], of: readonly Variable[], answers: readonly (Variable | undefined)[]) =>
    list.map((variable) => answers[of.indexOf(variable)] ?? null)
  return {
    init: found(carry, activeCarry, gradient.carry),
    xs: found(
      slices,
      scanned,
      dSlices.map((slice) => (slice === null ? undefined : gradient.ys[results.indexOf(slice)])),
    ),
    captures: found(captures, captured, given.map(total)),
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
