// What the names and indices of a program file refer to: all exist, once; blocks form a tree; every operator reads only
// what is defined before it. Walks with a stack of its own: neither long chains nor deep nests overflow.

import { nearest } from "./errors.ts"
import { limits, type Refuse } from "./field.ts"
import type { OperatorJson, ProgramJson } from "./json.ts"

interface Entry {
  /** The block that declares the variable. */
  block: number
  isDefined: boolean
  path: string
  persistable: boolean
}

export function checkReferences(program: ProgramJson, refuse: Refuse): void {
  const owners = checkBlocks(program, refuse)
  const entries = declare(program, refuse)
  checkParams(program, entries, refuse)
  checkProducers(program, entries, refuse)
  checkLinks(program, entries, refuse)
  checkOrder(program, owners, entries, refuse)
}

/** Which operator owns each block: "block/position". */
function checkBlocks({ blocks }: ProgramJson, refuse: Refuse): Map<number, string> {
  const depths: number[] = []
  blocks.forEach(({ parent }, index) => {
    const path = `blocks[${index}].parent`
    if (index === 0 && parent !== null) refuse(path, "must be null: block 0 is the global one")
    if (index > 0 && (parent === null || parent >= index))
      refuse(path, `must be the index of an earlier block, got ${parent}`)
    depths[index] = parent === null ? 0 : (depths[parent] ?? 0) + 1
    if ((depths[index] ?? 0) > limits.depth) refuse(path, `nests blocks deeper than ${limits.depth}`)
  })
  const owners = new Map<number, string>()
  blocks.forEach(({ ops }, index) =>
    ops.forEach((op, position) => {
      for (const [name, inner] of Object.entries(op.blocks ?? {})) {
        const path = `blocks[${index}].ops[${position}].blocks.${name}`
        const block = blocks[inner]
        if (block === undefined) refuse(path, `refers to block ${inner}, but there are only ${blocks.length}`)
        else if (block.parent !== index)
          refuse(path, `refers to block ${inner}, whose parent is ${block.parent}, not ${index}`)
        if (owners.has(inner)) refuse(path, `refers to block ${inner}, which another operator owns`)
        owners.set(inner, `${index}/${position}`)
      }
    }),
  )
  return owners
}

function declare({ blocks }: ProgramJson, refuse: Refuse): Map<string, Entry> {
  const entries = new Map<string, Entry>()
  blocks.forEach((block, index) =>
    block.vars.forEach((variable, position) => {
      const path = `blocks[${index}].vars[${position}]`
      const { name, persistable = false, isData = false, parameter } = variable
      const taken = entries.get(name)
      if (taken !== undefined) refuse(`${path}.name`, `"${name}" is taken by ${taken.path}`)
      if (parameter !== undefined && index > 0) refuse(path, "is a parameter outside of the global block")
      entries.set(name, { block: index, isDefined: persistable || isData, path, persistable })
    }),
  )
  return entries
}

/** What the owner of a block gives a value is there from the block's start. */
function checkParams({ blocks }: ProgramJson, entries: ReadonlyMap<string, Entry>, refuse: Refuse): void {
  blocks.forEach(({ params = [] }, index) =>
    params.forEach((name, position) => {
      const path = `blocks[${index}].params[${position}]`
      const entry = find(entries, name, path, refuse)
      if (index === 0) refuse(path, "gives the global block a parameter, which only blocks of operators have")
      if (entry.block !== index) refuse(path, `names "${name}", which block ${entry.block} declares, not ${index}`)
      if (entry.isDefined) refuse(path, `names "${name}", which is data or state, or a parameter already`)
      entry.isDefined = true
    }),
  )
}

function find(entries: ReadonlyMap<string, Entry>, name: string, path: string, refuse: Refuse): Entry {
  const entry = entries.get(name)
  if (entry !== undefined) return entry
  const near = nearest(name, entries.keys())
  return refuse(
    path,
    `names "${name}", which no variable has`,
    near === undefined ? undefined : `did you mean "${near}"?`,
  )
}

function* operators({ blocks }: ProgramJson): Generator<{ op: OperatorJson; block: number; path: string }> {
  for (const [block, { ops }] of blocks.entries()) {
    for (const [position, op] of ops.entries()) yield { op, block, path: `blocks[${block}].ops[${position}]` }
  }
}

function* slotNames(slots: Record<string, string[]>, path: string): Generator<{ name: string; path: string }> {
  for (const [slot, list] of Object.entries(slots)) {
    for (const [index, name] of list.entries()) yield { name, path: `${path}.${slot}[${index}]` }
  }
}

function checkProducers(program: ProgramJson, entries: ReadonlyMap<string, Entry>, refuse: Refuse): void {
  const producers = new Map<string, string>()
  for (const { op, block, path } of operators(program)) {
    for (const output of slotNames(op.outputs, `${path}.outputs`)) {
      const entry = find(entries, output.name, output.path, refuse)
      const other = producers.get(output.name)
      if (other !== undefined) refuse(output.path, `assigns "${output.name}", which ${other} assigns already`)
      if (entry.isDefined)
        refuse(output.path, `assigns "${output.name}", but data, state and parameters of blocks have no producer`)
      if (entry.block !== block)
        refuse(output.path, `assigns "${output.name}", which block ${entry.block} declares, not ${block}`)
      producers.set(output.name, path)
    }
  }
}

function checkLinks(program: ProgramJson, entries: ReadonlyMap<string, Entry>, refuse: Refuse): void {
  const origins = new Map<string, string>()
  for (const { op, path } of operators(program)) {
    for (const [position, { state, slot, index }] of (op.writes ?? []).entries()) {
      const at = `${path}.writes[${position}]`
      if (!find(entries, state, `${at}.state`, refuse).persistable)
        refuse(`${at}.state`, `names "${state}", which is no state`)
      if (index === undefined && !Object.hasOwn(op.outputs, slot))
        refuse(`${at}.slot`, `names "${slot}", which is no output with one value`)
      if (index !== undefined && op.outputs[`...${slot}`]?.[index] === undefined)
        refuse(`${at}.index`, `names place ${index} of "${slot}", where no value is handed out`)
    }
    if (op.derivedFrom === undefined) continue
    const [block, position] = op.derivedFrom
    if (program.blocks[block]?.ops[position] === undefined) {
      refuse(`${path}.derivedFrom`, `refers to operator ${position} of block ${block}, which does not exist`)
    }
    origins.set(path, `blocks[${block}].ops[${position}]`)
  }
  refuseCycles(origins, "derivedFrom", refuse)
  for (const key of ["gradientOf", "insteadOf"] as const) {
    const links = new Map<string, string>()
    for (const [block, { vars }] of program.blocks.entries()) {
      for (const [position, { [key]: name }] of vars.entries()) {
        if (name === undefined) continue
        const path = `blocks[${block}].vars[${position}]`
        links.set(path, find(entries, name, `${path}.${key}`, refuse).path)
      }
    }
    refuseCycles(links, key, refuse)
  }
}

/** Following a link must come to an end. Each path is followed once, so this is linear. */
function refuseCycles(links: ReadonlyMap<string, string>, key: string, refuse: Refuse): void {
  const trails = new Map<string, string>()
  for (const start of links.keys()) {
    for (let path: string | undefined = start; path !== undefined && !trails.has(path); path = links.get(path)) {
      trails.set(path, start)
      const next = links.get(path)
      if (next !== undefined && trails.get(next) === start) refuse(`${path}.${key}`, `leads back to ${next}`)
    }
  }
}

interface Frame {
  block: number
  position: number
  /** Blocks of the operator at hand that are still to be walked; null before it is looked at. */
  inner: number[] | null
}

/** In the order of execution: an operator's blocks run where it stands, before its own outputs exist. */
function checkOrder(
  program: ProgramJson,
  owners: ReadonlyMap<number, string>,
  entries: ReadonlyMap<string, Entry>,
  refuse: Refuse,
): void {
  for (const root of program.blocks.keys()) {
    if (owners.has(root)) continue
    const frames: Frame[] = [{ block: root, position: 0, inner: null }]
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const { block, position } = frame
      const path = `blocks[${block}]`
      const read = ({ name, path: at }: { name: string; path: string }) =>
        checkRead(program, block, entries, name, at, refuse)
      const op = program.blocks[block]?.ops[position]
      if (op === undefined) {
        program.blocks[block]?.results?.forEach((name, index) => read({ name, path: `${path}.results[${index}]` }))
        frames.pop()
        continue
      }
      if (frame.inner === null) {
        for (const input of slotNames(op.inputs, `${path}.ops[${position}].inputs`)) read(input)
        frame.inner = Object.values(op.blocks ?? {}).reverse()
      }
      const next = frame.inner.pop()
      if (next !== undefined) {
        frames.push({ block: next, position: 0, inner: null })
        continue
      }
      for (const output of slotNames(op.outputs, "")) find(entries, output.name, path, refuse).isDefined = true
      frame.position++
      frame.inner = null
    }
  }
}

function checkRead(
  { blocks }: ProgramJson,
  block: number,
  entries: ReadonlyMap<string, Entry>,
  name: string,
  path: string,
  refuse: Refuse,
): void {
  const entry = find(entries, name, path, refuse)
  let scope: number | null = block
  while (scope !== null && scope !== entry.block) scope = blocks[scope]?.parent ?? null
  if (scope === null) refuse(path, `reads "${name}", which is a variable of block ${entry.block} and not visible here`)
  if (!entry.isDefined) refuse(path, `reads "${name}" before anything assigns it`)
}
