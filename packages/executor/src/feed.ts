// Feeds: what users may pass, checked completely before anything runs. A typed array or flat array of numbers takes its shape
// from the variable (an unknown batch size follows from the length), a nested array brings its own, { data, shape, dtype } says all.

import {
  describeValue,
  dtypes,
  type DType,
  fail,
  formatShape,
  isDType,
  isFloat,
  type Shape,
  widens,
} from "@counterflow/ir"

/** Values in row-major order; the shape is the variable's, and an unknown batch size follows from the length. */
export type FlatFeed = ArrayLike<number> | ArrayLike<bigint> | ArrayLike<boolean>
/** Rows of rows; brings its own shape. */
export type NestedFeed = readonly (number | bigint | boolean | NestedFeed)[]

/** Values with their shape; the dtype is the array's unless said. */
export interface TensorFeed {
  readonly data: FlatFeed
  readonly shape: readonly number[]
  readonly dtype?: DType
}

/** What one data variable may be fed. Narrower dtypes widen where nothing can be lost; anything else is refused. */
export type FeedValue = number | FlatFeed | NestedFeed | TensorFeed

/** Feeds by the names of data variables. */
export type Feeds = Readonly<Record<string, FeedValue>>

/** The variable a feed is for. */
export interface FeedTarget {
  readonly name: string
  readonly shape: Shape
  readonly dtype: DType
}

interface SizedTarget {
  readonly shape: readonly number[]
  readonly elements: number
}

/** A feed read: values in order, and its own shape if it brought one. */
export interface ReadFeed {
  readonly values: ArrayLike<number | bigint | boolean>
  readonly shape: readonly number[] | null
}

/** Reads one feed and checks its values against the variable's dtype. */
export function readFeed(target: FeedTarget, value: unknown): ReadFeed {
  const { values, shape, dtype } = unpack(target, value)
  if (dtype !== null) requireWidening(target, dtype)
  if (dtype === null || target.dtype === "int64") checkValues(target, values)
  if (shape !== null && shape.reduce((product, size) => product * size, 1) !== values.length) {
    refuseFeed(target, `its shape ${formatShape(shape)} does not fit its ${values.length} elements`)
  }
  return { values, shape }
}

/** The shape of a feed for a target of known sizes. */
export function shapeOfRead(target: FeedTarget & SizedTarget, { values, shape }: ReadFeed): readonly number[] {
  if (shape !== null) return shape
  if (values.length === target.elements) return target.shape
  return refuseFeed(target, `it takes ${target.elements} elements, got ${values.length}`)
}

interface Unpacked {
  values: ArrayLike<number | bigint | boolean>
  shape: readonly number[] | null
  /** null: plain numbers, whose values must fit. */
  dtype: DType | null
}

function unpack(target: FeedTarget, value: unknown): Unpacked {
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") {
    return { values: [value], shape: target.shape.length === 0 ? [] : null, dtype: null }
  }
  if (isTyped(value)) return { values: value, shape: null, dtype: dtypeOfArray(target, value) }
  if (Array.isArray(value)) {
    const nested = value.some((entry) => Array.isArray(entry) || ArrayBuffer.isView(entry))
    return nested ? flatten(target, value) : { values: value as number[], shape: null, dtype: null }
  }
  if (typeof value === "object" && value !== null && "data" in value) return unpackTensor(target, value)
  return refuseFeed(
    target,
    `it was fed ${describeValue(value)}`,
    "feed a typed array, an array of numbers, or { data, shape, dtype }",
  )
}

function unpackTensor(target: FeedTarget, value: { data: unknown; shape?: unknown; dtype?: unknown }): Unpacked {
  const { values, dtype } = unpack(target, value.data)
  const { shape = null } = value
  if (shape !== null && (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0))) {
    return refuseFeed(target, `its shape is ${JSON.stringify(shape)}`, "give the shape as a list of sizes")
  }
  if (value.dtype !== undefined && !isDType(value.dtype)) {
    return fail("CF_FEED_DTYPE", `the feed of ${target.name} says dtype ${JSON.stringify(value.dtype)}`, {
      fix: `use one of ${dtypes.join(", ")}`,
    })
  }
  return { values, shape, dtype: dtype === null ? null : (value.dtype ?? dtype) }
}

type AnyTyped = ArrayLike<number> | BigInt64Array | BigUint64Array

function isTyped(value: unknown): value is AnyTyped {
  return ArrayBuffer.isView(value) && !(value instanceof DataView)
}

function dtypeOfArray(target: FeedTarget, array: AnyTyped): DType {
  // A Uint8Array may hold booleans; whether it does is checked by value.
  if (array instanceof Uint8Array || array instanceof Uint8ClampedArray) {
    if (target.dtype === "bool" && !array.every((value) => value <= 1))
      refuseFeed(target, "a bool feed holds 0 and 1 only")
    return target.dtype === "bool" ? "bool" : "uint8"
  }
  if (array instanceof Float32Array) return "float32"
  if (array instanceof Float64Array) return "float64"
  if (
    array instanceof Int32Array ||
    array instanceof Int16Array ||
    array instanceof Uint16Array ||
    array instanceof Int8Array
  )
    return "int32"
  if (array instanceof BigInt64Array || array instanceof Uint32Array) return "int64"
  return refuseFeed(
    target,
    `it was fed ${describeValue(array)}`,
    "use Float32Array, Float64Array, Int32Array, BigInt64Array or Uint8Array",
  )
}

function flatten(target: FeedTarget, value: readonly unknown[]): Unpacked {
  const values: (number | bigint | boolean)[] = []
  const shape: number[] = []
  const visit = (entry: unknown, depth: number): void => {
    const isList = Array.isArray(entry) || isTyped(entry)
    if (!isList) {
      if (depth !== shape.length) refuseFeed(target, "its rows are nested to different depths")
      values.push(entry as number)
      return
    }
    const length = (entry as ArrayLike<unknown>).length
    if (depth === shape.length && values.length === 0) shape.push(length)
    else if (shape[depth] !== length)
      refuseFeed(target, `its rows differ in length: ${shape[depth] ?? "none"} and ${length}`)
    for (const inner of entry as Iterable<unknown>) visit(inner, depth + 1)
  }
  visit(value, 0)
  return { values, shape, dtype: null }
}

function requireWidening(target: FeedTarget, from: DType): void {
  if (widens(from, target.dtype)) return
  fail("CF_FEED_DTYPE", `${target.name} is ${target.dtype} and was fed ${from}: that could lose values`, {
    fix: `convert the data, or declare ${target.name} as ${from} and use cast(${target.name}, { dtype: "${target.dtype}" })`,
  })
}

const ranges: Partial<Record<DType, readonly [number, number]>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint8: [0, 255],
  bool: [0, 1],
}

function checkValues(target: FeedTarget, values: ArrayLike<number | bigint | boolean>): void {
  const [low, high] = ranges[target.dtype] ?? [-Infinity, Infinity]
  const isInteger = !isFloat(target.dtype)
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (typeof value !== "number" && typeof value !== "bigint" && typeof value !== "boolean") {
      refuseFeed(target, `element ${i} is ${describeValue(value)}, not a number`)
    }
    if (typeof value === "bigint" && !isInteger) {
      fail("CF_FEED_DTYPE", `${target.name} is ${target.dtype} and was fed a bigint`, {
        fix: "convert the data with Number(…)",
      })
    }
    if (!isInteger) continue
    if (typeof value === "number" && !Number.isInteger(value)) {
      fail("CF_FEED_DTYPE", `${target.name} is ${target.dtype}, but element ${i} of its feed is ${value}`)
    }
    if (Number(value) < low || Number(value) > high) {
      fail("CF_INT_RANGE", `element ${i} of the feed of ${target.name} is ${value}, outside ${low} … ${high}`, {
        fix:
          target.dtype === "int64"
            ? "counterflow's int64 holds integers within ±(2^53 − 1)"
            : `${target.name} is ${target.dtype}`,
      })
    }
  }
}

export function refuseFeed(target: FeedTarget, why: string, fix?: string): never {
  return fail("CF_FEED_SHAPE", `the feed of ${target.name} does not fit: ${why}`, {
    notes: [`${target.name} is ${target.dtype}${formatShape(target.shape)}`],
    fix,
  })
}
