// Forward and backward part as one graph of numbers: what each operator reads, makes and costs, and how many bytes values take.
// What decisions about recomputation are made on.

import { bindDim, type Dim, numel, type Operator, type Variable } from "@counterflow/ir"
import { isOp, workOf } from "@counterflow/ops"

/** One operator; values are numbers. Data, parameters and state have none: they are there anyway. */
export interface Work {
  readonly op: Operator
  readonly inputs: readonly number[]
  readonly outputs: readonly number[]
  /** Floating point operations, or the time of as many where moving the bytes takes longer. */
  readonly cost: number
  readonly flops: number
  /** The input whose bytes the output shows. */
  readonly aliases: number | null
  /** A loop over elements, which is fused with its like. */
  readonly isPointwise: boolean
}

export interface Joint {
  /** In program order, the forward part first. */
  readonly ops: readonly Work[]
  /** How many operators the forward part has. */
  readonly forward: number
  readonly bytes: readonly number[]
  /** By value: the operator that makes it. */
  readonly makers: readonly number[]
  readonly variables: readonly Variable[]
}

const widths = { float32: 4, float64: 8, int32: 4, int64: 8, uint8: 1, bool: 1 } as const
/** A core computes as many numbers as this in the time in which it moves one byte. */
const flopsPerByte = 4

/** `ops` are the operators of a block that run, in program order, the first `forward` of them the forward part. */
export function jointGraph(ops: readonly Operator[], forward: number, bindings: ReadonlyMap<string, number>): Joint {
  const sizeOf = (dim: Dim) => bindDim(dim, bindings)
  const ids = new Map<Variable, number>()
  const variables: Variable[] = []
  const bytes: number[] = []
  const makers: number[] = []
  const bytesOf = ({ shape, dtype }: Variable) => widths[dtype] * sizeOf(numel(shape))
  const works = ops.map((op, index): Work => {
    const inputs = op.inputList().flatMap((input) => ids.get(input) ?? [])
    const outputs = op.outputList().map((output) => {
      const id = variables.push(output) - 1
      ids.set(output, id)
      bytes.push(bytesOf(output))
      makers.push(index)
      return id
    })
    const { flops, isPointwise } = workOf(op, sizeOf)
    const slot = isOp(op.record) ? op.record.facts.aliases : undefined
    const viewed = slot === undefined ? undefined : op.inputs[slot]?.[0]
    // A fused loop finds its inputs in registers.
    const touched = slot !== undefined ? [] : isPointwise ? op.outputList() : [...op.inputList(), ...op.outputList()]
    const moved = touched.reduce((total, variable) => total + bytesOf(variable), 0)
    return {
      op,
      inputs,
      outputs,
      flops,
      cost: Math.max(flops, flopsPerByte * moved),
      aliases: viewed === undefined ? null : (ids.get(viewed) ?? null),
      isPointwise,
    }
  })
  return { ops: works, forward, bytes, makers, variables }
}
