// Comparisons, logic, choice, and conversion between dtypes. Like arithmetic they broadcast and take numbers. Comparisons and
// logic answer bool tensors and carry no gradient.

import {
  describeValue,
  type DType,
  fail,
  isDType,
  isFloat,
  type Scalar,
  site,
  unifyShapes,
  Variable,
} from "@counterflow/ir"
import { fillConstant } from "./creation.ts"
import { elementwise, noGrad } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { broadcastOperands, broadcastPair, type Operand } from "./operand.ts"
import { refusesIntegers } from "./pointwise.ts"
import { s } from "./scalar.ts"
import { requireDType, requireFloat, sameTypes } from "./shapes.ts"

/** A comparison of two operands of one type, of any dtype. */
function comparison<const N extends string>(name: N, scalar: (x: Scalar, y: Scalar) => Scalar) {
  return elementwise({
    name,
    inputs: { x: "index", y: "index" },
    outputs: ["z"],
    infer: (inputs) => ({ z: { ...sameTypes(inputs), dtype: "bool" } }),
    grad: noGrad("a comparison is piecewise constant"),
    scalar: ({ x, y }) => scalar(x, y),
  })
}

const comparisonSamples = [
  { in: { x: [2, 3], y: [2, 3] } },
  { in: { x: { shape: [4], values: [1, 1, 2, NaN] }, y: { shape: [4], values: [1, 2, 1, 1] } } },
  { in: { x: { shape: [], dtype: "int32" }, y: { shape: [], dtype: "int32" } } },
  { in: { x: { shape: [1, 2], dtype: "bool", values: [0, 1] }, y: { shape: [1, 2], dtype: "bool", values: [1, 1] } } },
  { in: { x: [0, 2], y: [0, 2] } },
] as const

/** z = (x = y), elementwise, bool; false if either is NaN. */
export function equal(x: Operand, y: Operand): Variable {
  return site(equal, () => emit(equalOp, broadcastPair(x, y, "equal"), {}, equal).z)
}

export const equalOp = /*#__PURE__*/ comparison("equal", (x, y) => s.equal(x, y))

export const equalDoc = /*#__PURE__*/ describe(equalOp, {
  summary: "Whether x equals y, elementwise; false if either is NaN.",
  formula: "z = (x = y)",
  source: "IEEE 754-2019, 5.11",
  samples: comparisonSamples,
  errorSamples: [{ in: { x: [2], y: [3] }, code: "CF_SHAPE_MISMATCH", text: /x and y must have equal shapes/ }],
  tolerance: 0,
})

/** z = (x ≠ y), elementwise, bool; true if either is NaN. */
export function notEqual(x: Operand, y: Operand): Variable {
  return site(notEqual, () => emit(notEqualOp, broadcastPair(x, y, "notEqual"), {}, notEqual).z)
}

export const notEqualOp = /*#__PURE__*/ comparison("notEqual", (x, y) => s.notEqual(x, y))

export const notEqualDoc = /*#__PURE__*/ describe(notEqualOp, {
  summary: "Whether x differs from y, elementwise; true if either is NaN.",
  formula: "z = (x ≠ y)",
  source: "IEEE 754-2019, 5.11",
  samples: comparisonSamples,
  tolerance: 0,
})

/** z = x < y, elementwise, bool; false if either is NaN. */
export function less(x: Operand, y: Operand): Variable {
  return site(less, () => emit(lessOp, broadcastPair(x, y, "less"), {}, less).z)
}

export const lessOp = /*#__PURE__*/ comparison("less", (x, y) => s.less(x, y))

export const lessDoc = /*#__PURE__*/ describe(lessOp, {
  summary: "Whether x is less than y, elementwise; false if either is NaN.",
  formula: "z = x < y",
  source: "IEEE 754-2019, 5.11",
  samples: comparisonSamples,
  tolerance: 0,
})

/** z = x ≤ y, elementwise, bool; false if either is NaN. */
export function lessEqual(x: Operand, y: Operand): Variable {
  return site(lessEqual, () => emit(lessEqualOp, broadcastPair(x, y, "lessEqual"), {}, lessEqual).z)
}

export const lessEqualOp = /*#__PURE__*/ comparison("lessEqual", (x, y) => s.lessEqual(x, y))

export const lessEqualDoc = /*#__PURE__*/ describe(lessEqualOp, {
  summary: "Whether x is at most y, elementwise; false if either is NaN.",
  formula: "z = x ≤ y",
  source: "IEEE 754-2019, 5.11",
  samples: comparisonSamples,
  tolerance: 0,
})

/** z = x > y, elementwise, bool; false if either is NaN. */
export function greater(x: Operand, y: Operand): Variable {
  return site(greater, () => emit(greaterOp, broadcastPair(x, y, "greater"), {}, greater).z)
}

export const greaterOp = /*#__PURE__*/ comparison("greater", (x, y) => s.less(y, x))

export const greaterDoc = /*#__PURE__*/ describe(greaterOp, {
  summary: "Whether x is greater than y, elementwise; false if either is NaN.",
  formula: "z = x > y",
  source: "IEEE 754-2019, 5.11",
  samples: comparisonSamples,
  tolerance: 0,
})

/** z = x ≥ y, elementwise, bool; false if either is NaN. */
export function greaterEqual(x: Operand, y: Operand): Variable {
  return site(greaterEqual, () => emit(greaterEqualOp, broadcastPair(x, y, "greaterEqual"), {}, greaterEqual).z)
}

export const greaterEqualOp = /*#__PURE__*/ comparison("greaterEqual", (x, y) => s.lessEqual(y, x))

export const greaterEqualDoc = /*#__PURE__*/ describe(greaterEqualOp, {
  summary: "Whether x is at least y, elementwise; false if either is NaN.",
  formula: "z = x ≥ y",
  source: "IEEE 754-2019, 5.11",
  samples: comparisonSamples,
  tolerance: 0,
})

/** A connective of two truth values. */
function connective<const N extends string>(name: N, scalar: (x: Scalar, y: Scalar) => Scalar) {
  return elementwise({
    name,
    inputs: { x: "index", y: "index" },
    outputs: ["z"],
    infer: (inputs) => {
      requireDType("x", inputs.x, ["bool"])
      return { z: sameTypes(inputs) }
    },
    grad: noGrad("logic is piecewise constant"),
    scalar: ({ x, y }) => scalar(x, y),
  })
}

const connectiveSamples = [
  {
    in: {
      x: { shape: [4], dtype: "bool", values: [0, 0, 1, 1] },
      y: { shape: [4], dtype: "bool", values: [0, 1, 0, 1] },
    },
  },
  { in: { x: { shape: [2, 3], dtype: "bool" }, y: { shape: [2, 3], dtype: "bool" } } },
  { in: { x: { shape: [], dtype: "bool" }, y: { shape: [], dtype: "bool" } } },
  { in: { x: { shape: [1, 0], dtype: "bool" }, y: { shape: [1, 0], dtype: "bool" } } },
] as const

/** z = x ∧ y, elementwise, on bool tensors. */
export function logicalAnd(x: Operand, y: Operand): Variable {
  return site(logicalAnd, () => emit(logicalAndOp, broadcastPair(x, y, "logicalAnd"), {}, logicalAnd).z)
}

export const logicalAndOp = /*#__PURE__*/ connective("logicalAnd", (x, y) => s.and(x, y))

export const logicalAndDoc = /*#__PURE__*/ describe(logicalAndOp, {
  summary: "Whether both x and y hold, elementwise.",
  formula: "z = x ∧ y",
  source: "propositional logic",
  samples: connectiveSamples,
  errorSamples: [{ in: { x: [2], y: [2] }, code: "CF_DTYPE_MISMATCH", text: /x must be bool, got float32/ }],
  tolerance: 0,
})

/** z = x ∨ y, elementwise, on bool tensors. */
export function logicalOr(x: Operand, y: Operand): Variable {
  return site(logicalOr, () => emit(logicalOrOp, broadcastPair(x, y, "logicalOr"), {}, logicalOr).z)
}

export const logicalOrOp = /*#__PURE__*/ connective("logicalOr", (x, y) => s.or(x, y))

export const logicalOrDoc = /*#__PURE__*/ describe(logicalOrOp, {
  summary: "Whether x or y or both hold, elementwise.",
  formula: "z = x ∨ y",
  source: "propositional logic",
  samples: connectiveSamples,
  tolerance: 0,
})

/** z = ¬x, elementwise, on a bool tensor. */
export function logicalNot(x: Variable): Variable {
  return emit(logicalNotOp, { x }, {}, logicalNot).z
}

export const logicalNotOp = /*#__PURE__*/ elementwise({
  name: "logicalNot",
  inputs: { x: "index" },
  outputs: ["z"],
  infer: ({ x }) => {
    requireDType("x", x, ["bool"])
    return { z: x }
  },
  grad: noGrad("logic is piecewise constant"),
  scalar: ({ x }) => s.not(x),
})

export const logicalNotDoc = /*#__PURE__*/ describe(logicalNotOp, {
  summary: "Whether x does not hold, elementwise.",
  formula: "z = ¬x",
  source: "propositional logic",
  samples: [
    { in: { x: { shape: [2, 3], dtype: "bool" } } },
    { in: { x: { shape: [], dtype: "bool" } } },
    { in: { x: { shape: [0, 1], dtype: "bool" } } },
  ],
  errorSamples: [
    { in: { x: { shape: [2], dtype: "uint8" } }, code: "CF_DTYPE_MISMATCH", text: /x must be bool, got uint8/ },
  ],
  tolerance: 0,
})

/** Whether each element of a float tensor is NaN, bool. */
export function isNan(x: Variable): Variable {
  return emit(isNanOp, { x }, {}, isNan).z
}

export const isNanOp = /*#__PURE__*/ elementwise({
  name: "isNan",
  inputs: { x: "index" },
  outputs: ["z"],
  infer: ({ x }) => {
    requireFloat("x", x)
    return { z: { shape: x.shape, dtype: "bool" } }
  },
  grad: noGrad("a test is piecewise constant"),
  scalar: ({ x }) => s.notEqual(x, x),
})

export const isNanDoc = /*#__PURE__*/ describe(isNanOp, {
  summary: "Whether an element is NaN.",
  formula: "z = (x ≠ x)",
  source: "IEEE 754-2019, 5.7.2",
  samples: [{ in: { x: { shape: [4], values: [NaN, Infinity, 0, 1] } } }, { in: { x: [2, 3] } }, { in: { x: [0] } }],
  errorSamples: refusesIntegers,
  tolerance: 0,
})

/** x converted to a dtype. To an integer it truncates towards zero and saturates, NaN becomes 0; to bool it asks for x ≠ 0. */
export function cast(x: Operand, options: { dtype: DType }): Variable {
  const { dtype } = options
  if (!isDType(dtype)) fail("CF_BAD_ATTRIBUTE", `dtype must be one of the six, got ${String(dtype)}`, { op: "cast" })
  return site(cast, () => {
    const from = x instanceof Variable ? x : fillConstant({ shape: [], value: x, dtype: "float64" })
    return emit(castOp, { x: from }, { dtype }, cast).z
  })
}

export const castOp = /*#__PURE__*/ elementwise({
  name: "cast",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { dtype: "dtype" },
  infer: ({ x }, { dtype }) => ({ z: { shape: x.shape, dtype } }),
  // forward   z = x in another dtype
  // backward  dx = dz in x's dtype, between float dtypes; through integers and bool it is identically zero
  grad: ({ x }, { z }, { z: dz }) => ({
    x: isFloat(x.dtype) && isFloat(z.dtype) ? cast(dz, { dtype: x.dtype }) : null,
  }),
  scalar: ({ x }, { dtype }) => s.cast(x, dtype),
})

export const castDoc = /*#__PURE__*/ describe(castOp, {
  summary:
    "Conversion to another dtype: to integers it truncates and saturates, NaN becomes 0; to bool it asks for ≠ 0.",
  formula: "z = dtype(x)",
  source: "WebAssembly 2.0, trunc_sat, for floats to integers",
  samples: [
    { in: { x: [2, 3] }, attrs: { dtype: "float64" } },
    { in: { x: { shape: [1, 4], dtype: "float64" } }, attrs: { dtype: "float64" }, note: "to its own dtype: a copy" },
    { in: { x: { shape: [6], values: [-1.7, 0.2, 1.7, 3e10, -3e10, NaN] } }, attrs: { dtype: "int32" } },
    { in: { x: { shape: [4], values: [-1.7, 0.2, 255.9, 300] } }, attrs: { dtype: "uint8" } },
    { in: { x: { shape: [3], values: [0, -0.5, 2] } }, attrs: { dtype: "bool" } },
    { in: { x: { shape: [3], dtype: "int64" } }, attrs: { dtype: "float32" } },
    { in: { x: { shape: [], dtype: "bool", values: [1] } }, attrs: { dtype: "float32" } },
    { in: { x: [0, 2] }, attrs: { dtype: "int64" } },
  ],
  tolerance: 0,
})

/** z = x where the condition holds, y elsewhere; all three broadcast. Two numbers make a float32 result. */
export function where(condition: Variable, x: Operand, y: Operand): Variable {
  if (!(condition instanceof Variable)) {
    fail("CF_BAD_ARGUMENT", `condition must be a Variable, got ${describeValue(condition)}`, { op: "where" })
  }
  return site(where, () => {
    const like = x instanceof Variable ? x : y
    const [dtype, shape] = like instanceof Variable ? [like.dtype, like.shape] : (["float32", condition.shape] as const)
    const variables = [x, y].map((operand) =>
      operand instanceof Variable
        ? operand
        : fillConstant({ shape, value: operand, dtype, program: condition.program }),
    )
    const [c, a, b] = broadcastOperands([condition, ...variables], "where", ["condition", "x", "y"])
    if (c === undefined || a === undefined || b === undefined) return fail("CF_INTERNAL", "where needs three operands")
    return emit(whereOp, { condition: c, x: a, y: b }, {}, where).z
  })
}

export const whereOp = /*#__PURE__*/ elementwise({
  name: "where",
  inputs: { condition: "index", x: "tensor", y: "tensor" },
  outputs: ["z"],
  infer: ({ condition, x, y }) => {
    requireDType("condition", condition, ["bool"])
    const z = sameTypes({ x, y })
    unifyShapes(condition.shape, z.shape, () => "condition and x must have equal shapes")
    return { z }
  },
  // forward   z = x where the condition holds, else y
  // backward  dx = dz where it holds, else 0;  dy = dz where it does not, else 0
  grad: ({ condition }, _outputs, { z: dz }, _attrs, { needs }) => ({
    x: needs("x") ? where(condition, dz, 0) : null,
    y: needs("y") ? where(condition, 0, dz) : null,
  }),
  scalar: ({ condition, x, y }) => s.select(condition, x, y),
})

export const whereDoc = /*#__PURE__*/ describe(whereOp, {
  summary: "Chooses x where a condition holds, y elsewhere; what is not chosen gets no gradient, not even NaN.",
  formula: "z = condition ? x : y",
  source: "piecewise the identity",
  samples: [
    { in: { condition: { shape: [2, 3], dtype: "bool" }, x: [2, 3], y: [2, 3] } },
    { in: { condition: { shape: [], dtype: "bool" }, x: [], y: [] } },
    { in: { condition: { shape: [1, 0], dtype: "bool" }, x: [1, 0], y: [1, 0] } },
    {
      in: {
        condition: { shape: [2], dtype: "bool" },
        x: { shape: [2], dtype: "int64" },
        y: { shape: [2], dtype: "int64" },
      },
    },
  ],
  errorSamples: [
    { in: { condition: [2], x: [2], y: [2] }, code: "CF_DTYPE_MISMATCH", text: /condition must be bool, got float32/ },
    {
      in: { condition: { shape: [3], dtype: "bool" }, x: [2], y: [2] },
      code: "CF_SHAPE_MISMATCH",
      text: /condition and x must have equal shapes/,
    },
  ],
  tolerance: 0,
})
