// Phase 4: operators that change nothing. A view of a view reads the first; axes moved there and back, a reshape to the same
// shape, x · 1 and their like hand their readers on to what they read; what only moves axes of size 1 is a view that costs
// nothing. Decided by facts and by exact rules, never by name.
//
// Operators that nobody reads any more stay until they are pruned. Fetches, commits and results of blocks keep their variables.

import type { Scalar, VarId } from "@counterflow/ir"
import { operationsOf, type Operand, simplifyScalar } from "./4-algebra.ts"
import { storedConstant } from "./4-evaluate.ts"
import { type BoundBlock, type BoundOp, type BoundProgram, type BoundVar, idsOf, type VarSlots } from "./bound.ts"

/** The same program with its readers on what operators that change nothing read, and with simpler expressions. */
export function simplify(program: BoundProgram): BoundProgram {
  return { ...program, block: new Simplification(program).block(program.block) }
}

class Simplification {
  readonly #vars: readonly BoundVar[]
  /** States that get a new value: whoever reads one later than now would keep it from being computed in place. */
  readonly #written: ReadonlySet<VarId>
  readonly #producers: Map<VarId, BoundOp> = new Map()
  /** Variables and what is read in their place. */
  readonly #standIns: Map<VarId, VarId> = new Map()

  constructor({ vars, commits }: BoundProgram) {
    this.#vars = vars
    this.#written = new Set(commits.map(({ state }) => state))
  }

  block({ ops, ...block }: BoundBlock): BoundBlock {
    const simpler = ops.map((op) => {
      const made = this.#op(this.#reread(op))
      for (const id of idsOf(op.outputs)) this.#producers.set(id, made)
      return made
    })
    return { ...block, ops: simpler }
  }

  #reread(op: BoundOp): BoundOp {
    if (!idsOf(op.inputs).some((id) => this.#standIns.has(id))) return op
    const inputs = Object.fromEntries(
      Object.entries(op.inputs).map(([slot, ids]) => [slot, ids.map((id) => this.#standIns.get(id) ?? id)]),
    )
    return { ...op, inputs }
  }

  #op(op: BoundOp): BoundOp {
    const own = Object.entries(op.blocks)
    if (own.length > 0) {
      return { ...op, blocks: Object.fromEntries(own.map(([name, inner]) => [name, this.block(inner)])) }
    }
    const outputs = idsOf(op.outputs)
    const [output] = outputs
    if (output === undefined || outputs.length > 1 || op.epilogue !== undefined) return op
    const { aliases, stretches, permutes, scalar } = op.facts
    if (aliases !== undefined) return this.#alias(op, aliases, output)
    if (stretches !== undefined) return this.#stretch(op, stretches, output)
    if (permutes !== undefined) return this.#permute(op, permutes, output)
    return scalar === undefined || op.reads !== undefined ? op : this.#elementwise(op, scalar, output)
  }

  #alias(op: BoundOp, slot: string, output: VarId): BoundOp {
    const source = op.inputs[slot]?.[0] ?? -1
    const producer = this.#producers.get(source)
    const behind = producer?.facts.aliases === undefined ? undefined : producer.inputs[producer.facts.aliases]?.[0]
    if (behind === undefined || !this.#isFree(behind) || this.#vars[behind]?.dtype !== this.#vars[output]?.dtype) {
      this.#replace(output, source)
      return op
    }
    this.#replace(output, behind)
    return { ...op, inputs: { ...op.inputs, [slot]: [behind] } }
  }

  #stretch(op: BoundOp, slot: string, output: VarId): BoundOp {
    const source = op.inputs[slot]?.[0] ?? -1
    if (this.#vars[source]?.elements !== this.#vars[output]?.elements) return op
    this.#replace(output, source)
    return { ...op, facts: { ...op.facts, aliases: slot } }
  }

  #permute(op: BoundOp, permutation: readonly number[], output: VarId): BoundOp {
    const [slot = ""] = Object.keys(op.inputs)
    const source = op.inputs[slot]?.[0] ?? -1
    const shape = this.#vars[source]?.shape ?? []
    const producer = this.#producers.get(source)
    const first = producer?.facts.permutes
    const behind = producer === undefined || first === undefined ? undefined : idsOf(producer.inputs)[0]
    if (behind !== undefined && permutation.every((axis, i) => first?.[axis] === i)) this.#replace(output, behind)
    const moved = permutation.filter((axis) => shape[axis] !== 1)
    if (!moved.every((axis, i) => i === 0 || axis > (moved[i - 1] ?? 0))) return op
    this.#replace(output, source)
    return { ...op, facts: { ...op.facts, aliases: slot } }
  }

  #elementwise(op: BoundOp, scalar: Scalar, output: VarId): BoundOp {
    const [shared, inputs] = sharedSlots(scalar, op.inputs)
    const simpler = simplifyScalar(shared, (slot) => this.#operand(inputs[slot]?.[0]))
    if (simpler.op === "input") this.#replace(output, inputs[simpler.slot]?.[0] ?? -1)
    const undone = this.#undone(simpler, inputs)
    if (undone !== undefined) this.#replace(output, undone)
    if (operationsOf(simpler) >= operationsOf(scalar)) return op
    const used = slotsOf(simpler)
    const flops = operationsOf(simpler) * (this.#vars[output]?.elements ?? 0)
    return {
      ...op,
      // No longer the op of this name, for which a backend may have a kernel.
      type: `${op.type}'`,
      inputs: Object.fromEntries(Object.entries(inputs).filter(([slot]) => used.has(slot))),
      attrs: {},
      facts: { ...op.facts, scalar: simpler, flops },
    }
  }

  /** What two operations, each of one operand, give back where the second undoes the first. */
  #undone(scalar: Scalar, inputs: VarSlots): VarId | undefined {
    if (!("x" in scalar) || "y" in scalar || scalar.x.op !== "input") return undefined
    const producer = this.#producers.get(inputs[scalar.x.slot]?.[0] ?? -1)
    const inner = producer?.facts.scalar
    if (producer === undefined || inner === undefined || producer.reads !== undefined) return undefined
    if (!("x" in inner) || "y" in inner || inner.x.op !== "input") return undefined
    const both = simplifyScalar({ ...scalar, x: inner }, (slot) => this.#operand(producer.inputs[slot]?.[0]))
    return both.op === "input" ? producer.inputs[both.slot]?.[0] : undefined
  }

  #operand(id: VarId | undefined): Operand | undefined {
    const variable = this.#vars[id ?? -1]
    if (id === undefined || variable === undefined) return undefined
    const constant = this.#producers.get(id)?.facts.constant
    const value = constant === undefined ? undefined : storedConstant(constant, variable.dtype)
    return { dtype: variable.dtype, value }
  }

  /** Lets whoever reads `output` from now on read `source`, if both are alike. */
  #replace(output: VarId, source: VarId): void {
    const [made, read] = [this.#vars[output], this.#vars[source]]
    if (made === undefined || read === undefined || !this.#isFree(source)) return
    if (made.dtype === read.dtype && sameShape(made.shape, read.shape)) this.#standIns.set(output, source)
  }

  #isFree(id: VarId): boolean {
    return !this.#written.has(id)
  }
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis])
}

/** An expression and its inputs, with one slot for each variable. */
function sharedSlots(scalar: Scalar, inputs: VarSlots): [Scalar, VarSlots] {
  const slots = new Map<VarId, string>()
  const other = new Map<string, string>()
  for (const [slot, [id]] of Object.entries(inputs)) {
    if (id === undefined) continue
    const known = slots.get(id)
    if (known === undefined) slots.set(id, slot)
    else other.set(slot, known)
  }
  if (other.size === 0) return [scalar, inputs]
  const kept = Object.entries(inputs).filter(([slot]) => !other.has(slot))
  return [renamed(scalar, other), Object.fromEntries(kept)]
}

function renamed(scalar: Scalar, slots: ReadonlyMap<string, string>): Scalar {
  if (scalar.op === "input") return { op: "input", slot: slots.get(scalar.slot) ?? scalar.slot }
  if (scalar.op === "const") return scalar
  const x = renamed(scalar.x, slots)
  if (scalar.op === "select")
    return { ...scalar, condition: renamed(scalar.condition, slots), x, y: renamed(scalar.y, slots) }
  return "y" in scalar ? { ...scalar, x, y: renamed(scalar.y, slots) } : { ...scalar, x }
}

function slotsOf(scalar: Scalar, found: Set<string> = new Set()): Set<string> {
  if (scalar.op === "input") found.add(scalar.slot)
  else if (scalar.op !== "const") {
    slotsOf(scalar.x, found)
    if ("y" in scalar) slotsOf(scalar.y, found)
    if (scalar.op === "select") slotsOf(scalar.condition, found)
  }
  return found
}
