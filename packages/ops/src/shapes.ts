// Pieces of shape rules: equal types, broadcasting, axes. They compute with dimension functions only, so every rule works
// with symbolic sizes.

import {
  compareDims,
  type DType,
  dtypes,
  fail,
  formatShape,
  isFloat,
  sameDim,
  type Shape,
  type TensorType,
  unifyDims,
  unifyShapes,
} from "@counterflow/ir"

/** Inputs of an elementwise operator: equal shapes and dtypes; answers that type. */
export function sameTypes(inputs: Readonly<Record<string, TensorType>>): TensorType {
  const [[firstName, first] = ["", undefined], ...rest] = Object.entries(inputs)
  if (first === undefined) return fail("CF_INTERNAL", "sameTypes needs at least one input")
  let { shape } = first
  for (const [name, input] of rest) {
    if (input.dtype !== first.dtype) {
      fail("CF_DTYPE_MISMATCH", `${firstName} and ${name} must have one dtype, got ${first.dtype} and ${input.dtype}`, {
        fix: `convert one of them: cast(${name}, { dtype: "${first.dtype}" })`,
      })
    }
    shape = unifyShapes(shape, input.shape, () => `${firstName} and ${name} must have equal shapes`)
  }
  return { shape, dtype: first.dtype }
}

/** NumPy's broadcasting of any number of shapes: aligned at the last axis, size 1 stretches. */
export function broadcastShapes(shapes: readonly Shape[]): Shape {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length))
  return Array.from({ length: rank }, (_, axis) =>
    shapes
      .map((shape) => shape[axis - (rank - shape.length)] ?? 1)
      .reduce((a, b) =>
        sameDim(a, 1) ? b : sameDim(b, 1) ? a : unifyDims(a, b, () => "x and y cannot be broadcast together"),
      ),
  )
}

/** A float dtype is required: transcendental functions, means, losses. */
export function requireFloat(name: string, { dtype }: TensorType): void {
  if (!isFloat(dtype)) {
    fail("CF_DTYPE_MISMATCH", `${name} must be float32 or float64, got ${dtype}`, {
      fix: `cast(${name}, { dtype: "float32" })`,
    })
  }
}

export function requireDType(name: string, { dtype }: TensorType, allowed: readonly DType[]): void {
  if (!allowed.includes(dtype)) fail("CF_DTYPE_MISMATCH", `${name} must be ${allowed.join(" or ")}, got ${dtype}`)
}

export const numericDTypes: readonly DType[] = /*#__PURE__*/ dtypes.filter((dtype) => dtype !== "bool")

export function requireRank(name: string, { shape }: TensorType, rank: number | readonly [number, number]): void {
  const [low, high] = typeof rank === "number" ? [rank, rank] : rank
  if (shape.length < low || shape.length > high) {
    const wanted = low === high ? `${low}` : high === Infinity ? `at least ${low}` : `${low} to ${high}`
    fail("CF_SHAPE_MISMATCH", `${name} must have rank ${wanted}, got ${formatShape(shape)}`)
  }
}

/** One axis as the user writes it (negative from the end) → 0 ≤ axis < rank. */
export function resolveAxis(axis: number, rank: number, op: string): number {
  const resolved = axis < 0 ? axis + rank : axis
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= Math.max(rank, 1)) {
    fail("CF_BAD_ATTRIBUTE", `axis ${axis} is outside a tensor of rank ${rank}`, {
      op,
      fix: rank === 0 ? "a tensor of rank 0 has no axis" : `use an axis from ${-rank} to ${rank - 1}`,
    })
  }
  return resolved
}

/** Axes as the user writes them → sorted, unique, non-negative; all of them if none are given. */
export function resolveAxes(axis: number | readonly number[] | null | undefined, rank: number, op: string): number[] {
  if (axis === null || axis === undefined) return Array.from({ length: rank }, (_, i) => i)
  const axes = (typeof axis === "number" ? [axis] : axis).map((one) => resolveAxis(one, rank, op))
  const unique = [...new Set(axes)].sort((a, b) => a - b)
  if (unique.length !== axes.length) fail("CF_BAD_ATTRIBUTE", `axis [${axes.join(", ")}] names an axis twice`, { op })
  return unique
}

/** Where `shape` was stretched to reach `target`, as axes of the target. */
export function stretchedAxes(shape: Shape, target: Shape): number[] {
  const missing = target.length - shape.length
  return target.flatMap((dim, axis) => {
    const own = shape[axis - missing]
    return own === undefined || (sameDim(own, 1) && compareDims(dim, 1) !== "equal") ? [axis] : []
  })
}
