// Files by path or address: from disk in Node, by `fetch` elsewhere. The only module that looks at the host; the parsers
// take bytes or text and run anywhere. node:fs is imported when first needed, under a name that bundlers leave alone.
import { type CsvOptions, type CsvTable, parseCsv } from "./csv.ts"
import { badFile } from "./errors.ts"
import { decompress } from "./gzip.ts"
import { parseIdx } from "./idx.ts"
import { parseNpy } from "./npy.ts"
import type { Tensor } from "./tensor.ts"

/** A path (in Node), an address, or bytes that are there already. Gzip is undone wherever it is met. */
export type Source = string | URL | Uint8Array

/** The bytes of a file, gunzipped if they are gzip. */
export async function readBytes(source: Source): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return decompress(source)
  const isRemote = /^(https?|data|blob):/.test(String(source))
  return decompress(isRemote || !hasFiles() ? await download(source) : await readDisk(source))
}

/** A CSV file, read as UTF-8. */
export async function readCsv(source: Source, options: CsvOptions = {}): Promise<CsvTable> {
  return parseCsv(new TextDecoder().decode(await readBytes(source)), options)
}

/** An IDX file, such as MNIST's, gzipped or not. */
export async function readIdx(source: Source): Promise<Tensor> {
  return parseIdx(await readBytes(source))
}

/** A .npy file of NumPy. */
export async function readNpy(source: Source): Promise<Tensor> {
  return parseNpy(await readBytes(source))
}

function hasFiles(): boolean {
  return typeof process === "object" && typeof process.versions?.node === "string"
}

async function readDisk(path: string | URL): Promise<Uint8Array> {
  const name = "node:fs/promises"
  const { readFile } = (await import(
    /* @vite-ignore */ /* webpackIgnore: true */ name
  )) as typeof import("node:fs/promises")
  try {
    const { buffer, byteOffset, byteLength } = await readFile(String(path).startsWith("file:") ? new URL(path) : path)
    return new Uint8Array(buffer, byteOffset, byteLength) // plain: the `slice` of a Buffer does not copy
  } catch (cause) {
    badFile("the file cannot be read", String(path), "check the path and its permissions", cause)
  }
}

async function download(address: string | URL): Promise<Uint8Array> {
  const fix = "check the address; a page may fetch only what its server shares"
  let response: Response
  try {
    response = await fetch(address)
  } catch (cause) {
    badFile("the file cannot be fetched", String(address), fix, cause)
  }
  if (!response.ok) badFile(`the server answered ${response.status}`, String(address), fix)
  return new Uint8Array(await response.arrayBuffer())
}
