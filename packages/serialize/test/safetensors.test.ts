// The safetensors codec: round trips of everything it writes, bytes of the format's own Python package, and refusals.
import { allocate, CounterflowError, type DType, dtypes } from "@counterflow/ir"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { decodeSafetensors, encodeSafetensors, type NamedSafeTensor } from "../src/safetensors.ts"

const fromBase64 = (text: string) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0))

/** A file with this header text, unpadded, and so many zero bytes of elements. */
function fileOf(header: string, elements = 0): Uint8Array {
  const text = new TextEncoder().encode(header)
  const file = new Uint8Array(8 + text.length + elements)
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true)
  file.set(text, 8)
  return file
}

const entry = (dtype: string, shape: string, begin: number, end: number) =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`

function refusal(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof CounterflowError) return `${error.code} ${error.why}`
    throw error
  }
  return "accepted"
}

/** A tensor with arbitrary bits, NaN payloads included. */
const anyTensor = fc
  .record({
    dtype: fc.constantFrom(...dtypes),
    shape: fc.array(fc.nat(4), { maxLength: 4 }),
    seed: fc.nat(),
  })
  .map(({ dtype, shape, seed }) => {
    const data = allocate(
      dtype,
      shape.reduce((product, extent) => product * extent, 1),
    )
    const bytes = new Uint8Array(data.buffer)
    let state = seed
    for (let i = 0; i < bytes.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      bytes[i] = dtype === "bool" ? state >>> 31 : state >>> 24
    }
    return { dtype, shape, data }
  })

const anyName = fc.string({ unit: "binary", maxLength: 12 }).filter((name) => !/^__(proto|metadata)__$/.test(name))
const bytesOf = (data: ArrayBufferView) => [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]

describe("round trip", () => {
  test("every tensor and every metadata text comes back bit for bit, in order", () => {
    const named = fc
      .uniqueArray(fc.tuple(anyName, anyTensor), { selector: ([name]) => name, maxLength: 6 })
      .map((list) => list.map(([name, tensor]) => ({ name, ...tensor }) as NamedSafeTensor))
    fc.assert(
      fc.property(named, fc.dictionary(anyName, fc.string({ unit: "binary" })), (tensors, metadata) => {
        const file = encodeSafetensors(tensors, metadata)
        const back = decodeSafetensors(file)
        expect([...back.tensors.keys()].toSorted()).toEqual(tensors.map(({ name }) => name).toSorted())
        expect(new Map(Object.entries(back.metadata))).toEqual(new Map(Object.entries(metadata)))
        for (const { name, dtype, shape, data } of tensors) {
          const got = back.tensors.get(name)
          expect(got?.dtype).toBe(dtype)
          expect(got?.shape).toEqual(shape)
          expect(got?.data.constructor).toBe(data.constructor)
          expect(bytesOf(got?.data ?? new Uint8Array(1))).toEqual(bytesOf(data))
        }
        expect((8 + Number(new DataView(file.buffer).getBigUint64(0, true))) % 8).toBe(0)
        expect(encodeSafetensors(tensors, metadata)).toEqual(file)
      }),
      { seed: 7, numRuns: 300 },
    )
  })

  test("elements stand in the order given, whatever the names look like", () => {
    const bytes = encodeSafetensors(
      ["b", "10", "9", "a"].map((name, i) => ({ name, dtype: "uint8", shape: [1], data: Uint8Array.of(i) })),
    )
    expect(new TextDecoder().decode(bytes.slice(8))).toMatch(/"b".*"10".*"9".*"a"/)
    expect(bytes.slice(-4)).toEqual(Uint8Array.of(0, 1, 2, 3))
    expect([...decodeSafetensors(bytes).tensors.keys()]).toEqual(["b", "10", "9", "a"])
  })

  test("views are written as views, and what is read shares no memory with the file", () => {
    const whole = Float32Array.of(1, 2, 3, 4, 5)
    const tensor = { name: "w", dtype: "float32", shape: [2], data: whole.subarray(2, 4) } as const
    const file = Buffer.from(encodeSafetensors([tensor]))
    const { tensors } = decodeSafetensors(file)
    file.fill(0)
    expect(tensors.get("w")?.data).toEqual(Float32Array.of(3, 4))
  })

  test("a file of no tensors", () => {
    expect(decodeSafetensors(encodeSafetensors([]))).toEqual({ tensors: new Map(), metadata: {} })
  })
})

describe("files of the Python package (safetensors 0.8.0)", () => {
  const tensors: NamedSafeTensor[] = [
    { name: "step", dtype: "int64", shape: [], data: BigInt64Array.of(9007199254740993n) },
    { name: "moment", dtype: "float64", shape: [2], data: Float64Array.of(Math.PI, -1e300) },
    { name: "empty", dtype: "float32", shape: [0, 4], data: new Float32Array(0) },
    { name: "fc_0.w_0", dtype: "float32", shape: [2, 3], data: Float32Array.of(0.5, -1.25, 3, 1e-40, Infinity, -0) },
    { name: "ids", dtype: "int32", shape: [2, 1], data: Int32Array.of(-2147483648, 2147483647) },
    { name: "pixels", dtype: "uint8", shape: [3], data: Uint8Array.of(0, 128, 255) },
    { name: "mask", dtype: "bool", shape: [3], data: Uint8Array.of(1, 0, 1) },
  ]
  const metadata = { note: "größe", format: "np" }
  // numpy.save of the tensors above.
  const written = fromBase64(
    "2AEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJub3RlIjoiZ3LDtsOfZSIsImZvcm1hdCI6Im5wIn0sInN0ZXAiOnsiZHR5cGUiOiJJNjQiLCJzaGFw" +
      "ZSI6W10sImRhdGFfb2Zmc2V0cyI6WzAsOF19LCJtb21lbnQiOnsiZHR5cGUiOiJGNjQiLCJzaGFwZSI6WzJdLCJkYXRhX29mZnNldHMiOls4LDI0" +
      "XX0sImVtcHR5Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlswLDRdLCJkYXRhX29mZnNldHMiOlsyNCwyNF19LCJmY18wLndfMCI6eyJkdHlwZSI6" +
      "IkYzMiIsInNoYXBlIjpbMiwzXSwiZGF0YV9vZmZzZXRzIjpbMjQsNDhdfSwiaWRzIjp7ImR0eXBlIjoiSTMyIiwic2hhcGUiOlsyLDFdLCJkYXRh" +
      "X29mZnNldHMiOls0OCw1Nl19LCJwaXhlbHMiOnsiZHR5cGUiOiJVOCIsInNoYXBlIjpbM10sImRhdGFfb2Zmc2V0cyI6WzU2LDU5XX0sIm1hc2si" +
      "OnsiZHR5cGUiOiJCT09MIiwic2hhcGUiOlszXSwiZGF0YV9vZmZzZXRzIjpbNTksNjJdfX0gICAgICAgAQAAAAAAIAAYLURU+yEJQJx1AIg85Df+" +
      "AAAAPwAAoL8AAEBAwhYBAAAAgH8AAACAAAAAgP///38AgP8BAAE=",
  )

  test("are read", () => {
    const file = decodeSafetensors(written)
    expect(file.metadata).toEqual(metadata)
    expect([...file.tensors]).toEqual(tensors.map(({ name, ...tensor }) => [name, tensor]))
  })

  test("are written, byte for byte", () => {
    expect(encodeSafetensors(tensors, metadata)).toEqual(written)
  })

  test("in half-width floats are widened", () => {
    const file = fromBase64(
      "eAAAAAAAAAB7ImJyYWluIjp7ImR0eXBlIjoiQkYxNiIsInNoYXBlIjpbMiwyXSwiZGF0YV9vZmZzZXRzIjpbMCw4XX0sImhhbGYiOnsiZHR5cGUi" +
        "OiJGMTYiLCJzaGFwZSI6WzZdLCJkYXRhX29mZnNldHMiOls4LDIwXX19ICCAP0nAgHEAgAA+/3sBAAAEAIIA/A==",
    )
    const brain = Float32Array.of(1, -3.140625, 2 ** 100, -0)
    const half = Float32Array.of(1.5, 65504, 2 ** -24, 2 ** -14, -(2 ** -15), -Infinity)
    expect([...decodeSafetensors(file).tensors]).toEqual([
      ["brain", { dtype: "float32", shape: [2, 2], data: brain }],
      ["half", { dtype: "float32", shape: [6], data: half }],
    ])
  })
})

test("all 65,536 binary16 numbers widen to their value", () => {
  const file = fileOf(`{"h":${entry("F16", "[65536]", 0, 131072)}}`, 131072)
  const view = new DataView(file.buffer, file.length - 131072)
  for (let bits = 0; bits < 65536; bits++) view.setUint16(2 * bits, bits, true)
  const values = decodeSafetensors(file).tensors.get("h")?.data ?? new Float32Array(0)
  const wrong: number[] = []
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1
    const exponent = (bits >> 10) & 31
    const fraction = bits & 1023
    const finite = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15)
    const expected = exponent < 31 ? sign * finite : fraction === 0 ? sign * Infinity : NaN
    if (!Object.is(values[bits], expected)) wrong.push(bits)
  }
  expect(wrong).toEqual([])
})

describe("refused when reading", () => {
  const w = entry("F32", "[1]", 0, 4)
  const cases: [string, Uint8Array, string][] = [
    ["an empty file", new Uint8Array(0), "expected at least 8 bytes, got 0"],
    ["a header length beyond the limit", Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1), "a header of 72057594037927936 bytes"],
    ["a header of 100,000,001 bytes", Uint8Array.of(0x01, 0xe1, 0xf5, 0x05, 0, 0, 0, 0), "the format allows 100000000"],
    ["a header beyond the file", fileOf("{}").slice(0, 9), "a header of 2 bytes in a file of 9"],
    ["what is no JSON", fileOf("{"), "the header is not JSON in UTF-8"],
    [
      "what is no UTF-8",
      fileOf('{"__metadata__":{"a":"!"}}').map((byte) => (byte === 0x21 ? 0xff : byte)),
      "the header is not JSON in UTF-8",
    ],
    ["a byte-order mark", fileOf("\uFEFF{}"), "the header is not JSON in UTF-8"],
    ["leading space", fileOf(" {}"), "the header is not a JSON object from its first byte on"],
    ["an array", fileOf("[]"), "the header is not a JSON object from its first byte on"],
    ["one name twice", fileOf(`{"w":${w},"w":${w}}`, 4), 'the name "w" comes twice'],
    ["one name twice, once escaped", fileOf(`{"w":${w},"\\u0077" :${w}}`, 4), 'the name "w" comes twice'],
    ["one member twice", fileOf('{"w":{"dtype":"U8","dtype":"F32"}}'), 'the name "dtype" comes twice'],
    ["metadata twice", fileOf('{"__metadata__":{"a":"1","a":"2"}}'), 'the name "a" comes twice'],
    ["a prototype key", fileOf(`{"__proto__":${w}}`, 4), '"__proto__" is no legal name'],
    ["a prototype key in metadata", fileOf('{"__metadata__":{"__proto__":"x"}}'), '"__proto__" is no legal name'],
    ["a lone surrogate", fileOf(`{"\\ud800":${w}}`, 4), '"\\ud800" is no legal name'],
    ["metadata that is no text", fileOf('{"__metadata__":{"a":1}}'), 'metadata "a" is not text'],
    ["metadata that is no object", fileOf('{"__metadata__":[]}'), "__metadata__ is not an object of texts"],
    ["an entry that is no object", fileOf('{"w":3}'), 'the entry of tensor "w" is not an object'],
    ["no dtype", fileOf('{"w":{"shape":[],"data_offsets":[0,4]}}', 4), 'the entry of tensor "w" has no dtype'],
    [
      "an unknown dtype",
      fileOf(`{"w":${entry("F8_E4M3", "[1]", 0, 1)}}`, 1),
      'tensor "w" has dtype F8_E4M3; this codec',
    ],
    ["an inherited dtype", fileOf(`{"w":${entry("constructor", "[1]", 0, 1)}}`, 1), "has dtype constructor"],
    ["an unknown member", fileOf('{"w":{"dtype":"U8","x":1}}'), 'the entry of tensor "w" has an unknown member "x"'],
    ["a negative extent", fileOf(`{"w":${entry("U8", "[-1]", 0, 1)}}`, 1), 'tensor "w" has the shape [-1]: whole'],
    ["a fraction", fileOf(`{"w":${entry("U8", "[1.5]", 0, 1)}}`, 1), 'tensor "w" has the shape [1.5]: whole'],
    ["a shape too large", fileOf(`{"w":${entry("U8", "[67108864,1e9]", 0, 1)}}`, 1), "with a product below 2^53"],
    ["no shape", fileOf('{"w":{"dtype":"U8","data_offsets":[0,1]}}', 1), 'tensor "w" has the shape undefined: whole'],
    ["no offsets", fileOf('{"w":{"dtype":"U8","shape":[1]}}', 1), 'tensor "w" has the offsets undefined: two whole'],
    [
      "three offsets",
      fileOf('{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}', 1),
      "offsets [0,1,1]: two whole",
    ],
    [
      "negative offsets",
      fileOf(`{"w":${entry("U8", "[1]", -1, 0)}}`, 1),
      'tensor "w" has the offsets [-1,0]: two whole',
    ],
    [
      "reversed offsets",
      fileOf(`{"w":${entry("U8", "[1]", 1, 0)}}`, 1),
      'tensor "w" has offsets 1 to 0, but U8[1] takes 1',
    ],
    ["another size", fileOf(`{"w":${entry("F32", "[2]", 0, 4)}}`, 4), "has offsets 0 to 4, but F32[2] takes 8 bytes"],
    ["elements cut short", fileOf(`{"w":${w}}`, 3), 'tensor "w" ends at byte 4 of 3 bytes of elements'],
    ["bytes left over", fileOf(`{"w":${w}}`, 5), "1 bytes after the last tensor"],
    [
      "an overlap",
      fileOf(`{"w":${w},"v":${entry("U8", "[1]", 3, 4)}}`, 4),
      'tensor "v" overlaps the one before it, at byte 3',
    ],
    ["the same bytes twice", fileOf(`{"w":${w},"v":${w}}`, 4), 'tensor "v" overlaps the one before it, at byte 0'],
    ["a hole", fileOf(`{"w":${w},"v":${entry("U8", "[1]", 6, 7)}}`, 7), 'a hole of 2 bytes before tensor "v"'],
    ["a hole at the start", fileOf(`{"w":${entry("F32", "[1]", 4, 8)}}`, 8), 'a hole of 4 bytes before tensor "w"'],
    [
      "a bool of 2",
      fileOf(`{"m":${entry("BOOL", "[1]", 0, 1)}}`, 1).map((b, i, f) => (i === f.length - 1 ? 2 : b)),
      "0 and 1",
    ],
  ]
  test.each(cases)("%s", (_name, file, why) => {
    const got = refusal(() => decodeSafetensors(file))
    expect(got).toMatch(/^CF_BAD_FILE /)
    expect(got).toContain(why)
  })

  test("no cut or flipped byte makes anything but a refusal or well-formed tensors", () => {
    const file = encodeSafetensors(
      [
        { name: "w", dtype: "float32", shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
        { name: "m", dtype: "bool", shape: [3], data: Uint8Array.of(0, 1, 1) },
      ],
      { kind: "test" },
    )
    const flip = fc.tuple(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }))
    fc.assert(
      fc.property(fc.array(flip, { minLength: 1, maxLength: 3 }), fc.nat(file.length), (flips, length) => {
        const damagedFile = file.slice(0, length)
        for (const [at, bits] of flips) if (at < length) damagedFile[at] = (damagedFile[at] ?? 0) ^ bits
        const outcome = refusal(() => {
          for (const { shape, data } of decodeSafetensors(damagedFile).tensors.values()) {
            expect(data.length).toBe(shape.reduce((product, extent) => product * extent, 1))
          }
        })
        expect(outcome).toMatch(/^accepted$|^CF_BAD_FILE /)
      }),
      { seed: 11, numRuns: 2000 },
    )
  })
})

describe("refused when writing", () => {
  const one = { dtype: "float32", shape: [1], data: Float32Array.of(1) } as const
  const odd = (parts: object) => ({ name: "w", ...one, ...parts }) as NamedSafeTensor
  const cases: [string, NamedSafeTensor[], string][] = [
    ["one name twice", [odd({}), odd({})], 'two tensors are named "w"'],
    ["a prototype key", [odd({ name: "__proto__" })], '"__proto__" is no legal name'],
    ["the metadata's name", [odd({ name: "__metadata__" })], 'no tensor can be named "__metadata__"'],
    ["a lone surrogate", [odd({ name: "\udc00" })], '"\\udc00" is no legal name'],
    ["an unknown dtype", [odd({ dtype: "toString" as DType })], 'tensor "w" has dtype toString'],
    [
      "data of another dtype",
      [odd({ data: Float64Array.of(1) })],
      'tensor "w" is float32, but its data are no Float32Array',
    ],
    ["a plain array", [odd({ data: [1] })], 'tensor "w" is float32, but its data are no Float32Array'],
    ["a shape that does not fit", [odd({ shape: [2, 3] })], 'tensor "w" has shape [2, 3], but 1 elements'],
    ["a negative extent", [odd({ shape: [-1, -1] })], 'tensor "w" has shape [-1, -1], but 1 elements'],
    [
      "a bool of 2",
      [odd({ dtype: "bool", data: Uint8Array.of(2) })],
      'tensor "w" is bool, but holds bytes other than 0 and 1',
    ],
  ]
  test.each(cases)("%s", (_name, tensors, why) => {
    expect(refusal(() => encodeSafetensors(tensors))).toBe(`CF_BAD_ARGUMENT ${why}`)
  })

  test("metadata that is no text", () => {
    const metadata = { epoch: 3 } as object as Record<string, string>
    expect(refusal(() => encodeSafetensors([], metadata))).toBe(
      'CF_BAD_ARGUMENT metadata "epoch" is not well-formed text',
    )
  })

  test("the whole message", () => {
    expect(() => encodeSafetensors([odd({}), odd({})])).toThrowErrorMatchingInlineSnapshot(`
      [CounterflowError: CF_BAD_ARGUMENT  encodeSafetensors: two tensors are named "w"
        fix: give every tensor a name of its own]
    `)
  })
})
