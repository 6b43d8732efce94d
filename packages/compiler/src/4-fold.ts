// Phase 4: what is computed from constants alone, directly or through views, becomes a constant itself. Its operator states the
// value as a fact and as an expression, so that every backend can make it, and later passes can write it into expressions.

import type { VarId } from "@counterflow/ir"
import { type Constant, evaluate, storedConstant } from "./4-evaluate.ts"
import { type BoundBlock, type BoundOp, type BoundProgram, type BoundVar, idsOf } from "./bound.ts"

/**
 * The same program with constants in place of what is computed from constants, where all backends agree about the value: the
 * operators that made them lose their readers.
 *
 * @example
 * ```ts
 * console.log(printBound(foldConstants(bound)))
 * ```
 */
export function foldConstants(program: BoundProgram): BoundProgram {
  const known = new Map<VarId, Constant>()
  return { ...program, block: foldBlock(program.block, program.vars, known) }
}

function foldBlock(block: BoundBlock, vars: readonly BoundVar[], known: Map<VarId, Constant>): BoundBlock {
  const ops = block.ops.map((op): BoundOp => {
    const own = Object.entries(op.blocks)
    if (own.length > 0) {
      const blocks = Object.fromEntries(own.map(([name, inner]) => [name, foldBlock(inner, vars, known)]))
      return { ...op, blocks }
    }
    const outputs = idsOf(op.outputs)
    const [output = -1] = outputs
    const variable = vars[output]
    if (variable === undefined || outputs.length > 1) return op
    const constant = constantOf(op, variable, known)
    if (constant === undefined) return op
    known.set(output, constant)
    return op.facts.constant === undefined ? constantOp(op, variable, constant) : op
  })
  return { ...block, ops }
}

/** The value of every element of what an operator makes, if that is known. */
function constantOf(op: BoundOp, output: BoundVar, known: ReadonlyMap<VarId, Constant>): Constant | undefined {
  const { scalar, constant, aliases, stretches, permutes, kind } = op.facts
  const { dtype } = output
  if (constant !== undefined) return typed(storedConstant(constant, dtype), dtype)
  if (scalar !== undefined && op.epilogue === undefined) {
    const inputs = new Map<string, Constant>()
    for (const [slot, ids] of Object.entries(op.inputs)) {
      const input = known.get(ids[0] ?? -1)
      if (input === undefined) return undefined
      inputs.set(slot, input)
    }
    return typed(evaluate(scalar, inputs, dtype), dtype)
  }
  const source = aliases ?? stretches ?? (permutes === undefined ? undefined : Object.keys(op.inputs)[0])
  const viewed = source === undefined || kind !== "view" ? undefined : known.get(op.inputs[source]?.[0] ?? -1)
  return viewed?.dtype === dtype ? viewed : undefined
}

function typed(value: number | undefined, dtype: Constant["dtype"]): Constant | undefined {
  return value === undefined ? undefined : { dtype, value }
}

/** An operator in the place of `op` that makes a constant. */
function constantOp(op: BoundOp, { shape, dtype }: BoundVar, { value }: Constant): BoundOp {
  return {
    type: "constant",
    inputs: {},
    outputs: op.outputs,
    listInputs: [],
    listOutputs: op.listOutputs,
    attrs: { value, shape, dtype },
    facts: { kind: "elementwise", scalar: { op: "const", value }, constant: value, flops: 0, canFail: false },
    blocks: {},
    ...(op.segment === undefined ? {} : { segment: op.segment }),
    origin: op.origin,
  }
}
