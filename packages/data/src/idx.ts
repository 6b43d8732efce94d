// The IDX format of the MNIST files (LeCun, Cortes and Burges): two zero bytes, element type, rank, one big-endian
// uint32 per axis, then the elements, big-endian and row-major.
import { type Element, elementBytes, readElements } from "./elements.ts"
import { badFile } from "./errors.ts"
import { elementCount, type Tensor } from "./tensor.ts"

const elements: ReadonlyMap<number, Element> = new Map([
  [0x08, "u1"],
  [0x09, "i1"],
  [0x0b, "i2"],
  [0x0c, "i4"],
  [0x0d, "f4"],
  [0x0e, "f8"],
])

/** The tensor in an IDX file; int8 and int16 widen to int32. Gzipped bytes go through `decompress` or `readIdx` first. */
export function parseIdx(bytes: Uint8Array): Tensor {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    badFile("the bytes are gzip, not IDX", "byte 0", "use readIdx, or parseIdx(await decompress(bytes))")
  }
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1] !== 0) {
    badFile("an IDX file begins with two zero bytes, a type and a rank", "byte 0", "check that the file is IDX")
  }
  const type = bytes[2] ?? 0
  const element = elements.get(type)
  if (element === undefined) {
    const known = [...elements.keys()].map(hex).join(", ")
    badFile(`unknown element type ${hex(type)}`, "byte 2", `known types are ${known}; check that the file is IDX`)
  }
  const rank = bytes[3] ?? 0
  const start = 4 + 4 * rank
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < start) {
    badFile(`the file ends inside its header of ${start} bytes`, `byte ${bytes.length}`, "fetch or copy the file again")
  }
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis))
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
  const { data, dtype } = readElements(new DataView(bytes.buffer, bytes.byteOffset + start, got), count, element, false)
  return { data, shape, dtype } as Tensor
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, "0")}`
}
