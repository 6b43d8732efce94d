// Array elements as files store them (width and byte order), read into the dtypes of tensors. Integer widths without a
// dtype of their own (int8, int16, uint16) widen to int32, which loses nothing.
import type { ArrayOf, DType } from "./tensor.ts"

/** Kind (unsigned, integer, float, boolean) and bytes, as in NumPy. */
export type Element = "b1" | "u1" | "i1" | "i2" | "u2" | "i4" | "i8" | "f4" | "f8"

export type Elements = { [D in DType]: { dtype: D; data: ArrayOf[D] } }[DType]

/** Bytes of one element. */
export function elementBytes(element: Element): number {
  return Number(element[1])
}

/** Reads `count` elements from the start of `view`, which holds them all: callers have checked. */
export function readElements(view: DataView, count: number, element: Element, littleEndian: boolean): Elements {
  switch (element) {
    case "b1":
      return { dtype: "bool", data: new Uint8Array(view.buffer, view.byteOffset, count).map((byte) => (byte ? 1 : 0)) }
    case "u1":
      return { dtype: "uint8", data: new Uint8Array(view.buffer, view.byteOffset, count).slice() }
    case "i1":
      return { dtype: "int32", data: filled(new Int32Array(count), (i) => view.getInt8(i)) }
    case "i2":
      return { dtype: "int32", data: filled(new Int32Array(count), (i) => view.getInt16(2 * i, littleEndian)) }
    case "u2":
      return { dtype: "int32", data: filled(new Int32Array(count), (i) => view.getUint16(2 * i, littleEndian)) }
    case "i4":
      return { dtype: "int32", data: filled(new Int32Array(count), (i) => view.getInt32(4 * i, littleEndian)) }
    case "f4":
      return { dtype: "float32", data: filled(new Float32Array(count), (i) => view.getFloat32(4 * i, littleEndian)) }
    case "f8":
      return { dtype: "float64", data: filled(new Float64Array(count), (i) => view.getFloat64(8 * i, littleEndian)) }
    case "i8": {
      const data = new BigInt64Array(count)
      for (let i = 0; i < count; i++) data[i] = view.getBigInt64(8 * i, littleEndian)
      return { dtype: "int64", data }
    }
  }
}

function filled<A extends Int32Array | Float32Array | Float64Array>(array: A, at: (index: number) => number): A {
  for (let i = 0; i < array.length; i++) array[i] = at(i)
  return array
}
