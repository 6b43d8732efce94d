// Results: tensors the caller owns.

import { type ArrayOf, type DType, fail, formatShape, type TypedArray } from "@counterflow/ir"

/** What `toArray` gives: as deep as the tensor has axes. */
export type Nested = number | boolean | Nested[]

/** A result: values in row-major order, their shape and dtype. It is a copy that nothing changes afterwards. */
export class Tensor<D extends DType = DType> {
  /** Float32Array for float32, BigInt64Array for int64, Uint8Array of 0 and 1 for bool, and so on. */
  readonly data: ArrayOf[D]
  readonly shape: readonly number[]
  readonly dtype: D

  constructor(data: ArrayOf[D], shape: readonly number[], dtype: D) {
    this.data = data
    this.shape = Object.freeze([...shape])
    this.dtype = dtype
  }

  /** The only element, as a number (true and false for bool are 1 and 0). CF_BAD_ARGUMENT if there are more or none. */
  item(): number {
    if (this.data.length !== 1) {
      fail(
        "CF_BAD_ARGUMENT",
        `item() wants a tensor of one element, this one is ${this.dtype}${formatShape(this.shape)}`,
        {
          fix: "use toArray() or data",
        },
      )
    }
    return Number(this.data[0])
  }

  /** Nested arrays of numbers (booleans for bool), a bare value for shape []. */
  toArray(): Nested {
    const values: TypedArray = this.data
    const value = (index: number): Nested => (this.dtype === "bool" ? values[index] !== 0 : Number(values[index]))
    const build = (axis: number, start: number, length: number): Nested => {
      if (axis === this.shape.length) return value(start)
      const size = this.shape[axis] ?? 0
      const step = size === 0 ? 0 : length / size
      return Array.from({ length: size }, (_, i) => build(axis + 1, start + i * step, step))
    }
    return build(0, 0, values.length)
  }

  /** "float32[2] [1,2]" */
  toString(): string {
    return `${this.dtype}${formatShape(this.shape)} ${JSON.stringify(this.toArray())}`
  }
}
