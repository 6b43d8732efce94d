// The laws of dimensions on random expressions, held against arithmetic on integers of any size that knows nothing of
// normal forms. Samples that divide by zero or outgrow the limits are passed over, and those that are not are counted.
import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import {
  addDims,
  bindDim,
  compareDims,
  type Dim,
  floorDivDims,
  formatDim,
  maxDims,
  modDims,
  mulDims,
  parseDim,
  sameDim,
  subDims,
  substituteDim,
  symbol,
} from "../src/dims.ts"

const names = ["batch", "h", "n", "w"] as const
const [batch, h, n, w] = [symbol("batch"), symbol("h"), symbol("n"), symbol("w")]

type Expression =
  | number
  | string
  | { op: "add" | "sub" | "mul" | "floorDiv" | "mod" | "max"; a: Expression; b: Expression }

const seed = 20261122
const runs = { seed, numRuns: 2000 }

const { expression } = fc.letrec<{ expression: Expression }>((tie) => ({
  // Four operations to two leaves, or most samples would be leaves.
  expression: fc.oneof({ maxDepth: 4, depthSize: "max" }, fc.integer({ min: -6, max: 12 }), fc.constantFrom(...names), {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constantFrom("add", "add", "sub", "mul", "floorDiv", "mod", "max"),
      a: tie("expression"),
      b: tie("expression"),
    }),
  }),
}))
const bindings = fc
  .tuple(...names.map((name) => fc.tuple(fc.constant(name), fc.nat({ max: 40 }))))
  .map((pairs) => new Map(pairs))

const operations = { add: addDims, sub: subDims, mul: mulDims, floorDiv: floorDivDims, mod: modDims, max: maxDims }

/** The result, or undefined where a sample divides by zero or outgrows the limits; any other error is a failure. */
function attempt<T>(compute: () => T): T | undefined {
  try {
    return compute()
  } catch (error) {
    if (error instanceof RangeError && /by zero|is too large|safe integers/.test(error.message)) return undefined
    throw error
  }
}

function build(e: Expression): Dim {
  if (typeof e === "number") return e
  return typeof e === "string" ? symbol(e) : operations[e.op](build(e.a), build(e.b))
}

/** Its value by definition; undefined where it divides by zero under this binding. */
function evaluate(e: Expression, values: ReadonlyMap<string, number>): bigint | undefined {
  if (typeof e === "number") return BigInt(e)
  if (typeof e === "string") return BigInt(values.get(e) ?? 0)
  const [a, b] = [evaluate(e.a, values), evaluate(e.b, values)]
  if (a === undefined || b === undefined) return undefined
  if (e.op === "add") return a + b
  if (e.op === "sub") return a - b
  if (e.op === "mul") return a * b
  if (e.op === "max") return a > b ? a : b
  if (b === 0n) return undefined
  const quotient = a / b - (a % b !== 0n && a < 0n !== b < 0n ? 1n : 0n)
  return e.op === "floorDiv" ? quotient : a - b * quotient
}

const dim = expression.map((e) => attempt(() => build(e))).filter((d) => d !== undefined)

describe("laws", () => {
  test("binding the normal form is the arithmetic on the bound numbers", () => {
    let checked = 0
    fc.assert(
      fc.property(expression, bindings, (e, values) => {
        const value = evaluate(e, values)
        const got = attempt(() => bindDim(build(e), values))
        if (value === undefined || got === undefined) return
        checked++
        expect(BigInt(got)).toBe(value)
      }),
      { seed, numRuns: 10_000 },
    )
    expect(checked).toBeGreaterThan(6000)
  })

  test("sums and products commute, associate and distribute", () => {
    let checked = 0
    fc.assert(
      fc.property(dim, dim, dim, (a, b, c) => {
        attempt(() => {
          expect(sameDim(addDims(a, b), addDims(b, a))).toBe(true)
          expect(sameDim(mulDims(a, b), mulDims(b, a))).toBe(true)
          expect(sameDim(addDims(addDims(a, b), c), addDims(a, addDims(b, c)))).toBe(true)
          expect(sameDim(mulDims(mulDims(a, b), c), mulDims(a, mulDims(b, c)))).toBe(true)
          expect(sameDim(mulDims(a, addDims(b, c)), addDims(mulDims(a, b), mulDims(a, c)))).toBe(true)
          expect(subDims(addDims(a, b), addDims(b, a))).toBe(0)
          checked++
        })
      }),
      runs,
    )
    expect(checked).toBeGreaterThan(1500)
  })

  test("max commutes, associates, and is idempotent", () => {
    let checked = 0
    fc.assert(
      fc.property(dim, dim, dim, (a, b, c) => {
        attempt(() => {
          expect(formatDim(maxDims(a, b))).toBe(formatDim(maxDims(b, a)))
          expect(formatDim(maxDims(maxDims(a, b), c))).toBe(formatDim(maxDims(a, maxDims(b, c))))
          expect(formatDim(maxDims(a, b, c))).toBe(formatDim(maxDims(c, a, b)))
          expect(formatDim(maxDims(a, a))).toBe(formatDim(a))
          checked++
        })
      }),
      runs,
    )
    expect(checked).toBeGreaterThan(1500)
  })

  test("division: a = b*floorDiv(a, b) + mod(a, b), exact on products, and whole multiples come out", () => {
    let checked = 0
    fc.assert(
      fc.property(dim, dim, fc.integer({ min: 1, max: 12 }), (a, c, b) => {
        attempt(() => {
          expect(formatDim(addDims(mulDims(b, floorDivDims(a, b)), modDims(a, b)))).toBe(formatDim(a))
          const d = c === 0 ? b : c
          expect(formatDim(addDims(mulDims(d, floorDivDims(a, d)), modDims(a, d)))).toBe(formatDim(a))
          expect(formatDim(floorDivDims(mulDims(a, d), d))).toBe(formatDim(a))
          expect(formatDim(modDims(modDims(a, b), b))).toBe(formatDim(modDims(a, b)))
          checked++
        })
      }),
      runs,
    )
    expect(checked).toBeGreaterThan(1500)
  })

  test("linear dividends have one form each: shifts and signs come out, quotients of quotients merge", () => {
    const linear = fc
      .array(fc.integer({ min: -20, max: 20 }), { minLength: 5, maxLength: 5 })
      .map(([a = 0, b = 0, c = 0, d = 0, e = 0]) =>
        addDims(mulDims(a, batch), mulDims(b, h), mulDims(c, n), mulDims(d, w), e),
      )
    const divisor = fc.integer({ min: 1, max: 12 })
    fc.assert(
      fc.property(linear, linear, divisor, divisor, (a, c, b, k) => {
        const quotient = formatDim(floorDivDims(a, b))
        expect(formatDim(subDims(floorDivDims(addDims(a, mulDims(b, c)), b), c))).toBe(quotient)
        expect(formatDim(floorDivDims(mulDims(k, a), k * b))).toBe(quotient)
        // The ceiling, for odd divisors: with 2, n - floorDiv(n, 2) and floorDiv(n + 1, 2) stay two forms.
        const odd = 2 * b + 1
        const ceiling = mulDims(-1, floorDivDims(mulDims(-1, a), odd))
        expect(formatDim(ceiling)).toBe(formatDim(floorDivDims(addDims(a, odd - 1), odd)))
      }),
      runs,
    )
    fc.assert(
      fc.property(fc.nat({ max: 30 }), fc.nat({ max: 30 }), divisor, divisor, (c, e, b, k) => {
        const nested = floorDivDims(addDims(floorDivDims(addDims(n, c), b), e), k)
        expect(formatDim(nested)).toBe(formatDim(floorDivDims(addDims(n, c + b * e), b * k)))
      }),
      runs,
    )
  })

  test("the text reads back as the same dimension", () => {
    fc.assert(
      fc.property(dim, (d) => {
        const again = parseDim(formatDim(d))
        expect(formatDim(again)).toBe(formatDim(d))
        expect(again).toEqual(d)
        expect(sameDim(again, d)).toBe(true)
      }),
      { seed, numRuns: 5000 },
    )
  })

  test("no comparison is contradicted by a binding", () => {
    const seen = { equal: 0, different: 0, unknown: 0 }
    fc.assert(
      fc.property(dim, dim, fc.boolean(), bindings, (a, other, isNear, values) => {
        attempt(() => {
          const b = isNear ? addDims(a, other) : other
          const answer = compareDims(a, b)
          const [x, y] = [bindDim(a, values), bindDim(b, values)]
          seen[answer]++
          expect(answer).not.toBe(x === y ? "different" : "equal")
          expect(answer === "equal").toBe(sameDim(a, b))
        })
      }),
      { seed, numRuns: 10_000 },
    )
    expect(Math.min(seen.equal, seen.different, seen.unknown)).toBeGreaterThan(300)
  })

  test("substitution commutes with binding", () => {
    let checked = 0
    fc.assert(
      fc.property(expression, dim, dim, bindings, (e, first, second, values) => {
        attempt(() => {
          // Symbols stand for integers >= 0, so must what takes their place.
          const [p, q] = [maxDims(first, 0), maxDims(second, 0)]
          const value = evaluate(e, new Map(values).set("n", bindDim(p, values)).set("h", bindDim(q, values)))
          const by = new Map<string, Dim>([
            ["n", p],
            ["h", q],
          ])
          const got = bindDim(substituteDim(build(e), by), values)
          if (value === undefined) return
          checked++
          expect(BigInt(got)).toBe(value)
        })
      }),
      { seed, numRuns: 10_000 },
    )
    expect(checked).toBeGreaterThan(4000)
  })
})
