// IDX files built by hand, byte by byte, for every element type, and damaged ones.
import { describe, expect, test } from "vitest"
import { parseIdx, readIdx, toFloat32 } from "../src/index.ts"
import { refusal } from "./refusal.ts"

/** Type, axes, and the elements' bytes. */
function idx(type: number, shape: number[], elements: number[]): Uint8Array {
  const axes = shape.flatMap((extent) => [extent >>> 24, (extent >> 16) & 255, (extent >> 8) & 255, extent & 255])
  return Uint8Array.of(0, 0, type, shape.length, ...axes, ...elements)
}

async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([new Uint8Array(bytes)]).stream().pipeThrough(new CompressionStream("gzip"))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

describe("parseIdx", () => {
  test("all element types, big-endian", () => {
    expect(parseIdx(idx(0x08, [2, 2], [0, 1, 128, 255]))).toEqual({
      data: Uint8Array.of(0, 1, 128, 255),
      shape: [2, 2],
      dtype: "uint8",
    })
    expect(parseIdx(idx(0x09, [2], [0x7f, 0x80]))).toEqual({
      data: Int32Array.of(127, -128),
      shape: [2],
      dtype: "int32",
    })
    expect(parseIdx(idx(0x0b, [2], [0x01, 0x02, 0xff, 0xfe])).data).toEqual(Int32Array.of(258, -2))
    expect(parseIdx(idx(0x0c, [1], [0x80, 0, 0, 1])).data).toEqual(Int32Array.of(-2147483647))
    expect(parseIdx(idx(0x0d, [1], [0xbf, 0xc0, 0, 0]))).toEqual({
      data: Float32Array.of(-1.5),
      shape: [1],
      dtype: "float32",
    })
    expect(parseIdx(idx(0x0e, [1], [0x40, 0x09, 0x21, 0xfb, 0x54, 0x44, 0x2d, 0x18]))).toEqual({
      data: Float64Array.of(Math.PI),
      shape: [1],
      dtype: "float64",
    })
  })

  test("no axes, an empty axis, and bytes that begin within a larger buffer", () => {
    expect(parseIdx(idx(0x08, [], [7]))).toEqual({ data: Uint8Array.of(7), shape: [], dtype: "uint8" })
    expect(parseIdx(idx(0x08, [0, 28, 28], []))).toEqual({
      data: new Uint8Array(0),
      shape: [0, 28, 28],
      dtype: "uint8",
    })
    const file = idx(0x0c, [1], [0, 0, 0, 5])
    const within = new Uint8Array([9, ...file, 9]).subarray(1, file.length + 1)
    expect(parseIdx(within).data).toEqual(Int32Array.of(5))
  })

  test("gzip through readIdx, pixels to 0..1", async () => {
    const zipped = await gzip(idx(0x08, [1, 2], [51, 255]))
    const images = await readIdx(zipped)
    expect(toFloat32(images, 1 / 255)).toEqual({ data: Float32Array.of(0.2, 1), shape: [1, 2], dtype: "float32" })
    expect(await refusal(() => parseIdx(zipped))).toBe("CF_BAD_FILE the bytes are gzip, not IDX @ byte 0")
    expect(await refusal(() => readIdx(zipped.slice(0, -9)))).toBe(
      "CF_BAD_FILE the gzip data are damaged or cut short @ the compressed bytes",
    )
    const damaged = zipped.slice()
    damaged[damaged.length - 6] = (damaged[damaged.length - 6] ?? 0) ^ 1 // a bit of the checksum
    expect(await refusal(() => readIdx(damaged))).toBe(
      "CF_BAD_FILE the gzip data are damaged or cut short @ the compressed bytes",
    )
  })

  test("malformed files", async () => {
    const of = (bytes: Uint8Array) => refusal(() => parseIdx(bytes))
    const start = "CF_BAD_FILE an IDX file begins with two zero bytes, a type and a rank @ byte 0"
    expect(await of(new Uint8Array(0))).toBe(start)
    expect(await of(Uint8Array.of(0, 1, 8, 0, 1))).toBe(start)
    expect(await of(idx(0x0a, [1], [0]))).toBe("CF_BAD_FILE unknown element type 0x0a @ byte 2")
    expect(await of(idx(0x08, [2, 2], []).slice(0, 9))).toBe(
      "CF_BAD_FILE the file ends inside its header of 12 bytes @ byte 9",
    )
    expect(await of(idx(0x0c, [2], [0, 0, 0, 1]))).toBe(
      "CF_BAD_FILE shape [2] needs 8 bytes of elements, the file has 4 @ byte 8",
    )
    expect(await of(idx(0x08, [1], [1, 2]))).toBe(
      "CF_BAD_FILE shape [1] needs 1 bytes of elements, the file has 2 @ byte 8",
    )
    const huge = 0xffffffff
    expect(await of(idx(0x08, [huge, huge, huge, huge], []))).toMatch(/^CF_BAD_FILE shape .* the file has 0 @ byte 20$/)
  })
})
