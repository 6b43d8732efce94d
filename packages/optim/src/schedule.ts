// Learning rates that change from step to step: operators on a counter of the program, so that a training that was saved
// goes on where it stood. Formulas as in Fluid 1.8; the first step counts as 0 (noam: 1).

import { defaultMainProgram, describeValue, fail, type Program, snakeCase, Variable } from "@counterflow/ir"
import {
  builtBy,
  cast,
  ceil,
  cos,
  div,
  exp,
  fillConstant,
  floor,
  less,
  max,
  min,
  pow,
  reshapeTo,
  scale,
  startupFor,
  where,
  withStartup,
} from "@counterflow/ops"
import { checkOptions, flag, notNegative, numberIn, positive, positiveInteger } from "./arguments.ts"
import { currentStep, stepCounter } from "./counter.ts"

interface Place {
  readonly main: Program
  readonly startup: Program
}

/** Builds a schedule in a program: role schedule, names after the schedule, all or nothing. */
function schedule(
  fn: (...args: never[]) => unknown,
  name: string,
  main: Program,
  body: (place: Place) => Variable,
): Variable {
  return builtBy(fn, name, () => {
    const startup = startupFor(main)
    const build = () => main.within({ stem: main.uniqueName(snakeCase(name)) }, () => body({ main, startup }))
    const position = { block: main.globalBlock(), role: "schedule", derivedFrom: null } as const
    return withStartup(main, startup, () => main.within(position, build))
  })
}

export interface DecayOptions {
  /** The rate of the first step. */
  learningRate: number
  /** After how many steps the rate is multiplied by `decayRate` once (the exponent or divisor grows by it). */
  decaySteps: number
  decayRate: number
  /** Only at whole multiples of `decaySteps`. */
  staircase?: boolean
}

/** The number of decays so far, and the checked numbers. */
function decay(name: string, options: DecayOptions) {
  checkOptions(name, options, ["learningRate", "decaySteps", "decayRate", "staircase"])
  const learningRate = numberIn(name, "learningRate", options.learningRate)
  const decaySteps = numberIn(name, "decaySteps", options.decaySteps, positive)
  const decayRate = numberIn(name, "decayRate", options.decayRate, notNegative)
  const staircase = flag(name, "staircase", options.staircase ?? false)
  const decays = ({ main, startup }: Place) => {
    const ratio = div(currentStep(main, startup), decaySteps)
    return staircase ? floor(ratio) : ratio
  }
  return { learningRate, decayRate, decays }
}

/** learningRate · decayRate^(step / decaySteps). */
export function exponentialDecay(options: DecayOptions): Variable {
  const name = "exponentialDecay"
  const { learningRate, decayRate, decays } = decay(name, options)
  return schedule(exponentialDecay, name, defaultMainProgram(), (place) =>
    scale(pow(decayRate, decays(place)), { scale: learningRate }),
  )
}

/** learningRate · e^(−decayRate · step / decaySteps). */
export function naturalExpDecay(options: DecayOptions): Variable {
  const name = "naturalExpDecay"
  const { learningRate, decayRate, decays } = decay(name, options)
  return schedule(naturalExpDecay, name, defaultMainProgram(), (place) =>
    scale(exp(scale(decays(place), { scale: -decayRate })), { scale: learningRate }),
  )
}

/** learningRate / (1 + decayRate · step / decaySteps). */
export function inverseTimeDecay(options: DecayOptions): Variable {
  const name = "inverseTimeDecay"
  const { learningRate, decayRate, decays } = decay(name, options)
  return schedule(inverseTimeDecay, name, defaultMainProgram(), (place) =>
    div(learningRate, scale(decays(place), { scale: decayRate, bias: 1 })),
  )
}

export interface PolynomialDecayOptions {
  learningRate: number
  decaySteps: number
  endLearningRate?: number
  power?: number
  /** Start again from a longer and longer stretch when one is over, instead of staying at the end. */
  cycle?: boolean
}

/** (learningRate − end) · (1 − step / decaySteps)^power + end, up to decaySteps. */
export function polynomialDecay(options: PolynomialDecayOptions): Variable {
  const name = "polynomialDecay"
  checkOptions(name, options, ["learningRate", "decaySteps", "endLearningRate", "power", "cycle"])
  const learningRate = numberIn(name, "learningRate", options.learningRate)
  const decaySteps = numberIn(name, "decaySteps", options.decaySteps, positive)
  const end = numberIn(name, "endLearningRate", options.endLearningRate ?? 1e-4)
  const power = numberIn(name, "power", options.power ?? 1)
  const cycle = flag(name, "cycle", options.cycle ?? false)
  return schedule(polynomialDecay, name, defaultMainProgram(), ({ main, startup }) => {
    const stretches = div(currentStep(main, startup), decaySteps)
    const done = cycle ? div(stretches, max(ceil(stretches), 1)) : min(stretches, 1)
    const left = pow(scale(done, { scale: -1, bias: 1 }), power)
    return scale(left, { scale: learningRate - end, bias: end })
  })
}

/** values[i] up to boundaries[i], then the next one; there is one value more than boundaries. */
export function piecewiseDecay(options: { boundaries: readonly number[]; values: readonly number[] }): Variable {
  const name = "piecewiseDecay"
  checkOptions(name, options, ["boundaries", "values"])
  const { boundaries, values } = options
  if (!Array.isArray(boundaries) || !Array.isArray(values) || values.length !== boundaries.length + 1) {
    fail("CF_BAD_ATTRIBUTE", "values must be an array of one entry more than boundaries", { op: name })
  }
  const steps = boundaries.map((step, i) => numberIn(name, `boundaries[${i}]`, step, positiveInteger))
  const rates = values.map((rate, i) => numberIn(name, `values[${i}]`, rate))
  if (steps.some((step, i) => step <= (steps[i - 1] ?? 0))) {
    fail("CF_BAD_ATTRIBUTE", `boundaries must rise, got [${steps.join(", ")}]`, { op: name })
  }
  return schedule(piecewiseDecay, name, defaultMainProgram(), ({ main, startup }) => {
    const counter = stepCounter(main, startup)
    const last = fillConstant({ shape: [], value: rates.at(-1) ?? 0, program: main })
    return steps.reduceRight((rate, step, i) => where(less(counter, step), rates[i] ?? 0, rate), last)
  })
}

/** learningRate / 2 · (cos(π · epoch / epochs) + 1), where an epoch is `stepEachEpoch` steps. */
export function cosineDecay(options: { learningRate: number; stepEachEpoch: number; epochs: number }): Variable {
  const name = "cosineDecay"
  checkOptions(name, options, ["learningRate", "stepEachEpoch", "epochs"])
  const learningRate = numberIn(name, "learningRate", options.learningRate)
  const stepEachEpoch = numberIn(name, "stepEachEpoch", options.stepEachEpoch, positive)
  const epochs = numberIn(name, "epochs", options.epochs, positive)
  return schedule(cosineDecay, name, defaultMainProgram(), ({ main, startup }) => {
    const epoch = floor(div(currentStep(main, startup), stepEachEpoch))
    const wave = cos(scale(epoch, { scale: Math.PI / epochs }))
    return scale(wave, { scale: learningRate / 2, bias: learningRate / 2 })
  })
}

/** learningRate · dModel^−½ · min(step^−½, step · warmupSteps^−1½): rises while warming up, then falls. */
export function noamDecay(options: { dModel: number; warmupSteps: number; learningRate?: number }): Variable {
  const name = "noamDecay"
  checkOptions(name, options, ["dModel", "warmupSteps", "learningRate"])
  const dModel = numberIn(name, "dModel", options.dModel, positive)
  const warmupSteps = numberIn(name, "warmupSteps", options.warmupSteps, positive)
  const learningRate = numberIn(name, "learningRate", options.learningRate ?? 1)
  return schedule(noamDecay, name, defaultMainProgram(), ({ main, startup }) => {
    const step = scale(currentStep(main, startup), { bias: 1 })
    const rate = min(pow(step, -0.5), scale(step, { scale: warmupSteps ** -1.5 }))
    return scale(rate, { scale: learningRate * dModel ** -0.5 })
  })
}

export interface WarmupOptions {
  /** For how many steps. */
  warmupSteps: number
  startLr: number
  endLr: number
}

/**
 * From startLr straight to endLr in warmupSteps steps; from then on `learningRate`, a number or another schedule. The rate may
 * stand among the options, as for the other schedules.
 */
export function linearLrWarmup(learningRate: number | Variable, options: WarmupOptions): Variable
export function linearLrWarmup(options: WarmupOptions & { learningRate: number | Variable }): Variable
export function linearLrWarmup(
  first: number | Variable | (WarmupOptions & { learningRate: number | Variable }),
  second?: WarmupOptions,
): Variable {
  const name = "linearLrWarmup"
  const isInside = typeof first === "object" && !(first instanceof Variable)
  const { learningRate, ...options } = isInside ? first : { ...second, learningRate: first }
  checkOptions(name, options, ["warmupSteps", "startLr", "endLr"])
  if (!(learningRate instanceof Variable) && typeof learningRate !== "number") {
    fail("CF_BAD_ATTRIBUTE", `learningRate must be a number or a Variable, got ${describeValue(learningRate)}`, {
      op: name,
    })
  }
  const warmupSteps = numberIn(name, "warmupSteps", options.warmupSteps, positive)
  const startLr = numberIn(name, "startLr", options.startLr)
  const endLr = numberIn(name, "endLr", options.endLr)
  const program = learningRate instanceof Variable ? learningRate.program : defaultMainProgram()
  return schedule(linearLrWarmup, name, program, ({ main, startup }) => {
    const step = currentStep(main, startup)
    const warm = scale(step, { scale: (endLr - startLr) / warmupSteps, bias: startLr })
    const isWarm = less(step, warmupSteps)
    if (typeof learningRate === "number") return where(isWarm, warm, numberIn(name, "learningRate", learningRate))
    const { dtype } = learningRate
    return where(isWarm, dtype === warm.dtype ? warm : cast(warm, { dtype }), reshapeTo(learningRate, []))
  })
}
