// Equalities that a shape rule needs: decided by the normal form, or recorded on the program and checked at binding.

import { compareDims, type Dim, formatDim, formatShape, type Shape } from "./dims.ts"
import { fail } from "./errors.ts"

/** Two dimensions that must turn out equal. */
export interface Equality {
  readonly left: Dim
  readonly right: Dim
  /** The shape rule's own words; a program from a file has them once its records are attached. */
  readonly why?: (() => string) | undefined
}

let recorded: Equality[] | null = null

/** Runs a shape rule and returns the equalities it could not decide. */
export function collectEqualities<T>(rule: () => T): { result: T; equalities: Equality[] } {
  const outer = recorded
  const equalities: Equality[] = []
  recorded = equalities
  try {
    return { result: rule(), equalities }
  } finally {
    recorded = outer
  }
}

/** In a shape rule: two dimensions must be equal. Answers one of them, preferring a number. */
export function unifyDims(left: Dim, right: Dim, why?: () => string): Dim {
  const relation = compareDims(left, right)
  if (relation === "different") {
    fail("CF_SHAPE_MISMATCH", why?.() ?? `${formatDim(left)} and ${formatDim(right)} must be equal`)
  }
  if (relation === "unknown") recorded?.push({ left, right, why })
  return typeof right === "number" ? right : left
}

/** In a shape rule: two shapes must be equal, dimension by dimension. */
export function unifyShapes(left: Shape, right: Shape, why?: () => string): Shape {
  const text = why ?? (() => `shapes ${formatShape(left)} and ${formatShape(right)} must be equal`)
  if (left.length !== right.length) fail("CF_SHAPE_MISMATCH", text())
  return left.map((dim, axis) => unifyDims(dim, right[axis] ?? dim, text))
}
