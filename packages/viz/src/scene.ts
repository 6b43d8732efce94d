// What of a program is to be seen: operators of the chosen parts with all that they own, who reads what, and which
// operators are folded away because they only pass a value on.

import type { Block, Operator, Program, Variable } from "@counterflow/ir"
import { isOp } from "@counterflow/ops"
import type { Settings } from "./options.ts"

export interface Scene {
  readonly program: Program
  readonly settings: Settings
  /** In order of execution; the operators of a block stand before its owner. */
  readonly ops: readonly Operator[]
  /** The operators that own blocks. */
  readonly owners: ReadonlyMap<Block, Operator>
  /** Operators in `ops` that read a variable; an owner reads the results of its blocks. */
  readonly readers: ReadonlyMap<Variable, readonly Operator[]>
  /** Whether less than everything is drawn. */
  readonly isEssential: boolean
  readonly folded: ReadonlySet<Operator>
}

// Up to here a reader follows every operator; beyond, the ones that only pass values on hide the others.
const largestFullPicture = 24

export function sceneOf(program: Program, settings: Settings): Scene {
  const owners = new Map<Block, Operator>()
  for (const op of program.operators()) for (const block of Object.values(op.blocks)) owners.set(block, op)
  const roots = program.blocks.filter((block) => !owners.has(block))
  const shown = roots.flatMap((block) => block.ops).filter((op) => settings.parts.has(op.role))
  const ops = shown.flatMap(treeOf)
  const readers = new Map<Variable, Operator[]>()
  for (const op of ops) for (const { variable } of readsOf(op)) listed(readers, variable).push(op)
  const isEssential = settings.detail === "essential" || (settings.detail === "auto" && ops.length > largestFullPicture)
  const folded = new Set(isEssential ? ops.filter((op) => isPassing(op) && isReadOnly(op, readers)) : [])
  return { program, settings, ops, owners, readers, isEssential, folded }
}

/** An operator behind everything in its blocks. */
export function treeOf(op: Operator): Operator[] {
  return [...Object.values(op.blocks).flatMap((block) => block.ops.flatMap(treeOf)), op]
}

export interface Read {
  readonly slot: string
  readonly variable: Variable
}

/** What an operator reads: its inputs but those that only its blocks use, and what its blocks hand to it. */
export function readsOf(op: Operator): Read[] {
  const blocks = Object.entries(op.blocks)
  const inside = new Set(blocks.flatMap(([, block]) => block.ops.flatMap(treeOf)).flatMap((inner) => inner.inputList()))
  const inputs = Object.entries(op.inputs).flatMap(([slot, variables]) =>
    variables.filter((variable) => !inside.has(variable)).map((variable) => ({ slot, variable })),
  )
  const results = blocks.flatMap(([slot, block]) => block.results.map((variable) => ({ slot, variable })))
  return [...inputs, ...results]
}

/** Whether an operator begins a backward part: ones, or another constant, that is the gradient of something computed. */
export function seededBy(op: Operator): Operator | null {
  if (op.role !== "backward" || op.derivedFrom !== null || op.inputList().length > 0) return null
  return op.outputList()[0]?.gradientOf?.producer ?? null
}

/** Views of one tensor, and constants: told by the facts of the op, so that ops from outside fold as well. */
function isPassing(op: Operator): boolean {
  if (!isOp(op.record) || op.writes.length > 0 || op.isLoss || Object.keys(op.blocks).length > 0) return false
  const { kind } = op.record.facts
  const inputs = op.inputList().length
  return (kind === "view" && inputs === 1) || (kind === "opaque" && inputs === 0 && seededBy(op) === null)
}

/** What nobody reads is an end of the program, and an end is to be seen. */
function isReadOnly(op: Operator, readers: ReadonlyMap<Variable, readonly Operator[]>): boolean {
  return op.outputList().every((output) => readers.has(output))
}

/** Where a value comes from when folded operators are looked through. */
export interface Origin {
  /** The variable that is drawn; null where the folded chain begins with a constant. */
  readonly variable: Variable | null
  /** The folded operators between, first to last. */
  readonly via: readonly Operator[]
}

export function originOf(variable: Variable, folded: ReadonlySet<Operator>): Origin {
  const via: Operator[] = []
  let at: Variable | undefined = variable
  while (at !== undefined && at.producer !== null && folded.has(at.producer)) {
    via.unshift(at.producer)
    at = at.producer.inputList()[0]
  }
  return { variable: at ?? null, via }
}

/**
 * The operators drawn that read a variable in its own part, in no order. Folded ones are looked through; for those in blocks
 * stands the owner in the variable's block.
 */
export function readersInPart(variable: Variable, { readers, folded, owners }: Scene): Operator[] {
  const found = new Set<Operator>()
  const pending = [...(readers.get(variable) ?? [])]
  for (let op = pending.pop(); op !== undefined; op = pending.pop()) {
    if (op.role !== variable.role) continue
    if (folded.has(op)) {
      for (const output of op.outputList()) pending.push(...(readers.get(output) ?? []))
      continue
    }
    let outer = op
    while (outer.block !== variable.block) {
      const owner = owners.get(outer.block)
      if (owner === undefined) break
      outer = owner
    }
    found.add(outer)
  }
  return [...found]
}

/** The first of them. */
export function firstReader(variable: Variable, scene: Scene): Operator | null {
  const [first, ...others] = readersInPart(variable, scene)
  if (first === undefined) return null
  return others.reduce((best, op) => (op.position < best.position ? op : best), first)
}

/** The list of a key, made when it is first asked for. */
export function listed<K, V>(lists: Map<K, V[]>, key: K): V[] {
  const known = lists.get(key)
  if (known !== undefined) return known
  const list: V[] = []
  lists.set(key, list)
  return list
}
