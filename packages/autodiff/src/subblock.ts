// Differentiating a sub-block: a new block computes the old one again and hands out gradients. Rules of control flow call it.

import {
  type Block,
  type Operator,
  type Slots,
  type Variable,
  appendOperator,
  commitOperator,
  withSite,
} from "@counterflow/ir"
import { type DifferentiateRequest, fillConstant } from "@counterflow/ops"
import { backpropagate } from "./backpropagate.ts"

/** See `GradContext.differentiate`. */
export function differentiateBlock(block: Block, request: DifferentiateRequest): Block {
  const { program } = block
  const copy = program.createBlock(program.currentBlock())
  program.within({ block: copy }, () => {
    const variables = new Map<Variable, Variable>()
    for (const op of block.ops) again(op, variables)
    const here = (variable: Variable) => variables.get(variable) ?? variable
    const seeds = request.targets.flatMap((target, index) => {
      const cotangent = request.cotangents[index]
      return cotangent === null || cotangent === undefined ? [] : [[here(target), cotangent] as const]
    })
    const ops = [...copy.ops]
    const gradients = staged(copy, () =>
      backpropagate({
        ops,
        targets: seeds.map(([target]) => target),
        seed: () => seeds,
        wrt: new Set(request.wrt.map(here)),
        isCut: (variable) => variable.stopGradient,
        perform: (_forward, work) => work(),
        differentiate: differentiateBlock,
        current: (gradient) => gradient,
      }),
    )
    copy.setResults(
      request.wrt.map(
        (variable) => gradients.get(here(variable)) ?? fillConstant({ ...typeOf(variable), value: 0, program }),
      ),
    )
  })
  return copy
}

function typeOf({ shape, dtype }: Variable) {
  return { shape, dtype }
}

/** Builds with staging on, so that composites can be expanded in place, and appends what came of it. */
function staged<T>(block: Block, build: () => T): T {
  const waiting: Operator[] = []
  block.staged = waiting
  let result: T
  try {
    result = build()
  } finally {
    block.staged = null
  }
  for (const op of waiting) commitOperator(op)
  return result
}

/** Emits an operator once more, in the current block, on the copies of its inputs; its own sub-blocks are copied too. */
function again(op: Operator, variables: Map<Variable, Variable>): void {
  const mapped = (slots: Slots<Variable>) =>
    Object.fromEntries(Object.entries(slots).map(([slot, list]) => [slot, list.map((v) => variables.get(v) ?? v)]))
  const blocks = Object.fromEntries(
    Object.entries(op.blocks).map(([name, inner]) => [name, copyBlock(inner, variables)]),
  )
  const { record, attrs } = op
  // Without the program, an operator without inputs would go to the default one.
  const { program } = op.block
  const copy = withSite(op.site, () =>
    appendOperator({ record, attrs, blocks, inputs: mapped(op.inputs), above: again, program }),
  )
  for (const [slot, list] of Object.entries(op.outputs)) {
    list.forEach((output, index) => {
      const twin = copy.outputs[slot]?.[index]
      if (twin === undefined) return
      twin.stopGradient = output.stopGradient
      variables.set(output, twin)
    })
  }
}

function copyBlock(block: Block, variables: Map<Variable, Variable>): Block {
  const { program } = block
  const copy = program.createBlock(program.currentBlock())
  program.within({ block: copy }, () => {
    for (const op of block.ops) again(op, variables)
    copy.setResults(block.results.map((result) => variables.get(result) ?? result))
  })
  return copy
}
