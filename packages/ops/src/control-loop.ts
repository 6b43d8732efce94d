// What loops share: bodies, whose parameters are the number of the run, what is carried, and slices of what is scanned; and what
// holds of what is carried.

import {
  type Block,
  type Dim,
  fail,
  formatShape,
  type Program,
  type TensorType,
  unifyShapes,
  type Variable,
} from "@counterflow/ir"
import { add, mul } from "./arithmetic.ts"
import { lines } from "./control.ts"
import { assign, dimValue } from "./creation.ts"

/** A body while it is built. */
export interface Loop {
  readonly block: Block
  readonly index: Variable
  readonly carry: readonly Variable[]
  readonly slices: readonly Variable[]
  /** Tells the runs of this loop and of those around it apart. */
  readonly trip: () => Variable
}

/** The body of a loop of at most `length` runs (which may be known later); `name` is the op's. */
export function openLoop(
  program: Program,
  name: string,
  init: readonly TensorType[],
  xs: readonly TensorType[],
  length: Dim | (() => Dim),
): Loop {
  const block = program.createBlock()
  const param = (of: string, type: TensorType) => addParam(block, `${name}.${of}`, type)
  const index = param("index", { shape: [], dtype: "int32" })
  const carry = init.map((variable) => param("carry", variable))
  const slices = xs.map((x) => param("slice", sliceOf(x)))
  const outer = program.trip
  // One run of the loop around this one has `length` of this one.
  const trip = () => {
    const dim = typeof length === "function" ? length() : length
    return outer === null ? index : add(mul(outer(), dimValue({ dim, dtype: "int32", program })), index)
  }
  return { block, index, carry, slices, trip }
}

/** Runs what builds the body. */
export function inside<T>({ block, trip }: Loop, body: () => T): T {
  return block.program.within({ block, trip }, body)
}

export function addParam(block: Block, name: string, { shape, dtype }: TensorType): Variable {
  return block.addParam({ shape, dtype, name: block.program.uniqueName(name) })
}

/** One place along the leading axis. */
export function sliceOf({ shape, dtype }: TensorType): TensorType {
  return { shape: shape.slice(1), dtype }
}

/**
 * What a body hands on to its next run. Parameters are written one after the other, so what goes to another place than it came
 * from must be a value of its own.
 */
export function handOn({ block, carry }: Loop, next: readonly Variable[]): Variable[] {
  if (next.length !== carry.length) {
    fail(
      "CF_SHAPE_MISMATCH",
      `the carry has ${carry.length} variables, but the body answers ${next.length} for the next run`,
      { notes: [...lines("carry", carry), ...lines("next carry", next)] },
    )
  }
  const own = (result: Variable, i: number) => (carry.includes(result) && result !== carry[i] ? assign(result) : result)
  return block.program.within({ block }, () => next.map(own))
}

/** In a shape rule: results of a body fit what is carried. */
export function checkCarry(init: readonly TensorType[], carry: readonly Variable[], next: readonly Variable[]): void {
  if (carry.length < init.length || next.length < init.length) {
    fail("CF_BAD_PROGRAM", `the body must have a parameter and a result for each of ${init.length} carries`)
  }
  init.forEach((first, i) => {
    const [given, result] = [carry[i]!, next[i]!]
    requireType(`carry ${i} of the body`, given, first)
    const why = `carry ${i} is ${given.type}, but the body answers ${result.type} for the next run`
    const notes = [...lines("carry", [given]), ...lines("next carry", [result])]
    const fix = "what is carried must keep its shape and dtype: cast or reshape it, or stack it instead"
    if (given.dtype !== result.dtype) fail("CF_DTYPE_MISMATCH", why, { notes, fix })
    if (given.shape.length !== result.shape.length) fail("CF_SHAPE_MISMATCH", why, { notes, fix })
    unifyShapes(given.shape, result.shape, () => why)
    if (result !== given && carry.includes(result)) {
      fail("CF_BAD_PROGRAM", `carry ${i} of the next run is another carry of this run itself, not a copy of it`)
    }
  })
}

/** In a shape rule: what a program from a file may get wrong. */
export function requireType(what: string, got: TensorType, wanted: TensorType): void {
  if (got.dtype !== wanted.dtype) fail("CF_DTYPE_MISMATCH", `${what} must be ${wanted.dtype}, got ${got.dtype}`)
  unifyShapes(
    got.shape,
    wanted.shape,
    () => `${what} must have shape ${formatShape(wanted.shape)}, got ${formatShape(got.shape)}`,
  )
}

export const indexType: TensorType = { shape: [], dtype: "int32" }
