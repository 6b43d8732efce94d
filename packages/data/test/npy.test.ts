// .npy files: what NumPy 2.4 wrote, files built by hand, and damaged ones.
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { parseNpy, readNpy } from "../src/index.ts"
import { fromBase64, latin, refusal } from "./refusal.ts"

/** A version 1 file with this header text. */
function npy(header: string, elements: number[] = []): Uint8Array {
  const length = String.fromCharCode(header.length & 255, header.length >> 8)
  return Uint8Array.of(...latin(`\x93NUMPY\x01\x00${length}${header}`), ...elements)
}

const dict = (descr: string, shape: string, order = "False") =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`

describe("parseNpy", () => {
  test("files of NumPy: versions 1 to 3, scalars, Fortran order, big-endian", () => {
    const floats =
      "k05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDMpLCB9ICAgICAgICAgICAgICAg" +
      "ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAACAPgAAAD8AAEA/AACAPwAAoD8="
    expect(parseNpy(fromBase64(floats))).toEqual({
      data: Float32Array.of(0, 0.25, 0.5, 0.75, 1, 1.25),
      shape: [2, 3],
      dtype: "float32",
    })
    const fortran =
      "k05VTVBZAQB2AHsnZGVzY3InOiAnPGk0JywgJ2ZvcnRyYW5fb3JkZXInOiBUcnVlLCAnc2hhcGUnOiAoMiwgMywgNCksIH0gICAgICAgICAgICAg" +
      "ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAADAAAAAQAAAAQAAAACAAAABQAAAABAAAADQAAAAUAAAARAAAA" +
      "CQAAABUAAAACAAAADgAAAAYAAAASAAAACgAAABYAAAADAAAADwAAAAcAAAATAAAACwAAABcAAAA="
    expect(parseNpy(fromBase64(fortran))).toEqual({
      data: Int32Array.from({ length: 24 }, (_, i) => i),
      shape: [2, 3, 4],
      dtype: "int32",
    })
    const versionTwo =
      "k05VTVBZAgB0AAAAeydkZXNjcic6ICc8aTgnLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hhcGUnOiAoMiwpLCB9ICAgICAgICAgICAgICAg" +
      "ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAr//////////wAAAAAAAAAQ"
    expect(parseNpy(fromBase64(versionTwo))).toEqual({
      data: BigInt64Array.of(-1n, 2n ** 60n),
      shape: [2],
      dtype: "int64",
    })
    const versionThree =
      "k05VTVBZAwB0AAAAeydkZXNjcic6ICd8YjEnLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hhcGUnOiAoMiwgMSksIH0gICAgICAgICAgICAg" +
      "ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAA=="
    expect(parseNpy(fromBase64(versionThree))).toEqual({ data: Uint8Array.of(1, 0), shape: [2, 1], dtype: "bool" })
    const scalar =
      "k05VTVBZAQB2AHsnZGVzY3InOiAnPGY4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKCksIH0gICAgICAgICAgICAgICAgICAg" +
      "ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoYLURU+yEJQA=="
    expect(parseNpy(fromBase64(scalar))).toEqual({ data: Float64Array.of(Math.PI), shape: [], dtype: "float64" })
    const bigEndian =
      "k05VTVBZAQB2AHsnZGVzY3InOiAnPmY4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsKSwgfSAgICAgICAgICAgICAgICAg" +
      "ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAo/8AAAAAAAAMAAAAAAAAAA"
    expect(parseNpy(fromBase64(bigEndian)).data).toEqual(Float64Array.of(1, -2))
  })

  test("narrow integers widen, bytes have no order, any spacing of the dict", () => {
    expect(parseNpy(npy(dict("<i2", "(2,)"), [0xfe, 0xff, 1, 1])).data).toEqual(Int32Array.of(-2, 257))
    expect(parseNpy(npy(dict("<u2", "(1,)"), [0xfe, 0xff])).data).toEqual(Int32Array.of(65534))
    expect(parseNpy(npy(dict("|i1", "(1,)"), [0xff])).data).toEqual(Int32Array.of(-1))
    expect(parseNpy(npy(dict("|u1", "(3,)"), [0, 1, 255])).data).toEqual(Uint8Array.of(0, 1, 255))
    const other = npy("{'shape':(1L, 2),'descr':'|b1','fortran_order':False}", [3, 0])
    expect(parseNpy(other)).toEqual({ data: Uint8Array.of(1, 0), shape: [1, 2], dtype: "bool" })
  })

  test("Fortran order of any shape equals C order of the same array", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }), (shape) => {
        const count = shape.reduce((product, extent) => product * extent, 1)
        const text = `(${shape.map((extent) => `${extent},`).join(" ")})`
        // Each element is its own row-major number; the file lists them with the first index running fastest.
        const elements = Array.from({ length: count }, (_, place) => {
          let rest = place
          const index = shape.map((extent) => {
            const i = rest % extent
            rest = Math.floor(rest / extent)
            return i
          })
          return index.reduce((number, i, axis) => number * (shape[axis] ?? 1) + i, 0)
        })
        const read = parseNpy(
          npy(
            dict("|i1", text, "True"),
            elements.map((value) => value & 127),
          ),
        )
        expect(read.shape).toEqual(shape)
        expect([...read.data]).toEqual(Array.from({ length: count }, (_, i) => i & 127))
      }),
      { seed: 2, numRuns: 200 },
    )
  })

  test("malformed files", async () => {
    const of = (bytes: Uint8Array) => refusal(() => parseNpy(bytes))
    expect(await of(latin("PK\x03\x04 and so on"))).toBe('CF_BAD_FILE a .npy file begins with "\\x93NUMPY" @ byte 0')
    expect(await of(new Uint8Array(0))).toBe('CF_BAD_FILE a .npy file begins with "\\x93NUMPY" @ byte 0')
    expect(await of(latin("\x93NUMPY\x04\x00\x00\x00"))).toBe("CF_BAD_FILE unknown version 4 @ byte 6")
    expect(await of(latin("\x93NUMPY\x01\x00\x20\x00{"))).toBe("CF_BAD_FILE the file ends inside its header @ byte 11")
    expect(await of(latin("\x93NUMPY\x02\x00\x00\x00"))).toBe("CF_BAD_FILE the file ends inside its header @ byte 10")
    const keys = "CF_BAD_FILE the header must be a dict of 'descr' (one plain type), 'fortran_order' and 'shape'"
    for (const header of [
      "{}",
      "[]",
      "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': 1}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
    ]) {
      expect(await of(npy(header, [0, 0, 0, 0]))).toBe(`${keys} @ the header at byte 10: ${header}`)
    }
    for (const descr of ["<f2", "<c8", "|O", "<U3", "f4", "|f4", "<M8[ns]"]) {
      expect(await of(npy(dict(descr, "(1,)"), [0, 0, 0, 0]))).toContain(`element type '${descr}' is not supported`)
    }
    expect(await of(npy(dict("<f4", "(2,)"), [0, 0, 0, 0]))).toContain(
      "shape [2] needs 8 bytes of elements, the file has 4",
    )
    expect(await of(npy(dict("<f4", "(9999999999, 9999999999)")))).toContain("the file has 0")
    expect(await refusal(() => readNpy(latin("no")))).toContain("a .npy file begins with")
  })
})
