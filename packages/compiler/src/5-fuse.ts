// Phase 5: elementwise chains become one loop. An operator takes over the expression of an operand that only it reads; constants
// become literals; what is broadcast, reshaped or has its axes reordered is read where it lies, with strides. A value that is
// fetched, committed or read twice stays, so a fetch cuts only its own edge. Decided by facts, never by name.

import type { Scalar, VarId } from "@counterflow/ir"
import { withoutUnread } from "./4-unread.ts"
import { children, partsOf, restride, rowMajor, sameNumbers, sameStrides, substitution } from "./5-expression.ts"
import { countReaders } from "./5-readers.ts"
import {
  type BoundBlock,
  type BoundOp,
  type BoundProgram,
  type BoundVar,
  idsOf,
  isTogether,
  type Strides,
  type VarSlots,
} from "./bound.ts"

/** Larger expressions would run out of registers and give back what fusion saved. */
const limits = { nodes: 48, inputs: 8 }

/**
 * The same program with one operator in place of every chain of elementwise ones.
 *
 * @example
 * ```ts
 * console.log(fuseElementwise(bound).block.ops.map(({ type }) => type)) // ["sub+mul+relu", …]
 * ```
 */
export function fuseElementwise(program: BoundProgram): BoundProgram {
  const readers = countReaders(program)
  return withoutUnread({ ...program, block: fuseBlock(program.block, program.vars, readers) })
}

/** How a tensor is read: by which strides along the axes of the result; null is element by element. */
interface Leaf {
  readonly id: VarId
  readonly strides: Strides | null
}

/** An elementwise operator on the way: what it computes, of which tensors. */
interface Chain {
  readonly scalar: Scalar
  /** By the slot names that the expression uses. */
  readonly leaves: ReadonlyMap<string, Leaf>
  readonly types: readonly string[]
  readonly flops: number
  readonly nodes: number
}

function fuseBlock(block: BoundBlock, vars: readonly BoundVar[], readers: ReadonlyMap<VarId, number>): BoundBlock {
  const producers = new Map<VarId, BoundOp>()
  const chains = new Map<VarId, Chain>()
  const ops = block.ops.map((op): BoundOp => {
    const made = fuseOp(op)
    for (const id of idsOf(op.outputs)) producers.set(id, made)
    return made
  })

  function fuseOp(op: BoundOp): BoundOp {
    const own = Object.entries(op.blocks)
    if (own.length > 0) {
      const blocks = Object.fromEntries(own.map(([name, inner]) => [name, fuseBlock(inner, vars, readers)]))
      return { ...op, blocks }
    }
    const [output] = idsOf(op.outputs)
    const { scalar } = op.facts
    // A constant becomes a literal where its dtype is clear, and stays a tensor elsewhere.
    if (scalar === undefined || output === undefined || op.facts.constant !== undefined) return op
    const chain = chainOf(op, scalar, output)
    chains.set(output, chain)
    return chainOp(op, chain)
  }

  function chainOf(op: BoundOp, scalar: Scalar, output: VarId): Chain {
    const inputs = new Map(
      Object.entries(op.inputs).flatMap(([slot, [id]]) => (id === undefined ? [] : [[slot, id] as const])),
    )
    const constants = new Map<string, number>()
    for (const [slot, id] of inputs) {
      const value = constantOf(id)
      if (value !== undefined) constants.set(slot, value)
    }
    for (const slot of constants.keys()) if (!hasPartner(scalar, slot, constants)) constants.delete(slot)
    const leaves = new Map<string, Leaf>()
    const replacements = new Map<string, Scalar>()
    const types: string[] = []
    let flops = op.facts.flops
    let nodes = partsOf([scalar]).size
    const leaf = (found: Leaf): Scalar => {
      const known = [...leaves].find(([, other]) => other.id === found.id && sameStrides(other.strides, found.strides))
      const slot = known?.[0] ?? `x${leaves.size}`
      leaves.set(slot, found)
      return { op: "input", slot }
    }
    for (const [slot, id] of inputs) {
      const value = constants.get(slot)
      const inner = value === undefined ? ownChain(id, output, op) : undefined
      if (value !== undefined) replacements.set(slot, { op: "const", value })
      else if (
        inner !== undefined &&
        nodes + inner.nodes <= limits.nodes &&
        leaves.size + inner.leaves.size + inputs.size <= limits.inputs + 1
      ) {
        const names = new Map([...inner.leaves].map(([name, found]) => [name, leaf(found)]))
        replacements.set(slot, substitution(names)(inner.scalar))
        nodes += inner.nodes
        flops += inner.flops
        types.push(...inner.types)
      } else replacements.set(slot, leaf(leafOf(id, output)))
    }
    return { scalar: substitution(replacements)(scalar), leaves, types: [...types, op.type], flops, nodes }
  }

  /** The chain that makes a value, if nobody else reads it: also behind a view of the same elements in the same order. */
  function ownChain(id: VarId, output: VarId, reader: BoundOp): Chain | undefined {
    const producer = producers.get(id)
    if (readers.get(id) !== 1 || producer === undefined || !isTogether(producer, reader)) return undefined
    const [from, to] = [vars[id], vars[output]]
    if (from === undefined || to === undefined || from.elements !== to.elements) return undefined
    const chain = chains.get(id)
    if (chain === undefined) {
      const source = aliasedBy(id)
      return source === undefined ? undefined : ownChain(source, output, reader)
    }
    if (sameNumbers(from.shape, to.shape)) return chain
    const leaves = new Map<string, Leaf>()
    for (const [slot, leaf] of chain.leaves) {
      const strides = leaf.strides === null ? null : restride(from.shape, leaf.strides, to.shape)
      if (leaf.strides !== null && strides === null) return undefined
      leaves.set(slot, { id: leaf.id, strides })
    }
    return { ...chain, leaves }
  }

  /** The value of a constant, also behind views. */
  function constantOf(id: VarId): number | undefined {
    const producer = producers.get(id)
    if (producer === undefined) return undefined
    const { constant, stretches, aliases } = producer.facts
    if (constant !== undefined) return vars[id]?.dtype === "float32" ? Math.fround(constant) : constant
    const slot = stretches ?? aliases
    const source = slot === undefined ? undefined : producer.inputs[slot]?.[0]
    return source === undefined ? undefined : constantOf(source)
  }

  function aliasedBy(id: VarId): VarId | undefined {
    const producer = producers.get(id)
    const slot = producer?.facts.aliases
    return slot === undefined ? undefined : producer?.inputs[slot]?.[0]
  }

  /** What lies behind views, with the steps through it along the axes of `output`. */
  function leafOf(id: VarId, output: VarId): Leaf {
    const to = vars[output]
    let leaf: Leaf = { id, strides: null }
    while (to !== undefined) {
      const next = behind(leaf, to)
      if (next === undefined) break
      leaf = next
    }
    return leaf
  }

  function behind({ id, strides }: Leaf, to: BoundVar): Leaf | undefined {
    const producer = producers.get(id)
    if (producer === undefined) return undefined
    // A view of the same elements in the same order changes no offset.
    const alias = aliasedBy(id)
    if (alias !== undefined) return { id: alias, strides }
    const seen = vars[id]?.shape ?? []
    const stepped = steppedOver(producer)
    if (strides !== null || stepped === undefined) return undefined
    if (stepped.strides === null) return { id: stepped.id, strides: null }
    const moved = restride(seen, stepped.strides, to.shape)
    return moved === null ? undefined : { id: stepped.id, strides: moved }
  }

  /** The source of a broadcast, or of axes in another order: its steps along the axes of what is made of it. */
  function steppedOver(producer: BoundOp): Leaf | undefined {
    const { stretches, permutes } = producer.facts
    const slot = stretches ?? (permutes === undefined ? undefined : Object.keys(producer.inputs)[0])
    const source = slot === undefined ? undefined : producer.inputs[slot]?.[0]
    const [output] = idsOf(producer.outputs)
    const [from, to] = [vars[source ?? -1], vars[output ?? -1]]
    if (source === undefined || from === undefined || to === undefined) return undefined
    const own = rowMajor(from.shape)
    if (permutes !== undefined) {
      // Rows that do not lie in one piece are read faster from a copy, which is made in blocks.
      const last = permutes.length - 1
      const isMoved = permutes[last] !== last && (from.shape[last] ?? 1) !== 1
      return isMoved ? undefined : { id: source, strides: permutes.map((axis) => own[axis] ?? 0) }
    }
    if (from.elements === to.elements) return { id: source, strides: null }
    const missing = to.shape.length - from.shape.length
    const strides = to.shape.map((size, axis) =>
      size !== 1 && from.shape[axis - missing] === size ? (own[axis - missing] ?? 0) : 0,
    )
    return { id: source, strides }
  }

  return { ...block, ops }
}

function chainOp(op: BoundOp, { scalar, leaves, types, flops }: Chain): BoundOp {
  const inputs: VarSlots = Object.fromEntries([...leaves].map(([slot, { id }]) => [slot, [id]]))
  const reads = [...leaves].flatMap(([slot, { strides }]) => (strides === null ? [] : [[slot, strides] as const]))
  return {
    ...op,
    type: types.join("+"),
    inputs,
    listInputs: [],
    attrs: {},
    facts: { ...op.facts, scalar, flops },
    ...(reads.length === 0 ? {} : { reads: Object.fromEntries(reads) }),
  }
}

/** A literal takes its dtype from what it is combined with: it may stand only beside something that has one. */
function hasPartner(scalar: Scalar, slot: string, constants: ReadonlyMap<string, number>): boolean {
  const isConstant = (node: Scalar): boolean =>
    node.op === "const" ||
    (node.op === "input" ? constants.has(node.slot) : !("dtype" in node) && children(node).every(isConstant))
  const isSlot = (node: Scalar) => node.op === "input" && node.slot === slot
  if (isSlot(scalar)) return false
  const pair = "y" in scalar ? [scalar.x, scalar.y] : children(scalar)
  const isAlone = pair.some(isSlot) && pair.every(isConstant)
  const isCondition = scalar.op === "select" && isSlot(scalar.condition)
  return (
    !isAlone && !isCondition && children(scalar).every((child) => isSlot(child) || hasPartner(child, slot, constants))
  )
}
