// A tensor whose values stand in the program: what an initializer made of an array appends.

import {
  bindDim,
  type DType,
  fail,
  formatShape,
  isStatic,
  numel,
  type Program,
  type Shape,
  type Variable,
} from "@counterflow/ir"
import { requireSizes, requireValue } from "./creation.ts"
import { noGrad, primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"

/** How many values a program may hold in one place: it is printed, copied and saved with them. */
const valueLimit = 2 ** 22

/** A tensor of `shape` with these values in row-major order. Large ones are better fed, or set as state. */
export function arrayValue(options: {
  values: readonly number[]
  shape: Shape
  dtype?: DType
  program?: Program
}): Variable {
  const { values, shape, dtype = "float32", program } = options
  requireSizes(shape, "arrayValue")
  return emit(arrayValueOp, {}, { values, shape, dtype }, arrayValue, program === undefined ? {} : { program }).z
}

/** Primitive: nothing else brings values from the program's text into a step. */
export const arrayValueOp = /*#__PURE__*/ primitive({
  name: "arrayValue",
  inputs: {},
  outputs: ["z"],
  attrs: { values: "numbers", shape: "dims", dtype: "dtype" },
  infer: (_inputs, { values, shape, dtype }) => {
    if (!Array.isArray(values)) fail("CF_BAD_ATTRIBUTE", "values must be an array of numbers")
    if (!isStatic(shape)) fail("CF_BAD_ATTRIBUTE", `shape must hold numbers only, got ${formatShape(shape)}`)
    if (values.length !== bindDim(numel(shape), new Map())) {
      fail("CF_SHAPE_MISMATCH", `values must fill the shape ${formatShape(shape)}, got ${values.length} of them`)
    }
    if (values.length > valueLimit) {
      fail("CF_BAD_ATTRIBUTE", `a program holds at most ${valueLimit} values in one place, got ${values.length}`, {
        fix: "feed them, or set them as state: executor.scope.set(name, { data, shape, dtype })",
      })
    }
    for (const value of values as readonly number[]) requireValue("value", value, dtype)
    return { z: { shape, dtype } }
  },
  grad: noGrad("it has no inputs"),
  facts: { kind: "opaque" },
})

export const arrayValueDoc = /*#__PURE__*/ describe(arrayValueOp, {
  summary: "A tensor with given values, which are part of the program.",
  formula: "z.flat[i] = values[i]",
  source: "Fluid 1.8, assign_value",
  samples: [
    { in: {}, attrs: { values: [1, -2.5, 3, 4, 5, 6], shape: [2, 3], dtype: "float32" } },
    { in: {}, attrs: { values: [7], shape: [], dtype: "int64" } },
    { in: {}, attrs: { values: [1, 0, 1], shape: [3, 1], dtype: "bool" } },
    { in: {}, attrs: { values: [], shape: [0, 2], dtype: "float64" } },
    { in: {}, attrs: { values: [NaN, Infinity], shape: [2], dtype: "float32" } },
  ],
  errorSamples: [
    {
      in: {},
      attrs: { values: [1, 2], shape: [3], dtype: "float32" },
      code: "CF_SHAPE_MISMATCH",
      text: /values must fill the shape \[3\], got 2 of them/,
    },
    {
      in: {},
      attrs: { values: [0.5], shape: [1], dtype: "int32" },
      code: "CF_BAD_ATTRIBUTE",
      text: /value 0.5 is no int32/,
    },
  ],
  tolerance: 0,
})
