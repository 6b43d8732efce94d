// The scalar instructions compute what they say: random operands against JavaScript.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { ModuleBuilder, type ValueType } from "../../src/assembler/index.ts"
import { textName } from "../../src/assembler/opcodes/table.ts"
import { scalarEntries } from "./entries.ts"
import { instantiate, type Scalar } from "./instance.ts"
import { floatComparisons, floatOperations, integerOperations, nearestFloat32, truncated } from "./reference.ts"

const scalars = new ModuleBuilder()
for (const { name, entry, build } of scalarEntries) {
  const run = scalars.function(name, entry.params, entry.results, (f, ...operands) => f.return(build(operands)))
  scalars.export(name, run)
}
const instance = instantiate(scalars)
const parameters = { seed: 20, numRuns: 400 }
const covered = new Set<string>()

/** The result, or undefined where the instruction traps. */
function run(name: string, operands: readonly Scalar[]): Scalar | undefined {
  try {
    return instance.get(name)(...operands) as Scalar
  } catch (error) {
    expect(error).toBeInstanceOf(WebAssembly.RuntimeError)
    return undefined
  }
}

function integers(width: 32 | 64): fc.Arbitrary<bigint> {
  const any = fc.bigInt({ min: -(2n ** BigInt(width - 1)), max: 2n ** BigInt(width - 1) - 1n })
  const edges = [0n, 1n, -1n, 2n ** BigInt(width - 1) - 1n, -(2n ** BigInt(width - 1)), 7n, 31n, 32n, 33n, 64n, 0x80n]
  return fc.oneof(any, fc.bigInt({ min: -200n, max: 200n }), fc.constantFrom(...edges))
}

const bounds = [31, 32, 63, 64].flatMap((power) => [2 ** power, -(2 ** power), 2 ** power - 1, -(2 ** power) - 1])
const edges = [0, -0, 0.5, -0.5, 1.5, 2.5, -1, -0.99, NaN, Infinity, -Infinity, 2 ** 52, 2 ** 23, 5e-324, ...bounds]
const doubles = fc.oneof(fc.double(), fc.double({ min: -1e10, max: 1e10 }), fc.constantFrom(...edges))
const singles = fc.oneof(fc.float(), fc.constantFrom(...edges.map(Math.fround)))

const arbitraries: Readonly<Record<Exclude<ValueType, "v128">, fc.Arbitrary<Scalar>>> = {
  i32: integers(32).map(Number),
  i64: integers(64),
  f32: singles,
  f64: doubles,
}

/** Compares one instruction with its meaning; both as JavaScript sees the types. */
function expectMeaning(
  type: "i32" | "i64" | "f32" | "f64",
  key: string,
  meaning: (...operands: readonly Scalar[]) => Scalar | undefined,
): void {
  const name = textName(type, key)
  const named = scalarEntries.find((candidate) => candidate.name === name)
  expect(named, name).toBeDefined()
  covered.add(name)
  const types = (named?.entry.params ?? []).map((param) => arbitraries[param as keyof typeof arbitraries])
  fc.assert(
    fc.property(fc.tuple(...types), (operands) => {
      expect([name, operands, run(name, operands)]).toEqual([name, operands, meaning(...operands)])
    }),
    parameters,
  )
}

describe.each([32, 64] as const)("i%d", (width) => {
  const type = `i${width}` as const
  const own = (x: bigint | undefined): Scalar | undefined => {
    if (x === undefined) return undefined
    return width === 32 ? Number(BigInt.asIntN(32, x)) : BigInt.asIntN(64, x)
  }
  const prefix = scalarEntries.filter(({ name }) => name.startsWith(`${type}.`)).map(({ name }) => name)
  const keys = Object.keys(integerOperations(width)).filter((key) => prefix.includes(textName(type, key)))

  test.each(keys)("%s", (key) => {
    const operation = integerOperations(width)[key]
    const named = scalarEntries.find(({ name }) => name === textName(type, key))
    // Comparisons and tests leave an i32 whatever they compare.
    const result = (x: bigint | undefined) =>
      named?.entry.results[0] === "i32" && x !== undefined ? Number(BigInt.asIntN(32, x)) : own(x)
    expectMeaning(type, key, (...operands) => result(operation?.(...operands.map(BigInt))))
  })

  test.each(["truncF32S", "truncF32U", "truncF64S", "truncF64U"])("%s and its saturating form", (key) => {
    expectMeaning(type, key, (x) => own(truncated(Number(x), width, key.endsWith("S"), false)))
    expectMeaning(type, key.replace("trunc", "truncSat"), (x) =>
      own(truncated(Number(x), width, key.endsWith("S"), true)),
    )
  })
})

describe("conversions between integers, and of bits", () => {
  test("widths", () => {
    expectMeaning("i32", "wrapI64", (x) => Number(BigInt.asIntN(32, BigInt(x ?? 0))))
    expectMeaning("i64", "extendI32S", (x) => BigInt(x ?? 0))
    expectMeaning("i64", "extendI32U", (x) => BigInt.asUintN(32, BigInt(x ?? 0)))
  })

  test("reinterpretation", () => {
    const view = new DataView(new ArrayBuffer(8))
    expectMeaning("i32", "reinterpretF32", (x) => {
      view.setFloat32(0, Number(x))
      return view.getInt32(0)
    })
    expectMeaning("i64", "reinterpretF64", (x) => {
      view.setFloat64(0, Number(x))
      return view.getBigInt64(0)
    })
    expectMeaning("f32", "reinterpretI32", (x) => {
      view.setInt32(0, Number(x))
      return view.getFloat32(0)
    })
    expectMeaning("f64", "reinterpretI64", (x) => {
      view.setBigInt64(0, BigInt(x ?? 0))
      return view.getFloat64(0)
    })
  })
})

describe.each(["f32", "f64"] as const)("%s", (type) => {
  const rounded = type === "f32" ? Math.fround : (x: number) => x
  const keys = Object.keys(floatOperations).filter((key) => key !== "pmin" && key !== "pmax")

  test.each(keys)("%s", (key) => {
    expectMeaning(type, key, (x, y) => rounded(floatOperations[key]?.(Number(x), Number(y)) ?? 0))
  })

  test.each(Object.keys(floatComparisons))("%s", (key) => {
    expectMeaning(type, key, (x, y) => Number(floatComparisons[key]?.(Number(x), Number(y))))
  })

  test("conversions", () => {
    const fromInteger = type === "f32" ? nearestFloat32 : Number
    expectMeaning(type, "convertI32S", (x) => fromInteger(BigInt(x ?? 0)))
    expectMeaning(type, "convertI32U", (x) => fromInteger(BigInt.asUintN(32, BigInt(x ?? 0))))
    expectMeaning(type, "convertI64S", (x) => fromInteger(BigInt(x ?? 0)))
    expectMeaning(type, "convertI64U", (x) => fromInteger(BigInt.asUintN(64, BigInt(x ?? 0))))
    if (type === "f32") expectMeaning("f32", "demoteF64", (x) => Math.fround(Number(x)))
    else expectMeaning("f64", "promoteF32", (x) => Number(x))
  })
})

test("no scalar instruction is left out", () => {
  expect(scalarEntries.map(({ name }) => name).filter((name) => !covered.has(name))).toEqual([])
})
