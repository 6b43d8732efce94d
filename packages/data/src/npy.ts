// NumPy's .npy format, versions 1 to 3: magic, version, header length, a Python dict literal, the elements.
// Written from NEP 1. The dict is taken apart by pattern: its three keys and nothing else, so no Python is evaluated.
import { type Element, elementBytes, readElements } from "./elements.ts"
import { badFile } from "./errors.ts"
import { elementCount, type Tensor } from "./tensor.ts"

const magic = "\x93NUMPY"
const elements: readonly Element[] = ["b1", "u1", "i1", "i2", "u2", "i4", "i8", "f4", "f8"]

/** The array in a .npy file, row-major; int8, int16 and uint16 widen to int32; Fortran order is put into C order. */
export function parseNpy(bytes: Uint8Array): Tensor {
  if (bytes.length < 10 || String.fromCharCode(...bytes.subarray(0, 6)) !== magic) {
    badFile('a .npy file begins with "\\x93NUMPY"', "byte 0", "write it with numpy.save; .npz must be unpacked first")
  }
  const version = bytes[6] ?? 0
  if (version < 1 || version > 3) badFile(`unknown version ${version}`, "byte 6", "write version 1, 2 or 3")
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const headerStart = version === 1 ? 10 : 12
  const headerLength =
    version === 1 ? view.getUint16(8, true) : bytes.length >= 12 ? view.getUint32(8, true) : Number.POSITIVE_INFINITY
  const start = headerStart + headerLength
  if (start > bytes.length) {
    badFile("the file ends inside its header", `byte ${bytes.length}`, "fetch or copy the file again")
  }
  const header = new TextDecoder(version === 3 ? "utf-8" : "latin1").decode(bytes.subarray(headerStart, start))
  const { element, littleEndian, isFortran, shape } = readHeader(header, headerStart)
  const count = elementCount(shape)
  const got = bytes.length - start
  const needed = count * elementBytes(element)
  if (needed !== got) {
    badFile(
      `shape [${shape.join(", ")}] needs ${needed} bytes of elements, the file has ${got}`,
      `byte ${start}`,
      "fetch or copy the file again",
    )
  }
  const read = readElements(new DataView(bytes.buffer, bytes.byteOffset + start, got), count, element, littleEndian)
  if (isFortran) toRowMajor(read.data, shape)
  return { data: read.data, shape, dtype: read.dtype } as Tensor
}

interface Header {
  element: Element
  littleEndian: boolean
  isFortran: boolean
  shape: number[]
}

function readHeader(header: string, at: number): Header {
  const where = `the header at byte ${at}: ${header.trim().slice(0, 120)}`
  let rest = header
  const take = (pattern: RegExp): string | undefined => {
    const match = pattern.exec(rest)
    if (match !== null) rest = rest.replace(pattern, "")
    return match?.[1]
  }
  const descr = take(/'descr'\s*:\s*'([^']*)'/)
  const fortran = take(/'fortran_order'\s*:\s*(True|False)/)
  const axes = take(/'shape'\s*:\s*\(\s*((?:\d+L?\s*,\s*)*(?:\d+L?)?)\s*\)/)
  if (descr === undefined || fortran === undefined || axes === undefined || !/^\s*\{[\s,]*\}\s*$/.test(rest)) {
    badFile(
      "the header must be a dict of 'descr' (one plain type), 'fortran_order' and 'shape'",
      where,
      "save a plain array of numbers, not a structured one",
    )
  }
  const element = elements.find((name) => name === descr.slice(1))
  const order = descr[0] ?? ""
  if (element === undefined || !(elementBytes(element) === 1 ? "|<>=" : "<>").includes(order)) {
    badFile(
      `element type '${descr}' is not supported`,
      where,
      "convert with astype to float32, float64, int32, int64, uint8 or bool",
    )
  }
  const shape = axes.split(",").flatMap((axis) => (axis.trim() === "" ? [] : [Number.parseInt(axis, 10)]))
  return { element, littleEndian: order !== ">", isFortran: fortran === "True", shape }
}

/** In Fortran order the first index runs fastest; permutes the elements in place so that the last one does. */
function toRowMajor(data: { [index: number]: number | bigint; slice(): ArrayLike<number | bigint> }, shape: number[]) {
  const from = data.slice()
  const strides: number[] = []
  let stride = 1
  for (const extent of shape) {
    strides.push(stride)
    stride *= extent
  }
  const index = shape.map(() => 0)
  let source = 0
  for (let i = 0; i < from.length; i++) {
    data[i] = from[source] ?? 0
    // Count up `index` from the last axis, keeping `source` in step.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const extent = shape[axis] ?? 1
      const step = strides[axis] ?? 0
      index[axis] = (index[axis] ?? 0) + 1
      source += step
      if ((index[axis] ?? 0) < extent) break
      source -= extent * step
      index[axis] = 0
    }
  }
}
