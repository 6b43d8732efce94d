// Which values lie on bytes that are there already: a stack of which an operator changes a part, and what a loop carries, which is
// one place from the first run to what is left at the end. So a loop that writes a row per trip moves a row per trip, however
// large the stack is.

import type { VarId } from "@counterflow/ir"
import { type BoundBlock, type BoundOp, type BoundProgram, idsOf, readBy } from "./bound.ts"

/** What a block is to the loop that owns it. */
interface Carried {
  /** How many carries: they are the parameters from 1 on, and the first results of the block that hands them on. */
  readonly count: number
  readonly isHandedOn: boolean
}

const noLoop: Carried = { count: 0, isHandedOn: false }

/** By value the variable whose bytes it shares, if it does not have its own: the views in `aliases` among them. */
export function sharedRoots(program: BoundProgram, aliases: ReadonlyMap<VarId, VarId>): Map<VarId, VarId> {
  return new Sharing(program, aliases).roots
}

class Sharing {
  readonly roots: Map<VarId, VarId>
  readonly #aliases: ReadonlyMap<VarId, VarId>
  readonly #views = new Map<VarId, VarId[]>()
  /** Read after the last operator. */
  readonly #kept: ReadonlySet<VarId>

  constructor({ block, fetches, commits }: BoundProgram, aliases: ReadonlyMap<VarId, VarId>) {
    this.roots = new Map(aliases)
    this.#aliases = aliases
    this.#kept = new Set([...fetches, ...commits.map(({ value }) => value)].map((id) => this.#viewed(id)))
    for (const [view, root] of aliases) this.#views.set(root, [...(this.#views.get(root) ?? []), view])
    this.#walk(block, noLoop)
  }

  #viewed(id: VarId): VarId {
    return this.#aliases.get(id) ?? id
  }

  #placeOf(id: VarId): VarId {
    return this.roots.get(id) ?? id
  }

  #move(id: VarId, place: VarId): void {
    for (const each of [id, ...(this.#views.get(id) ?? [])]) this.roots.set(each, place)
  }

  #walk({ ops, params, results }: BoundBlock, carried: Carried): void {
    const own = new Set([...params, ...ops.flatMap((op) => idsOf(op.outputs))])
    const handedOut = results.map((id) => this.#viewed(id))
    const lastReader = new Map<VarId, BoundOp>()
    for (const op of ops) for (const id of readBy(op)) lastReader.set(this.#viewed(id), op)

    /** The place of a value of this block that an operator is the last to read, and reads once: nobody misses it. */
    const placeLeft = (id: VarId, op: BoundOp): VarId | undefined => {
      const old = this.#viewed(id)
      const isRead = this.#kept.has(old) || handedOut.includes(old) || lastReader.get(old) !== op
      if (!own.has(old) || isRead) return undefined
      return readBy(op).filter((read) => this.#viewed(read) === old).length === 1 ? this.#placeOf(old) : undefined
    }
    /** Carries are written one after the other: on the bytes of one only what is handed on as this one is safe. */
    const isSafe = (target: VarId, place: VarId): boolean => {
      const at = params.findIndex((param) => this.#placeOf(param) === place) - 1
      if (at < 0 || at >= carried.count) return true
      return carried.isHandedOn && !handedOut.some((id, k) => id === target && k < carried.count && k !== at)
    }
    for (const op of ops) {
      const { overwrites, carries } = op.facts
      const target = idsOf(op.outputs)[0]
      const source = overwrites === undefined ? undefined : op.inputs[overwrites]?.[0]
      if (source !== undefined && target !== undefined) {
        const place = placeLeft(source, op)
        if (place !== undefined && isSafe(target, place)) this.#move(target, place)
      }
      const body = carries === undefined ? undefined : op.blocks[carries.block]
      const [init, outputs] =
        carries === undefined ? [[], []] : [op.inputs[carries.inputs], op.outputs[carries.outputs]]
      const count = init?.length ?? 0
      for (let k = 0; body !== undefined && k < count; k++) {
        const [first, param, last] = [init?.[k], body.params[k + 1], outputs?.[k]]
        if (first === undefined || param === undefined || last === undefined) continue
        const place = placeLeft(first, op)
        if (place !== undefined && isSafe(last, place)) this.#move(param, place)
        this.#move(last, this.#placeOf(param))
        // All blocks are given the same, and only the one that hands it on may change it.
        for (const block of Object.values(op.blocks)) {
          if (block !== body) this.#move(block.params[k + 1] ?? param, this.#placeOf(param))
        }
      }
      for (const block of Object.values(op.blocks)) this.#walk(block, { count, isHandedOn: block === body })
    }
  }
}
