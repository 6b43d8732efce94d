// A growable byte buffer with the number formats of the WebAssembly binary format: LEB128 integers and little-endian floats.

const scratch = new DataView(new ArrayBuffer(8))

export class ByteWriter {
  #bytes = new Uint8Array(256)
  #length = 0

  get length(): number {
    return this.#length
  }

  byte(value: number): void {
    if (this.#length === this.#bytes.length) this.#reserve(1)
    this.#bytes[this.#length++] = value
  }

  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** Unsigned LEB128 of an integer in [0, 2^32). */
  unsigned(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80)
      rest = Math.floor(rest / 0x80)
    }
    this.byte(rest)
  }

  /** Signed LEB128 of an integer in [-2^31, 2^31). */
  signed(value: number): void {
    let rest = value
    while (rest < -0x40 || rest >= 0x40) {
      this.byte((rest & 0x7f) | 0x80)
      rest >>= 7
    }
    this.byte(rest & 0x7f)
  }

  /** Signed LEB128 of an integer in [-2^63, 2^63). */
  signed64(value: bigint): void {
    let rest = value
    while (rest < -0x40n || rest >= 0x40n) {
      this.byte(Number(rest & 0x7fn) | 0x80)
      rest >>= 7n
    }
    this.byte(Number(rest & 0x7fn))
  }

  /** A vector of bytes: the length, then the bytes; those of another writer as well. */
  sized(bytes: Uint8Array | ByteWriter): void {
    const own = bytes instanceof ByteWriter ? bytes.#bytes.subarray(0, bytes.#length) : bytes
    this.unsigned(own.length)
    this.append(own)
  }

  /** Forgets what was written, to be used again. */
  clear(): void {
    this.#length = 0
  }

  name(text: string): void {
    this.sized(utf8(text))
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length)
  }

  #reserve(count: number): void {
    const needed = this.#length + count
    if (needed <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    larger.set(this.#bytes)
    this.#bytes = larger
  }
}

/** Written out, because TextEncoder is a host object and not part of the language. */
function utf8(text: string): Uint8Array {
  const bytes: number[] = []
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0
    if (point < 0x80) bytes.push(point)
    else if (point < 0x800) bytes.push(0xc0 | (point >> 6), tail(point))
    else if (point < 0x10000) bytes.push(0xe0 | (point >> 12), tail(point >> 6), tail(point))
    else bytes.push(0xf0 | (point >> 18), tail(point >> 12), tail(point >> 6), tail(point))
  }
  return Uint8Array.from(bytes)
}

function tail(bits: number): number {
  return 0x80 | (bits & 0x3f)
}

export function f32Bytes(value: number): Uint8Array {
  scratch.setFloat32(0, value, true)
  return copyOfScratch(4)
}

export function f64Bytes(value: number): Uint8Array {
  scratch.setFloat64(0, value, true)
  return copyOfScratch(8)
}

export function i32Bytes(value: number): Uint8Array {
  scratch.setInt32(0, value, true)
  return copyOfScratch(4)
}

export function i64Bytes(value: bigint): Uint8Array {
  scratch.setBigInt64(0, value, true)
  return copyOfScratch(8)
}

function copyOfScratch(length: number): Uint8Array {
  return new Uint8Array(scratch.buffer.slice(0, length))
}
