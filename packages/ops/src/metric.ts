// Metrics: what a run reports of predictions, without gradient.

import { fail, type Shape, type Variable } from "@counterflow/ir"
import { cast, equal, greater, isNan, less, logicalAnd, logicalOr, where } from "./comparison.ts"
import { range } from "./creation.ts"
import { composite, noGrad } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { checkClassLabel, rowShape } from "./labels.ts"
import { mean, reduceMax, reduceSum } from "./reduction.ts"
import { reshapeTo } from "./reshape.ts"
import { argmax } from "./selection.ts"
import { requireFloat, requireRank } from "./shapes.ts"

/**
 * The fraction of rows whose label is among the k largest scores of the last axis: float32, shape []. Of equal scores the first
 * counts as the larger one, and a NaN as larger than any number; a label that is no class is never right.
 */
export function accuracy(input: Variable, label: Variable, options: { k?: number } = {}): Variable {
  return emit(accuracyOp, { input, label }, { k: options.k ?? 1 }, accuracy).z
}

export const accuracyOp = /*#__PURE__*/ composite({
  name: "accuracy",
  inputs: { input: "index", label: "index" },
  outputs: ["z"],
  attrs: { k: "int" },
  infer: ({ input, label }, { k }) => {
    requireFloat("input", input)
    requireRank("input", input, [1, Infinity])
    const classes = input.shape.at(-1) ?? 0
    if (!Number.isSafeInteger(k) || k < 1 || (typeof classes === "number" && k > classes)) {
      fail("CF_BAD_ATTRIBUTE", `k must lie between 1 and the number of classes ${String(classes)}, got ${k}`)
    }
    checkClassLabel("input", input, label, input.shape.length - 1)
    return { z: { shape: [], dtype: "float32" } }
  },
  grad: noGrad("it counts, so it is piecewise constant"),
  decompose: ({ input, label }, { k }) => {
    const axis = input.shape.length - 1
    const isRight =
      k === 1
        ? equal(
            argmax(input, { axis, dtype: label.dtype === "int64" ? "int64" : "int32" }),
            reshapeTo(label, input.shape.slice(0, axis)),
          )
        : less(countAhead(input, reshapeTo(label, rowShape(input.shape, axis)), axis), k)
    return { z: mean(cast(isRight, { dtype: "float32" })) }
  },
})

/** For each row how many scores come before the label's. Counting needs no sort: one pass over the scores. */
function countAhead(input: Variable, label: Variable, axis: number): Variable {
  const classes: Shape = [input.shape[axis] ?? 0]
  const places = range({
    end: classes[0] ?? 0,
    dtype: label.dtype === "int64" ? "int64" : "int32",
    program: input.program,
  })
  const scores = where(isNan(input), Infinity, input)
  const own = reduceMax(where(equal(places, label), scores, -Infinity), { axis, keepDim: true })
  const isAhead = logicalOr(greater(scores, own), logicalAnd(equal(scores, own), less(places, label)))
  return reduceSum(cast(isAhead, { dtype: "int32" }), { axis })
}

export const accuracyDoc = /*#__PURE__*/ describe(accuracyOp, {
  summary: "The fraction of rows whose label is among the k largest scores.",
  formula: "z = mean of [label ∈ top-k(input)]",
  source: "Fluid 1.8, accuracy",
  policy: "of equal scores the first is the larger; a NaN is larger than any number",
  samples: [
    {
      in: {
        input: { shape: [4, 3], domain: { low: -2, high: 2, separated: 0.05 } },
        label: { shape: [4, 1], dtype: "int64", values: [2, 0, 1, 1] },
      },
      attrs: { k: 1 },
    },
    {
      in: {
        input: { shape: [5, 4], domain: { low: -2, high: 2, separated: 0.05 } },
        label: { shape: [5], dtype: "int32", values: [3, 0, 1, 2, 0] },
      },
      attrs: { k: 2 },
    },
    {
      in: {
        input: { shape: [3, 3], values: [1, 1, 1, 0, 2, 2, 5, 5, 4] },
        label: { shape: [3, 1], dtype: "int64", values: [1, 2, 2] },
      },
      attrs: { k: 2 },
      note: "ties",
    },
    {
      in: {
        input: { shape: [2, 2, 3], domain: { low: -2, high: 2, separated: 0.05 } },
        label: { shape: [2, 2], dtype: "int64", values: [0, 2, 1, 1] },
      },
      attrs: { k: 3 },
      note: "every label is right",
    },
  ],
  errorSamples: [
    {
      in: { input: [3, 4], label: { shape: [4], dtype: "int64", values: [0, 0, 0, 0] } },
      attrs: { k: 1 },
      code: "CF_SHAPE_MISMATCH",
      text: /label must have shape \[3, 1\] or \[3\]/,
    },
    {
      in: { input: [3, 4], label: { shape: [3], dtype: "int64", values: [0, 0, 0] } },
      attrs: { k: 5 },
      code: "CF_BAD_ATTRIBUTE",
      text: /k must lie between 1 and the number of classes 4, got 5/,
    },
  ],
})
