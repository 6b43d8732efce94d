// Scalar expressions as loops: compiled and composed give the same bits, and both what the IR says the operations mean.

import { execFileSync } from "node:child_process"
import type { BinaryScalar, Comparison, DType, Scalar, UnaryScalar } from "@counterflow/ir"
import { binaryScalars, comparisons, dtypes, unaryScalars } from "@counterflow/ir"
import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import { bindComposed, bindCompiled, bindElementwise, printLoop } from "../src/elementwise.ts"
import type { HostTensor, NumberArray } from "../src/kernel.ts"
import { ruleFor } from "../src/scalars.ts"

const seed = 20261122
const arrays: Record<DType, new (data: number[]) => NumberArray> = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: Float64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
}

function tensor(dtype: DType, data: readonly number[]): HostTensor {
  return { dtype, shape: [data.length], data: new arrays[dtype]([...data]) }
}

const x: Scalar = { op: "input", slot: "x" }
const y: Scalar = { op: "input", slot: "y" }
const num = (value: number): Scalar => ({ op: "const", value })
const un = (op: UnaryScalar, of: Scalar): Scalar => ({ op, x: of })
const bin = (op: BinaryScalar | Comparison, left: Scalar, right: Scalar): Scalar => ({ op, x: left, y: right })
const cast = (of: Scalar, dtype: DType): Scalar => ({ op: "cast", x: of, dtype })
const select = (condition: Scalar, a: Scalar, b: Scalar): Scalar => ({ op: "select", condition, x: a, y: b })

/** The result, computed both ways and compared bit by bit. */
function run(scalar: Scalar, inputs: Record<string, HostTensor>, dtype: DType): number[] {
  const length = Object.values(inputs)[0]?.data.length ?? 1
  const results = [bindCompiled, bindComposed].map((bind) => {
    const output = tensor(
      dtype,
      Array.from({ length }, () => 77),
    )
    bind(scalar, inputs, output)()
    return output.data
  })
  const [compiled, composed] = results.map((data) => Array.from(data))
  expect(compiled).toStrictEqual(composed)
  return compiled ?? []
}

const specials: Record<DType, readonly number[]> = {
  float32: [0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-30, 3.4e38, -3.4e38, Infinity, -Infinity, NaN],
  float64: [0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-300, 1.7e308, -1.7e308, Infinity, -Infinity, NaN],
  int32: [0, 1, -1, 2, -7, 46341, 2147483647, -2147483648],
  int64: [0, 1, -1, 2, -7, 94906265, 9007199254740991, -9007199254740991],
  uint8: [0, 1, 2, 7, 16, 17, 128, 255],
  bool: [0, 1],
}

function pairs(dtype: DType): { x: HostTensor; y: HostTensor } {
  const values = specials[dtype]
  const all = values.flatMap((a) => values.map((b) => [a, b] as const))
  return {
    x: tensor(
      dtype,
      all.map(([a]) => a),
    ),
    y: tensor(
      dtype,
      all.map(([, b]) => b),
    ),
  }
}

describe("every operation on every dtype it has a meaning on", () => {
  const cases = dtypes.flatMap((dtype) => [...unaryScalars, ...binaryScalars].map((op) => ({ dtype, op })))
  const known = cases.filter(({ op, dtype }) => ruleFor(op, dtype) !== undefined)

  test.each(known)(
    "$op on $dtype: compiled and composed agree, the result is a value of its dtype",
    ({ op, dtype }) => {
      const inputs = pairs(dtype)
      const scalar = binaryScalars.some((name) => name === op)
        ? bin(op as BinaryScalar, x, y)
        : un(op as UnaryScalar, x)
      const result = run(scalar, inputs, dtype)
      expect(result).toHaveLength(inputs.x.data.length)
      expect(result.filter((value) => !isValueOf(value, dtype))).toEqual([])
    },
  )

  test.each(dtypes)("comparisons on %s", (dtype) => {
    const inputs = pairs(dtype)
    const direct = { less: 0, lessEqual: 0, equal: 0, notEqual: 0 } satisfies Record<Comparison, number>
    for (const op of comparisons) {
      const result = run(bin(op, x, y), inputs, "bool")
      direct[op] = result.reduce((sum, one) => sum + one, 0)
      result.forEach((value, i) => {
        const [a, b] = [inputs.x.data[i] ?? 0, inputs.y.data[i] ?? 0]
        expect(value).toBe(Number({ less: a < b, lessEqual: a <= b, equal: a === b, notEqual: a !== b }[op]))
      })
    }
    expect(direct.less + direct.equal).toBe(direct.lessEqual)
    expect(direct.equal + direct.notEqual).toBe(inputs.x.data.length)
  })

  test.each(dtypes.flatMap((from) => dtypes.map((to) => ({ from, to }))))("cast from $from to $to", ({ from, to }) => {
    const input = tensor(from, specials[from])
    const result = run(cast(x, to), { x: input }, to)
    result.forEach((value, i) => expect(value).toBe(convert(input.data[i] ?? 0, to)))
  })
})

function isValueOf(value: number, dtype: DType): boolean {
  if (dtype === "int64") return Number.isInteger(value) && !Object.is(value, -0)
  return dtype === "bool" ? value === 0 || value === 1 : true
}

function convert(value: number, to: DType): number {
  const range = { int32: [-(2 ** 31), 2 ** 31 - 1], int64: [-(2 ** 53) + 1, 2 ** 53 - 1], uint8: [0, 255] } as const
  if (to === "float64") return value
  if (to === "float32") return Math.fround(value)
  if (to === "bool") return value === 0 ? 0 : 1
  if (Number.isNaN(value)) return 0
  const [low, high] = range[to]
  return Math.min(Math.max(Math.trunc(value), low), high) + 0
}

describe("meaning", () => {
  test("int32 wraps around, also where float64 would lose bits", () => {
    const wide = { x: tensor("int32", [2147483647, -2147483648, 123456789]), y: tensor("int32", [1, -1, 987654321]) }
    expect(run(bin("add", x, y), wide, "int32")).toEqual([-2147483648, 2147483647, 1111111110])
    expect(run(bin("sub", x, y), wide, "int32")).toEqual([2147483646, -2147483647, -864197532])
    expect(run(bin("mul", x, y), wide, "int32")).toEqual([
      2147483647,
      -2147483648,
      Number(BigInt.asIntN(32, 123456789n * 987654321n)),
    ])
    expect(run(un("neg", x), wide, "int32")).toEqual([-2147483647, -2147483648, -123456789])
    expect(run(un("abs", x), wide, "int32")).toEqual([2147483647, -2147483648, 123456789])
    expect(run(bin("div", x, y), wide, "int32")).toEqual([2147483647, -2147483648, 0])
  })

  test("uint8 wraps around", () => {
    const bytes = { x: tensor("uint8", [250, 3, 16]), y: tensor("uint8", [10, 5, 17]) }
    expect(run(bin("add", x, y), bytes, "uint8")).toEqual([4, 8, 33])
    expect(run(bin("sub", x, y), bytes, "uint8")).toEqual([240, 254, 255])
    expect(run(bin("mul", x, y), bytes, "uint8")).toEqual([196, 15, 16])
    expect(run(un("neg", x), bytes, "uint8")).toEqual([6, 253, 240])
  })

  test.each(["int32", "int64"] as const)("%s division truncates, by zero it is 0", (dtype) => {
    const parts = { x: tensor(dtype, [7, -7, 7, -7, 5, 0]), y: tensor(dtype, [2, 2, -2, -2, 0, -3]) }
    expect(run(bin("div", x, y), parts, dtype)).toEqual([3, -3, -3, 3, 0, 0])
  })

  test("int64 division is exact on safe integers", () => {
    const property = fc.property(fc.maxSafeInteger(), fc.maxSafeInteger(), (a, b) => {
      const wanted = b === 0 ? 0n : BigInt(a) / BigInt(b)
      expect(run(bin("div", x, y), { x: tensor("int64", [a]), y: tensor("int64", [b]) }, "int64")).toEqual([
        Number(wanted),
      ])
    })
    fc.assert(property, {
      seed,
      examples: [
        [9007199254740991, 9007199254740990],
        [9007199254740990, 9007199254740991],
      ],
    })
  })

  test("float32 is rounded once, when stored", () => {
    const thirds = { x: tensor("float32", [1]), y: tensor("float32", [3]) }
    const scalar = bin("mul", bin("div", x, y), y)
    expect(run(scalar, thirds, "float32")).toEqual([1])
    const tiny = { x: tensor("float32", [1e-30]), y: tensor("float32", [1e30]) }
    expect(run(bin("mul", bin("mul", x, x), bin("mul", y, y)), tiny, "float32")[0]).toBeCloseTo(1, 6)
  })

  test("rounding goes to even, sign(0) is 0, min and max keep NaN", () => {
    const input = tensor("float64", [0.5, 1.5, 2.5, -0.5, -1.5, 0])
    expect(run(un("round", x), { x: input }, "float64")).toEqual([0, 2, 2, -0, -2, 0])
    expect(run(un("sign", x), { x: input }, "float64")).toEqual([1, 1, 1, -1, -1, 0])
    const nan = { x: tensor("float64", [NaN, 1]), y: tensor("float64", [1, NaN]) }
    expect(run(bin("max", x, y), nan, "float64")).toEqual([NaN, NaN])
    expect(run(bin("min", x, y), nan, "float64")).toEqual([NaN, NaN])
  })

  test("constants take their partner's dtype", () => {
    const bytes = tensor("uint8", [3, 250])
    expect(run(bin("add", num(10), x), { x: bytes }, "uint8")).toEqual([13, 4])
    expect(run(bin("mul", x, num(2.9)), { x: bytes }, "uint8"), "converted as by cast").toEqual([6, 244])
    expect(run(bin("less", x, num(100)), { x: bytes }, "bool")).toEqual([1, 0])
    expect(run(select(bin("less", x, num(100)), num(1), num(-1)), { x: bytes }, "int32")).toEqual([1, -1])
    expect(run(bin("sub", x, num(-1)), { x: tensor("float64", [2]) }, "float64")).toEqual([3])
    expect(run(bin("div", num(1), bin("mul", x, num(-0))), { x: tensor("float64", [2]) }, "float64")).toEqual([
      -Infinity,
    ])
    expect(run(bin("min", x, num(Infinity)), { x: tensor("int32", [7]) }, "int32")).toEqual([7])
    expect(run(bin("add", num(NaN), x), { x: tensor("float32", [7]) }, "float32")).toEqual([NaN])
  })

  test("the output may be an input", () => {
    const data = tensor("float32", [1, 2, 3])
    bindElementwise(bin("add", x, y), { x: data, y: tensor("float32", [10, 20, 30]) }, data)()
    expect([...data.data]).toEqual([11, 22, 33])
  })

  test("no elements, no inputs", () => {
    expect(run(un("exp", x), { x: tensor("float32", []) }, "float32")).toEqual([])
    expect(run(bin("add", num(1), num(2)), {}, "int32")).toEqual([3])
  })
})

/** Random well-typed float expressions of x and y. */
const floats: fc.Arbitrary<Scalar> = fc.letrec<{ float: Scalar; bool: Scalar }>((tie) => ({
  float: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.constantFrom(x, y),
    fc.double().map(num),
    fc.tuple(fc.constantFrom(...unaryScalars.filter((op) => op !== "not")), tie("float")).map(([op, a]) => un(op, a)),
    fc
      .tuple(fc.constantFrom(...binaryScalars.filter((op) => op !== "and" && op !== "or")), tie("float"), tie("float"))
      .map(([op, a, b]) => bin(op, a, b)),
    tie("float").map((a) => bin("mul", a, a)),
    fc.tuple(tie("bool"), tie("float"), tie("float")).map(([c, a, b]) => select(c, a, b)),
    fc
      .tuple(fc.constantFrom("int32" as const, "uint8" as const, "int64" as const), tie("float"))
      .map(([to, a]) => cast(cast(a, to), "float64")),
  ),
  bool: fc.oneof(
    { maxDepth: 3 },
    fc.tuple(fc.constantFrom(...comparisons), tie("float"), tie("float")).map(([op, a, b]) => bin(op, a, b)),
    fc
      .tuple(fc.constantFrom("and" as const, "or" as const), tie("bool"), tie("bool"))
      .map(([op, a, b]) => bin(op, a, b)),
    tie("bool").map((a) => un("not", a)),
  ),
})).float

test("random expressions: compiled and composed give the same bits", () => {
  const values = fc.array(fc.tuple(fc.double(), fc.double()), { minLength: 1, maxLength: 5 })
  const property = fc.property(floats, values, (scalar, points) => {
    const inputs = {
      x: tensor(
        "float64",
        points.map(([a]) => a),
      ),
      y: tensor(
        "float64",
        points.map(([, b]) => b),
      ),
    }
    expect(run(scalar, inputs, "float64")).toHaveLength(points.length)
  })
  fc.assert(property, { seed, numRuns: 300 })
})

test("a shared node is computed once, however often it is used", () => {
  let scalar: Scalar = x
  for (let i = 0; i < 40; i++) scalar = bin("mul", scalar, scalar)
  const inputs = { x: tensor("float64", [1]) }
  expect(printLoop(scalar, inputs, "float64").split("\n").length).toBeLessThan(60)
  expect(run(scalar, inputs, "float64")).toEqual([1])
})

test("what runs can be read", () => {
  const inputs = { x: tensor("float32", [1]), y: tensor("float32", [1]) }
  expect(printLoop(select(bin("less", x, num(-1)), bin("add", x, y), un("erf", y)), inputs, "float32"))
    .toMatchInlineSnapshot(`
    "  const a0 = inputs[0]
      const a1 = inputs[1]
      const n = z.length
      return () => {
        for (let i = 0; i < n; i++) {
          const t0 = a0[i]
          const t1 = t0 < (-1) ? 1 : 0
          const t2 = a1[i]
          const t3 = t0 + t2
          const t4 = erf(t2)
          const t5 = t1 !== 0 ? t3 : t4
          z[i] = t5
        }
      }"
  `)
})

describe("refusals", () => {
  const one = tensor("float32", [1])
  const refused: [string, Scalar, Record<string, HostTensor>, DType, RegExp][] = [
    ["an unknown input", { op: "input", slot: "w" }, { x: one }, "float32", /reads "w", which is no input/],
    [
      "mixed dtypes",
      bin("add", x, y),
      { x: one, y: tensor("float64", [1]) },
      "float32",
      /combines float32 and float64 by add/,
    ],
    ["an operation without meaning", un("exp", x), { x: tensor("int32", [1]) }, "int32", /exp has no meaning on int32/],
    ["another output dtype", x, { x: one }, "int32", /yields float32 where its output is int32/],
    ["a condition that is no bool", select(x, x, x), { x: one }, "float32", /condition of a select is not bool/],
  ]
  test.each(refused)("%s", (_name, scalar, inputs, dtype, text) => {
    for (const bind of [bindCompiled, bindComposed]) {
      expect(() => bind(scalar, inputs, tensor(dtype, [0]))).toThrow(text)
    }
  })

  test("a constant that is text never becomes code", () => {
    const forged = JSON.parse(`{ "op": "const", "value": "globalThis.escaped = 1" }`) as Scalar
    expect(() => bindElementwise(bin("add", x, forged), { x: one }, tensor("float32", [0]))).toThrow(/is no number/)
    expect(globalThis).not.toHaveProperty("escaped")
  })
})

test("a host that forbids code from text gets the same bits", () => {
  const program = `
    const { bindElementwise } = await import(${JSON.stringify(new URL("../src/elementwise.ts", import.meta.url).href)})
    let forbidden = false
    try { new Function("return 0") } catch { forbidden = true }
    const z = { dtype: "float32", shape: [3], data: new Float32Array(3) }
    const x = { dtype: "float32", shape: [3], data: new Float32Array([-1, 0.5, 2]) }
    bindElementwise({ op: "exp", x: { op: "input", slot: "x" } }, { x }, z)()
    console.log(JSON.stringify({ forbidden, z: [...z.data] }))
  `
  const args = [
    "--disallow-code-generation-from-strings",
    "--conditions=source",
    "--import",
    "tsx",
    "--input-type=module",
    "--eval",
    program,
  ]
  const answer = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as {
    forbidden: boolean
    z: number[]
  }
  const z = tensor("float32", [0, 0, 0])
  bindElementwise(un("exp", x), { x: tensor("float32", [-1, 0.5, 2]) }, z)()
  expect(answer).toEqual({ forbidden: true, z: [...z.data] })
})
