// Scalar expressions as phase 5 puts them together: parts are shared as objects, never written out twice, so that an expression
// is a graph whose size is the number of its parts. And the strides by which a tensor is read under another shape.

import type { Scalar } from "@counterflow/ir"
import type { Strides } from "./bound.ts"

export function children(scalar: Scalar): Scalar[] {
  if (scalar.op === "input" || scalar.op === "const") return []
  if (scalar.op === "select") return [scalar.condition, scalar.x, scalar.y]
  return "y" in scalar ? [scalar.x, scalar.y] : [scalar.x]
}

/** Every part of some expressions, once. */
export function partsOf(scalars: Iterable<Scalar>): Set<Scalar> {
  const found = new Set<Scalar>()
  const visit = (node: Scalar): void => {
    if (found.has(node)) return
    found.add(node)
    for (const child of children(node)) visit(child)
  }
  for (const scalar of scalars) visit(scalar)
  return found
}

/** Puts expressions in the place of inputs. Parts that were shared stay shared, over all calls of the function it answers. */
export function substitution(by: ReadonlyMap<string, Scalar>): (scalar: Scalar) => Scalar {
  const made = new Map<Scalar, Scalar>()
  const put = (scalar: Scalar): Scalar => {
    let result = made.get(scalar)
    if (result === undefined) made.set(scalar, (result = replace(scalar)))
    return result
  }
  const replace = (scalar: Scalar): Scalar => {
    if (scalar.op === "input") return by.get(scalar.slot) ?? scalar
    if (scalar.op === "const") return scalar
    const x = put(scalar.x)
    if (scalar.op === "select") return { ...scalar, condition: put(scalar.condition), x, y: put(scalar.y) }
    return "y" in scalar ? { ...scalar, x, y: put(scalar.y) } : { ...scalar, x }
  }
  return put
}

export function rowMajor(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1)
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = (strides[axis + 1] ?? 1) * (shape[axis + 1] ?? 1)
  return strides
}

export function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i])
}

/** Whether two tensors are read the same way; null is element by element. */
export function sameStrides(a: Strides | null, b: Strides | null): boolean {
  return a === null || b === null ? a === b : sameNumbers(a, b)
}

/**
 * Steps along the axes of `from`, as steps along the axes of `to`, which has the same elements in the same order; null where
 * an axis of `to` has no even step. Both are cut into the same smaller axes, from the innermost on.
 */
export function restride(from: readonly number[], strides: Strides, to: readonly number[]): Strides | null {
  if (sameNumbers(from, to)) return strides
  const result = to.map(() => 0)
  let axis = from.length
  let left = 1
  let step = 0
  for (let own = to.length - 1; own >= 0; own--) {
    let size = to[own] ?? 1
    let inner = 1
    while (size > 1) {
      while (left === 1) {
        if (--axis < 0) return null
        left = from[axis] ?? 1
        step = strides[axis] ?? 0
      }
      const part = size % left === 0 ? left : left % size === 0 ? size : 0
      if (part === 0) return null
      if (inner === 1) result[own] = step
      else if (step !== (result[own] ?? 0) * inner) return null
      inner *= part
      size /= part
      left /= part
      step *= part
    }
  }
  return result
}
