// State: persistable variables of a main program whose first values a startup program makes. Names are counted per main
// program, so one startup program may meet a name again, from another main program: the last initializer of a name counts.

import {
  type Block,
  defaultMainProgram,
  defaultStartupProgram,
  type DType,
  fail,
  formatShape,
  isStatic,
  type Operator,
  type Program,
  type Shape,
  type Variable,
} from "@counterflow/ir"
import { fillConstant, write } from "./creation.ts"

/** What an initializer needs to know of a state. */
export interface StateType {
  readonly name: string
  readonly shape: Shape
  readonly dtype: DType
}

const partners = new WeakMap<Program, Program>()

/**
 * Where the states of a main program are initialized: under a guard of that program the guard's startup program, outside
 * of it the one its states have been initialized in so far, else the default one.
 */
export function startupFor(main: Program): Program {
  if (main === defaultMainProgram()) return defaultStartupProgram()
  return partners.get(main) ?? defaultStartupProgram()
}

/** All or nothing in both programs, which from now on belong together. */
export function withStartup<T>(main: Program, startup: Program, body: () => T): T {
  if (main === startup) {
    fail("CF_BAD_ARGUMENT", "one program cannot be its own startup program", {
      fix: "give two: programGuard(main, startup, () => …)",
    })
  }
  const result = main.transaction(() => startup.transaction(body))
  partners.set(main, startup)
  return result
}

/**
 * Appends to a startup program what makes the first value of a state: `make` appends operators and answers the value. The
 * startup program gets a state of the same name, which takes that value.
 */
export function initializeState(state: StateType, startup: Program, make: () => Variable): void {
  const { name, shape, dtype } = state
  if (!isStatic(shape)) {
    fail(
      "CF_SHAPE_MISMATCH",
      `the shape of state must be known when the program is built, ${name} has ${formatShape(shape)}`,
    )
  }
  const block = startup.globalBlock()
  startup.transaction(() => {
    const former = block.vars.get(name)
    if (former !== undefined) withdraw(former)
    const position = { block, role: "forward", derivedFrom: null, scope: "", stem: name } as const
    startup.within(position, () => {
      const twin = block.createVar({ name, shape, dtype, persistable: true, stopGradient: true })
      write(twin, make())
    })
  })
}

export interface StateOptions extends StateType {
  /** What every element is at first. */
  readonly value: number
  readonly main: Program
  readonly startup: Program
}

/** A state of the main program that the startup program fills with one value. Gradients stop at it. */
export function createState({ name, shape, dtype, value, main, startup }: StateOptions): Variable {
  return withStartup(main, startup, () => {
    const state = main.globalBlock().createVar({ name, shape, dtype, persistable: true, stopGradient: true })
    initializeState(state, startup, () => fillConstant({ shape, value, dtype, program: startup }))
    return state
  })
}

/** Takes a state out of its program, with the operators that write it and those that nothing else needs. */
function withdraw(state: Variable): void {
  const { block, program } = state
  const readers = readersOf(block)
  const gone = new Set<Operator>()
  for (const op of [...block.ops].reverse()) {
    const uses = op.outputList().flatMap((output) => readers.get(output) ?? [])
    const isUnneeded = op.writes.length === 0 && uses.length > 0 && uses.every((reader) => gone.has(reader))
    if (isUnneeded || op.writes.some((each) => each.state === state)) gone.add(op)
  }
  const lost = [state, ...[...gone].flatMap((op) => op.outputList())]
  const reader = lost.flatMap((variable) => readers.get(variable) ?? []).find((op) => !gone.has(op))
  if (reader !== undefined || state.producer !== null) {
    fail("CF_DUPLICATE_NAME", `the startup program uses the name "${state.name}" otherwise`, {
      notes: [reader?.toString() ?? `${state}   built at ${state.site}`],
      fix: "give this main program a startup program of its own",
    })
  }
  const before = { ops: [...block.ops], vars: [...block.vars], variables: [...program.variables] }
  for (const { name } of lost) {
    block.vars.delete(name)
    program.variables.delete(name)
  }
  setOperators(
    block,
    before.ops.filter((op) => !gone.has(op)),
  )
  program.changed(() => {
    setOperators(block, before.ops)
    refill(block.vars, before.vars)
    refill(program.variables, before.variables)
  })
}

function readersOf(block: Block): Map<Variable, Operator[]> {
  const readers = new Map<Variable, Operator[]>()
  for (const op of block.ops) {
    for (const input of op.inputList()) {
      const list = readers.get(input)
      if (list === undefined) readers.set(input, [op])
      else list.push(op)
    }
  }
  return readers
}

function setOperators(block: Block, ops: readonly Operator[]): void {
  block.ops.length = 0
  for (const op of ops) op.position = block.ops.push(op) - 1
}

/** The same entries in the same order as before: what is printed must not change. */
function refill<T>(map: Map<string, T>, entries: readonly (readonly [string, T])[]): void {
  map.clear()
  for (const [name, value] of entries) map.set(name, value)
}
