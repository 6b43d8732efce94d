// The element types of tensors, known from the first day. int64 is a logical type: integers within ±(2^53 − 1);
// how a backend stores it is its own affair.

export const dtypes = ["float32", "float64", "int32", "int64", "uint8", "bool"] as const

export type DType = (typeof dtypes)[number]

export type FloatDType = "float32" | "float64"

export function isDType(value: unknown): value is DType {
  return dtypes.some((dtype) => dtype === value)
}

/** True for the dtypes that carry gradients. */
export function isFloat(dtype: DType): dtype is FloatDType {
  return dtype === "float32" || dtype === "float64"
}

/** The typed array that holds a dtype outside of any backend: in feeds, fetches, scopes and files. */
export interface ArrayOf {
  float32: Float32Array
  float64: Float64Array
  int32: Int32Array
  int64: BigInt64Array
  uint8: Uint8Array
  bool: Uint8Array
}

export type TypedArray = ArrayOf[DType]

const constructors: { [D in DType]: new (length: number) => ArrayOf[D] } = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
}

/** A zero-filled array of `length` elements of a dtype. */
export function allocate<D extends DType>(dtype: D, length: number): ArrayOf[D] {
  return new constructors[dtype](length)
}

/** Whether every value of `from` is a value of `to`: a feed may widen, never narrow. */
export function widens(from: DType, to: DType): boolean {
  if (from === to) return true
  const wider: Record<DType, readonly DType[]> = {
    bool: ["uint8", "int32", "int64", "float32", "float64"],
    uint8: ["int32", "int64", "float32", "float64"],
    int32: ["int64", "float64"],
    int64: [],
    float32: ["float64"],
    float64: [],
  }
  return wider[from].includes(to)
}
