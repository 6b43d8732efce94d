// Phase 4: operators that nobody reads are left out, unless they may refuse what they read.

import { type BoundBlock, type BoundOp, type BoundProgram, canFail, idsOf } from "./bound.ts"

/** The same program without the operators whose results nobody needs. What a pass replaced goes away here. */
export function withoutUnread(program: BoundProgram): BoundProgram {
  const needed = new Set([...program.fetches, ...program.commits.map(({ value }) => value)])
  const keep = (block: BoundBlock): BoundBlock => {
    for (const id of block.results) needed.add(id)
    const ops: BoundOp[] = []
    for (let index = block.ops.length - 1; index >= 0; index--) {
      const op = block.ops[index] as BoundOp
      if (!canFail(op) && !idsOf(op.outputs).some((id) => needed.has(id))) continue
      const own = Object.entries(op.blocks)
      for (const id of idsOf(op.inputs)) needed.add(id)
      ops.push(
        own.length === 0 ? op : { ...op, blocks: Object.fromEntries(own.map(([name, inner]) => [name, keep(inner)])) },
      )
    }
    return { ...block, ops: ops.reverse() }
  }
  return { ...program, block: keep(program.block) }
}
