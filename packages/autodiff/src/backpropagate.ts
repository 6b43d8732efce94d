// The heart of reverse mode: walk operators backwards, ask each one's rule, add up what meets in one variable. It knows no
// op by name; operators with sub-blocks are asked like any other and answer through `context.differentiate`.

import {
  compareDims,
  fail,
  formatShape,
  isDifferentiable,
  isFloat,
  isList,
  type Operator,
  sameShape,
  unwrapInputs,
  unwrapOutputs,
  type Variable,
} from "@counterflow/ir"
import { fillConstant, type GradContext, isOp, type Op, reshapeTo, sum } from "@counterflow/ops"

/** Makes of the sum of other parts one with a further part. */
type Addition = (whole: Variable) => Variable

/** What one forward variable is owed: the gradient, or a part of it. */
export type Answer = readonly [primal: Variable, gradient: Variable]

export interface Pass {
  /** Operators in program order: nothing outside is differentiated. */
  readonly ops: readonly Operator[]
  readonly targets: readonly Variable[]
  /** The cotangents of the targets, made once it is known which variables get several partial gradients. */
  readonly seed: (isPart: (primal: Variable) => boolean) => readonly Answer[]
  /** Variables whose gradients are wanted. */
  readonly wrt: ReadonlySet<Variable>
  /** Gradients do not pass these. */
  readonly isCut: (variable: Variable) => boolean
  /** Carries out one piece of work for a forward operator and names what it makes; `parts` tells which answers are partial. */
  readonly perform: (
    forward: Operator | null,
    work: () => readonly Answer[],
    isPart: (primal: Variable) => boolean,
  ) => readonly Answer[]
  readonly differentiate: GradContext["differentiate"]
  readonly pullBack: GradContext["pullBack"]
  /** The variable that stands for a gradient now (a callback may have replaced it). */
  readonly current: (gradient: Variable) => Variable
  /** Which parts of the gradient of a wanted variable are to be added up here: all, unless said. */
  readonly addedHere?: (primal: Variable, parts: readonly Variable[]) => readonly Variable[]
}

/** Gradients of the wanted variables that the targets reach. */
export function backpropagate(pass: Pass): Map<Variable, Variable> {
  const needed = neededVariables(pass)
  const parts = new Map<Variable, Variable[]>()
  /** What is added to the parts of a variable when all are there: see `GradContext.addTo`. */
  const additions = new Map<Variable, Addition[]>()
  const uses = countUses(pass, needed)
  const collect = ([primal, gradient]: Answer) => {
    const list = parts.get(primal)
    if (list === undefined) parts.set(primal, [gradient])
    else list.push(gradient)
  }
  const isPart = (primal: Variable) => (uses.get(primal) ?? 0) > 1

  /** The finished gradient of a variable: every operator that reads it has been asked. */
  const finished = (primal: Variable): Variable | null => {
    const [first, ...others] = (parts.get(primal) ?? []).map(pass.current)
    const added = additions.get(primal) ?? []
    if (first === undefined && added.length === 0) return null
    if (first !== undefined && !isPart(primal)) return first
    const work = (): Answer[] => {
      const whole = first === undefined ? zerosLike(primal) : others.length === 0 ? first : total([first, ...others])
      return [[primal, added.reduce((all, add) => add(all), whole)]]
    }
    const [answer] = pass.perform(primal.producer, work, () => false)
    const gradient = answer?.[1] ?? first ?? null
    parts.set(primal, gradient === null ? [] : [gradient])
    additions.delete(primal)
    uses.set(primal, 1)
    return gradient
  }
  const addTo = (primal: Variable, add: Addition) => {
    if (needed.has(primal)) additions.set(primal, [...(additions.get(primal) ?? []), add])
  }

  const reached = pass.targets.some((target) => needed.has(target))
  if (!reached) return new Map()
  for (const answer of pass.seed(isPart)) if (needed.has(answer[0])) collect(answer)
  for (const op of pass.ops.toReversed()) {
    if (!op.outputList().some((output) => parts.has(output) || additions.has(output))) continue
    if (!differentiableInputs(op).some((input) => needed.has(input))) continue
    for (const output of op.outputList()) finished(output)
    const cotangentOf = (output: Variable) => {
      const gradient = parts.get(output)?.[0]
      return gradient === undefined ? null : pass.current(gradient)
    }
    for (const answer of pass.perform(op, () => askRule(op, cotangentOf, needed, pass, addTo), isPart)) collect(answer)
  }
  const result = new Map<Variable, Variable>()
  for (const primal of pass.wrt) {
    const list = parts.get(primal)
    if (list !== undefined && pass.addedHere !== undefined) parts.set(primal, [...pass.addedHere(primal, list)])
    const gradient = finished(primal)
    if (gradient !== null) result.set(primal, pass.current(gradient))
  }
  return result
}

function zerosLike({ shape, dtype, program }: Variable): Variable {
  return fillConstant({ shape, dtype, value: 0, program })
}

/** The sum of parts. What is as long as a loop will have run, only loops can add up. */
function total(parts: readonly Variable[]): Variable {
  const [first] = parts
  if (first?.shape.some((dim) => first.program.isOpen(dim)) !== true) return sum(parts)
  const records = parts.map(({ producer }) => producer?.record)
  const loop = records.find((record) => record !== undefined && isOp(record) && record.addStacks !== null)
  if (loop === undefined || !isOp(loop) || loop.addStacks === null)
    return fail("CF_INTERNAL", `nothing can add up the parts of ${first.name}`)
  return loop.addStacks(parts)
}

function differentiableInputs(op: Operator): Variable[] {
  return Object.entries(op.inputs).flatMap(([slot, variables]) => {
    const kind = op.record.inputs[slot]
    return kind !== undefined && isDifferentiable(kind) ? variables : []
  })
}

/** Variables through which a wanted one reaches a target: found forwards, each operator looked at once. */
function neededVariables({ ops, wrt, isCut }: Pass): Set<Variable> {
  const needed = new Set([...wrt].filter((variable) => isFloat(variable.dtype) && !isCut(variable)))
  for (const op of ops) {
    if (!differentiableInputs(op).some((input) => needed.has(input))) continue
    for (const output of op.outputList()) if (isFloat(output.dtype) && !isCut(output)) needed.add(output)
  }
  return needed
}

/** How many partial gradients a variable may get: one per reading slot on the path and per seed. */
function countUses({ ops, targets }: Pass, needed: ReadonlySet<Variable>): Map<Variable, number> {
  const uses = new Map<Variable, number>()
  const count = (variable: Variable) => {
    if (needed.has(variable)) uses.set(variable, (uses.get(variable) ?? 0) + 1)
  }
  for (const target of targets) count(target)
  for (const op of ops) {
    if (op.outputList().some((output) => needed.has(output))) for (const input of differentiableInputs(op)) count(input)
  }
  return uses
}

/** How rules of operators with sub-blocks differentiate these. */
type Blockwise = Pick<GradContext, "differentiate" | "pullBack">

function askRule(
  op: Operator,
  cotangentOf: (output: Variable) => Variable | null,
  needed: ReadonlySet<Variable>,
  { differentiate, pullBack }: Blockwise,
  addTo: (primal: Variable, add: Addition) => void,
): Answer[] {
  const record = opOf(op)
  const { gradient } = record
  const cotangents = Object.fromEntries(
    Object.entries(op.outputs).map(([slot, variables]) => [slot, variables.map(cotangentOf)]),
  )
  if (typeof gradient !== "function") {
    if (gradient.answer !== "byDecomposition") return refuse(op, gradient.why, gradient.answer)
    return throughDecomposition(op, record, cotangentOf, needed, { differentiate, pullBack })
  }
  const context: GradContext = {
    op,
    addTo: (slot, add) => {
      const [input] = op.inputs[slot] ?? []
      if (input !== undefined) addTo(input, (whole) => fitted(op, slot, input, add(whole)))
      return null
    },
    needs: (slot, index) => {
      const inputs = op.inputs[slot] ?? []
      return index === undefined
        ? inputs.some((input) => needed.has(input))
        : needed.has(inputs[index] ?? op.block.var(slot))
    },
    differentiate,
    pullBack,
  }
  const unwrapped = unwrapOutputs(record, cotangents)
  const answers = gradient(
    unwrapInputs(record, op.inputs),
    unwrapOutputs(record, op.outputs),
    unwrapped,
    op.attrs,
    context,
  )
  return Object.entries(answers).flatMap(([slot, answer]) => {
    const inputs = op.inputs[slot] ?? []
    const kind = record.inputs[slot]
    if (kind === undefined || !isDifferentiable(kind)) {
      return fail(
        "CF_BAD_RULE",
        `the gradient rule of ${op.type} answers for ${slot}, which is no differentiable input`,
      )
    }
    const list =
      isList(kind) && Array.isArray(answer) ? (answer as readonly (Variable | null)[]) : [answer as Variable | null]
    if (list.length !== inputs.length && inputs.length > 0) {
      fail(
        "CF_BAD_RULE",
        `the gradient rule of ${op.type} gives ${list.length} answers for the ${inputs.length} of ${slot}`,
      )
    }
    return inputs.flatMap((input, index): Answer[] => {
      const gradientOfInput = list[index] ?? null
      if (gradientOfInput === null || !needed.has(input)) return []
      return [[input, fitted(op, slot, input, gradientOfInput)]]
    })
  })
}

function opOf(op: Operator): Op {
  if (isOp(op.record)) return op.record
  return fail("CF_UNKNOWN_OP", `the record of ${op.type} is not attached, so it has no gradient rule`, {
    op: op.type,
    fix: "call resolve(program, registry) on a program read from a file",
  })
}

function refuse(op: Operator, why: string, answer: string): Answer[] {
  const reads = op.inputList().map((input) => `${input}   built at ${input.site}`)
  return fail(
    "CF_NO_GRADIENT",
    answer === "notYet" ? `its gradient is not written yet: ${why}` : `it has no gradient: ${why}`,
    {
      op: op.type,
      notes: reads,
      where: `this ${op.type} was built at ${op.site}`,
      fix: "leave it out of the loss, or stop the gradient before it: variable.stopGradient = true",
    },
  )
}

/** A gradient has shape and dtype of its variable; sizes that symbols leave open are pinned by a reshape. */
function fitted(op: Operator, slot: string, primal: Variable, gradient: Variable): Variable {
  if (gradient.dtype === primal.dtype && sameShape(gradient.shape, primal.shape)) return gradient
  const different =
    gradient.shape.length !== primal.shape.length ||
    gradient.shape.some((dim, axis) => compareDims(dim, primal.shape[axis] ?? dim) === "different")
  if (different || gradient.dtype !== primal.dtype) {
    fail(
      "CF_BAD_RULE",
      `the gradient rule of ${op.type} answers ${gradient.type} for ${slot}, which is ${primal.type}`,
      {
        op: op.type,
        where: `this ${op.type} was built at ${op.site}`,
        fix: `a gradient has the shape ${formatShape(primal.shape)} and dtype of its variable`,
      },
    )
  }
  return reshapeTo(gradient, primal.shape)
}

/** The expansion is emitted again and differentiated; common subexpressions merge it with the forward one. */
function throughDecomposition(
  op: Operator,
  record: Op,
  cotangentOf: (output: Variable) => Variable | null,
  needed: ReadonlySet<Variable>,
  { differentiate, pullBack }: Blockwise,
): Answer[] {
  const { staged } = op.block.program.currentBlock()
  if (record.decomposition === null || staged === null) return fail("CF_INTERNAL", `${op.type} cannot be expanded here`)
  const start = staged.length
  const outputs = record.decomposition(unwrapInputs(record, op.inputs), op.attrs, { op })
  const ops = staged.slice(start)
  const seeds = Object.entries(op.outputs).flatMap(([slot, variables]) => {
    const made = outputs[slot]
    const list = made === undefined ? [] : Array.isArray(made) ? (made as readonly Variable[]) : [made as Variable]
    return variables.flatMap((variable, index): Answer[] => {
      const cotangent = cotangentOf(variable)
      const target = list[index]
      return cotangent === null || target === undefined ? [] : [[target, cotangent]]
    })
  })
  const wrt = new Set(differentiableInputs(op).filter((input) => needed.has(input)))
  const perform: Pass["perform"] = (_forward, work) => work()
  const targets = seeds.map(([target]) => target)
  const isCut = (variable: Variable) => variable.stopGradient
  const found = backpropagate({
    ops,
    targets,
    seed: () => seeds,
    wrt,
    isCut,
    perform,
    differentiate,
    pullBack,
    current: (gradient) => gradient,
  })
  return [...found]
}
