// New values of state that may be computed where the old ones lie: made by an elementwise operator, or yielded by branches,
// after the last other reader of the old value, with nothing left that can fail (a failed step commits nothing). Where a branch
// hands the old value through, it has nothing to do; where it computes a new one, the same is asked inside of it.

import type { VarId } from "@counterflow/ir"
import { type BoundBlock, type BoundOp, type BoundProgram, idsOf, mayStop, readBy } from "./bound.ts"

/** New value → the state whose place it takes. */
export function statesInPlace(program: BoundProgram, root: ReadonlyMap<VarId, VarId>): Map<VarId, VarId> {
  // An int64 result beyond 2^53 is refused when it is handed out, after the last operator.
  if (program.fetches.some((id) => program.vars[id]?.dtype === "int64")) return new Map()
  const takers = new Map<VarId, number>()
  for (const { value } of program.commits) takers.set(value, (takers.get(value) ?? 0) + 1)
  const search = new Search(root)
  for (const { state, value } of program.commits) {
    const isShared = (takers.get(value) ?? 0) > 1 || program.fetches.includes(state)
    if (!isShared) search.place(program.block, value, state)
  }
  return search.found
}

/** Where in a block something happens last. */
interface Uses {
  readonly failing: number
  readonly lastReader: ReadonlyMap<VarId, number>
  readonly producer: ReadonlyMap<VarId, number>
}

class Search {
  readonly found: Map<VarId, VarId> = new Map()
  readonly #root: ReadonlyMap<VarId, VarId>
  readonly #uses: Map<BoundBlock, Uses> = new Map()

  constructor(root: ReadonlyMap<VarId, VarId>) {
    this.#root = root
  }

  /** Places a value of a block after which nothing reads the state, and nothing fails, in the blocks around. */
  place(block: BoundBlock, value: VarId, state: VarId): void {
    const { failing, lastReader, producer } = this.#usesOf(block)
    const at = producer.get(value)
    const op = at === undefined ? undefined : block.ops[at]
    if (at === undefined || op === undefined || this.#root.has(value) || this.found.has(value)) return
    if ((lastReader.get(state) ?? -1) > at || failing > at) return
    const { kind, yields } = op.facts
    if (kind === "elementwise") {
      // Read with strides, an element may be needed again after it was written.
      const isStrided = Object.keys(op.reads ?? {}).some((slot) => op.inputs[slot]?.includes(state))
      if (!op.facts.canFail && !isStrided) this.found.set(value, state)
    } else if (yields !== undefined) this.#placeYielded(op, (op.outputs[yields] ?? []).indexOf(value), value, state)
  }

  #placeYielded(op: BoundOp, place: number, value: VarId, state: VarId): void {
    const blocks = Object.values(op.blocks)
    const rootOf = (id: VarId) => this.#root.get(id) ?? id
    // Results are handed out one after the other: none but this one may still be the old value.
    const isHandedOut = blocks.some(({ results }) => results.some((id, i) => i !== place && rootOf(id) === state))
    if (place < 0 || isHandedOut) return
    this.found.set(value, state)
    for (const inner of blocks) {
      const result = inner.results[place]
      if (result !== undefined && result !== state) this.place(inner, result, state)
    }
  }

  #usesOf(block: BoundBlock): Uses {
    const known = this.#uses.get(block)
    if (known !== undefined) return known
    const lastReader = new Map<VarId, number>()
    const producer = new Map<VarId, number>()
    block.ops.forEach((op, index) => {
      for (const id of readBy(op)) lastReader.set(this.#root.get(id) ?? id, index)
      for (const id of idsOf(op.outputs)) producer.set(id, index)
    })
    const uses = { failing: block.ops.findLastIndex(mayStop), lastReader, producer }
    this.#uses.set(block, uses)
    return uses
  }
}
