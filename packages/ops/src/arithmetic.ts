// Elementwise arithmetic of two operands, and the greater or smaller of them. The public functions broadcast like NumPy and
// take numbers; the operators themselves demand equal shapes. Integers wrap around.

import { fail, isFloat, type Scalar, site, Variable } from "@counterflow/ir"
import { elementwise } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { broadcastPair, type Operand } from "./operand.ts"
import { equal, greaterEqual, lessEqual, logicalAnd, where } from "./comparison.ts"
import { numberOption, numericLike, numericPair } from "./pointwise.ts"
import { s } from "./scalar.ts"
import { requireFloat } from "./shapes.ts"
import { log, neg, scale } from "./unary.ts"

/** z = x + y, elementwise; shapes broadcast as in NumPy. */
export function add(x: Operand, y: Operand): Variable {
  return site(add, () => emit(addOp, broadcastPair(x, y, "add"), {}, add).z)
}

export const addOp = /*#__PURE__*/ elementwise({
  name: "add",
  inputs: { x: "tensor", y: "tensor" },
  outputs: ["z"],
  infer: numericPair,
  // forward   z = x + y
  // backward  dx = dz,  dy = dz
  grad: (_inputs, _outputs, { z: dz }) => ({ x: dz, y: dz }),
  scalar: ({ x, y }) => s.add(x, y),
})

export const addDoc = /*#__PURE__*/ describe(addOp, {
  summary: "Elementwise sum; shapes broadcast as in NumPy.",
  formula: "z = x + y",
  source: "linearity",
  samples: [
    { in: { x: [2, 3], y: [2, 3] } },
    { in: { x: [], y: [] } },
    { in: { x: [0, 3], y: [0, 3] } },
    { in: { x: [1, 4, 1], y: [1, 4, 1] } },
    { in: { x: { shape: [4], dtype: "int32" }, y: { shape: [4], dtype: "int32" } } },
    {
      in: {
        x: { shape: [2], dtype: "uint8", values: [250, 1] },
        y: { shape: [2], dtype: "uint8", values: [10, 1] },
      },
      note: "integers wrap around",
    },
  ],
  errorSamples: [
    { in: { x: [2, 3], y: [2, 4] }, code: "CF_SHAPE_MISMATCH", text: /x and y must have equal shapes/ },
    { in: { x: [2], y: { shape: [2], dtype: "float64" } }, code: "CF_DTYPE_MISMATCH", text: /got float32 and float64/ },
    {
      in: { x: { shape: [2], dtype: "bool" }, y: { shape: [2], dtype: "bool" } },
      code: "CF_DTYPE_MISMATCH",
      text: /got bool/,
    },
  ],
})

/** z = x − y, elementwise; shapes broadcast as in NumPy. */
export function sub(x: Operand, y: Operand): Variable {
  return site(sub, () => emit(subOp, broadcastPair(x, y, "sub"), {}, sub).z)
}

export const subOp = /*#__PURE__*/ elementwise({
  name: "sub",
  inputs: { x: "tensor", y: "tensor" },
  outputs: ["z"],
  infer: numericPair,
  // forward   z = x − y
  // backward  dx = dz,  dy = −dz
  grad: (_inputs, _outputs, { z: dz }, _attrs, { needs }) => ({ x: dz, y: needs("y") ? neg(dz) : null }),
  scalar: ({ x, y }) => s.sub(x, y),
})

export const subDoc = /*#__PURE__*/ describe(subOp, {
  summary: "Elementwise difference; shapes broadcast as in NumPy.",
  formula: "z = x − y",
  source: "linearity",
  samples: [{ in: { x: [2, 3], y: [2, 3] } }, { in: { x: [], y: [] } }, { in: { x: [0], y: [0] } }],
})

/** z = x ∘ y, elementwise (the flattening matrix product of Fluid is `flattenMatmul`). */
export function mul(x: Operand, y: Operand): Variable {
  return site(mul, () => emit(mulOp, broadcastPair(x, y, "mul"), {}, mul).z)
}

export const mulOp = /*#__PURE__*/ elementwise({
  name: "mul",
  inputs: { x: "tensor", y: "tensor" },
  outputs: ["z"],
  infer: numericPair,
  // forward   z = x ∘ y
  // backward  dx = dz ∘ y,  dy = dz ∘ x
  grad: ({ x, y }, _outputs, { z: dz }, _attrs, { needs }) => ({
    x: needs("x") ? mul(dz, y) : null,
    y: needs("y") ? mul(dz, x) : null,
  }),
  scalar: ({ x, y }) => s.mul(x, y),
})

export const mulDoc = /*#__PURE__*/ describe(mulOp, {
  summary: "Elementwise product; shapes broadcast as in NumPy.",
  formula: "z = x ∘ y",
  source: "product rule, entry by entry",
  samples: [{ in: { x: [2, 3], y: [2, 3] } }, { in: { x: [1], y: [1] } }, { in: { x: [3, 0], y: [3, 0] } }],
})

/** z = x / y, elementwise. On integers it truncates towards zero, and division by zero is 0. */
export function div(x: Operand, y: Operand): Variable {
  return site(div, () => emit(divOp, broadcastPair(x, y, "div"), {}, div).z)
}

export const divOp = /*#__PURE__*/ elementwise({
  name: "div",
  inputs: { x: "tensor", y: "tensor" },
  outputs: ["z"],
  infer: numericPair,
  // forward   z = x / y
  // backward  dx = dz / y,  dy = −dz ∘ z / y
  grad: ({ y }, { z }, { z: dz }, _attrs, { needs }) => ({
    x: needs("x") ? div(dz, y) : null,
    y: needs("y") ? neg(div(mul(dz, z), y)) : null,
  }),
  scalar: ({ x, y }) => s.div(x, y),
})

export const divDoc = /*#__PURE__*/ describe(divOp, {
  summary: "Elementwise quotient; shapes broadcast as in NumPy.",
  formula: "z = x / y",
  source: "quotient rule, entry by entry",
  samples: [
    { in: { x: [2, 3], y: { shape: [2, 3], domain: { low: 0.5, high: 2 } } } },
    { in: { x: [1], y: { shape: [1], domain: { low: -2, high: -0.5 } } } },
    {
      in: {
        x: { shape: [4], dtype: "int32", values: [7, -7, 7, 5] },
        y: { shape: [4], dtype: "int32", values: [2, 2, -2, 0] },
      },
      note: "integers truncate; by zero is 0",
    },
  ],
})

/**
 * z = x^y, elementwise; shapes broadcast as in NumPy. A number as exponent is exact for integers, also of negative x.
 * The gradient of a variable exponent needs x > 0: it is NaN where x < 0, and taken as 0 where x = 0.
 */
export function pow(x: Operand, y: Operand): Variable {
  if (typeof y === "number" && x instanceof Variable) return emit(powScalarOp, { x }, { exponent: y }, pow).z
  return site(pow, () => emit(powOp, broadcastPair(x, y, "pow"), {}, pow).z)
}

export const powOp = /*#__PURE__*/ elementwise({
  name: "pow",
  inputs: { x: "tensor", y: "tensor" },
  outputs: ["z"],
  infer: ({ x, y }) => {
    requireFloat("x", x)
    return numericPair({ x, y })
  },
  // forward   z = x^y
  // backward  dx = dz ∘ y ∘ x^(y − 1),  dy = dz ∘ z ∘ log x
  grad: ({ x, y }, { z }, { z: dz }, _attrs, { needs }) => ({
    x: needs("x") ? mul(dz, mul(y, pow(x, loweredExponent(x, y)))) : null,
    y: needs("y") ? mul(dz, mul(z, log(where(equal(x, 0), 1, x)))) : null,
  }),
  scalar: ({ x, y }) => s.pow(x, y),
})

// y − 1, but 1 where 0^0 would be derived: there 0 · 0^(−1) would be NaN, and the derivative is 0. Only there, so that the
// rule's own derivatives stay true everywhere else.
function loweredExponent(x: Variable, y: Variable): Variable {
  return where(logicalAnd(equal(x, 0), equal(y, 0)), 1, sub(y, 1))
}

export const powDoc = /*#__PURE__*/ describe(powOp, {
  summary: "The elements of x to the power of those of y; a number as exponent makes a powScalar.",
  formula: "z = x^y",
  source: "power rule; d(x^y)/dy = x^y log x",
  policy: "where x = 0 the gradient of y is 0, and of x is 0 where y = 0 too",
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: 0.5, high: 2 } }, y: [2, 3] } },
    { in: { x: { shape: [], domain: { low: 0.5, high: 2 } }, y: [] } },
    { in: { x: { shape: [1, 2, 1], domain: { low: 1, high: 3 } }, y: [1, 2, 1] } },
    { in: { x: [0], y: [0] } },
  ],
  errorSamples: [
    {
      in: { x: { shape: [2], dtype: "int32" }, y: { shape: [2], dtype: "int32" } },
      code: "CF_DTYPE_MISMATCH",
      text: /must be float32 or float64/,
    },
  ],
})

/** z = x^exponent for one number as exponent, integers of x included where it is a small natural number: see `pow`. */
export function powScalar(x: Variable, options: { exponent: number }): Variable {
  return emit(powScalarOp, { x }, { exponent: options.exponent }, powScalar).z
}

/** Integer exponents up to this one are products: exact on integers, cheap and near enough on floats. */
const productLimit = 64

export const powScalarOp = /*#__PURE__*/ elementwise({
  name: "powScalar",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { exponent: "number" },
  infer: ({ x }, { exponent }) => {
    numberOption("powScalar", "exponent", exponent)
    const isProduct = Number.isInteger(exponent) && exponent >= 0 && exponent <= productLimit
    if (!isFloat(x.dtype) && !isProduct) {
      fail(
        "CF_BAD_ATTRIBUTE",
        `the exponent of a tensor of ${x.dtype} must be an integer from 0 to ${productLimit}, got ${exponent}`,
      )
    }
    return numericLike({ x })
  },
  // forward   z = x^n
  // backward  dx = n dz ∘ x^(n − 1)
  grad: ({ x }, _outputs, { z: dz }, { exponent: n }) => ({
    x: n === 0 ? null : mul(dz, scale(powScalar(x, { exponent: n - 1 }), { scale: n })),
  }),
  scalar: ({ x }, { exponent }) => powerOf(x, exponent),
})

/** By repeated squaring where the exponent is a small integer. */
function powerOf(x: Scalar, exponent: number): Scalar {
  if (!Number.isInteger(exponent) || Math.abs(exponent) > productLimit) return s.pow(x, exponent)
  if (exponent < 0) return s.div(1, powerOf(x, -exponent))
  if (exponent === 0) return { op: "const", value: 1 }
  if (exponent === 1) return x
  const half = powerOf(x, Math.floor(exponent / 2))
  const even = s.mul(half, half)
  return exponent % 2 === 0 ? even : s.mul(even, x)
}

export const powScalarDoc = /*#__PURE__*/ describe(powScalarOp, {
  summary: "The elements of x to the power of one number; 0^0 is 1.",
  formula: "z = x^n",
  source: "power rule",
  samples: [
    { in: { x: [2, 3] }, attrs: { exponent: 2 } },
    { in: { x: { shape: [3], values: [-1.5, 0, 2] } }, attrs: { exponent: 3 }, note: "right at 0 and below" },
    { in: { x: { shape: [2], values: [0, -1] } }, attrs: { exponent: 1 } },
    { in: { x: [1, 2] }, attrs: { exponent: 0 } },
    { in: { x: { shape: [2, 1, 2], domain: { low: 0.5, high: 2 } } }, attrs: { exponent: -2 } },
    { in: { x: { shape: [], domain: { low: 0.5, high: 2 } } }, attrs: { exponent: 0.5 } },
    { in: { x: { shape: [3], dtype: "int32", values: [-3, 0, 7] } }, attrs: { exponent: 5 } },
    { in: { x: [0, 2] }, attrs: { exponent: 2 } },
  ],
  errorSamples: [
    {
      in: { x: { shape: [2], dtype: "int32" } },
      attrs: { exponent: -1 },
      code: "CF_BAD_ATTRIBUTE",
      text: /integer from 0 to 64/,
    },
    { in: { x: { shape: [2], dtype: "bool" } }, attrs: { exponent: 2 }, code: "CF_DTYPE_MISMATCH", text: /got bool/ },
  ],
})

/** z = max(x, y), elementwise; NaN if either is. Where both are equal the gradient goes to x. */
export function max(x: Operand, y: Operand): Variable {
  return site(max, () => emit(maxOp, broadcastPair(x, y, "max"), {}, max).z)
}

export const maxOp = /*#__PURE__*/ elementwise({
  name: "max",
  inputs: { x: "tensor", y: "tensor" },
  outputs: ["z"],
  infer: numericPair,
  // forward   z = max(x, y)
  // backward  dx = dz where x ≥ y, else 0;  dy = the rest of dz
  grad: ({ x, y }, _outputs, { z: dz }, _attrs, { needs }) => shareOut(dz, greaterEqual(x, y), needs),
  scalar: ({ x, y }) => s.max(x, y),
})

export const maxDoc = /*#__PURE__*/ describe(maxOp, {
  summary: "The greater of two elements; NaN if either is; shapes broadcast as in NumPy.",
  formula: "z = max(x, y)",
  source: "piecewise linear",
  policy: "where x = y the gradient goes to x",
  samples: [
    {
      in: {
        x: { shape: [2, 3], values: [1, -1, 0.5, 2, -0.3, 1.2] },
        y: { shape: [2, 3], values: [-1, 1, 0.1, 1.5, 0.4, -2] },
      },
    },
    { in: { x: { shape: [], values: [0.2] }, y: { shape: [], values: [-0.7] } } },
    { in: { x: [0, 2], y: [0, 2] } },
    { in: { x: { shape: [4], dtype: "int32" }, y: { shape: [4], dtype: "int32" } } },
  ],
  tolerance: 0,
})

/** z = min(x, y), elementwise; NaN if either is. Where both are equal the gradient goes to x. */
export function min(x: Operand, y: Operand): Variable {
  return site(min, () => emit(minOp, broadcastPair(x, y, "min"), {}, min).z)
}

export const minOp = /*#__PURE__*/ elementwise({
  name: "min",
  inputs: { x: "tensor", y: "tensor" },
  outputs: ["z"],
  infer: numericPair,
  // forward   z = min(x, y)
  // backward  dx = dz where x ≤ y, else 0;  dy = the rest of dz
  grad: ({ x, y }, _outputs, { z: dz }, _attrs, { needs }) => shareOut(dz, lessEqual(x, y), needs),
  scalar: ({ x, y }) => s.min(x, y),
})

export const minDoc = /*#__PURE__*/ describe(minOp, {
  summary: "The smaller of two elements; NaN if either is; shapes broadcast as in NumPy.",
  formula: "z = min(x, y)",
  source: "piecewise linear",
  policy: "where x = y the gradient goes to x",
  samples: [
    {
      in: {
        x: { shape: [3, 2], values: [1, -1, 0.5, 2, -0.3, 1.2] },
        y: { shape: [3, 2], values: [-1, 1, 0.1, 1.5, 0.4, -2] },
      },
    },
    { in: { x: { shape: [1], values: [0.2] }, y: { shape: [1], values: [-0.7] } } },
    { in: { x: [2, 0], y: [2, 0] } },
    { in: { x: { shape: [4], dtype: "int64" }, y: { shape: [4], dtype: "int64" } } },
  ],
  tolerance: 0,
})

/** A cotangent dealt to x where the condition holds, to y elsewhere. */
function shareOut(dz: Variable, toX: Variable, needs: (slot: string) => boolean) {
  return { x: needs("x") ? where(toX, dz, 0) : null, y: needs("y") ? where(toX, 0, dz) : null }
}
