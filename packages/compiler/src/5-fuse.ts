// Phase 5: elementwise chains become one loop. An operator takes over the expression of an operand that only it reads; constants
// become literals; broadcasting becomes reading with strides. A value that is fetched, committed or read twice stays, so a fetch
// cuts only its own edge. Decided by facts, never by name.

import type { Scalar, VarId } from "@counterflow/ir"
import {
  allOps,
  type BoundBlock,
  type BoundOp,
  type BoundProgram,
  type BoundVar,
  idsOf,
  type Strides,
  type VarSlots,
} from "./bound.ts"

/** Larger expressions would run out of registers and give back what fusion saved. */
const limits = { nodes: 48, inputs: 8 }

export function fuseElementwise(program: BoundProgram): BoundProgram {
  const readers = countReaders(program)
  const block = fuseBlock(program.block, program.vars, readers)
  return { ...program, block: withoutUnread({ ...program, block }) }
}

function countReaders({ block, fetches, commits }: BoundProgram): Map<VarId, number> {
  const readers = new Map<VarId, number>()
  const count = (ids: readonly VarId[]) => {
    for (const id of ids) readers.set(id, (readers.get(id) ?? 0) + 1)
  }
  for (const op of allOps(block)) {
    count(idsOf(op.inputs))
    for (const inner of Object.values(op.blocks)) count(inner.results)
  }
  count(block.results)
  // Read from outside: never taken over.
  for (const id of [...fetches, ...commits.map(({ value }) => value)]) count([id, id])
  return readers
}

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
    if (scalar === undefined || output === undefined) return op
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
    let nodes = nodesOf(scalar)
    const leaf = (found: Leaf): Scalar => {
      const known = [...leaves].find(([, other]) => other.id === found.id && sameStrides(other.strides, found.strides))
      const slot = known?.[0] ?? `x${leaves.size}`
      leaves.set(slot, found)
      return { op: "input", slot }
    }
    for (const [slot, id] of inputs) {
      const value = constants.get(slot)
      const inner = chains.get(id)
      const isOwn = inner !== undefined && readers.get(id) === 1 && sameShape(id, output)
      if (value !== undefined) replacements.set(slot, { op: "const", value })
      else if (
        isOwn &&
        nodes + nodesOf(inner.scalar) <= limits.nodes &&
        leaves.size + inner.leaves.size + inputs.size <= limits.inputs + 1
      ) {
        const names = new Map([...inner.leaves].map(([name, found]) => [name, leaf(found)]))
        replacements.set(slot, substitute(inner.scalar, names))
        nodes += nodesOf(inner.scalar)
        flops += inner.flops
        types.push(...inner.types)
      } else replacements.set(slot, leaf(stretched(id, output)))
    }
    return { scalar: substitute(scalar, replacements), leaves, types: [...types, op.type], flops }
  }

  /** The value of a constant, also behind a broadcast. */
  function constantOf(id: VarId): number | undefined {
    const producer = producers.get(id)
    const { constant, stretches } = producer?.facts ?? {}
    if (constant !== undefined) return vars[id]?.dtype === "float32" ? Math.fround(constant) : constant
    const source = stretches === undefined ? undefined : producer?.inputs[stretches]?.[0]
    return source === undefined ? undefined : constantOf(source)
  }

  /** What lies behind a broadcast, with the steps through it along the axes of `output`. */
  function stretched(id: VarId, output: VarId): Leaf {
    const producer = producers.get(id)
    const slot = producer?.facts.stretches
    const source = slot === undefined ? undefined : producer?.inputs[slot]?.[0]
    const [from, to] = [vars[source ?? id], vars[output]]
    if (source === undefined || from === undefined || to === undefined) return { id, strides: null }
    const missing = to.shape.length - from.shape.length
    const own = rowMajor(from.shape)
    const strides = to.shape.map((size, axis) =>
      size !== 1 && from.shape[axis - missing] === size ? (own[axis - missing] ?? 0) : 0,
    )
    return { id: source, strides: from.elements === to.elements ? null : strides }
  }

  function sameShape(a: VarId, b: VarId): boolean {
    const [x, y] = [vars[a]?.shape ?? [], vars[b]?.shape ?? []]
    return x.length === y.length && x.every((size, axis) => size === y[axis])
  }

  return { ops, results: block.results }
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

/** Operators that nobody reads any more, because what they made was taken over, are left out. */
function withoutUnread(program: BoundProgram): BoundBlock {
  const needed = new Set([...program.fetches, ...program.commits.map(({ value }) => value)])
  const keep = (block: BoundBlock): BoundBlock => {
    for (const id of block.results) needed.add(id)
    const ops = block.ops.toReversed().flatMap((op): BoundOp[] => {
      if (!op.facts.canFail && !idsOf(op.outputs).some((id) => needed.has(id))) return []
      const blocks = Object.fromEntries(Object.entries(op.blocks).map(([name, inner]) => [name, keep(inner)]))
      for (const id of idsOf(op.inputs)) needed.add(id)
      return [{ ...op, blocks }]
    })
    return { ops: ops.reverse(), results: block.results }
  }
  return keep(program.block)
}

function children(scalar: Scalar): Scalar[] {
  if (scalar.op === "input" || scalar.op === "const") return []
  if (scalar.op === "select") return [scalar.condition, scalar.x, scalar.y]
  return "y" in scalar ? [scalar.x, scalar.y] : [scalar.x]
}

function nodesOf(scalar: Scalar): number {
  return children(scalar).reduce((total, child) => total + nodesOf(child), 1)
}

function substitute(scalar: Scalar, by: ReadonlyMap<string, Scalar>): Scalar {
  if (scalar.op === "input") return by.get(scalar.slot) ?? scalar
  if (scalar.op === "const") return scalar
  const x = substitute(scalar.x, by)
  if (scalar.op === "select")
    return { ...scalar, condition: substitute(scalar.condition, by), x, y: substitute(scalar.y, by) }
  return "y" in scalar ? { ...scalar, x, y: substitute(scalar.y, by) } : { ...scalar, x }
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

function sameStrides(a: Strides | null, b: Strides | null): boolean {
  if (a === null || b === null) return a === b
  return a.length === b.length && a.every((step, axis) => step === b[axis])
}

function rowMajor(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1)
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = (strides[axis + 1] ?? 1) * (shape[axis + 1] ?? 1)
  return strides
}
