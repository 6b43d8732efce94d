// What ops with sub-blocks share: building a block from a function of the user's, and finding what blocks read from outside.

import { type Block, describeValue, fail, isDifferentiable, isFloat, type Program, Variable } from "@counterflow/ir"

/** A sub-block of the current block with what `body` builds in it, and hands out. */
export function buildBlock(program: Program, body: (block: Block) => readonly Variable[]): Block {
  const block = program.createBlock()
  block.setResults(program.within({ block }, () => body(block)))
  return block
}

/** Variables from outside that blocks, or blocks inside them, read or hand out, each once. */
export function capturesOf(blocks: readonly Block[]): Variable[] {
  const found = new Set<Variable>()
  for (const block of blocks) {
    // An operator lists what its own blocks read among its inputs.
    const read = [...block.ops.flatMap((op) => op.inputList()), ...block.results]
    for (const variable of read) if (variable.block !== block) found.add(variable)
  }
  return [...found]
}

/** What depends differentiably on one of these in a block, themselves included. */
export function dependents(block: Block, sources: readonly Variable[]): ReadonlySet<Variable> {
  const found = new Set(sources)
  for (const op of block.ops) {
    const isReached = Object.entries(op.inputs).some(([slot, inputs]) => {
      const kind = op.record.inputs[slot]
      return kind !== undefined && isDifferentiable(kind) && inputs.some((input) => found.has(input))
    })
    if (!isReached) continue
    for (const output of op.outputList()) if (isFloat(output.dtype) && !output.stopGradient) found.add(output)
  }
  return found
}

/** Refuses what a function of the user's built but no sub-block may hold; `what` is "a branch", "the body of a loop". */
export function checkBlock(block: Block, what: string): void {
  for (const result of block.results) {
    if (result.program !== block.program) {
      fail("CF_FOREIGN_VARIABLE", `${what} answers ${result.name}, which belongs to another program`, {
        notes: [`${result}   built at ${result.site}`],
      })
    }
    if (!block.sees(result)) {
      fail("CF_BAD_ARGUMENT", `${what} answers ${result.name}, which belongs to another block`, {
        notes: [`${result}   built at ${result.site}`],
        fix: "a block sees its own variables and those of the blocks around it",
      })
    }
  }
  for (const op of block.ops) {
    const [write] = op.writes
    if (write === undefined) continue
    fail("CF_BAD_ARGUMENT", `${what} writes the state ${write.state.name}, which only the global block may`, {
      notes: [`${op.type} built at ${op.site}`],
      fix: "answer the new value, and write it outside",
    })
  }
}

/** Refuses what is no variable. */
export function requireVariable(value: unknown, what: string, op: string): Variable {
  return value instanceof Variable
    ? value
    : fail("CF_BAD_ARGUMENT", `${what} must be a Variable, got ${describeValue(value)}`, { op })
}

/** Refuses what is no function. */
export function requireFunction(value: unknown, what: string, op: string): void {
  if (typeof value !== "function") {
    fail("CF_BAD_ARGUMENT", `${what} must be a function, got ${describeValue(value)}`, { op })
  }
}

/** What a function of the user's may answer: a variable, a list of them, or nothing. */
export type Answer = Variable | readonly Variable[] | void | null

/** The form in which an operator's results stand for what a function answers. */
export type Results<T> = T extends Variable
  ? Variable
  : T extends readonly Variable[]
    ? { -readonly [K in keyof T]: Variable }
    : undefined

/** An answer as a list. */
export function listOf(answer: unknown, what: string): readonly Variable[] {
  if (answer === undefined || answer === null) return []
  const list: readonly unknown[] = Array.isArray(answer) ? answer : [answer]
  return list.map((entry) =>
    entry instanceof Variable
      ? entry
      : fail(
          "CF_BAD_ARGUMENT",
          `${what} must answer a Variable, a list of them, or nothing, got ${describeValue(entry)}`,
        ),
  )
}

/** Results in the form of an answer. */
export function inForm<T>(answer: T, results: readonly Variable[]): Results<T> {
  const made: unknown = answer instanceof Variable ? results[0] : Array.isArray(answer) ? [...results] : undefined
  return made as Results<T>
}

/** One line per variable, with the line of the user's that built it. */
export function lines(name: string, variables: readonly Variable[]): string[] {
  return variables.map((variable, i) => `${name}[${i}] = ${variable}   built at ${variable.site}`)
}
