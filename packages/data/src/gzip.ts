// Gunzips what is gzipped, with the standard DecompressionStream: the same code in Node and in browsers.
import { badFile, requireInteger } from "./errors.ts"

/**
 * The bytes themselves, or what they unpack to when they begin as gzip does (RFC 1952). Unpacking stops with an error
 * beyond `maxBytes` (default 1 GiB): a small file can unpack to more than the memory holds.
 */
export async function decompress(bytes: Uint8Array, maxBytes = 2 ** 30): Promise<Uint8Array> {
  requireInteger(maxBytes, 0, "decompress: maxBytes")
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes
  const stream = new DecompressionStream("gzip")
  const writer = stream.writable.getWriter()
  // A copy, because a stream takes no view of shared memory. Failures of the two sides are the same one, met in reading.
  void writer.write(new Uint8Array(bytes)).catch(() => {})
  void writer.close().catch(() => {})
  const reader = stream.readable.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const chunk = await nextChunk(reader)
    if (chunk === undefined) break
    chunks.push(chunk)
    length += chunk.length
    if (length > maxBytes) {
      await reader.cancel().catch(() => {})
      badFile(
        `the gzip data unpack to more than ${maxBytes} bytes`,
        `byte ${maxBytes}`,
        "raise maxBytes if you trust it",
      )
    }
  }
  const result = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    result.set(chunk, at)
    at += chunk.length
  }
  return result
}

async function nextChunk(reader: { read(): Promise<{ done: boolean; value?: unknown }> }) {
  try {
    const { done, value } = await reader.read()
    return done ? undefined : (value as Uint8Array)
  } catch (cause) {
    badFile("the gzip data are damaged or cut short", "the compressed bytes", "fetch or copy the file again", cause)
  }
}
