// The vector instructions compute what they say: lane by lane over random bytes against the scalar meanings.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { i8x16, ModuleBuilder, v128 } from "../../src/assembler/index.ts"
import { vectorEntries } from "./entries.ts"
import { instantiate } from "./instance.ts"
import { floatComparisons, floatOperations, integerOperations, truncated } from "./reference.ts"

// Operands lie at 0 and 32 (and 64 for a third), the result is written to 96.
const vectors = new ModuleBuilder()
vectors.importMemory("host", "memory", { minPages: 1 })
for (const { name, entry, build } of vectorEntries) {
  // The scalar operand of a splat, a shift or a lane replacement is a parameter; vectors come from memory.
  const scalars = entry.params.filter((type) => type !== "v128")
  const run = vectors.function(name, scalars, entry.results[0] === "v128" ? [] : entry.results, (f, ...given) => {
    const rest = [...given]
    const operands = entry.params.map((type, i) =>
      type === "v128" ? v128.load(32 * i) : (rest.shift() ?? v128.load(0)),
    )
    const result = build(operands)
    if (result.type === "v128") f.store("v128", 96, { type: "v128", code: result.code })
    else f.return(result)
  })
  vectors.export(name, run)
}
vectors.export(
  "shuffle",
  vectors.function("shuffle", [], [], (f) => {
    const lanes = [31, 0, 5, 16, 7, 7, 20, 1, 2, 3, 30, 29, 15, 14, 13, 12]
    f.store("v128", 96, i8x16.shuffle(lanes, v128.load(0), v128.load(32)))
  }),
)
const { memory, get } = instantiate(vectors)
const view = new DataView(memory.buffer)

type Lane = "i8" | "i16" | "i32" | "i64" | "f32" | "f64"
const widths = { i8: 8, i16: 16, i32: 32, i64: 64, f32: 32, f64: 64 }

/** Integer lanes are unsigned bigints. */
function readIntegers(width: number, at: number): bigint[] {
  const bytes = Array.from({ length: 16 }, (_, i) => BigInt(view.getUint8(at + i)))
  const size = width / 8
  return Array.from({ length: 16 / size }, (_, lane) =>
    bytes.slice(lane * size, (lane + 1) * size).reduceRight((sum, byte) => sum * 256n + byte, 0n),
  )
}

function readFloats(lane: Lane, at: number): number[] {
  if (lane === "f32") return [0, 4, 8, 12].map((offset) => view.getFloat32(at + offset, true))
  return [0, 8].map((offset) => view.getFloat64(at + offset, true))
}

const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 })
/** Many lanes of extreme or equal values. */
const extreme = fc
  .array(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), { minLength: 16, maxLength: 16 })
  .map((x) => Uint8Array.from(x))
const single = fc.oneof(fc.float(), fc.constantFrom(0, -0, NaN, Infinity, -Infinity, 0.5, 2.5, 3e9, -3e9, 1e10))
const floats32 = fc
  .array(single, { minLength: 4, maxLength: 4 })
  .map((x) => new Uint8Array(Float32Array.from(x).buffer))
const double = fc.oneof(fc.double(), fc.constantFrom(0, -0, NaN, Infinity, -Infinity, 0.5, 2.5, 3e9, -3e9, 1e10))
const floats64 = fc
  .array(double, { minLength: 2, maxLength: 2 })
  .map((x) => new Uint8Array(Float64Array.from(x).buffer))
const any = fc.oneof(bytes, extreme)
const anyFloats = { f32: floats32, f64: floats64 }
const parameters = { seed: 21, numRuns: 120 }

function expectVectors(operands: fc.Arbitrary<Uint8Array>, check: () => void): void {
  fc.assert(
    fc.property(operands, operands, fc.boolean(), (x, y, isSame) => {
      const all = new Uint8Array(memory.buffer)
      all.set(x, 0)
      all.set(isSame ? x : y, 32)
      check()
    }),
    parameters,
  )
}

const has = (name: string) => vectorEntries.some((named) => named.name === name)
const snake = (key: string) => key.replace(/(?<=.)[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const isComparison = (key: string) => /^(eq|ne|(lt|gt|le|ge)[SU])$/.test(key)

describe.each(["i8", "i16", "i32", "i64"] as const)("%s lanes", (lane) => {
  const width = widths[lane]
  const shape = `${lane}x${128 / width}`
  const operations = Object.entries(integerOperations(width)).filter(([key]) => has(`${shape}.${snake(key)}`))
  const shifts = new Set(["shl", "shrS", "shrU"])

  test.each(operations.filter(([key]) => !shifts.has(key)))("%s", (key, operation) => {
    expectVectors(any, () => {
      get(`${shape}.${snake(key)}`)()
      const y = readIntegers(width, 32)
      const expected = readIntegers(width, 0).map((x, i) => {
        const result = operation(x, y[i] ?? 0n) ?? 0n
        return BigInt.asUintN(width, isComparison(key) ? -result : result)
      })
      expect(readIntegers(width, 96)).toEqual(expected)
    })
  })

  test.each(operations.filter(([key]) => shifts.has(key)))("%s by a count", (key, operation) => {
    expectVectors(any, () => {
      for (const count of [0, 1, width - 1, width, width + 3]) {
        get(`${shape}.${snake(key)}`)(count)
        const expected = readIntegers(width, 0).map((x) => BigInt.asUintN(width, operation(x, BigInt(count)) ?? 0n))
        expect(readIntegers(width, 96)).toEqual(expected)
      }
    })
  })

  test("splat, lanes, allTrue, bitmask", () => {
    expectVectors(any, () => {
      const lanes = readIntegers(width, 0)
      const value = lanes[0] ?? 0n
      const scalar = width === 64 ? BigInt.asIntN(64, value) : Number(value)
      get(`${shape}.splat`)(scalar)
      expect(readIntegers(width, 96)).toEqual(lanes.map(() => value))
      get(`${shape}.replace_lane`)(scalar)
      expect(readIntegers(width, 96)).toEqual(lanes.map((x, i) => (i === 1 ? value : x)))
      const extracts = width < 32 ? ["extract_lane_s", "extract_lane_u"] : ["extract_lane"]
      for (const name of extracts) {
        const extracted = get(`${shape}.${name}`)()
        const isSigned = !name.endsWith("_u")
        const exact = isSigned ? BigInt.asIntN(width, lanes[1] ?? 0n) : lanes[1]
        expect(BigInt(extracted as number | bigint)).toBe(exact)
      }
      expect(get(`${shape}.all_true`)()).toBe(lanes.every((x) => x !== 0n) ? 1 : 0)
      const mask = lanes.reduce((sum, x, i) => sum + (BigInt.asIntN(width, x) < 0n ? 2 ** i : 0), 0)
      expect(get(`${shape}.bitmask`)()).toBe(mask)
    })
  })
})

describe.each([
  [8, 16],
  [16, 32],
  [32, 64],
])("from %d to %d bits", (narrow, wide) => {
  const from = `i${narrow}x${128 / narrow}`
  const to = `i${wide}x${128 / wide}`
  const count = 128 / wide

  test.each(["s", "u"])("extension, products and sums, %s", (sign) => {
    const exact = (x: bigint) => (sign === "s" ? BigInt.asIntN(narrow, x) : x)
    expectVectors(any, () => {
      const x = readIntegers(narrow, 0).map(exact)
      const y = readIntegers(narrow, 32).map(exact)
      for (const [half, start] of [
        ["low", 0],
        ["high", count],
      ] as const) {
        const own = x.slice(start, start + count)
        get(`${to}.extend_${half}_${from}_${sign}`)()
        expect(readIntegers(wide, 96)).toEqual(own.map((a) => BigInt.asUintN(wide, a)))
        get(`${to}.extmul_${half}_${from}_${sign}`)()
        expect(readIntegers(wide, 96)).toEqual(own.map((a, i) => BigInt.asUintN(wide, a * (y[start + i] ?? 0n))))
      }
      if (wide === 64) return
      get(`${to}.extadd_pairwise_${from}_${sign}`)()
      const sums = Array.from({ length: count }, (_, i) => (x[2 * i] ?? 0n) + (x[2 * i + 1] ?? 0n))
      expect(readIntegers(wide, 96)).toEqual(sums.map((sum) => BigInt.asUintN(wide, sum)))
      get(`${from}.narrow_${to}_${sign}`)()
      const [low, high] =
        sign === "s" ? [-(2n ** BigInt(narrow - 1)), 2n ** BigInt(narrow - 1) - 1n] : [0n, 2n ** BigInt(narrow) - 1n]
      const both = [...readIntegers(wide, 0), ...readIntegers(wide, 32)].map((a) => BigInt.asIntN(wide, a))
      const narrowed = both.map((a) => BigInt.asUintN(narrow, a < low ? low : a > high ? high : a))
      expect(readIntegers(narrow, 96)).toEqual(narrowed)
    })
  })
})

describe.each(["f32", "f64"] as const)("%s lanes", (lane) => {
  const shape = `${lane}x${128 / widths[lane]}`
  const rounded = lane === "f32" ? Math.fround : (x: number) => x
  const operations = Object.entries(floatOperations).filter(([key]) => has(`${shape}.${key}`))

  test.each(operations)("%s", (key, operation) => {
    expectVectors(anyFloats[lane], () => {
      get(`${shape}.${key}`)()
      const y = readFloats(lane, 32)
      expect(readFloats(lane, 96)).toEqual(readFloats(lane, 0).map((x, i) => rounded(operation(x, y[i] ?? 0))))
    })
  })

  test.each(Object.entries(floatComparisons))("%s", (key, holds) => {
    expectVectors(anyFloats[lane], () => {
      get(`${shape}.${key}`)()
      const y = readFloats(lane, 32)
      const expected = readFloats(lane, 0).map((x, i) => (holds(x, y[i] ?? 0) ? 2n ** BigInt(widths[lane]) - 1n : 0n))
      expect(readIntegers(widths[lane], 96)).toEqual(expected)
    })
  })

  test("splat and lanes", () => {
    expectVectors(anyFloats[lane], () => {
      const lanes = readFloats(lane, 0)
      const value = lanes[0] ?? 0
      get(`${shape}.splat`)(value)
      expect(readFloats(lane, 96)).toEqual(lanes.map(() => value))
      get(`${shape}.replace_lane`)(value)
      expect(readFloats(lane, 96)).toEqual(lanes.map((x, i) => (i === 1 ? value : x)))
      expect(get(`${shape}.extract_lane`)()).toEqual(lanes[1])
    })
  })
})

describe("conversions", () => {
  test("between floats and int32", () => {
    expectVectors(fc.oneof(floats32, bytes), () => {
      const floats = readFloats("f32", 0)
      const integers = readIntegers(32, 0)
      for (const sign of ["s", "u"]) {
        get(`i32x4.trunc_sat_f32x4_${sign}`)()
        const whole = floats.map((x) => BigInt.asUintN(32, truncated(x, 32, sign === "s", true) ?? 0n))
        expect(readIntegers(32, 96)).toEqual(whole)
        const exact = integers.map((x) => Number(sign === "s" ? BigInt.asIntN(32, x) : x))
        get(`f32x4.convert_i32x4_${sign}`)()
        expect(readFloats("f32", 96)).toEqual(exact.map(Math.fround))
        get(`f64x2.convert_low_i32x4_${sign}`)()
        expect(readFloats("f64", 96)).toEqual(exact.slice(0, 2))
      }
      get("f64x2.promote_low_f32x4")()
      expect(readFloats("f64", 96)).toEqual(floats.slice(0, 2))
    })
    expectVectors(floats64, () => {
      const doubles = readFloats("f64", 0)
      for (const sign of ["s", "u"]) {
        get(`i32x4.trunc_sat_f64x2_${sign}_zero`)()
        const whole = doubles.map((x) => BigInt.asUintN(32, truncated(x, 32, sign === "s", true) ?? 0n))
        expect(readIntegers(32, 96)).toEqual([...whole, 0n, 0n])
      }
      get("f32x4.demote_f64x2_zero")()
      expect(readFloats("f32", 96)).toEqual([...doubles.map(Math.fround), 0, 0])
    })
  })
})

describe("whole vectors", () => {
  const bit = (at: number) => readIntegers(64, at)
  const run = (name: string, expected: (x: bigint, y: bigint, z: bigint) => bigint) => {
    get(name)()
    const [x, y, z] = [bit(0), bit(32), bit(64)]
    expect(bit(96)).toEqual(x.map((a, i) => BigInt.asUintN(64, expected(a, y[i] ?? 0n, z[i] ?? 0n))))
  }

  test("bits", () => {
    new Uint8Array(memory.buffer).set([0x0f, 0xff, 0, 0x33, 1, 2, 3, 4, 0xf0, 0x55, 0xaa, 7, 8, 9, 10, 11], 64)
    expectVectors(any, () => {
      run("v128.not", (x) => ~x)
      run("v128.and", (x, y) => x & y)
      run("v128.andnot", (x, y) => x & ~y)
      run("v128.or", (x, y) => x | y)
      run("v128.xor", (x, y) => x ^ y)
      run("v128.bitselect", (x, y, mask) => (x & mask) | (y & ~mask))
      expect(get("v128.any_true")()).toBe(bit(0).some((x) => x !== 0n) ? 1 : 0)
    })
  })

  test("swizzle, shuffle and dot product", () => {
    expectVectors(any, () => {
      const [x, y] = [readIntegers(8, 0), readIntegers(8, 32)]
      get("i8x16.swizzle")()
      expect(readIntegers(8, 96)).toEqual(y.map((lane) => x[Number(lane)] ?? 0n))
      get("shuffle")()
      const lanes = [31, 0, 5, 16, 7, 7, 20, 1, 2, 3, 30, 29, 15, 14, 13, 12]
      expect(readIntegers(8, 96)).toEqual(lanes.map((lane) => [...x, ...y][lane]))
      get("i32x4.dot_i16x8_s")()
      const [a, b] = [readIntegers(16, 0), readIntegers(16, 32)].map((all) =>
        all.map((lane) => BigInt.asIntN(16, lane)),
      )
      const products = (a ?? []).map((lane, i) => lane * (b?.[i] ?? 0n))
      const sums = [0, 2, 4, 6].map((i) => BigInt.asUintN(32, (products[i] ?? 0n) + (products[i + 1] ?? 0n)))
      expect(readIntegers(32, 96)).toEqual(sums)
    })
  })

  test("loads that widen, spread or fill", () => {
    // Every one reads at the address plus 16.
    const source = Uint8Array.from({ length: 32 }, (_, i) => 130 + i * 3)
    new Uint8Array(memory.buffer).set(source, 1016)
    const read = (width: number) => readIntegers(width, 1016)
    const repeated = (width: number) => Array.from({ length: 128 / width }, () => read(width)[0])
    for (const [narrow, wide] of [
      [8, 16],
      [16, 32],
      [32, 64],
    ] as const) {
      for (const sign of ["s", "u"]) {
        get(`v128.load${narrow}x${128 / wide}_${sign}`)(1000)
        const exact = read(narrow).map((x) => (sign === "s" ? BigInt.asUintN(wide, BigInt.asIntN(narrow, x)) : x))
        expect(readIntegers(wide, 96)).toEqual(exact.slice(0, 128 / wide))
      }
    }
    for (const width of [8, 16, 32, 64]) {
      get(`v128.load${width}_splat`)(1000)
      expect(readIntegers(width, 96)).toEqual(repeated(width))
      get(`v128.load${width}_lane`)(1000)
      expect(readIntegers(width, 96)).toEqual(readIntegers(width, 32).map((x, i) => (i === 1 ? read(width)[0] : x)))
    }
    for (const width of [32, 64]) {
      get(`v128.load${width}_zero`)(1000)
      expect(readIntegers(width, 96)).toEqual(readIntegers(width, 96).map((_, i) => (i === 0 ? read(width)[0] : 0n)))
    }
    get("v128.load")(1000)
    expect(readIntegers(8, 96)).toEqual(read(8))
  })
})
