// Class labels: one integer per row of a tensor of scores. What losses and metrics share: the shape rule of a label, and
// reading or placing one entry per row.

import {
  type Dim,
  fail,
  formatShape,
  numel,
  type Shape,
  type TensorType,
  unifyShapes,
  type Variable,
} from "@counterflow/ir"
import { range } from "./creation.ts"
import { concat } from "./joining.ts"
import { gatherNd, indexDTypes, scatterNdAdd } from "./lookup.ts"
import { transpose } from "./movement.ts"
import { reshapeTo } from "./reshape.ts"

/** The shape of one value per row: that of the scores with size 1 along the classes' axis. */
export function rowShape(shape: Shape, axis: number): Dim[] {
  return shape.map((dim, i) => (i === axis ? 1 : dim))
}

/** In a shape rule: label holds one class for each row of `scores`, with the axis of the classes as size 1 or without it. */
export function checkClassLabel(name: string, scores: TensorType, label: TensorType, axis: number): void {
  if (!indexDTypes.includes(label.dtype)) {
    fail("CF_DTYPE_MISMATCH", `a label that names classes must be int32 or int64, got ${label.dtype}`, {
      fix: `cast(label, { dtype: "int64" }); for a label that holds probabilities set softLabel: true`,
    })
  }
  const kept = rowShape(scores.shape, axis)
  const wanted = label.shape.length === kept.length ? kept : kept.toSpliced(axis, 1)
  const why = () => {
    const without = formatShape(kept.toSpliced(axis, 1))
    return `label must have shape ${formatShape(kept)} or ${without}, one class for each row of ${name} ${formatShape(scores.shape)}`
  }
  unifyShapes(label.shape, wanted, why)
}

interface Rows {
  /** Axes in the order that has the classes last, and the way back. */
  readonly perm: readonly number[]
  readonly inverse: readonly number[]
  readonly movedShape: Shape
  readonly flatShape: readonly [Dim, Dim]
  /** [row, class] for each row. */
  readonly index: Variable
}

function rowsOf(shape: Shape, label: Variable, axis: number): Rows {
  const others = shape.map((_, i) => i).toSpliced(axis, 1)
  const perm = [...others, axis]
  const movedShape = perm.map((i) => shape[i] ?? 1)
  const rows = numel(movedShape.slice(0, -1))
  const numbers = range({ end: rows, dtype: label.dtype === "int64" ? "int64" : "int32", program: label.program })
  const index = concat([reshapeTo(numbers, [rows, 1]), reshapeTo(label, [rows, 1])], { axis: 1 })
  const inverse = perm.map((_, i) => perm.indexOf(i))
  return { perm, inverse, movedShape, flatShape: [rows, movedShape.at(-1) ?? 1], index }
}

function isLast(axis: number, shape: Shape): boolean {
  return axis === shape.length - 1
}

/** The entry of each row of x that the label names; labels outside the classes are refused when the program runs. */
export function pickClass(x: Variable, label: Variable, axis: number): Variable {
  const { perm, flatShape, index } = rowsOf(x.shape, label, axis)
  const moved = isLast(axis, x.shape) ? x : transpose(x, { perm })
  return reshapeTo(gatherNd(reshapeTo(moved, flatShape), index), rowShape(x.shape, axis))
}

/** The adjoint of `pickClass`: zeros of `shape` with one value per row at the class that the label names. */
export function placeClass(values: Variable, label: Variable, shape: Shape, axis: number): Variable {
  const { inverse, movedShape, flatShape, index } = rowsOf(shape, label, axis)
  const flat = scatterNdAdd(reshapeTo(values, [flatShape[0]]), index, { shape: flatShape })
  const moved = reshapeTo(flat, movedShape)
  return isLast(axis, shape) ? moved : transpose(moved, { perm: inverse })
}
