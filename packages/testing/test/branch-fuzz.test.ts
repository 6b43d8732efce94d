// Random programs of branches that write state, against a walk through the same statements in JavaScript: what is computed in
// place, handed through, exchanged or read late must not show. Both round every sum to float32, so not a bit may differ.

import { type BoundProgram, type PassName, verifyBound } from "@counterflow/compiler"
import { type Backend, Executor } from "@counterflow/executor"
import { currentValues, parseProgram, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { add, cond, equal, legalize, max, registry, resolve, sub, write } from "@counterflow/ops"
import fc from "fast-check"
import { expect, test } from "vitest"
import { build, input } from "./building.ts"

const names = ["a", "b", "c"] as const
type Name = (typeof names)[number]

/** A state as it was when the step began or as it is now, or what is fed. */
type Source = { readonly from: "old" | "now" | "x"; readonly name: Name }
/** `start` writes the source alone, where nothing has written the state yet; the others go on from what the state is now. */
type Write = { readonly kind: "start" | "add" | "sub" | "max"; readonly to: Name; readonly source: Source }
type Branch = {
  readonly kind: "branch"
  readonly key: number
  readonly yes: Statement[]
  readonly no: Statement[]
  readonly answer: Source
}
type Statement = Write | Branch

const name = fc.constantFrom(...names)
const source = fc.record({ from: fc.constantFrom("old", "now", "x"), name })
const writing = fc.record({ kind: fc.constantFrom("start", "add", "sub", "max"), to: name, source })

function statements(depth: number): fc.Arbitrary<Statement[]> {
  if (depth === 0) return fc.array(writing, { maxLength: 2 })
  const inner = statements(depth - 1)
  const branch = fc.record({
    kind: fc.constant("branch" as const),
    key: fc.nat(2),
    yes: inner,
    no: inner,
    answer: source,
  })
  return fc.array(fc.oneof(writing, { arbitrary: branch, weight: 2 }), { minLength: 1, maxLength: 3 })
}

const programs = fc.sample(fc.record({ list: statements(3), isReadLate: fc.boolean() }), { numRuns: 24, seed: 11 })

const meanings = { add, sub, max }

/** What the statements build, and the answers of the outermost branches. */
function built(list: readonly Statement[], isReadLate: boolean) {
  return build((program) => {
    const [which, x] = [input(program, "which", [], "int32"), input(program, "x")]
    const global = program.globalBlock()
    const states = names.map((each, i) =>
      global.createVar({ name: each, shape: [2], dtype: "float32", persistable: true, initialValue: i + 1 }),
    )
    const stateOf = (each: Name) => states[names.indexOf(each)]!
    const now = (each: Name) => currentValues(program.currentBlock()).get(stateOf(each)) ?? stateOf(each)
    const read = ({ from, name: each }: Source) => (from === "x" ? x : from === "old" ? stateOf(each) : now(each))
    const emitAll = (part: readonly Statement[]): Variable[] =>
      part.flatMap((statement) => {
        if (statement.kind === "branch") {
          const { key, yes, no, answer } = statement
          const branch = (body: readonly Statement[]) => () => (emitAll(body), read(answer))
          return [cond(equal(which, key), branch(yes), branch(no))]
        }
        const { kind, to, source: given } = statement
        const isFirst = now(to) === stateOf(to)
        if (kind === "start") write(stateOf(to), isFirst ? read(given) : now(to))
        else write(stateOf(to), meanings[kind](now(to), read(given)))
        return []
      })
    const answers = emitAll(list)
    const late = isReadLate ? [add(stateOf("a"), stateOf("b"))] : []
    return { fetch: [...answers, ...late] }
  })
}

type Values = Record<Name, number[]>

const sums = { add: (a: number, b: number) => a + b, sub: (a: number, b: number) => a - b, max: Math.max }

/** One step, in JavaScript. `written` are the states that something before, in either branch of it, may have written. */
function walked(list: readonly Statement[], isReadLate: boolean, which: number, x: readonly number[], old: Values) {
  const now = { ...old }
  const read = ({ from, name: each }: Source) => (from === "x" ? [...x] : from === "old" ? old[each] : now[each])
  const walk = (part: readonly Statement[], written: Set<Name>): number[][] =>
    part.flatMap((statement) => {
      if (statement.kind === "branch") {
        const taken = which === statement.key ? statement.yes : statement.no
        walk(taken, new Set(written))
        for (const each of [...statement.yes, ...statement.no].flatMap(targets)) written.add(each)
        return [read(statement.answer)]
      }
      const { kind, to, source: given } = statement
      const other = read(given)
      if (kind !== "start") now[to] = now[to].map((value, i) => Math.fround(sums[kind](value, other[i]!)))
      else if (!written.has(to)) now[to] = other
      written.add(to)
      return []
    })
  const answers = walk(list, new Set())
  const late = isReadLate ? [old.a.map((value, i) => Math.fround(value + old.b[i]!))] : []
  return { answers: [...answers, ...late], now }
}

function targets(statement: Statement): Name[] {
  return statement.kind === "branch" ? [...statement.yes, ...statement.no].flatMap(targets) : [statement.to]
}

const [steps, x] = [
  [0, 1, 2, 1],
  [5, -3],
]

const backends: Record<string, () => Backend> = { cpu, wasm }

let [inPlace, copied] = [0, 0]

test.each(programs.map((program, index) => ({ index, ...program })))("program $index", ({ list, isReadLate }) => {
  const { main, fetch } = built(list, isReadLate)
  verify(main)
  const text = String(main)
  expect(String(resolve(parseProgram(text), registry))).toBe(text)
  for (const makeBackend of Object.values(backends)) {
    const passes = { observe: (_name: PassName | "bind", bound: BoundProgram) => verifyBound(bound) }
    const executor = new Executor(makeBackend(), { legalize, passes })
    const { plan } = executor.compileSync(main, { feed: { which: [], x: [2] }, fetch })
    inPlace += plan.layout.inPlace.size
    copied += plan.commits.length
    let state: Values = { a: [1, 1], b: [2, 2], c: [3, 3] }
    for (const which of steps) {
      const found = executor.runSync(main, { feed: { which, x }, fetch })
      const { answers, now } = walked(list, isReadLate, which, x, state)
      expect(found.map(({ data }) => Array.from(data, Number))).toEqual(answers)
      for (const each of new Set(list.flatMap(targets))) {
        expect([each, Array.from(executor.scope.get(each).data, Number)]).toEqual([each, now[each]])
      }
      state = now
    }
    executor.close()
  }
})

test("they show both: states computed in place, and states that are not", () => {
  expect(Math.min(inPlace, copied)).toBeGreaterThan(20)
})
