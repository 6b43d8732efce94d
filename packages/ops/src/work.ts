// What an operator costs, and whether it is a loop over elements: composites are looked into, blocks are counted as often as they
// run. For decisions at the level of the program, where no plan says it.

import { type Dim, type Operator, unwrapInputs } from "@counterflow/ir"
import { isOp } from "./define.ts"
import { factsOf, stage } from "./legalize.ts"

export interface Work {
  /** Floating point operations; infinite where nobody knows how often a loop runs. */
  readonly flops: number
  /** Whether it does the same at each point of its only output, so that it can be fused with its like. */
  readonly isPointwise: boolean
}

/** The work of an operator under these sizes. The program is left as it was. */
export function workOf(op: Operator, sizeOf: (dim: Dim) => number): Work {
  return op.block.program.scratch(() => countWork(op, sizeOf))
}

function countWork(op: Operator, sizeOf: (dim: Dim) => number): Work {
  const { record } = op
  if (!isOp(record)) return { flops: Infinity, isPointwise: false }
  const { decomposition } = record
  if (decomposition !== null) {
    const { ops } = stage(op, () => decomposition(unwrapInputs(record, op.inputs), op.attrs, { op }))
    const parts = ops.map((part) => countWork(part, sizeOf))
    const flops = parts.reduce((total, part) => total + part.flops, 0)
    return { flops, isPointwise: op.outputList().length === 1 && parts.every((part) => part.isPointwise) }
  }
  const { kind, flops, repeats, aliases, stretches } = factsOf(op, record)
  const inner = Object.values(op.blocks)
    .flatMap((block) => block.ops)
    .reduce((total, each) => total + countWork(each, sizeOf).flops, 0)
  const isLoop = record.saves !== undefined
  const runs = repeats === undefined ? (isLoop ? Infinity : 1) : sizeOf(repeats)
  return {
    flops: sizeOf(flops) + (inner === 0 ? 0 : runs * inner),
    isPointwise: kind === "elementwise" || aliases !== undefined || stretches !== undefined,
  }
}
