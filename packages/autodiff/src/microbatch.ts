// What runs once per micro-batch in place of the forward part: which data is cut along the batch, which operators are emitted
// again for a part of it, what they read instead, and what they are called.

import {
  type Block,
  type Dim,
  DimExpr,
  fail,
  floorDivDims,
  freeName,
  type Operator,
  outputSlots,
  type Slots,
  substituteDim,
  symbol,
  symbolsOf,
  type Variable,
} from "@counterflow/ir"
import { add, scale } from "@counterflow/ops"
import type { Rewriting } from "./subblock.ts"

/** The sizes that are shared out among micro-batches. */
export class Batch {
  readonly #part: ReadonlyMap<string, Dim>

  constructor(data: readonly Variable[], count: number) {
    this.#part = new Map(batchSymbols(data).map((name) => [name, floorDivDims(symbol(name), count)]))
  }

  /** A size as it is in one micro-batch. */
  part(dim: Dim): Dim {
    return substituteDim(dim, this.#part)
  }

  has(dim: Dim): boolean {
    return symbolsOf(dim).some((name) => this.#part.has(name))
  }

  /** The axis that the batch lies along, −1 without one; null where it is in more than one size, or one is more than the batch. */
  axis({ shape }: Variable): number | null {
    const [axis = -1, ...others] = shape.flatMap((dim, i) => (this.has(dim) ? [i] : []))
    const dim = shape[axis]
    return others.length > 0 || (dim instanceof DimExpr && !this.#part.has(dim.key)) ? null : axis
  }

  /** Operators that share a size with the batch or read something that does. */
  dependents(ops: readonly Operator[]): Set<Operator> {
    const found = new Set<Operator>()
    const isReached = ({ shape, producer }: Variable) =>
      shape.some((dim) => this.has(dim)) || (producer !== null && found.has(producer))
    for (const op of ops) {
      const isSized = op.outputList().some(({ shape }) => shape.some((dim) => this.has(dim)))
      if (isSized || op.inputList().some(isReached)) found.add(op)
    }
    return found
  }
}

/** The program's `batch` where data has it; else the symbols that lead data's shapes. */
function batchSymbols(data: readonly Variable[]): string[] {
  const all = new Set(data.flatMap(({ shape }) => symbolsOf(shape)))
  if (all.has("batch")) return ["batch"]
  const leading = data.flatMap(({ shape: [first] }) =>
    first instanceof DimExpr && all.has(first.key) ? [first.key] : [],
  )
  return [...new Set(leading)]
}

/** Data that operators read, each once. */
export function dataOf(ops: readonly Operator[]): Variable[] {
  return [...new Set(ops.flatMap((op) => op.inputList()))].filter(({ isData }) => isData)
}

/** The axis along which a data variable is cut. */
export function cutAxis(data: Variable, batch: Batch): number {
  return (
    batch.axis(data) ??
    fail("CF_BAD_ARGUMENT", `${data} cannot be cut into micro-batches: the batch must be one of its axes`, {
      notes: [`${data}   built at ${data.site}`],
    })
  )
}

/** States that operators give new values, each with the last of them. */
export function statesWritten(ops: readonly Operator[]): Map<Variable, Variable> {
  const last = new Map<Variable, Variable>()
  for (const op of ops) {
    for (const { state, slot } of op.writes) {
      const value = op.outputs[slot]?.[0]
      if (value !== undefined) last.set(state, value)
    }
  }
  return last
}

/** What nothing reads, and no state takes, is there to be fetched: outputs of operators of which none is used. */
export function results(ops: readonly Operator[]): Variable[] {
  const read = new Set<Variable>()
  for (const block of ops[0]?.block.program.blocks ?? []) {
    for (const input of [...block.ops.flatMap((op) => op.inputList()), ...block.results]) read.add(input)
  }
  const isUsed = (op: Operator) => op.writes.length > 0 || op.outputList().some((output) => read.has(output))
  return ops.flatMap((op) => (isUsed(op) ? [] : op.outputList()))
}

/** How operators are emitted again inside the loop whose run `trip` counts. */
export function rewriting(batch: Batch, trip: Variable, count: number): Rewriting {
  const { program } = trip
  // Loops inside a micro-batch count their own runs: far enough apart, no two runs of all have one number.
  const stride = Math.floor(2 ** 31 / count)
  const tripOf = (own: Variable | undefined) => (own === undefined ? trip : add(own, scale(trip, { scale: stride })))
  return {
    dim: (dim) => batch.part(dim),
    spec: (op, inputs, blocks) => ({
      inputs: {
        ...inputs,
        ...(isDraw(op) ? { trip: [tripOf(inputs["trip"]?.[0])] } : {}),
        ...capturing(trip, inputs, blocks),
      },
      names: Object.fromEntries(
        outputSlots(op.record).flatMap(({ slot, isList }) => {
          const [output] = op.outputs[slot] ?? []
          return isList || output === undefined ? [] : [[slot, freeName(program, `${output.name}@MICRO`)]]
        }),
      ),
    }),
  }
}

/** Draws are told apart by the run of the loops around them. */
function isDraw({ record }: Operator): boolean {
  return Object.hasOwn(record.inputs, "trip") && Object.hasOwn(record.attrs, "stream")
}

/** An operator lists what its blocks read of the block around them. */
function capturing(trip: Variable, { captures }: Slots<Variable>, blocks: readonly Block[]): Slots<Variable> {
  const isRead = blocks.some((block) => block.ops.some((op) => op.inputList().includes(trip)))
  return captures === undefined || !isRead || captures.includes(trip) ? {} : { captures: [...captures, trip] }
}
