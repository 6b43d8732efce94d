// gradCheck: does the backward part of a program compute the derivatives of its forward part? On a copy in float64, with random
// cotangents for every target (constant ones hide errors: a softmax sums to 1 whatever its rule says) and along random
// directions. Order 2 checks the gradient of the gradient the same way, with respect to inputs and cotangents.
//
// An analytic derivative a and a numeric one n of uncertainty u agree at tolerance τ when |a − n| ≤ max(τ s, u), where
// s = max(Σ |gᵢ dᵢ|, |n|) is the size of the terms that the derivative ⟨g, d⟩ is made of. So small gradients are checked as
// strictly as large ones, down to the u of about 1e-12 that differences resolve, and cancellation in the sum does no harm. If u
// exceeds τ times the largest of s, the function's size and 1, the check fails as undecided: a kink or a pole is nearby.

import { gradients } from "@counterflow/autodiff"
import { type Backend, Executor, type Feeds, type Tensor } from "@counterflow/executor"
import { describeValue, fail, isFloat, nearest, Parameter, Program, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { type AnyRegistry, legalize, registry as ops, resolve } from "@counterflow/ops"
import { derivativeAtZero } from "./derivative.ts"
import { float64Copy } from "./float64.ts"
import { Point, type StateSource } from "./point.ts"
import { Random } from "./random.ts"
import { type GradCheckReport, type GradientCheck, makeReport } from "./report.ts"

export interface GradCheckOptions {
  /** What is differentiated: a loss, or targets of any shape. */
  loss?: Variable | string
  targets?: readonly (Variable | string)[]
  /** Data, parameters, other state or computed variables, all float. */
  wrt: readonly (Variable | string)[]
  feed?: Feeds
  /** Where parameters come from: an executor's scope, or anything with entries of values. */
  scope?: StateSource
  /** Or the program that makes them; it is run in float64 as well. */
  startup?: Program
  /** 2 checks the gradient and the gradient of the gradient. */
  order?: 1 | 2
  /** Of the random cotangents and directions. */
  seed?: number
  /** Relative; 1e-7 for order 1 and 1e-6 for order 2 unless said. */
  tolerance?: number
  /** For ops from outside, in programs that were read from a file. */
  registry?: AnyRegistry
  backend?: Backend
}

/** Largest relative error by order: Fluid's OpTest asks for 1e-7 in float64; a second derivative loses a digit more. */
export const tolerances: Readonly<Record<1 | 2, number>> = { 1: 1e-7, 2: 1e-6 }

/**
 * Checks gradients of a program by central differences. The program itself stays as it was. Inputs in `wrt` are checked whether
 * or not the program stops gradients at them; where it stops them in between, differences see what the gradient does not.
 */
export async function gradCheck(program: Program, options: GradCheckOptions): Promise<GradCheckReport> {
  const executor = new Executor(options.backend ?? cpu(), { legalize })
  try {
    return await gradCheckOn(executor, program, options)
  } finally {
    executor.close()
  }
}

/** As `gradCheck`, on an executor that many checks share; state of its scope must not carry names of this program. */
export async function gradCheckOn(
  executor: Executor,
  program: Program,
  options: GradCheckOptions,
): Promise<GradCheckReport> {
  const { order = 1, seed = 1, feed = {}, scope, startup, registry } = options
  const original = resolved(program, registry)
  const targets = requested(original, options.targets ?? [options.loss], "targets")
  const wrt = requested(original, options.wrt, "wrt")
  refuseUnknownFeeds(original, feed)
  const { copy, inputs, outputs } = float64Part(original, targets, wrt)
  const point = await Point.at(executor, copy.program, { feed, scope, startup, registry }, [...copy.shifts.values()])
  const random = new Random(seed)
  const tolerance = (at: 1 | 2) => options.tolerance ?? tolerances[at]

  const first = await checkOrder({ point, random, outputs, inputs, order: 1, tolerance: tolerance(1) })
  const reached = new Set(inputs.map(({ name }) => name))
  const checks = [
    ...wrt.filter(({ name }) => !reached.has(name)).map(({ name }) => unreached(name, tolerance(1))),
    ...first.checks,
  ]
  const disturbed = [...first.disturbed]
  if (order === 2 && first.gradients.length > 0) {
    const again = { point, random, outputs: first.gradients, inputs: [...inputs, ...first.cotangents] }
    const second = await checkOrder({ ...again, order: 2, tolerance: tolerance(2) })
    checks.push(...second.checks)
    disturbed.push(...second.disturbed)
  }
  return makeReport(checks, disturbed, seed)
}

/** What the targets are computed from, in float64: writes of state, and what else the program does, are none of our business. */
function float64Part(program: Program, targets: readonly Variable[], wrt: readonly Variable[]) {
  const computed = wrt.filter((variable) => variable.producer !== null)
  const pruned = program.prune([...targets, ...computed])
  const own = ({ name }: Variable) => pruned.globalBlock().vars.get(name)
  const copy = float64Copy(pruned, new Set(computed.flatMap((variable) => own(variable) ?? [])))
  const inputs = wrt.flatMap((variable): Input[] => {
    const twin = own(variable)
    const moved = twin && (copy.shifts.get(twin)?.by ?? copy.variables.get(twin))
    if (moved === undefined) return []
    // That the user's program stops gradients here does not make them wrong.
    moved.stopGradient = false
    if (moved instanceof Parameter) moved.trainable = true
    return [{ name: variable.name, variable: moved }]
  })
  const outputs = targets.flatMap((variable) => {
    const twin = own(variable)
    return (twin && copy.variables.get(twin)) ?? []
  })
  return { copy, inputs, outputs }
}

/** The targets are computed without this input. */
function unreached(input: string, tolerance: number): GradientCheck {
  return { input, order: 1, analytic: 0, numeric: 0, error: 0, tolerance, ok: true }
}

interface Input {
  readonly name: string
  readonly variable: Variable
}

interface OrderRequest {
  readonly point: Point
  readonly random: Random
  readonly outputs: readonly Variable[]
  readonly inputs: readonly Input[]
  readonly order: 1 | 2
  readonly tolerance: number
}

interface OrderResult {
  readonly checks: readonly GradientCheck[]
  readonly disturbed: readonly string[]
  readonly gradients: readonly Variable[]
  readonly cotangents: readonly Input[]
}

/** Appends the gradient of ⟨cotangents, outputs⟩ to the program of the point and checks it, input by input. */
async function checkOrder({ point, random, outputs, inputs, order, tolerance }: OrderRequest): Promise<OrderResult> {
  // Evaluated many times: compiled before anything is appended, so that it stays the program without its backward part.
  const forward = await point.compile(outputs)
  const before = await point.run(outputs)
  const weights = before.map(({ data }) => random.factors(data.length))
  const cotangents = before.map((value, index): Input => {
    const output = outputs[index] ?? fail("CF_INTERNAL", "a run answered more than was fetched")
    return {
      name: `cotangent of ${output.name}`,
      variable: point.addCotangent(output, value, weights[index] ?? noNumbers),
    }
  })
  const targetGradients = cotangents.map(({ variable }) => variable)
  const found = gradients(
    outputs,
    inputs.map(({ variable }) => variable),
    { targetGradients },
  )
  const made = found.filter((gradient) => gradient !== null)
  const after = await point.run([...outputs, ...made])
  const disturbed = outputs.flatMap(({ name }, index) => (sameBits(before[index], after[index]) ? [] : [name]))
  const values = new Map(made.map((gradient, index) => [gradient, numbers(after[outputs.length + index]?.data)]))

  const checks: GradientCheck[] = []
  for (const [index, { name, variable }] of inputs.entries()) {
    const gradient = found[index] ?? null
    const here = numbers(point.valueOf(variable)?.data)
    const direction = random.factors(here.length)
    const slope = gradient === null ? noSlope : along(values.get(gradient) ?? noNumbers, direction, here)
    const f = async (t: number) => {
      const there = await point.evaluate(
        forward,
        variable,
        here.map((value, i) => value + t * (direction[i] ?? 0)),
      )
      return { weights, values: there.map(({ data }) => numbers(data)) }
    }
    const isEnough = (n: { uncertainty: number; value: number }) =>
      n.uncertainty <= 0.1 * tolerance * Math.max(slope.size, Math.abs(n.value))
    const numeric = here.length === 0 ? constant : await derivativeAtZero(f, isEnough, slope.noise)
    checks.push(judged({ input: name, order, tolerance, analytic: slope.value, size: slope.size, numeric }))
  }
  forward.close()
  return { checks, disturbed, gradients: made, cotangents }
}

interface Judgement {
  input: string
  order: 1 | 2
  tolerance: number
  analytic: number
  size: number
  numeric: { value: number; uncertainty: number; size: number }
}

function judged({ input, order, tolerance, analytic, size, numeric }: Judgement): GradientCheck {
  const { value, uncertainty } = numeric
  const scale = Math.max(size, Math.abs(value))
  const difference = Math.abs(analytic - value)
  const error = difference === 0 ? 0 : difference / Math.max(scale, uncertainty / tolerance)
  // Without this, differences across a kink, which say nothing, would excuse any gradient.
  const isDecided = uncertainty <= tolerance * Math.max(scale, numeric.size, 1)
  const result = { input, order, analytic, numeric: value, error, tolerance, ok: isDecided && error <= tolerance }
  return isDecided ? result : { ...result, note: "undecided: differences do not settle (a kink or pole nearby?)" }
}

/** The derivative with respect to nothing. */
const constant = { value: 0, uncertainty: 0, size: 0 }

const noSlope = { value: 0, size: 0, noise: 1 }

/** ⟨gradient, direction⟩, the size of its terms, and what is rounded: the input, and numbers of its size on the way. */
function along(gradient: Float64Array, direction: Float64Array, input: Float64Array): typeof noSlope {
  const sum = { ...noSlope, noise: input.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1) }
  direction.forEach((d, i) => {
    const g = gradient[i] ?? NaN
    sum.value += g * d
    sum.size += Math.abs(g * d)
    sum.noise += Math.abs(g * (input[i] ?? 0))
  })
  return sum
}

const noNumbers = new Float64Array(0)

function numbers(data: ArrayLike<number> | ArrayLike<bigint> = noNumbers): Float64Array {
  return data instanceof Float64Array ? data : Float64Array.from({ length: data.length }, (_, i) => Number(data[i]))
}

function sameBits(a: Tensor | undefined, b: Tensor | undefined): boolean {
  if (a === undefined || b === undefined || a.data.length !== b.data.length) return false
  return numbers(a.data).every((value, i) => Object.is(value, Number(b.data[i])))
}

function resolved(program: Program, registry: AnyRegistry | undefined): Program {
  if (!(program instanceof Program))
    fail("CF_BAD_ARGUMENT", `a Program is needed, got ${describeValue(program)}`, { op: "gradCheck" })
  return program.isResolved ? program : resolve(program, registry ?? ops)
}

function refuseUnknownFeeds(program: Program, feed: Feeds): void {
  const known = [...program.globalBlock().vars.values()].flatMap(({ name, isData }) => (isData ? [name] : []))
  const unknown = Object.keys(feed).find((name) => !known.includes(name))
  if (unknown === undefined) return
  const suggestion = nearest(unknown, known)
  fail("CF_FEED_UNKNOWN", `the program has no data variable "${unknown}"`, {
    op: "gradCheck",
    fix:
      suggestion === undefined
        ? `its data variables are ${known.join(", ") || "none"}`
        : `did you mean "${suggestion}"?`,
  })
}

function requested(program: Program, given: readonly (Variable | string | undefined)[], what: string): Variable[] {
  const wanted = given.filter((entry) => entry !== undefined)
  if (wanted.length === 0)
    fail("CF_BAD_ARGUMENT", `${what === "wrt" ? "wrt is empty" : "a loss or targets are needed"}`, { op: "gradCheck" })
  return wanted.map((entry) => {
    const variable = program.globalBlock().var(typeof entry === "string" ? entry : entry.name)
    if (isFloat(variable.dtype)) return variable
    return fail("CF_DTYPE_MISMATCH", `${what}: ${variable} has no gradient, only float32 and float64 do`, {
      op: "gradCheck",
    })
  })
}
