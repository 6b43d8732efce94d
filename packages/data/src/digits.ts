// The 1,797 handwritten digits of 8 × 8 pixels that scikit-learn also ships: small enough to train on in a page.
import { splitRows } from "./batches.ts"
import { parseCsv, tableNumbers } from "./csv.ts"
import { badFile } from "./errors.ts"
import { decompress } from "./gzip.ts"
import { readBytes, type Source } from "./read.ts"
import type { Tensor } from "./tensor.ts"

/** Images [rows, 1, 8, 8] of values 0 to 1, and labels [rows, 1] of 0 to 9. Is a feed for variables of these names. */
export type DigitRows = { readonly image: Tensor<"float32">; readonly label: Tensor<"int32"> }

export interface DigitsData {
  readonly train: DigitRows
  readonly test: DigitRows
}

export interface DigitsOptions {
  /** The part of the rows to test on. Default 0.2: 1,437 rows to train on, 360 to test on. */
  heldOut?: number
  /** Draws which rows these are, and the order of both parts. Default 0. */
  seed?: number
  /** Where `digits.csv.gz` lies, or its bytes; by default the copy beside this package. */
  source?: Source
}

const side = 8
const pixels = side * side

/**
 * Loads and splits the set: `const { train, test } = await digits({ heldOut: 0.2, seed: 1 })`. In a browser the file is
 * fetched from beside the module, which bundlers arrange; where they do not, pass `source` or call `parseDigits(bytes)`.
 */
export async function digits(options: DigitsOptions = {}): Promise<DigitsData> {
  const source = options.source ?? new URL("../data/digits.csv.gz", import.meta.url)
  return parseDigits(await readBytes(source), options)
}

/** The set from the bytes of `digits.csv.gz`, gzipped or plain. */
export async function parseDigits(bytes: Uint8Array, options: Omit<DigitsOptions, "source"> = {}): Promise<DigitsData> {
  const table = parseCsv(new TextDecoder().decode(await decompress(bytes)), { header: false })
  const raw = tableNumbers(table)
  const [rows = 0, width = 0] = raw.shape
  if (width !== pixels + 1) {
    badFile(`expected ${pixels} pixels and a label a row, got ${width} fields`, "line 1", "pass the file digits.csv.gz")
  }
  const image = new Float32Array(rows * pixels)
  const label = new Int32Array(rows)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < pixels; j++) image[i * pixels + j] = (raw.data[i * width + j] ?? 0) / 16
    const digit = raw.data[i * width + pixels] ?? 0
    if (!Number.isInteger(digit) || digit < 0 || digit > 9) {
      badFile(`${digit} is not a digit`, `line ${table.lines[i]}, column ${width}`, "pass the file digits.csv.gz")
    }
    label[i] = digit
  }
  const all: DigitRows = {
    image: { data: image, shape: [rows, 1, side, side], dtype: "float32" },
    label: { data: label, shape: [rows, 1], dtype: "int32" },
  }
  return splitRows(all, { heldOut: options.heldOut ?? 0.2, shuffle: true, seed: options.seed ?? 0 })
}
