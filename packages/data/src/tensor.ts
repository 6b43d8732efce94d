// A tensor as a feed takes it, `{ data, shape, dtype }`, and a data set: named tensors that share their first axis, the
// rows. A data set of few rows is itself a feed, so nothing is converted between loading, batching and running.
import { badArgument, requireInteger } from "./errors.ts"

/** The typed array that holds each element type. */
export interface ArrayOf {
  float32: Float32Array
  float64: Float64Array
  int32: Int32Array
  int64: BigInt64Array
  uint8: Uint8Array
  bool: Uint8Array
}

export type DType = keyof ArrayOf

/** Row-major elements with their shape; distributes over `D`, so that testing `dtype` narrows `data`. */
export type Tensor<D extends DType = DType> = {
  [K in D]: { readonly data: ArrayOf[K]; readonly shape: readonly number[]; readonly dtype: K }
}[D]

/** Columns by name; all have the same number of rows, `shape[0]`. */
export type Dataset = Readonly<Record<string, Tensor>>

const constructors: { [D in DType]: new (length: number) => ArrayOf[D] } = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
}

/** The product of the axes: 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1)
}

/** The number of rows that all columns share; refuses columns that disagree, scalars and data that do not fill their shape. */
export function rowCount(dataset: Dataset): number {
  let rows = -1
  let first = ""
  for (const [name, { data, shape }] of Object.entries(dataset)) {
    const where = `column "${name}"`
    const count = shape[0]
    if (count === undefined) badArgument("a scalar has no rows", where, "give the tensor a first axis, one entry a row")
    const size = elementCount(shape)
    if (size !== data.length) {
      badArgument(`shape [${shape.join(", ")}] holds ${size} elements, data ${data.length}`, where, "make them agree")
    }
    if (rows === -1) [rows, first] = [count, name]
    if (count !== rows) badArgument(`${count} rows, but "${first}" has ${rows}`, where, "give all columns as many rows")
  }
  if (rows === -1) badArgument("a data set without columns has no rows", "the data set", "name at least one column")
  return rows
}

/** The rows at `indices`, in that order, in fresh arrays. An index may come twice. */
export function takeRows<T extends Dataset>(dataset: T, indices: ArrayLike<number>): T {
  const rows = rowCount(dataset)
  for (let i = 0; i < indices.length; i++) {
    const row = indices[i] ?? -1
    if (!Number.isInteger(row) || row < 0 || row >= rows) {
      badArgument(`row ${row} of ${rows}`, `takeRows: indices[${i}]`, `use rows 0 to ${rows - 1}`)
    }
  }
  // A column maps to a column of the same dtype and rank, which is all that a subtype of Dataset can rely on.
  return Object.fromEntries(Object.entries(dataset).map(([name, column]) => [name, gather(column, indices)])) as T
}

/** Rows are moved as bytes: one code path for every element type, BigInt64Array included. */
function gather(column: Tensor, indices: ArrayLike<number>): Tensor {
  const { data, dtype } = column
  const width = elementCount(column.shape.slice(1))
  const result = new constructors[dtype](indices.length * width)
  const from = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const to = new Uint8Array(result.buffer)
  const stride = width * data.BYTES_PER_ELEMENT
  for (let i = 0; i < indices.length; i++) {
    const start = (indices[i] ?? 0) * stride
    to.set(from.subarray(start, start + stride), i * stride)
  }
  return { data: result, shape: [indices.length, ...column.shape.slice(1)], dtype } as Tensor
}

/** The same values times `scale` as float32: pixels of an IDX file to 0..1 with `toFloat32(images, 1 / 255)`. */
export function toFloat32(tensor: Tensor, scale = 1): Tensor<"float32"> {
  const { data, shape } = tensor
  const result = new Float32Array(data.length)
  for (let i = 0; i < result.length; i++) result[i] = Number(data[i]) * scale
  return { data: result, shape, dtype: "float32" }
}

/** The same elements under another shape, without a copy. */
export function reshaped<D extends DType>(tensor: Tensor<D>, shape: readonly number[]): Tensor<D> {
  for (const extent of shape) requireInteger(extent, 0, "reshaped: shape")
  const size = elementCount(shape)
  if (size !== tensor.data.length) {
    badArgument(
      `[${shape.join(", ")}] holds ${size} elements, the tensor ${tensor.data.length}`,
      "reshaped: shape",
      "keep the product of the axes",
    )
  }
  return { ...tensor, shape }
}
