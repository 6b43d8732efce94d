// Step functions, elementwise: the sign and rounding to integers. Piecewise constant, so their gradient is 0. The dtype stays.

import type { Variable } from "@counterflow/ir"
import { elementwise } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { numericLike } from "./pointwise.ts"
import { s } from "./scalar.ts"

/** z = ⌊x⌋, the greatest integer that is not greater. */
export function floor(x: Variable): Variable {
  return emit(floorOp, { x }, {}, floor).z
}

export const floorOp = /*#__PURE__*/ elementwise({
  name: "floor",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: numericLike,
  // forward   z = ⌊x⌋
  // backward  dx = 0: piecewise constant
  grad: () => ({ x: null }),
  scalar: ({ x }) => s.floor(x),
})

export const floorDoc = /*#__PURE__*/ describe(floorOp, {
  summary: "The greatest integer that is not greater than each element.",
  formula: "z = ⌊x⌋",
  source: "IEEE 754-2019, 5.9",
  policy: "the derivative at the steps is 0, as everywhere else",
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: -2, high: 2, avoid: [-2, -1, 0, 1, 2], distance: 0.1 } } } },
    { in: { x: { shape: [], values: [1.7] } } },
    { in: { x: { shape: [1, 3], dtype: "int32" } } },
    { in: { x: [0, 2] } },
  ],
})

/** z = ⌈x⌉, the least integer that is not less. */
export function ceil(x: Variable): Variable {
  return emit(ceilOp, { x }, {}, ceil).z
}

export const ceilOp = /*#__PURE__*/ elementwise({
  name: "ceil",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: numericLike,
  // forward   z = ⌈x⌉
  // backward  dx = 0: piecewise constant
  grad: () => ({ x: null }),
  scalar: ({ x }) => s.ceil(x),
})

export const ceilDoc = /*#__PURE__*/ describe(ceilOp, {
  summary: "The least integer that is not less than each element.",
  formula: "z = ⌈x⌉",
  source: "IEEE 754-2019, 5.9",
  policy: "the derivative at the steps is 0, as everywhere else",
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: -2, high: 2, avoid: [-2, -1, 0, 1, 2], distance: 0.1 } } } },
    { in: { x: { shape: [], values: [1.7] } } },
    { in: { x: { shape: [1, 3], dtype: "int32" } } },
    { in: { x: [0, 2] } },
  ],
})

/** z = the nearest integer, ties to even. */
export function round(x: Variable): Variable {
  return emit(roundOp, { x }, {}, round).z
}

export const roundOp = /*#__PURE__*/ elementwise({
  name: "round",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: numericLike,
  // forward   z = the nearest integer, the even one of two
  // backward  dx = 0: piecewise constant
  grad: () => ({ x: null }),
  scalar: ({ x }) => s.round(x),
})

export const roundDoc = /*#__PURE__*/ describe(roundOp, {
  summary: "The nearest integer, the even one of two equally near.",
  formula: "z = round(x)",
  source: "IEEE 754-2019, 4.3.1",
  policy: "the derivative at the steps is 0, as everywhere else",
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: -2, high: 2, avoid: [-1.5, -0.5, 0.5, 1.5], distance: 0.1 } } } },
    { in: { x: { shape: [], values: [1.7] } } },
    { in: { x: { shape: [1, 3], dtype: "int32" } } },
    { in: { x: [0, 2] } },
  ],
})

/** z = −1, 0 or 1 as x is negative, zero or positive. */
export function sign(x: Variable): Variable {
  return emit(signOp, { x }, {}, sign).z
}

export const signOp = /*#__PURE__*/ elementwise({
  name: "sign",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: numericLike,
  // forward   z = sign x
  // backward  dx = 0: piecewise constant
  grad: () => ({ x: null }),
  scalar: ({ x }) => s.sign(x),
})

export const signDoc = /*#__PURE__*/ describe(signOp, {
  summary: "The sign of every element: −1, 0 or 1.",
  formula: "z = sign x",
  source: "piecewise constant",
  policy: "the derivative at 0 is 0, as everywhere else",
  samples: [
    { in: { x: { shape: [2, 3], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } } },
    { in: { x: { shape: [], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } } },
    { in: { x: { shape: [1, 4, 1], domain: { low: -2, high: 2, avoid: [0], distance: 0.1 } } } },
    { in: { x: [0, 2] } },
    { in: { x: { shape: [3], dtype: "int64" } } },
  ],
})
