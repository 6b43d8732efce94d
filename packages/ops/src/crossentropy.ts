// Classification losses: cross entropy of probabilities, of logits through a softmax, and of independent logits.

import { fail, type Shape, site, type Variable } from "@counterflow/ir"
import { sigmoid } from "./activation.ts"
import { add, div, max, mul, sub } from "./arithmetic.ts"
import { cast, equal, logicalAnd, notEqual, where } from "./comparison.ts"
import { byDecomposition, composite } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { checkClassLabel, pickClass, placeClass, rowShape } from "./labels.ts"
import { relu } from "./rectifier.ts"
import { reduceMax, reduceSum } from "./reduction.ts"
import { reshapeTo } from "./reshape.ts"
import { requireFloat, requireRank, resolveAxis, sameTypes } from "./shapes.ts"
import { logSoftmax } from "./softmax.ts"
import { addUp } from "./standardize.ts"
import { abs, exp, log, log1p, neg } from "./unary.ts"

export interface CrossEntropyOptions {
  /** The label holds a distribution over the classes for each row, not one class. */
  softLabel?: boolean
  /** Rows of this class have no loss and no gradient. */
  ignoreIndex?: number
}

/** A class label with 0 in the place of the ignored class, and where it was not ignored; one per row. */
function validLabel(label: Variable, ignoreIndex: number, shape: Shape) {
  const kept = reshapeTo(label, shape)
  const isValid = notEqual(kept, ignoreIndex)
  return { isValid, classes: where(isValid, kept, 0) }
}

/**
 * −log of the probability of the labelled class, along the last axis; with `softLabel` −Σ label ∘ log input. The result has
 * size 1 along that axis. For logits use `softmaxWithCrossEntropy`, which is stable.
 */
export function crossEntropy(input: Variable, label: Variable, options: CrossEntropyOptions = {}): Variable {
  const { softLabel = false, ignoreIndex = -100 } = options
  return emit(crossEntropyOp, { input, label }, { softLabel, ignoreIndex }, crossEntropy).z
}

export const crossEntropyOp = /*#__PURE__*/ composite({
  name: "crossEntropy",
  inputs: { input: "tensor", label: "tensor" },
  outputs: ["z"],
  attrs: { softLabel: "bool", ignoreIndex: "int" },
  infer: ({ input, label }, { softLabel }) => {
    requireFloat("input", input)
    requireRank("input", input, [1, Infinity])
    const axis = input.shape.length - 1
    if (softLabel) sameTypes({ input, label })
    else checkClassLabel("input", input, label, axis)
    return { z: { shape: rowShape(input.shape, axis), dtype: input.dtype } }
  },
  grad: byDecomposition,
  decompose: ({ input, label }, { softLabel, ignoreIndex }) => {
    const axis = input.shape.length - 1
    if (softLabel) {
      // 0 · log 0 counts as 0, in the gradient too.
      const isNothing = logicalAnd(equal(input, 0), equal(label, 0))
      return { z: neg(reduceSum(mul(label, log(where(isNothing, 1, input))), { axis, keepDim: true })) }
    }
    const { isValid, classes } = validLabel(label, ignoreIndex, rowShape(input.shape, axis))
    // Ignored rows take the logarithm of 1: a probability of 0 there must not make NaN of their zero gradient.
    return { z: neg(log(where(isValid, pickClass(input, classes, axis), 1))) }
  },
})

const probabilities = { low: 0.1, high: 0.9 }
const hard = { softLabel: false, ignoreIndex: -100 }

export const crossEntropyDoc = /*#__PURE__*/ describe(crossEntropyOp, {
  summary: "Cross entropy of a label under given probabilities, one per row.",
  formula: "z = −log input[label];  soft: z = −Σ label ∘ log input",
  source: "Fluid 1.8, cross_entropy",
  samples: [
    {
      in: {
        input: { shape: [3, 4], domain: probabilities },
        label: { shape: [3, 1], dtype: "int64", values: [2, 0, 3] },
      },
      attrs: hard,
    },
    {
      in: {
        input: { shape: [4, 2], domain: probabilities },
        label: { shape: [4], dtype: "int32", values: [1, -1, 0, -1] },
      },
      attrs: { softLabel: false, ignoreIndex: -1 },
      note: "ignored rows",
    },
    {
      in: {
        input: { shape: [2, 2, 3], domain: probabilities },
        label: { shape: [2, 2, 1], dtype: "int64", values: [0, 2, 1, 1] },
      },
      attrs: hard,
    },
    {
      in: { input: { shape: [2, 3], domain: probabilities }, label: { shape: [2, 3], domain: probabilities } },
      attrs: { softLabel: true, ignoreIndex: -100 },
    },
    { in: { input: [0, 3], label: { shape: [0, 1], dtype: "int64" } }, attrs: hard },
  ],
  errorSamples: [
    {
      in: { input: [3, 4], label: [3, 1] },
      attrs: hard,
      code: "CF_DTYPE_MISMATCH",
      text: /must be int32 or int64, got float/,
    },
    {
      in: { input: [3, 4], label: { shape: [4, 1], dtype: "int64", values: [0, 0, 0, 0] } },
      attrs: hard,
      code: "CF_SHAPE_MISMATCH",
      text: /label must have shape \[3, 1\] or \[3\], one class for each row of input \[3, 4\]/,
    },
    {
      in: { input: [3, 4], label: [3, 1] },
      attrs: { softLabel: true, ignoreIndex: -100 },
      code: "CF_SHAPE_MISMATCH",
      text: /input and label must have equal shapes/,
    },
  ],
})

export interface SoftmaxCrossEntropyOptions extends CrossEntropyOptions {
  /** The axis of the classes; the last one unless said. */
  axis?: number
}

/**
 * The cross entropy of softmax(logits), stable for logits of any size: log Σ exp logits − logits[label]; with `softLabel`
 * −Σ label ∘ log softmax. The loss has size 1 along the axis of the classes; `returnSoftmax` gives [loss, softmax].
 */
export function softmaxWithCrossEntropy(
  logits: Variable,
  label: Variable,
  options: SoftmaxCrossEntropyOptions & { returnSoftmax: true },
): [loss: Variable, softmax: Variable]
export function softmaxWithCrossEntropy(
  logits: Variable,
  label: Variable,
  options?: SoftmaxCrossEntropyOptions & { returnSoftmax?: false },
): Variable
export function softmaxWithCrossEntropy(
  logits: Variable,
  label: Variable,
  options: SoftmaxCrossEntropyOptions & { returnSoftmax?: boolean } = {},
): Variable | [loss: Variable, softmax: Variable] {
  const { softLabel = false, ignoreIndex = -100, axis = -1, returnSoftmax = false } = options
  return site(softmaxWithCrossEntropy, () => {
    const attrs = { softLabel, ignoreIndex, axis: resolveAxis(axis, logits.shape.length, "softmaxWithCrossEntropy") }
    const { loss, softmax } = emit(softmaxWithCrossEntropyOp, { logits, label }, attrs, softmaxWithCrossEntropy)
    return returnSoftmax ? [loss, softmax] : loss
  })
}

export const softmaxWithCrossEntropyOp = /*#__PURE__*/ composite({
  name: "softmaxWithCrossEntropy",
  inputs: { logits: "tensor", label: "tensor" },
  outputs: ["loss", "softmax"],
  attrs: { softLabel: "bool", ignoreIndex: "int", axis: "int" },
  infer: ({ logits, label }, { softLabel, axis }) => {
    requireFloat("logits", logits)
    if (axis < 0 || axis >= logits.shape.length) {
      fail("CF_BAD_ATTRIBUTE", `axis ${axis} is outside a tensor of rank ${logits.shape.length}`)
    }
    if (softLabel) sameTypes({ logits, label })
    else checkClassLabel("logits", logits, label, axis)
    return { loss: { shape: rowShape(logits.shape, axis), dtype: logits.dtype }, softmax: logits }
  },
  // forward   p = softmax(logits),  loss = −log p[label],  soft: −Σ label ∘ log p
  // backward  dlogits = (p − onehot(label)) ∘ dloss + p ∘ (dp − Σ dp ∘ p);  soft: (p Σ label − label) ∘ dloss, and
  //           dlabel = −dloss ∘ log p
  grad: (
    { logits, label },
    { softmax: p },
    { loss: dloss, softmax: dp },
    { softLabel, ignoreIndex, axis },
    { needs },
  ) => {
    const alongAxis = { axis, keepDim: true }
    const throughLoss = () => {
      if (dloss === null) return null
      if (softLabel) return mul(sub(mul(p, reduceSum(label, alongAxis)), label), dloss)
      const { isValid, classes } = validLabel(label, ignoreIndex, dloss.shape)
      const d = where(isValid, dloss, 0)
      return sub(mul(p, d), placeClass(d, classes, p.shape, axis))
    }
    const throughSoftmax = () => dp && mul(p, sub(dp, reduceSum(mul(dp, p), alongAxis)))
    return {
      logits: needs("logits") ? addUp([throughLoss(), throughSoftmax()]) : null,
      label: softLabel && dloss && needs("label") ? neg(mul(logSoftmax(logits, { axis }), dloss)) : null,
    }
  },
  decompose: ({ logits, label }, { softLabel, ignoreIndex, axis }) => {
    const alongAxis = { axis, keepDim: true }
    const shifted = sub(logits, reduceMax(logits, alongAxis))
    const powers = exp(shifted)
    const total = reduceSum(powers, alongAxis)
    const softmax = div(powers, total)
    const logTotal = log(total)
    if (softLabel) return { loss: reduceSum(mul(label, sub(logTotal, shifted)), alongAxis), softmax }
    const { isValid, classes } = validLabel(label, ignoreIndex, total.shape)
    return { loss: where(isValid, sub(logTotal, pickClass(shifted, classes, axis)), 0), softmax }
  },
  // A label may name no class.
  facts: { kind: "opaque", canFail: true },
})

export const softmaxWithCrossEntropyDoc = /*#__PURE__*/ describe(softmaxWithCrossEntropyOp, {
  summary: "Cross entropy of a label under the softmax of logits, one per row, and the softmax.",
  formula: "p = softmax(logits),  loss = −log p[label];  soft: loss = −Σ label ∘ log p",
  source: "Bridle 1990; Fluid 1.8, softmax_with_cross_entropy",
  samples: [
    {
      in: { logits: [3, 4], label: { shape: [3, 1], dtype: "int64", values: [2, 0, 3] } },
      attrs: { ...hard, axis: 1 },
    },
    {
      in: { logits: [4, 2], label: { shape: [4], dtype: "int32", values: [1, -100, 0, 1] } },
      attrs: { ...hard, axis: 1 },
      note: "an ignored row",
    },
    {
      in: { logits: [2, 3, 2], label: { shape: [2, 1, 2], dtype: "int64", values: [0, 2, 1, 1] } },
      attrs: { ...hard, axis: 1 },
      note: "classes in the middle",
    },
    {
      in: { logits: [2, 3], label: { shape: [2, 3], domain: probabilities } },
      attrs: { ...hard, softLabel: true, axis: 1 },
    },
    {
      in: { logits: [3, 2], label: { shape: [3, 2], domain: probabilities } },
      attrs: { ...hard, softLabel: true, axis: 0 },
    },
    {
      in: { logits: [2, 1], label: { shape: [2], dtype: "int64", values: [0, 0] } },
      attrs: { ...hard, axis: 1 },
      note: "one class",
    },
    { in: { logits: [0, 3], label: { shape: [0, 1], dtype: "int64" } }, attrs: { ...hard, axis: 1 } },
  ],
  errorSamples: [
    {
      in: { logits: [3, 4], label: { shape: [3, 2], dtype: "int64", values: [0, 0, 0, 0, 0, 0] } },
      attrs: { ...hard, axis: 1 },
      code: "CF_SHAPE_MISMATCH",
      text: /label must have shape \[3, 1\] or \[3\], one class for each row of logits/,
    },
    {
      in: { logits: [3, 4], label: [3] },
      attrs: { ...hard, axis: 1 },
      code: "CF_DTYPE_MISMATCH",
      text: /must be int32 or int64, got float/,
    },
    {
      in: { logits: [3, 4], label: { shape: [3], dtype: "int64", values: [0, 0, 0] } },
      attrs: { ...hard, axis: 2 },
      code: "CF_BAD_ATTRIBUTE",
      text: /axis 2 is outside a tensor of rank 2/,
    },
  ],
})

export interface SigmoidCrossEntropyOptions {
  /** Elements with this label have no loss and no gradient. */
  ignoreIndex?: number
  /** Divide by the number of elements that are not ignored. */
  normalize?: boolean
}

/** The cross entropy of sigmoid(x) with a label in [0, 1], elementwise, stable for logits of any size. */
export function sigmoidCrossEntropyWithLogits(
  x: Variable,
  label: Variable,
  options: SigmoidCrossEntropyOptions = {},
): Variable {
  const { ignoreIndex = -100, normalize = false } = options
  return emit(sigmoidCrossEntropyWithLogitsOp, { x, label }, { ignoreIndex, normalize }, sigmoidCrossEntropyWithLogits)
    .z
}

/** Values where the label is not the ignored one, else 0; divided by the number of those if asked. */
function keepValid(values: Variable, label: Variable, ignoreIndex: number, normalize: boolean): Variable {
  const isValid = notEqual(label, ignoreIndex)
  const kept = where(isValid, values, 0)
  return normalize ? div(kept, max(reduceSum(cast(isValid, { dtype: values.dtype })), 1)) : kept
}

export const sigmoidCrossEntropyWithLogitsOp = /*#__PURE__*/ composite({
  name: "sigmoidCrossEntropyWithLogits",
  inputs: { x: "tensor", label: "tensor" },
  outputs: ["z"],
  attrs: { ignoreIndex: "int", normalize: "bool" },
  infer: ({ x, label }) => {
    requireFloat("x", x)
    return { z: sameTypes({ x, label }) }
  },
  // forward   z = max(x, 0) − x ∘ label + log(1 + e^−|x|)
  // backward  dx = dz ∘ (sigmoid(x) − label),  dlabel = −dz ∘ x, both 0 where the label is ignored
  grad: ({ x, label }, _outputs, { z: dz }, { ignoreIndex, normalize }, { needs }) => {
    const d = keepValid(dz, label, ignoreIndex, normalize)
    return { x: needs("x") ? mul(d, sub(sigmoid(x), label)) : null, label: needs("label") ? neg(mul(d, x)) : null }
  },
  decompose: ({ x, label }, { ignoreIndex, normalize }) => {
    const z = add(sub(relu(x), mul(x, label)), log1p(exp(neg(abs(x)))))
    return { z: keepValid(z, label, ignoreIndex, normalize) }
  },
})

export const sigmoidCrossEntropyWithLogitsDoc = /*#__PURE__*/ describe(sigmoidCrossEntropyWithLogitsOp, {
  summary: "Cross entropy of independent binary labels under the sigmoid of logits, elementwise.",
  formula: "z = −label ∘ log σ(x) − (1 − label) ∘ log(1 − σ(x))",
  source: "Fluid 1.8, sigmoid_cross_entropy_with_logits",
  policy: "an element whose label is the ignored one has gradient 0, to its label too",
  samples: [
    {
      in: { x: [3, 2], label: { shape: [3, 2], domain: { low: 0, high: 1 } } },
      attrs: { ignoreIndex: -100, normalize: false },
    },
    {
      in: { x: [2, 2, 1], label: { shape: [2, 2, 1], domain: { low: 0, high: 1 } } },
      attrs: { ignoreIndex: -1, normalize: true },
    },
    { in: { x: [], label: { shape: [], values: [1] } }, attrs: { ignoreIndex: -100, normalize: false } },
    { in: { x: [0, 2], label: [0, 2] }, attrs: { ignoreIndex: -100, normalize: false } },
  ],
  errorSamples: [
    {
      in: { x: [2, 1], label: [2] },
      attrs: { ignoreIndex: -100, normalize: false },
      code: "CF_SHAPE_MISMATCH",
      text: /x and label must have equal shapes/,
    },
    {
      in: { x: [2], label: { shape: [2], dtype: "int64", values: [0, 1] } },
      attrs: { ignoreIndex: -100, normalize: false },
      code: "CF_DTYPE_MISMATCH",
      text: /x and label must have one dtype/,
    },
  ],
})
