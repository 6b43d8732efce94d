// What runs once per micro-batch in place of the forward part: which data is cut along the batch, which operators are emitted
// again for a part of it, what they read instead, and what they are called. Here the batch is a symbol, so that every size says
// what it has to do with it; microbatch-fixed.ts finds that out for a batch that is a number.

import {
  type Attrs,
  type Block,
  type Dim,
  DimExpr,
  fail,
  floorDivDims,
  freeName,
  type Operator,
  outputSlots,
  sameDim,
  type Slots,
  substituteDim,
  symbol,
  symbolsOf,
  type Variable,
} from "@counterflow/ir"
import { add, scale } from "@counterflow/ops"
import { again, type Rewriting } from "./again.ts"

/** What is shared out among micro-batches. */
export interface Batch {
  /** Whether a size is that of the batch. */
  isWhole(dim: Dim): boolean
  /** The axis along which a data variable is cut, −1 for one that is taken whole. */
  cutAxis(data: Variable): number
  /** Emits an operator for one micro-batch, in the current block. */
  emit(op: Operator, inner: Map<Variable, Variable>, spec: Rewriting["spec"]): void
}

export class SymbolicBatch implements Batch {
  readonly #part: ReadonlyMap<string, Dim>

  constructor(symbols: readonly string[], count: number) {
    this.#part = new Map(symbols.map((name) => [name, floorDivDims(symbol(name), count)]))
  }

  isWhole(dim: Dim): boolean {
    return dim instanceof DimExpr && this.#part.has(dim.key)
  }

  cutAxis(data: Variable): number {
    const isSized = (dim: Dim) => symbolsOf(dim).some((name) => this.#part.has(name))
    const [axis = -1, ...others] = data.shape.flatMap((dim, i) => (isSized(dim) ? [i] : []))
    if (others.length === 0 && (axis < 0 || this.isWhole(data.shape[axis] ?? 0))) return axis
    return fail("CF_BAD_ARGUMENT", `${data} cannot be cut into micro-batches: the batch must be one of its axes`, {
      notes: [`${data}   built at ${data.site}`],
    })
  }

  emit(op: Operator, inner: Map<Variable, Variable>, spec: Rewriting["spec"]): void {
    const dim = (size: Dim) => substituteDim(size, this.#part)
    again(op, inner, { attrs: ({ attrs }) => substituted(attrs, dim) as Attrs, dim, spec })
  }
}

function substituted(value: unknown, dim: (size: Dim) => Dim): unknown {
  if (value instanceof DimExpr) return dim(value)
  if (Array.isArray(value)) return (value as readonly unknown[]).map((entry) => substituted(entry, dim))
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, substituted(entry, dim)]))
}

/** The program's `batch` where data has it; else the symbols that lead data's shapes. */
export function batchSymbols(data: readonly Variable[]): string[] {
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

/** Operators that read what is cut, or what depends on it; and, with a symbolic batch, those that are sized by it. */
export function dependents(ops: readonly Operator[], batch: Batch): Set<Operator> {
  const found = new Set<Operator>()
  const isReached = (input: Variable) =>
    input.isData ? batch.cutAxis(input) >= 0 : input.producer !== null && found.has(input.producer)
  const isSized = ({ shape }: Variable) => shape.some((dim) => dim instanceof DimExpr && batch.isWhole(dim))
  for (const op of ops) if (op.outputList().some(isSized) || op.inputList().some(isReached)) found.add(op)
  return found
}

/** The axis along which parts make up the whole; −1 where part and whole are of one shape, null where they cannot be joined. */
export function partAxis(whole: Variable, part: Variable, batch: Batch): number | null {
  if (whole.shape.length !== part.shape.length) return null
  const [axis = -1, ...others] = whole.shape.flatMap((dim, i) => (sameDim(dim, part.shape[i] ?? 0) ? [] : [i]))
  return others.length > 0 || (axis >= 0 && !batch.isWhole(whole.shape[axis] ?? 0)) ? null : axis
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

/** What operators read, and are called, inside the loop whose run `trip` counts. */
export function specIn(trip: Variable, count: number): Rewriting["spec"] {
  const { program } = trip
  // Loops inside a micro-batch count their own runs: far enough apart, no two runs of all have one number.
  const stride = Math.floor(2 ** 31 / count)
  const tripOf = (own: Variable | undefined) => (own === undefined ? trip : add(own, scale(trip, { scale: stride })))
  return (op, inputs, blocks) => ({
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
  })
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
