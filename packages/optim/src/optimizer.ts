// The optimizer: backward part, then clip, regularizers and update operators, appended to the program of the loss. All or
// nothing in main and startup program. It knows no rule by name: what differs between optimizers is data (rule.ts).

import {
  appendBackward,
  type Backward,
  type BackwardCallback,
  type ParamGrad,
  type Recompute,
} from "@counterflow/autodiff"
import {
  appendOperator,
  currentValues,
  describeValue,
  fail,
  isFloat,
  type Operator,
  Parameter,
  Program,
  type Regularizer,
  Variable,
} from "@counterflow/ir"
import { builtBy, createState, startupFor, withStartup } from "@counterflow/ops"
import { checkOptions } from "./arguments.ts"
import { checkClip, type GradientClip } from "./clip.ts"
import { checkLearningRate, type LearningRate, rateIn, RateTable } from "./rate.ts"
import { checkRegularizer, regularize } from "./regularizer.ts"
import type { UpdateRule } from "./rule.ts"

export interface OptimizerOptions {
  learningRate: LearningRate
  /** A penalty on every parameter that has none of its own: `new L2Decay(1e-4)`. */
  regularization?: Regularizer | null
  /** How gradients are clipped, before the penalties are added. */
  gradClip?: GradientClip | null
  /** What is trained, by name or variable; unless said, every trainable parameter that the loss reaches. */
  parameterList?: Iterable<string | Variable> | null
  /** Part of the names of this optimizer's states. */
  name?: string | null
}

export interface MinimizeOptions {
  /** Where states are initialized; unless said, where the parameters are. */
  startupProgram?: Program | null
  /** Instead of the optimizer's. */
  parameterList?: Iterable<string | Variable> | null
  /** Gradients of these are neither computed nor passed on. */
  noGradSet?: Iterable<string | Variable> | null
  /** What appends the backward part: `appendBackward` unless said, or `microBatches(4)`. */
  backward?: Backward | null
  /** Forward values to keep: all else between them is computed again in the backward part. See `appendBackward`. */
  checkpoints?: Iterable<string | Variable> | null
  /** Decides by itself what to keep: `"auto"`, or the least work that fits `{ budgetBytes, symbols: { batch: 32 } }`. */
  recompute?: Recompute | null
}

export interface BackwardOptions extends MinimizeOptions {
  /** Called after each backward operator is appended. */
  callbacks?: readonly BackwardCallback[]
}

/** The options that every optimizer has. */
export const commonOptions: readonly string[] = ["learningRate", "regularization", "gradClip", "parameterList", "name"]

const minimizeOptions: readonly string[] = [
  "startupProgram",
  "parameterList",
  "noGradSet",
  "backward",
  "checkpoints",
  "recompute",
]

export class Optimizer {
  readonly #rule: UpdateRule
  readonly #learningRate: LearningRate
  readonly #regularization: Regularizer | null
  readonly #gradClip: GradientClip | null
  readonly #parameterList: readonly (string | Variable)[] | undefined
  readonly #name: string | null
  /** The learning rate of each program that was optimized. */
  readonly #rates: WeakMap<Program, Variable> = new WeakMap()

  constructor(rule: UpdateRule, options: OptimizerOptions) {
    const op = rule.name
    const { regularization, gradClip, parameterList, name = null } = options
    this.#rule = rule
    this.#learningRate = checkLearningRate(op, options.learningRate)
    this.#regularization = checkRegularizer(op, regularization)
    this.#gradClip = checkClip(op, gradClip)
    this.#parameterList = listOf(op, parameterList)
    if (name !== null && (typeof name !== "string" || name === "")) {
      fail("CF_BAD_ATTRIBUTE", `name must be a name, got ${describeValue(name)}`, { op })
    }
    this.#name = name
  }

  /**
   * Appends all that a step of training takes; answers the update operators and the pairs [parameter, gradient]. Inside a branch
   * it trains where that is taken, whether the loss is computed there or outside of it; in the body of a loop it is refused.
   */
  minimize(loss: Variable, options: MinimizeOptions = {}): [updates: Operator[], paramGrads: ParamGrad[]] {
    return this.#called("minimize", () => {
      checkOptions(this.#rule.name, options, minimizeOptions)
      const main = this.#programOf(loss)
      const startupProgram = this.#startupOf(main, options.startupProgram)
      return withStartup(main, startupProgram, () => {
        const paramGrads = this.backward(loss, { ...options, startupProgram })
        return [this.applyGradients(paramGrads, { startupProgram }), paramGrads]
      })
    })
  }

  /** The first half: the backward part, as it comes, without clip and regularizers. */
  backward(loss: Variable, options: BackwardOptions = {}): ParamGrad[] {
    return this.#called("backward", () => {
      checkOptions(this.#rule.name, options, [...minimizeOptions, "callbacks"])
      const main = this.#programOf(loss)
      const parameterList = listOf(this.#rule.name, options.parameterList) ?? this.#parameterList
      const { noGradSet, checkpoints, recompute, callbacks = [] } = options
      const append = checkBackward(this.#rule.name, options.backward)
      return main.transaction(() => {
        const paramGrads = append(loss, {
          callbacks,
          ...(parameterList && { parameterList }),
          ...(noGradSet && { noGradSet }),
          ...(checkpoints && { checkpoints }),
          ...(recompute && { recompute }),
        })
        if (paramGrads.length === 0) {
          fail("CF_BAD_ARGUMENT", `the loss ${loss.name} depends on no parameter that is to be trained`, {
            fix: "look for stopGradient, trainable: false, parameterList and noGradSet",
          })
        }
        return paramGrads
      })
    })
  }

  /** The second half: clip, regularizers, and one update operator per pair. A parameter that is not trainable stays. */
  applyGradients(paramGrads: readonly ParamGrad[], options: Pick<MinimizeOptions, "startupProgram"> = {}): Operator[] {
    return this.#called("applyGradients", () => {
      checkOptions(this.#rule.name, options, ["startupProgram"])
      const main = checkPairs(paramGrads)
      const startup = this.#startupOf(main, options.startupProgram)
      // In a branch the updates stand in it, and what owns the branch writes the states.
      const position = { role: "optimize", derivedFrom: null, stem: null } as const
      return withStartup(main, startup, () => main.within(position, () => this.#update(paramGrads, main, startup)))
    })
  }

  #update(paramGrads: readonly ParamGrad[], main: Program, startup: Program): Operator[] {
    const trained = paramGrads.filter(([param]) => !(param instanceof Parameter) || param.trainable)
    const clipped = this.#gradClip === null ? trained : this.#gradClip.clip(trained)
    const penalized = regularize(clipped, this.#regularization)
    const [first] = penalized
    if (first === undefined) return []
    const rates = new RateTable(this.#rate(main, startup, first[0]))
    const written = currentValues(main.currentBlock())
    return penalized.map(([param, grad]) => {
      const { op, attrs, states } = this.#rule
      const rate = rates.of(param.dtype, param instanceof Parameter ? param.learningRate : 1)
      // Another optimizer may have updated the parameter in this step: its value is taken on from there.
      const current = written.get(param) ?? param
      const inputs: Record<string, Variable[]> = { param: [current], grad: [grad], learningRate: [rate] }
      for (const [slot, { name, value, isScalar = false }] of Object.entries(states)) {
        const stem = [param.name, ...(this.#name === null ? [] : [this.#name]), name].join("_")
        const shape = isScalar ? [] : param.shape
        inputs[slot] = [createState({ name: main.uniqueName(stem), shape, dtype: param.dtype, value, main, startup })]
      }
      const slot = op.writes["param"] ?? "nextParam"
      return appendOperator({
        record: op,
        inputs,
        attrs,
        above: appendOperator,
        writes: current === param ? {} : { [slot]: param },
      })
    })
  }

  /** Several losses of one program share the learning rate. */
  #rate(main: Program, startup: Program, like: Variable): Variable {
    const known = this.#rates.get(main)
    // Undone with a transaction that failed later, it is made again.
    if (known !== undefined && main.variables.get(known.name) === known) return known
    const rate = rateIn(main, startup, this.#learningRate, like, this.#rule.name)
    this.#rates.set(main, rate)
    return rate
  }

  /** With the caller of the method as call site. */
  #called<T>(method: "minimize" | "backward" | "applyGradients", body: () => T): T {
    return builtBy(this[method], this.#rule.name, body, "applied")
  }

  #programOf(loss: unknown): Program {
    if (loss instanceof Variable) return loss.program
    return fail("CF_BAD_ARGUMENT", `the loss must be a Variable, got ${describeValue(loss)}`, { op: this.#rule.name })
  }

  #startupOf(main: Program, given: unknown): Program {
    if (given === undefined || given === null) return startupFor(main)
    if (given instanceof Program) return given
    return fail("CF_BAD_ARGUMENT", `startupProgram must be a Program, got ${describeValue(given)}`)
  }
}

function checkBackward(op: string, given: unknown): Backward {
  if (given === undefined || given === null) return appendBackward
  if (typeof given === "function") return given as Backward
  return fail("CF_BAD_ATTRIBUTE", `backward must be what appends a backward part, got ${describeValue(given)}`, {
    op,
    fix: "pass microBatches(4), or leave it out",
  })
}

function listOf(op: string, given: Iterable<string | Variable> | null | undefined): (string | Variable)[] | undefined {
  if (given === undefined || given === null) return undefined
  const isList = typeof given === "object" && Symbol.iterator in given
  if (!isList)
    fail("CF_BAD_ARGUMENT", `parameterList must be a list of names or Variables, got ${describeValue(given)}`, { op })
  const list = [...given]
  if (list.length === 0) fail("CF_BAD_ARGUMENT", "parameterList is empty: there is nothing to train", { op })
  return list
}

/** Pairs of state and gradient of one type, all of one program, no state twice. */
function checkPairs(paramGrads: readonly ParamGrad[]): Program {
  const [first] = Array.isArray(paramGrads) ? (paramGrads as readonly ParamGrad[]) : []
  if (first === undefined) return fail("CF_BAD_ARGUMENT", "there is no pair [parameter, gradient] to apply")
  const seen = new Set<Variable>()
  for (const pair of paramGrads) {
    const [param, grad]: readonly unknown[] = pair
    if (!(param instanceof Variable) || !(grad instanceof Variable)) {
      return fail(
        "CF_BAD_ARGUMENT",
        `a pair must be [parameter, gradient], got [${describeValue(param)}, ${describeValue(grad)}]`,
      )
    }
    const notes = [`parameter  ${param}   built at ${param.site}`, `gradient   ${grad}   built at ${grad.site}`]
    if (param.program !== first[0].program || grad.program !== param.program) {
      fail("CF_FOREIGN_VARIABLE", "parameters and gradients belong to different programs", { notes })
    }
    if (!param.persistable || !isFloat(param.dtype)) {
      fail("CF_BAD_ARGUMENT", `${param.name} cannot be updated: it is no float state`, {
        notes,
        fix: "list parameters, or variables made with persistable: true",
      })
    }
    if (grad.type !== param.type)
      fail("CF_SHAPE_MISMATCH", `${param.name} and its gradient must have one type`, { notes })
    if (seen.has(param)) fail("CF_BAD_ARGUMENT", `${param.name} is there twice`, { notes })
    seen.add(param)
  }
  return first[0].program
}
