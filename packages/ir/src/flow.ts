// Definitions before uses, and what the operators of a sub-block may see. Walks blocks with a stack of its own, in the
// order of execution: an operator's blocks run where it stands, before its own outputs exist.

import type { Block } from "./block.ts"
import type { Operator } from "./operator.ts"
import type { Program } from "./program.ts"
import { refuseOperator, refuseVariable } from "./refusal.ts"
import type { Variable } from "./variable.ts"

interface Frame {
  block: Block
  /** What the owner of the block lists among its inputs; null for a block without owner. */
  listed: ReadonlySet<Variable> | null
  position: number
  /** Blocks of the operator at hand that are still to be walked; null before it is looked at. */
  inner: Block[] | null
}

export function verifyFlow(program: Program): void {
  const owned = new Set([...program.operators()].flatMap((op) => Object.values(op.blocks)))
  const defined = new Set<Variable>()
  for (const root of program.blocks) {
    if (!owned.has(root)) verifyTree(root, defined)
  }
}

function verifyTree(root: Block, defined: Set<Variable>): void {
  const frames: Frame[] = [frameOf(root)]
  for (const param of root.params) defined.add(param)
  for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
    const { block, position } = frame
    const op = block.ops[position]
    if (op === undefined) {
      for (const result of block.results) verifyRead(frame, result, null, defined)
      frames.pop()
      continue
    }
    if (frame.inner === null) {
      for (const input of op.inputList()) verifyRead(frame, input, op, defined)
      frame.inner = Object.values(op.blocks).reverse()
    }
    const next = frame.inner.pop()
    if (next !== undefined) {
      for (const param of next.params) defined.add(param)
      frames.push(frameOf(next))
      continue
    }
    for (const output of op.outputList()) defined.add(output)
    frame.position++
    frame.inner = null
  }
}

function frameOf(block: Block): Frame {
  const { owner } = block
  return { block, listed: owner === null ? null : new Set(owner.inputList()), position: 0, inner: null }
}

/** `reader` is null for what a block hands to its owner. */
function verifyRead(
  { block, listed }: Frame,
  variable: Variable,
  reader: Operator | null,
  defined: ReadonlySet<Variable>,
): void {
  const refuse = (why: string): never => {
    if (reader !== null) return refuseOperator(reader, why)
    const text = `the results of block ${block.index}: ${why}`
    return block.owner === null ? refuseVariable(variable, text) : refuseOperator(block.owner, text)
  }
  if (!block.sees(variable)) refuse(`it reads ${variable.name}, which is not visible in block ${block.index}`)
  if (!variable.persistable && !variable.isData && !defined.has(variable)) {
    refuse(`it reads ${variable.name} before anything assigns it`)
  }
  if (variable.block !== block && listed?.has(variable) === false) {
    refuse(
      `it reads ${variable.name} of an outer block, which the inputs of its owner ${block.owner?.type} do not list`,
    )
  }
}
