// What an array is: rows of one shape in a stack of fixed size, and how many of them there are. Loops and branches hand it on as
// these two variables.

import type { Dim, DType, Shape, Variable } from "@counterflow/ir"

/**
 * An array of tensors of one shape, for loops that write and read elements by number: see `createArray`. A value like any other:
 * a write makes a new one. `whileLoop`, `scan` and `cond` hand it on as they do variables.
 */
export class TensorArray {
  /** All rows, zeros where nothing was written: a tensor of [capacity, …shape]. */
  readonly stack: Variable
  /** One more than the largest place written: one int32. */
  readonly length: Variable

  /** @internal made by `createArray` and `arrayWrite` */
  constructor(stack: Variable, length: Variable) {
    this.stack = stack
    this.length = length
  }

  /** The shape of an element. */
  get shape(): Shape {
    return this.stack.shape.slice(1)
  }

  get dtype(): DType {
    return this.stack.dtype
  }

  /** How many elements there may be. */
  get capacity(): Dim {
    return this.stack.shape[0] ?? 0
  }
}
