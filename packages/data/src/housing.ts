// The Boston housing data as Paddle Fluid's `uci_housing` serves them: each feature as (x − mean) / (max − min) over all
// rows, the first 80 % of the rows to train on, the rest to test on, unshuffled; so losses compare with Fluid's.
import { splitRows } from "./batches.ts"
import { parseCsv, tableNumbers } from "./csv.ts"
import { badFile } from "./errors.ts"
import { readBytes, type Source } from "./read.ts"
import type { Tensor } from "./tensor.ts"

type Real = "float32" | "float64"

/** Features [rows, 13] and prices [rows, 1], in 1,000 dollars. Is a feed for data variables named x and y. */
export type HousingRows<D extends Real = "float32"> = { readonly x: Tensor<D>; readonly y: Tensor<D> }

export interface HousingData<D extends Real = "float32"> {
  /** The first 404 rows. */
  readonly train: HousingRows<D>
  /** The last 102 rows. */
  readonly test: HousingRows<D>
  readonly featureNames: readonly string[]
  /** What scaled the features: x = (raw − mean) / range, for rows of your own. */
  readonly mean: Float64Array
  readonly range: Float64Array
}

export interface HousingOptions<D extends Real = Real> {
  /** Default "float32". */
  dtype?: D
  /** Where `housing.csv` lies, or its bytes; by default the copy beside this package. */
  source?: Source
}

/**
 * Loads the set: `const { train, test } = await housing()`. In a browser the file is fetched from beside the module,
 * which bundlers arrange; where they do not, pass `source` or call `parseHousing(text)`.
 * Mind the column `b`, a racial variable: it is why scikit-learn withdrew the set. Use it to compare, not to decide.
 */
export function housing(options: HousingOptions<"float64"> & { dtype: "float64" }): Promise<HousingData<"float64">>
export function housing(options?: HousingOptions<"float32">): Promise<HousingData>
export async function housing({ dtype = "float32", source }: HousingOptions = {}): Promise<HousingData<Real>> {
  const bytes = await readBytes(source ?? new URL("../data/housing.csv", import.meta.url))
  return parse(new TextDecoder().decode(bytes), dtype)
}

/** The set from the text of `housing.csv`, or of any table of numbers with a header whose last column is the target. */
export function parseHousing(text: string, options: { dtype: "float64" }): HousingData<"float64">
export function parseHousing(text: string, options?: { dtype?: "float32" }): HousingData
export function parseHousing(text: string, { dtype = "float32" }: { dtype?: Real } = {}): HousingData<Real> {
  return parse(text, dtype)
}

function parse(text: string, dtype: Real): HousingData<Real> {
  const table = parseCsv(text)
  const raw = tableNumbers(table)
  const [rows = 0, width = 0] = raw.shape
  if (rows === 0 || width < 2) {
    badFile(`expected rows of features and a price, got ${rows} × ${width}`, "the table", "pass the file housing.csv")
  }
  const features = width - 1
  const mean = new Float64Array(features)
  const range = new Float64Array(features)
  const x = new Float64Array(rows * features)
  const y = Float64Array.from({ length: rows }, (_, i) => raw.data[i * width + features] ?? 0)
  for (let j = 0; j < features; j++) {
    const values = Float64Array.from({ length: rows }, (_, i) => raw.data[i * width + j] ?? 0)
    const center = values.reduce((sum, value) => sum + value, 0) / rows
    const sorted = values.toSorted()
    const spread = (sorted.at(-1) ?? 0) - (sorted[0] ?? 0) || 1 // a constant feature becomes 0, not NaN
    for (const [i, value] of values.entries()) x[i * features + j] = (value - center) / spread
    mean[j] = center
    range[j] = spread
  }
  const column = (values: Float64Array, extent: number): Tensor<Real> =>
    dtype === "float64"
      ? { data: values, shape: [rows, extent], dtype }
      : { data: Float32Array.from(values), shape: [rows, extent], dtype }
  const parts = splitRows({ x: column(x, features), y: column(y, 1) }, { heldOut: 0.2 })
  return { ...parts, featureNames: (table.names ?? []).slice(0, features), mean, range }
}
