// The safetensors format: header length (8 bytes, little-endian), a JSON header, the elements of all tensors end to end.
// A pure codec with no file access. Reading trusts nothing: lengths, names, shapes and offsets are checked before use.
//
//   | length n | { "w": { "dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24] }, … } + spaces | w … | b … |
//   0          8                                                                               8 + n, a multiple of 8
import { type ArrayOf, type DType, type ErrorCode, fail, isDType } from "@counterflow/ir"

/** A tensor with a name; testing `dtype` narrows `data`. */
export type SafeTensor = {
  [D in DType]: { readonly dtype: D; readonly shape: readonly number[]; readonly data: ArrayOf[D] }
}[DType]

export type NamedSafeTensor = SafeTensor & { readonly name: string }

export interface SafeTensors {
  /** In the order of their elements in the file. The arrays are copies, independent of the bytes given. */
  readonly tensors: Map<string, SafeTensor>
  readonly metadata: Record<string, string>
}

/** The format's own limit; a longer header is an attack or a mistake. */
const maxHeaderBytes = 100_000_000

interface Format {
  readonly dtype: DType
  readonly bytes: number
}

/** The element types read. The first six are also written; the half-width floats have no dtype here and are widened. */
const formats: ReadonlyMap<string, Format> = new Map<string, Format>([
  ["F32", { dtype: "float32", bytes: 4 }],
  ["F64", { dtype: "float64", bytes: 8 }],
  ["I32", { dtype: "int32", bytes: 4 }],
  ["I64", { dtype: "int64", bytes: 8 }],
  ["U8", { dtype: "uint8", bytes: 1 }],
  ["BOOL", { dtype: "bool", bytes: 1 }],
  ["F16", { dtype: "float32", bytes: 2 }],
  ["BF16", { dtype: "float32", bytes: 2 }],
])

/** How each dtype is written, and the tag of the typed array that holds it. */
const stored: Record<DType, { readonly code: string; readonly array: string }> = {
  float32: { code: "F32", array: "Float32Array" },
  float64: { code: "F64", array: "Float64Array" },
  int32: { code: "I32", array: "Int32Array" },
  int64: { code: "I64", array: "BigInt64Array" },
  uint8: { code: "U8", array: "Uint8Array" },
  bool: { code: "BOOL", array: "Uint8Array" },
}

/**
 * The file of these tensors. Header and elements stand in the order given, so equal input gives equal bytes.
 * The tensors are read before the function returns and are not kept.
 */
export function encodeSafetensors(
  tensors: Iterable<NamedSafeTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  requireLittleEndianHost()
  const names = new Set<string>()
  const entries: string[] = []
  const pieces: Uint8Array[] = []
  let length = 0
  const texts = Object.entries(metadata).map(([key, text]) => {
    checkName(key, "CF_BAD_ARGUMENT")
    if (typeof text !== "string" || !isWellFormed(text)) refuse(`metadata "${key}" is not well-formed text`)
    return `${JSON.stringify(key)}:${JSON.stringify(text)}`
  })
  if (texts.length > 0) entries.push(`"__metadata__":{${texts.join(",")}}`)
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor
    checkName(name, "CF_BAD_ARGUMENT")
    if (name === "__metadata__") refuse('no tensor can be named "__metadata__"', "rename it")
    if (names.has(name)) refuse(`two tensors are named "${name}"`, "give every tensor a name of its own")
    names.add(name)
    const bytes = elementBytes(tensor)
    const entry = { dtype: stored[dtype].code, shape, data_offsets: [length, length + bytes.length] }
    // The header is put together by hand: an object would move names such as "0" to the front.
    entries.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`)
    pieces.push(bytes)
    length += bytes.length
  }
  const header = new TextEncoder().encode(`{${entries.join(",")}}`)
  const headerLength = Math.ceil(header.length / 8) * 8
  if (headerLength > maxHeaderBytes) {
    refuse(`the header takes ${headerLength} bytes, the format allows ${maxHeaderBytes}`, "write several files")
  }
  const file = new Uint8Array(8 + headerLength + length)
  new DataView(file.buffer).setBigUint64(0, BigInt(headerLength), true)
  file.fill(0x20, 8, 8 + headerLength)
  file.set(header, 8)
  let at = 8 + headerLength
  for (const piece of pieces) {
    file.set(piece, at)
    at += piece.length
  }
  return file
}

/** The bytes of a tensor that is to be written, after checking that its parts belong together. */
function elementBytes({ name, dtype, shape, data }: NamedSafeTensor): Uint8Array {
  if (!isDType(dtype)) refuse(`tensor "${name}" has dtype ${String(dtype)}`, `use ${Object.keys(stored).join(", ")}`)
  const { array } = stored[dtype]
  // By tag, not by instanceof: arrays of another realm (a frame, a test runner's context) are as good.
  if (data?.[Symbol.toStringTag] !== array) refuse(`tensor "${name}" is ${dtype}, but its data are no ${array}`)
  const size = sizeOf(shape)
  if (size !== data.length) {
    const got = Array.isArray(shape) ? `[${shape.join(", ")}]` : String(shape)
    refuse(`tensor "${name}" has shape ${got}, but ${data.length} elements`, "make shape and data agree")
  }
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  if (dtype === "bool" && !bytes.every((byte) => byte <= 1)) {
    refuse(`tensor "${name}" is bool, but holds bytes other than 0 and 1`, "write uint8, or map to 0 and 1")
  }
  return bytes
}

/**
 * The tensors and metadata of a file. F16 and BF16 are widened to float32, which changes no value; encoding the result
 * writes F32. Files that break the format are refused with `CF_BAD_FILE`, among them any with holes between tensors.
 */
export function decodeSafetensors(bytes: Uint8Array): SafeTensors {
  requireLittleEndianHost()
  if (bytes.length < 8) damaged(`expected at least 8 bytes, got ${bytes.length}`)
  const claimed = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true)
  if (claimed > BigInt(maxHeaderBytes)) damaged(`a header of ${claimed} bytes; the format allows ${maxHeaderBytes}`)
  const start = 8 + Number(claimed)
  if (start > bytes.length) damaged(`a header of ${claimed} bytes in a file of ${bytes.length}`)
  const header = readHeader(bytes.subarray(8, start))
  const elements = bytes.subarray(start)

  const metadata = readMetadata(header.get("__metadata__"))
  header.delete("__metadata__")
  const entries = [...header].map(([name, entry]) => readEntry(name, entry))
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end)
  const tensors = new Map<string, SafeTensor>()
  let end = 0
  for (const entry of entries) {
    if (entry.begin < end) damaged(`tensor "${entry.name}" overlaps the one before it, at byte ${entry.begin}`)
    if (entry.begin > end) damaged(`a hole of ${entry.begin - end} bytes before tensor "${entry.name}"`)
    end = entry.end
    if (end > elements.length) {
      damaged(`tensor "${entry.name}" ends at byte ${end} of ${elements.length} bytes of elements`)
    }
  }
  if (end < elements.length) damaged(`${elements.length - end} bytes after the last tensor`)
  for (const entry of entries) {
    // The constructor copies; `slice` would not, if the bytes are a Buffer of Node's.
    tensors.set(entry.name, readTensor(entry, new Uint8Array(elements.subarray(entry.begin, entry.end))))
  }
  return { tensors, metadata }
}

interface Entry extends Format {
  name: string
  code: string
  shape: number[]
  begin: number
  end: number
}

/** The header's members in order of appearance; a name that comes twice in any object, at any depth, is refused. */
function readHeader(bytes: Uint8Array): Map<string, unknown> {
  let text: string
  let header: unknown
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
    header = JSON.parse(text)
  } catch (cause) {
    damaged("the header is not JSON in UTF-8", cause)
  }
  if (!isObject(header) || !text.startsWith("{")) damaged("the header is not a JSON object from its first byte on")
  checkNames(text)
  return new Map(Object.entries(header))
}

/** JSON.parse keeps the last of two equal names. The text is known to be JSON, so strings and braces tell all. */
function checkNames(text: string): void {
  const open: Set<string>[] = []
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "{") open.push(new Set())
    else if (text[at] === "}") open.pop()
    else if (text[at] === '"') {
      const start = at++
      while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1
      let next = at + 1
      while (/\s/.test(text[next] ?? "")) next++
      if (text[next] !== ":") continue
      const name = String(JSON.parse(text.slice(start, at + 1)))
      checkName(name, "CF_BAD_FILE")
      if (open.at(-1)?.has(name)) damaged(`the name "${name}" comes twice`)
      open.at(-1)?.add(name)
    }
  }
}

function readMetadata(value: unknown): Record<string, string> {
  if (value === undefined) return {}
  if (!isObject(value)) damaged("__metadata__ is not an object of texts")
  const texts: Record<string, string> = {}
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") damaged(`metadata "${key}" is not text`)
    texts[key] = text
  }
  return texts
}

function readEntry(name: string, value: unknown): Entry {
  if (!isObject(value)) damaged(`the entry of tensor "${name}" is not an object`)
  const { dtype: code, shape, data_offsets: offsets, ...others } = value
  const other = Object.keys(others)[0]
  if (other !== undefined) damaged(`the entry of tensor "${name}" has an unknown member "${other}"`)
  if (typeof code !== "string") damaged(`the entry of tensor "${name}" has no dtype`)
  const format = formats.get(code)
  if (format === undefined) {
    damaged(`tensor "${name}" has dtype ${code}; this codec reads ${[...formats.keys()].join(", ")}`)
  }
  const size = sizeOf(shape)
  if (size === undefined || !isIntegers(shape)) {
    damaged(
      `tensor "${name}" has the shape ${JSON.stringify(shape)}: whole numbers are expected, with a product below 2^53`,
    )
  }
  const [begin, end] = isIntegers(offsets) && offsets.length === 2 ? offsets : []
  if (begin === undefined || end === undefined) {
    damaged(`tensor "${name}" has the offsets ${JSON.stringify(offsets)}: two whole numbers are expected`)
  }
  if (end - begin !== size * format.bytes) {
    const text = `${code}[${shape.join(", ")}] takes ${size * format.bytes} bytes`
    damaged(`tensor "${name}" has offsets ${begin} to ${end}, but ${text}`)
  }
  return { name, code, ...format, shape, begin, end }
}

/** A tensor from its own copy of its bytes. */
function readTensor({ name, code, dtype, shape }: Entry, bytes: Uint8Array): SafeTensor {
  if (code === "F16" || code === "BF16") {
    const halves = new Uint16Array(bytes.buffer)
    const bits = new Uint32Array(halves.length)
    for (const [i, half] of halves.entries()) bits[i] = code === "F16" ? widenHalf(half) : half << 16
    return { dtype: "float32", shape, data: new Float32Array(bits.buffer) }
  }
  switch (dtype) {
    case "float32":
      return { dtype, shape, data: new Float32Array(bytes.buffer) }
    case "float64":
      return { dtype, shape, data: new Float64Array(bytes.buffer) }
    case "int32":
      return { dtype, shape, data: new Int32Array(bytes.buffer) }
    case "int64":
      return { dtype, shape, data: new BigInt64Array(bytes.buffer) }
    case "bool":
      if (!bytes.every((byte) => byte <= 1)) damaged(`tensor "${name}" is BOOL, but holds bytes other than 0 and 1`)
      return { dtype, shape, data: bytes }
    case "uint8":
      return { dtype, shape, data: bytes }
  }
}

/** The float32 bits of a binary16 number (IEEE 754-2019, 3.4); every one is representable. */
function widenHalf(half: number): number {
  const sign = (half & 0x8000) << 16
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13)
  if (exponent !== 0) return sign | ((exponent + 127 - 15) << 23) | (fraction << 13)
  if (fraction === 0) return sign
  // Subnormal, fraction · 2^-24: its leading one, `shift` places below bit 10, becomes implicit.
  const shift = Math.clz32(fraction) - 21
  return sign | ((127 - 14 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)
}

/** The number of elements; undefined for what is no shape, or holds more than a number can count. */
function sizeOf(shape: unknown): number | undefined {
  if (!isIntegers(shape)) return undefined
  const size = shape.reduce((product, extent) => product * extent, 1)
  return Number.isSafeInteger(size) ? size : undefined
}

function isIntegers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && Number(item) >= 0)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** A lone surrogate has no UTF-8, and would come back as another name. */
function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text)
}

function checkName(name: string, code: ErrorCode): void {
  if (name === "__proto__" || !isWellFormed(name)) {
    fail(code, `${JSON.stringify(name)} is no legal name`, { op: "safetensors", fix: "rename it" })
  }
}

function refuse(why: string, fix?: string): never {
  fail("CF_BAD_ARGUMENT", why, { op: "encodeSafetensors", fix })
}

function damaged(why: string, cause?: unknown): never {
  fail("CF_BAD_FILE", why, { op: "decodeSafetensors", fix: "fetch the file again, or write it anew", cause })
}

/** The elements are copied as they stand; every host that runs JavaScript today, but for rare servers, allows that. */
function requireLittleEndianHost(): void {
  if (new Uint8Array(Uint16Array.of(1).buffer)[0] !== 1) {
    fail("CF_BAD_ARGUMENT", "this host stores numbers big-endian; the codec copies little-endian ones", {
      op: "safetensors",
    })
  }
}
