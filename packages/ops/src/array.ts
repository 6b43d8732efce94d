// Arrays: `createArray`, `arrayWrite`, `arrayRead`, `arrayLength`, as in Fluid, of a size that is known before. A write answers a
// new array; that it happens in place, where nobody reads the old one, is the compiler's choice.

import {
  describeValue,
  type Dim,
  type DType,
  fail,
  formatDim,
  type Program,
  type Shape,
  site,
  type Variable,
} from "@counterflow/ir"
import { add, max } from "./arithmetic.ts"
import { cast } from "./comparison.ts"
import { requireVariable } from "./control.ts"
import { requireType } from "./control-loop.ts"
import { fillConstant } from "./creation.ts"
import { builtBy } from "./place.ts"
import { reshapeTo } from "./reshape.ts"
import { requirePlace, rowAt, withRow } from "./row.ts"
import { TensorArray } from "./tensorarray.ts"

export interface ArrayOptions {
  /** How many elements there may be at most. */
  capacity: Dim
  /** Of an element. */
  shape: Shape
  dtype?: DType
  program?: Program
}

/**
 * An empty array of tensors of one shape, with room for `capacity` of them. Memory for all is planned before a run.
 *
 * @example
 * ```ts
 * const squares = createArray({ capacity: 10, shape: [2] })
 * ```
 */
export function createArray(options: ArrayOptions): TensorArray {
  return builtBy(createArray, "createArray", () => {
    const { capacity, shape, dtype = "float32", program } = options
    const inProgram = program === undefined ? {} : { program }
    const stack = fillConstant({ shape: [capacity, ...shape], value: 0, dtype, ...inProgram })
    return new TensorArray(stack, fillConstant({ shape: [], value: 0, dtype: "int32", program: stack.program }))
  })
}

/**
 * An array with x as its element `i`, a number or one integer element, which may be beyond its length but not its capacity
 * (CF_INDEX_RANGE, when it runs); elements between that nothing was written to are zero. The array it is given stays what it was.
 * Given a capacity instead of an array, it begins one. Gradients flow to x and to the array.
 *
 * @example
 * ```ts
 * const powers = arrayWrite(x, 0, { capacity: 5 }) // x⁰ … x⁴ are to follow
 * const [, all] = whileLoop((i) => less(i, 5), (i, a) => [add(i, 1), arrayWrite(mul(arrayRead(a, sub(i, 1)), x), i, a)], [one, powers])
 * ```
 */
export function arrayWrite(
  x: Variable,
  i: Variable | number,
  array: TensorArray | { readonly capacity: Dim },
): TensorArray {
  return builtBy(arrayWrite, "arrayWrite", () => {
    const { shape, dtype, program } = requireVariable(x, "x", "arrayWrite")
    const { stack, length, capacity } = beginArray(array, { shape, dtype, program })
    requireType("x, as the elements of the array,", x, { shape: stack.shape.slice(1), dtype: stack.dtype })
    const index = placeOf(i, capacity, program)
    const count = add(cast(reshapeTo(index, []), { dtype: "int32" }), 1)
    return new TensorArray(withRow(stack, x, index), max(length, count))
  })
}

/**
 * Element `i` of an array, a number or one integer element. A place that nothing was written to, and that lies behind all that was,
 * is refused when it runs (CF_INDEX_RANGE).
 *
 * @example
 * ```ts
 * const last = arrayRead(array, sub(arrayLength(array), 1))
 * ```
 */
export function arrayRead(array: TensorArray, i: Variable | number): Variable {
  return builtBy(arrayRead, "arrayRead", () => {
    const { stack, length, capacity } = requireArray(array)
    return rowAt(stack, placeOf(i, capacity, stack.program), length)
  })
}

/** How long an array is, one int32: one more than the largest place that was written to. */
export function arrayLength(array: TensorArray): Variable {
  return site(arrayLength, () => requireArray(array).length)
}

function requireArray(value: unknown): TensorArray {
  return value instanceof TensorArray
    ? value
    : fail("CF_BAD_ARGUMENT", `array must be what createArray or arrayWrite answers, got ${describeValue(value)}`)
}

function beginArray(array: unknown, like: Omit<ArrayOptions, "capacity">): TensorArray {
  const capacity = array instanceof TensorArray ? undefined : (array as { capacity?: Dim } | undefined)?.capacity
  if (capacity !== undefined) return createArray({ ...like, capacity })
  if (array !== undefined) return requireArray(array)
  return fail("CF_BAD_ARGUMENT", "it is not said which array is written, or how many elements a new one may have", {
    fix: "arrayWrite(x, i, { capacity: 100 }), or create it before: createArray({ capacity: 100, shape })",
  })
}

function placeOf(i: unknown, capacity: Dim, program: Program): Variable {
  if (typeof i !== "number") {
    const index = requireVariable(i, "i", "array")
    requirePlace("i", index)
    return index
  }
  if (!Number.isSafeInteger(i)) fail("CF_BAD_ARGUMENT", `i must be an integer, got ${i}`)
  if (i < 0 || (typeof capacity === "number" && i >= capacity)) {
    fail("CF_INDEX_RANGE", `index ${i} lies outside an array of capacity ${formatDim(capacity)}`, {
      fix: "elements count from 0; negative numbers do not count from the end",
    })
  }
  return fillConstant({ shape: [], value: i, dtype: "int32", program })
}
