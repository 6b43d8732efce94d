// Gradient accumulation: a loop over micro-batches, each run of which computes forward and backward part of one and adds its
// gradients up. Only one micro-batch's activations are alive at a time. The forward part stays as the user wrote it; what the loop
// computes stands instead of it: the loss, new values of states, and what is there to be fetched.
//
//   for each of k parts of the batch      sum_w ← sum_w + d loss(part) / dw
//   after it                              w@GRAD = sum_w / k,  loss = the mean of the losses

import {
  describeValue,
  fail,
  freeName,
  isFloat,
  lastWritten,
  type Operator,
  site,
  type Variable,
} from "@counterflow/ir"
import { add, emit, fillConstant, joinParts, partition, reduceMean, scale, scaleOp, scan } from "@counterflow/ops"
import { requireVariable, resolveVariables } from "./arguments.ts"
import { appendBackward, type BackwardOptions, checkLoss, isStopped, type ParamGrad } from "./backward.ts"
import { type Batch, batchSymbols, dataOf, dependents, partAxis, results, specIn, SymbolicBatch } from "./microbatch.ts"
import { FixedBatch, fixedSize } from "./microbatch-fixed.ts"
import { checkKeeping, type Choice, repetitionFor } from "./keeping.ts"
import { appendPass } from "./pass.ts"
import { operatorPath } from "./path.ts"

/** Appends a backward part, as `appendBackward` does. */
export type Backward = (loss: Variable, options?: BackwardOptions) => ParamGrad[]

/**
 * A backward part that takes the batch in `count` equal micro-batches, one after the other, and answers the mean of their gradients:
 * that of the whole batch, where the loss is a mean over it. Memory holds the activations of one micro-batch, and the sums of
 * the gradients. To be given to `minimize`, or called like `appendBackward`.
 *
 * Data variables are cut along the program's `batch`, or the symbol that leads their shapes; the size fed must be a multiple of
 * `count` (CF_SYMBOL_CONFLICT). With `checkpoints` or `recompute` each micro-batch recomputes its own values; a budget is for one. Every micro-batch draws its own random numbers; statistics such as batch normalization's are
 * those of a micro-batch, and running ones move once per micro-batch. The loss, and results that nothing reads, come out of the micro-batches: scalars
 * as their mean, others joined. An intermediate that is fetched takes a forward pass of the whole batch besides.
 *
 * @example
 * ```ts
 * new optim.Adam({ learningRate: 1e-3 }).minimize(loss, { backward: microBatches(4) })
 * ```
 */
export function microBatches(count: number): Backward {
  if (!Number.isSafeInteger(count) || count < 1) {
    fail("CF_BAD_ARGUMENT", `the number of micro-batches must be a positive integer, got ${describeValue(count)}`, {
      op: "microBatches",
    })
  }
  const backward: Backward = (loss, options = {}) =>
    site(backward, () => (count === 1 ? appendBackward(loss, options) : accumulate(loss, count, options)))
  return backward
}

/** Nothing else is left out silently. */
const known: readonly string[] = [
  "parameterList",
  "noGradSet",
  "checkpoints",
  "recompute",
  "callbacks",
] satisfies (keyof BackwardOptions)[]

function accumulate(loss: Variable, count: number, options: BackwardOptions): ParamGrad[] {
  const op = "microBatches"
  checkLoss(requireVariable(loss, op, "the loss"), op)
  const { program } = loss
  const global = program.globalBlock()
  if (loss.block !== global || program.currentBlock() !== global) {
    fail(
      "CF_NOT_A_LOSS",
      `micro-batches are a loop around the whole program, and ${loss.name} is minimized in a sub-block`,
      {
        op,
        notes: [`${loss}   built at ${loss.site}`],
        fix: "let the branch or loop answer the loss, and minimize what it answers",
      },
    )
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown !== undefined) {
    fail("CF_BAD_ARGUMENT", `micro-batches do not take ${unknown}; they take ${known.join(", ")}`, { op })
  }
  const listed = resolveVariables(options.parameterList, program, op, "parameterList")
  const noGrad = new Set(resolveVariables(options.noGradSet, program, op, "noGradSet"))
  const choice = checkKeeping(options, program, op, count)
  const isCut = (variable: Variable) => noGrad.has(variable) || isStopped(variable)
  return program.transaction(() => {
    const path = operatorPath([global], [loss])
    const batch = batchOf(dataOf(path), count)
    const sized = batch === null ? null : dependents(global.ops, batch)
    if (batch === null || sized === null || loss.producer === null || !sized.has(loss.producer)) {
      return refuseBatch(loss, dataOf(path))
    }
    const moved = runPerPart(global.ops, new Set(path), sized)
    const wanted = wantedLeaves(operatorPath([global], [loss], isCut), listed ?? program.allParameters(), isCut)
    if (listed !== undefined) refuseInner(listed, moved, batch)
    if (wanted.length === 0) return []
    loss.producer.isLoss = true
    const position = { block: global, role: "backward", derivedFrom: null, stem: null } as const
    return program.within(position, () =>
      new Accumulation(loss, batch, moved, count).run(wanted, { callbacks: options.callbacks ?? [], noGrad, choice }),
    )
  })
}

function batchOf(data: readonly Variable[], count: number): Batch | null {
  const symbols = batchSymbols(data)
  if (symbols.length > 0) return new SymbolicBatch(symbols, count)
  const size = fixedSize(data)
  return size === undefined ? null : new FixedBatch(size, count)
}

/** Operators on the way to the loss, and what else the user computes of the batch, in order. */
function runPerPart(ops: readonly Operator[], path: ReadonlySet<Operator>, sized: ReadonlySet<Operator>) {
  return ops.filter((op) => path.has(op) || (op.role === "forward" && sized.has(op)))
}

function wantedLeaves(
  path: readonly Operator[],
  candidates: readonly Variable[],
  isCut: (variable: Variable) => boolean,
): Variable[] {
  const leaves = new Set(path.flatMap((op) => op.inputList()))
  return candidates.filter((variable) => leaves.has(variable) && isFloat(variable.dtype) && !isCut(variable))
}

function refuseBatch(loss: Variable, data: readonly Variable[]): never {
  return fail("CF_BAD_ARGUMENT", `${loss.name} is computed from no data with a batch that could be cut`, {
    op: "microBatches",
    notes: data.map((variable) => `${variable}   built at ${variable.site}`),
    fix: "let all data begin with the batch: layers.data({ name, shape: [13] }) has the shape [batch, 13]",
  })
}

/** A gradient with respect to what each micro-batch has its own of is none of the whole batch. */
function refuseInner(listed: readonly Variable[], moved: readonly Operator[], batch: Batch): void {
  const inner = new Set(moved)
  for (const variable of listed) {
    const isInner = variable.producer !== null && inner.has(variable.producer)
    if (!isInner && !(variable.isData && batch.cutAxis(variable) >= 0)) continue
    fail("CF_BAD_ARGUMENT", `parameterList holds ${variable.name}, which every micro-batch has its own of`, {
      op: "microBatches",
      notes: [`${variable}   built at ${variable.site}`],
      fix: "list parameters, or use appendBackward on the whole batch",
    })
  }
}

interface InnerOptions extends Pick<BackwardOptions, "callbacks"> {
  readonly noGrad: ReadonlySet<Variable>
  readonly choice: Choice
}

/** One loop over micro-batches, while it is built. */
class Accumulation {
  readonly #loss: Variable
  readonly #batch: Batch
  readonly #moved: readonly Operator[]
  readonly #count: number
  /** What stands in the loop's body for variables of the forward part. */
  readonly #inner: Map<Variable, Variable> = new Map()

  constructor(loss: Variable, batch: Batch, moved: readonly Operator[], count: number) {
    this.#loss = loss
    this.#batch = batch
    this.#moved = moved
    this.#count = count
  }

  run(wanted: readonly Variable[], options: InnerOptions): ParamGrad[] {
    const { program } = this.#loss
    const data = dataOf(this.#moved).filter((variable) => this.#batch.cutAxis(variable) >= 0)
    const states = lastWritten(this.#moved)
    const xs = data.map((x) => partition(x, { parts: this.#count, axis: this.#batch.cutAxis(x) }))
    const zeros = wanted.map(({ shape, dtype }) => fillConstant({ shape, dtype, value: 0, program }))
    const given = [...states.keys()]
    let handedOut: readonly Variable[] = []
    const found = new Set<Variable>()
    const [carry, stacks] = scan(
      (current, slices, index) => {
        this.#give(data, slices)
        this.#give(given, current)
        this.#forward(index)
        handedOut = this.#handedOut()
        const gradients = this.#backward(wanted, options)
        const sums = wanted.map((variable, i) => {
          const [sum, gradient] = [current[given.length + i]!, gradients.get(this.#here(variable))]
          if (gradient === undefined) return sum
          found.add(variable)
          return add(sum, gradient)
        })
        return [
          [...[...states.values()].map((value) => this.#here(value)), ...sums],
          handedOut.map((v) => this.#here(v)),
        ]
      },
      { init: [...given, ...zeros], xs, length: this.#count },
    )
    ;[...states.values()].forEach((value, i) => standFor(value, carry[i]!))
    handedOut.forEach((variable, i) => this.#handOut(variable, stacks[i]!))
    return wanted.flatMap((variable, i): ParamGrad[] => {
      return found.has(variable) ? [[variable, this.#mean(variable, carry[given.length + i]!)]] : []
    })
  }

  #here(variable: Variable): Variable {
    return this.#inner.get(variable) ?? variable
  }

  /** Parameters of the body for what they stand for; gradients stop where they did. */
  #give(originals: readonly Variable[], params: readonly Variable[]): void {
    originals.forEach((original, i) => {
      const param = params[i]!
      param.stopGradient = original.stopGradient
      this.#inner.set(original, param)
    })
  }

  #forward(index: Variable): void {
    const { program } = this.#loss
    const spec = specIn(index, this.#count)
    for (const op of this.#moved) {
      program.within({ derivedFrom: op, scope: op.scope, stem: null }, () => this.#batch.emit(op, this.#inner, spec))
    }
  }

  #backward(
    wanted: readonly Variable[],
    { noGrad, choice, callbacks = [] }: InnerOptions,
  ): ReadonlyMap<Variable, Variable> {
    const block = this.#loss.program.currentBlock()
    const inner = new Set([...noGrad].flatMap((variable) => [variable, this.#here(variable)]))
    const isCut = (variable: Variable) => inner.has(variable) || isStopped(variable)
    const target = this.#here(this.#loss)
    const ops = operatorPath([block], [target], isCut)
    const wrt = new Set(wanted.map((variable) => this.#here(variable)))
    // A parameter's gradient is that of the whole batch.
    const nameOf = ({ name, block: own }: Variable) => (own === block ? `${name}@GRAD` : `${name}@GRAD@MICRO`)
    const pass = { block, ops, targets: [target], cotangents: [], wrt, isCut, nameOf }
    const checkpoints = choice.checkpoints?.map((variable) => this.#here(variable))
    const append = () => appendPass(pass).values()
    const repetition = repetitionFor({ ...choice, checkpoints }, target, block, append)
    return appendPass({ ...pass, callbacks, repetition })
  }

  /** What the micro-batches hand out: the loss, and what else can be put together from parts. */
  #handedOut(): Variable[] {
    const others = results(this.#moved).filter((variable) => {
      const axis = partAxis(variable, this.#here(variable), this.#batch)
      return axis !== null && (axis >= 0 || isFloat(variable.dtype)) && variable !== this.#loss
    })
    return [this.#loss, ...others]
  }

  #handOut(variable: Variable, stack: Variable): void {
    const axis = partAxis(variable, this.#here(variable), this.#batch) ?? -1
    const whole = axis < 0 ? reduceMean(stack, { axis: 0 }) : joinParts(stack, { axis, shape: variable.shape })
    standFor(variable, whole)
  }

  #mean(variable: Variable, sum: Variable): Variable {
    const name = freeName(variable.program, `${variable.name}@GRAD`)
    const attrs = { scale: 1 / this.#count, bias: 0 }
    const { z: gradient } = emit(scaleOp, { x: sum }, attrs, scale, { names: { z: name } })
    gradient.gradientOf = variable
    return gradient
  }
}

function standFor(variable: Variable, by: Variable): void {
  by.insteadOf = variable
}
