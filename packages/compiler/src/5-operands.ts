// Phase 5: transposes and broadcasts around matrix products go away. An operand is read where it lies, by steps along the axes
// that the product sees; what a transpose would make of the result is written at once. Decided by facts, and by the backend,
// which says what steps it can read.

import type { VarId } from "@counterflow/ir"
import { withoutUnread } from "./4-unread.ts"
import { countReaders } from "./5-readers.ts"
import {
  type BoundBlock,
  type BoundOp,
  type BoundProgram,
  type BoundVar,
  idsOf,
  isTogether,
  type View,
} from "./bound.ts"

/** What a backend can read. */
export interface Viewing {
  /** Whether it runs this operator with operands that lie as `op.views` says. */
  views?: ((op: BoundOp, vars: readonly BoundVar[]) => boolean) | undefined
}

/**
 * The same program, in which matrix products read and write what lies otherwise.
 *
 * @example
 * ```ts
 * const folded = foldOperands(bound, { views: ({ type }) => type === "matmul" })
 * console.log(folded.block.ops.filter(({ views }) => views !== undefined).length)
 * ```
 */
export function foldOperands(program: BoundProgram, { views }: Viewing): BoundProgram {
  if (views === undefined) return program
  const { vars } = program
  const readers = countReaders(program)
  const fits = (op: BoundOp) => views(op, vars)
  const block = inEveryBlock(program.block, (inner) =>
    readInPlace(writeInPlace(inner, vars, readers, fits), vars, readers, fits),
  )
  return withoutUnread({ ...program, block })
}

function inEveryBlock(block: BoundBlock, change: (block: BoundBlock) => BoundBlock): BoundBlock {
  const ops = block.ops.map((op): BoundOp => {
    const own = Object.entries(op.blocks)
    if (own.length === 0) return op
    return { ...op, blocks: Object.fromEntries(own.map(([name, inner]) => [name, inEveryBlock(inner, change)])) }
  })
  return change({ ...block, ops })
}

type Readers = ReadonlyMap<VarId, number>
type Fits = (op: BoundOp) => boolean

function isProduct({ facts }: BoundOp): boolean {
  return facts.kind === "contract"
}

/** A product of which only a transpose is read writes what the transpose would make. */
function writeInPlace(block: BoundBlock, vars: readonly BoundVar[], readers: Readers, fits: Fits): BoundBlock {
  const products = new Map<VarId, number>()
  const ops: BoundOp[] = []
  for (const op of block.ops) {
    const [target] = idsOf(op.outputs)
    const [source] = idsOf(op.inputs)
    const at = source === undefined || readers.get(source) !== 1 ? undefined : products.get(source)
    const product = at === undefined ? undefined : ops[at]
    const { permutes } = op.facts
    if (
      at !== undefined &&
      product !== undefined &&
      permutes !== undefined &&
      isTogether(product, op) &&
      target !== undefined &&
      source !== undefined
    ) {
      const stored = rowMajor(vars[target]?.shape ?? [])
      const steps: number[] = []
      permutes.forEach((axis, i) => {
        steps[axis] = stored[i] ?? 0
      })
      const [slot = ""] = Object.keys(product.outputs)
      const written = viewed({ ...product, outputs: { [slot]: [target] } }, slot, {
        shape: vars[source]?.shape ?? [],
        strides: steps,
      })
      if (fits(written)) {
        ops[at] = written
        continue
      }
    }
    if (isProduct(op) && target !== undefined && idsOf(op.outputs).length === 1 && op.epilogue === undefined) {
      products.set(target, ops.length)
    }
    ops.push(op)
  }
  return { ...block, ops }
}

/** Products read what lies behind transposes and broadcasts that only products read. */
function readInPlace(block: BoundBlock, vars: readonly BoundVar[], readers: Readers, fits: Fits): BoundBlock {
  const producers = new Map<VarId, BoundOp>()
  const readByProducts = new Map<VarId, number>()
  for (const op of block.ops) {
    for (const id of idsOf(op.outputs)) producers.set(id, op)
    if (!isProduct(op)) continue
    for (const id of idsOf(op.inputs)) readByProducts.set(id, (readByProducts.get(id) ?? 0) + 1)
  }

  interface Source extends View {
    readonly id: VarId
  }
  const sourceOf = (id: VarId): Source => {
    const { shape } = vars[id] ?? { shape: [] }
    const { inputs = {}, facts } = producers.get(id) ?? {}
    const [inner] = idsOf(inputs)
    if (inner === undefined || (facts?.permutes === undefined && facts?.stretches === undefined)) {
      return { id, shape, strides: rowMajor(shape) }
    }
    const source = sourceOf(inner)
    if (facts.permutes !== undefined) {
      return { id: source.id, shape, strides: facts.permutes.map((axis) => source.strides[axis] ?? 0) }
    }
    const missing = shape.length - source.shape.length
    const strides = shape.map((size, axis) =>
      source.shape[axis - missing] === size ? (source.strides[axis - missing] ?? 0) : 0,
    )
    return { id: source.id, shape, strides }
  }

  const ops = block.ops.map((op) => {
    if (!isProduct(op)) return op
    let read = op
    for (const [slot, ids] of Object.entries(op.inputs)) {
      const [id] = ids
      // Where somebody else needs the transpose, it lies there for all.
      if (id === undefined || ids.length > 1 || readByProducts.get(id) !== readers.get(id)) continue
      const source = sourceOf(id)
      if (source.id === id) continue
      const { shape, strides } = source
      const candidate = viewed({ ...read, inputs: { ...read.inputs, [slot]: [source.id] } }, slot, { shape, strides })
      if (fits(candidate)) read = candidate
    }
    return read
  })
  return { ...block, ops }
}

function viewed(op: BoundOp, slot: string, view: View): BoundOp {
  return { ...op, views: { ...op.views, [slot]: view } }
}

function rowMajor(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1)
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = (strides[axis + 1] ?? 1) * (shape[axis + 1] ?? 1)
  return strides
}
