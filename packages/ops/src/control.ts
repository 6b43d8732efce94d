// What ops with sub-blocks share: building a block from a function of the user's, and finding what blocks read from outside.

import { type Block, describeValue, fail, isDifferentiable, isFloat, type Program, Variable } from "@counterflow/ir"
import { TensorArray } from "./tensorarray.ts"

/** A sub-block of the current block with what `body` builds in it, and hands out. */
export function buildBlock(program: Program, body: (block: Block) => readonly Variable[]): Block {
  const block = program.createBlock()
  block.setResults(program.within({ block }, () => body(block)))
  return block
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

/** Refuses what a function of the user's answers but no sub-block may hand out; `what` is "a branch", "the body". */
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
}

/** In a loop nothing is written besides: it would have to hand the new value on from run to run. */
export function checkLoopBlock(block: Block, what: string): void {
  checkBlock(block, what)
  for (const op of block.ops) {
    const [write] = op.writes
    if (write === undefined) continue
    fail("CF_BAD_ARGUMENT", `${what} writes the state ${write.state.name}, but a loop hands on only what it carries`, {
      notes: [`${op.type} built at ${op.site}`],
      fix: `carry ${write.state.name}, let the body answer its next value, and write the last one after the loop`,
    })
  }
}

/**
 * Takes writes of state out of branches: every branch yields every state that one of them writes, with its last value in it or
 * the one from before, so that the owner can write. Answers, for each result, the state that takes it.
 */
export function yieldStates(blocks: readonly Block[], before: ReadonlyMap<Variable, Variable>): (Variable | null)[] {
  const written = blocks.map((block) => {
    const values = new Map<Variable, Variable>()
    for (const op of block.ops) {
      for (const write of op.handOverWrites()) {
        const value = op.written(write)
        if (value !== undefined) values.set(write.state, value)
      }
    }
    return values
  })
  const states = [...new Set(written.flatMap((values) => [...values.keys()]))]
  if (states.length === 0) return []
  const taken = blocks[0]?.results.map(() => null) ?? []
  blocks.forEach((block, i) => {
    const yielded = states.map((state) => written[i]?.get(state) ?? before.get(state) ?? state)
    block.setResults([...block.results, ...yielded])
  })
  return [...taken, ...states]
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

/** What is handed on from block to block: an array is, as its two variables. */
export type Value = Variable | TensorArray

/** What a function of the user's may answer: a variable or an array, a list of them, or nothing. */
export type Answer = Value | readonly Value[] | void | null

/** What stands for a variable, or for an array. */
export type StandIn<V> = V extends TensorArray ? TensorArray : Variable

/** The form in which an operator's results stand for what a function answers. */
export type Results<T> = T extends Value
  ? StandIn<T>
  : T extends readonly Value[]
    ? { -readonly [K in keyof T]: StandIn<T[K]> }
    : undefined

/** What other functions may answer where one answers a `T`: the same, and where it answers nothing, whatever they like. */
export type Alike<T> = Results<T> | Readonly<Results<T>> | (T extends Value | readonly Value[] ? never : void)

/** The variables of an answer as a list. */
export function listOf(answer: unknown, what: string): readonly Variable[] {
  if (answer === undefined || answer === null) return []
  const list: readonly unknown[] = Array.isArray(answer) ? answer : [answer]
  return list.flatMap((entry): readonly Variable[] => {
    if (entry instanceof Variable) return [entry]
    if (entry instanceof TensorArray) return [entry.stack, entry.length]
    const got = describeValue(entry)
    return fail("CF_BAD_ARGUMENT", `${what} must answer a Variable, a list of them, or nothing, got ${got}`)
  })
}

/** Results in the form of an answer. */
export function inForm<T>(answer: T, results: readonly Variable[]): Results<T> {
  const rest = [...results]
  const next = () => rest.shift() ?? fail("CF_INTERNAL", "there are fewer results than answers")
  const standIn = (entry: unknown) => (entry instanceof TensorArray ? new TensorArray(next(), next()) : next())
  const isNothing = answer === undefined || answer === null
  const made: unknown = Array.isArray(answer) ? answer.map(standIn) : isNothing ? undefined : standIn(answer)
  return made as Results<T>
}

/** One line per variable, with the line of the user's that built it. */
export function lines(name: string, variables: readonly Variable[]): string[] {
  return variables.map((variable, i) => `${name}[${i}] = ${variable}   built at ${variable.site}`)
}
