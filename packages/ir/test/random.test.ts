// Random programs: whatever is built and verifies survives text, JSON and copies, and its records can be attached again.

import {
  attachRecords,
  isCounterflowError,
  parseProgram,
  printProgram,
  Program,
  programFromJson,
  symbol,
  type Variable,
  verify,
} from "@counterflow/ir"
import fc from "fast-check"
import { expect, test } from "vitest"
import { add, cond, fillConstant, mark, mean, mul, norm, records, sgd, split, sum } from "./records.ts"

const step = fc.record({
  kind: fc.constantFrom(
    "data",
    "state",
    "parameter",
    "add",
    "constant",
    "mean",
    "split",
    "sum",
    "norm",
    "sgd",
    "cond",
    "mark",
    "gradient",
    "loss",
  ),
  role: fc.constantFrom("forward", "forward", "forward", "backward", "optimize", "schedule"),
  scope: fc.constantFrom("", "", "a/b", "Ω #1"),
  /** Which variables are taken, as fractions of those there are. */
  picks: fc.tuple(fc.nat(999), fc.nat(999)),
  size: fc.constantFrom(0, 1, 3, symbol("batch"), symbol("n")),
  name: fc.oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 12 }),
    fc.constantFrom("__proto__", "return", "0", "a b", '"'),
  ),
  number: fc.double(),
  text: fc.option(fc.string({ unit: "binary" })),
  flag: fc.boolean(),
} as const)

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

function build(steps: readonly Step[]): Program {
  const program = new Program()
  const known: Variable[] = [
    program.globalBlock().createVar({ name: "origin", shape: [2], dtype: "float32", isData: true }),
  ]
  for (const each of steps) {
    program.within({ role: each.role, scope: each.scope }, () => known.push(...grow(program, known, each)))
  }
  return program
}

function grow(program: Program, known: readonly Variable[], each: Step): Variable[] {
  const { kind, name, number, size, flag, text } = each
  const [x, y] = each.picks.map((pick) => known[pick % known.length]) as [Variable, Variable]
  const block = program.globalBlock()
  const isFree = !program.variables.has(name)
  switch (kind) {
    case "data":
      return isFree
        ? [block.createVar({ name, shape: [size, 2], dtype: "float32", isData: true, stopGradient: flag })]
        : []
    case "state":
      return isFree
        ? [block.createVar({ name, shape: [2], dtype: "float32", persistable: true, initialValue: number })]
        : []
    case "parameter": {
      const regularizer = flag ? ({ kind: "l1", coefficient: number } as const) : null
      const init = {
        shape: [2],
        dtype: "float32",
        trainable: flag,
        learningRate: number,
        regularizer,
        initializer: text ?? "",
      } as const
      return isFree ? [block.createParameter({ name, ...init })] : []
    }
    case "add":
      return x.shape.length === y.shape.length && x.shape.every((dim, axis) => dim === y.shape[axis])
        ? [add(x, y), mul(y, x)]
        : [add(x, x)]
    case "constant":
      return [fillConstant(program, { shape: [size], value: number, dtype: "float32" })]
    case "mean":
      return [mean(x)]
    case "split":
      return x.shape.length > 0 ? split(x, [1, 2]) : []
    case "sum":
      return [sum([x, x])]
    case "norm":
      return norm(x, x, flag ? { scale: y } : {})
    case "sgd":
      return x.persistable && !block.ops.some((op) => op.writes.some(({ state }) => state === x))
        ? [sgd(x, y, number)]
        : []
    case "cond":
      return cond(x, {
        whenTrue: () => [mul(y, y)],
        whenFalse: () => cond(y, { whenTrue: () => [y], whenFalse: () => [add(y, y)] }),
      })
    case "mark": {
      const attrs = { number, text, dims: [size, 1], numbers: [number], ints: null, int: 3, flag, dim: size }
      return [mark(x, attrs)]
    }
    case "gradient": {
      const derivedFrom = y.producer
      return program.within({ derivedFrom }, () => {
        const gradient = fillConstant(program, { shape: x.shape, value: 1, dtype: x.dtype })
        gradient.gradientOf = x
        gradient.stopGradient = flag
        return [gradient]
      })
    }
    case "loss":
      if (x.producer !== null) x.producer.isLoss = true
      return []
  }
}

test("text, JSON and copies of random programs are the same program", () => {
  const property = fc.property(fc.array(step, { maxLength: 24 }), (steps) => {
    const program = build(steps)
    verify(program)
    const [text, json] = [printProgram(program), program.toJSON()]
    const copies = [parseProgram(text), programFromJson(JSON.stringify(json)), program.clone()]
    for (const copy of [...copies, ...copies.map((each) => attachRecords(each, (name) => records.get(name)))]) {
      verify(copy)
      expect(printProgram(copy)).toBe(text)
      expect(copy.toJSON()).toEqual(json)
    }
  })
  fc.assert(property, { seed: 20190601, numRuns: 150 })
})

test("random programs for test keep no training and verify", () => {
  const property = fc.property(fc.array(step, { maxLength: 24 }), (steps) => {
    const program = build(steps)
    const forTest = program.clone({ forTest: true })
    verify(forTest)
    expect(forTest.clone({ forTest: true }).toJSON()).toEqual(forTest.toJSON())
    const read = [...forTest.operators()].flatMap((op) => op.inputList().map((input) => input.producer))
    for (const op of forTest.operators()) {
      expect(op.role === "forward" || read.includes(op) || op.block.index > 0).toBe(true)
      expect(op.isLoss).toBe(false)
    }
  })
  fc.assert(property, { seed: 20190602, numRuns: 150 })
})

/** "same" if what `read` answers is written and read to the same program; else the code of the error. */
function outcome(read: () => Program, again: (program: Program) => Program): string {
  try {
    const program = read()
    return JSON.stringify(again(program)) === JSON.stringify(program) ? "same" : "another program"
  } catch (error) {
    return isCounterflowError(error) ? error.code : String(error)
  }
}

/** How often each outcome came. */
function tally(outcomes: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const each of outcomes) counts[each] = (counts[each] ?? 0) + 1
  return counts
}

test("random text is refused with an error of ours or is a program", () => {
  const words = ["program", "data ", "float32", "batch", "add", "y", "x", "block ", "1 ", "whenTrue", "return "]
  const marks = ["\n", "\n  ", "\n    ", " : ", "[", "]", ", ", "= ", "(", ")", "{", "}", '"', "--", "#"]
  const tokens = fc.sample(fc.array(fc.constantFrom(...words, ...marks), { maxLength: 40 }), { seed: 3, numRuns: 1000 })
  const outcomes = tokens.map((some) => {
    const text = `program\n  data x : float32[]\n  ${some.join("")}`
    return outcome(
      () => parseProgram(text),
      (program) => parseProgram(printProgram(program)),
    )
  })
  expect(tally(outcomes)).toMatchInlineSnapshot(`
    {
      "CF_BAD_TEXT": 874,
      "same": 126,
    }
  `)
})

test("random damage to a file is refused with an error of ours or is a program", () => {
  const values = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom("x", "y", 0, 1, 2, [], {}, null, ["x"], "2*n"))
  const ways = fc.array(fc.nat(40), { minLength: 1, maxLength: 7 })
  const base = build(fc.sample(step, { seed: 7, numRuns: 20 })).toJSON()
  const outcomes = fc.sample(fc.tuple(ways, values), { seed: 4, numRuns: 1000 }).map(([way, value]) => {
    const copy = structuredClone(base)
    damage(copy, way, value)
    return outcome(
      () => programFromJson(copy),
      (program) => programFromJson(program.toJSON()),
    )
  })
  expect(tally(outcomes)).toMatchInlineSnapshot(`
    {
      "CF_BAD_JSON": 890,
      "CF_NEWER_VERSION": 5,
      "same": 105,
    }
  `)
})

/** Puts the value at a place of the data that the numbers lead to. */
function damage(data: object, way: readonly number[], value: unknown): void {
  let owner = data
  let key = ""
  for (const [depth, pick] of way.entries()) {
    const keys = Object.keys(owner)
    key = keys[pick % Math.max(1, keys.length)] ?? "new"
    const inner: unknown = Reflect.get(owner, key)
    if (typeof inner !== "object" || inner === null || depth === way.length - 1) break
    owner = inner
  }
  Reflect.set(owner, key, value)
}
