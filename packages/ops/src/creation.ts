// Making tensors from nothing or from one other: constants, sizes, copies, state writes.

import {
  type Dim,
  DimExpr,
  type DType,
  dtypes,
  fail,
  type FloatDType,
  floorDivDims,
  isDType,
  isFloat,
  maxDims,
  type Program,
  type Shape,
  site,
  subDims,
  addDims,
  type Variable,
} from "@counterflow/ir"
import { cast, equal } from "./comparison.ts"
import { composite, noGrad, primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { reshapeTo } from "./reshape.ts"

/** A tensor of `shape` with `value` everywhere. The shape may be symbolic. */
export function fillConstant(options: { shape: Shape; value: number; dtype?: DType; program?: Program }): Variable {
  return site(fillConstant, () => {
    const { shape, value, dtype = "float32", program } = options
    requireSizes(shape, "fillConstant")
    requireValue("value", value, dtype, "fillConstant")
    return emit(fillConstantOp, {}, { shape, value, dtype }, fillConstant, program === undefined ? {} : { program }).z
  })
}

/** A shape's numbers must be sizes. */
export function requireSizes(shape: Shape, op: string): void {
  const bad = shape.find((dim) => !(dim instanceof DimExpr) && !(Number.isSafeInteger(dim) && dim >= 0))
  if (bad !== undefined) fail("CF_BAD_ATTRIBUTE", `shape must hold sizes of at least 0, got ${String(bad)}`, { op })
}

const integerRanges: Readonly<Record<Exclude<DType, FloatDType>, readonly [number, number]>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint8: [0, 255],
  bool: [0, 1],
}

/** A number that an attribute gives must be one that its dtype has; any number rounds to a float. */
export function requireValue(name: string, value: number, dtype: DType, op?: string): void {
  if (!isDType(dtype))
    fail("CF_BAD_ATTRIBUTE", `dtype must be one of ${dtypes.join(", ")}, got ${String(dtype)}`, { op })
  if (typeof value !== "number") fail("CF_BAD_ATTRIBUTE", `${name} must be a number, got ${String(value)}`, { op })
  if (isFloat(dtype)) return
  const [low, high] = integerRanges[dtype]
  if (!Number.isInteger(value) || value < low || value > high) {
    fail("CF_BAD_ATTRIBUTE", `${name} ${value} is no ${dtype}`, { op })
  }
}

export const fillConstantOp = /*#__PURE__*/ primitive({
  name: "fillConstant",
  inputs: {},
  outputs: ["z"],
  attrs: { shape: "dims", value: "number", dtype: "dtype" },
  infer: (_inputs, { shape, dtype }) => ({ z: { shape, dtype } }),
  grad: noGrad("it has no inputs"),
  facts: { kind: "opaque", constant: ({ value }) => Number(value) },
})

export const fillConstantDoc = /*#__PURE__*/ describe(fillConstantOp, {
  summary: "A tensor of the given shape with one value everywhere.",
  formula: "z = value",
  source: "Fluid 1.8, fill_constant",
  samples: [
    { in: {}, attrs: { shape: [2, 3], value: 1.5, dtype: "float32" } },
    { in: {}, attrs: { shape: [], value: -7, dtype: "int64" } },
    { in: {}, attrs: { shape: [0, 4], value: 1, dtype: "uint8" } },
  ],
})

/** Zeros of the given shape. */
export function zeros(options: { shape: Shape; dtype?: DType; program?: Program }): Variable {
  return site(zeros, () => fillConstant({ ...options, value: 0 }))
}

/** Ones of the given shape. */
export function ones(options: { shape: Shape; dtype?: DType; program?: Program }): Variable {
  return site(ones, () => fillConstant({ ...options, value: 1 }))
}

/** Zeros of x's shape and dtype. */
export function zerosLike(x: Variable): Variable {
  return emit(zerosLikeOp, { x }, {}, zerosLike).z
}

export const zerosLikeOp = /*#__PURE__*/ composite({
  name: "zerosLike",
  inputs: { x: "index" },
  outputs: ["z"],
  infer: ({ x }) => ({ z: x }),
  grad: noGrad("its value does not depend on x"),
  decompose: ({ x }) => ({ z: zeros({ shape: x.shape, dtype: x.dtype, program: x.program }) }),
})

export const zerosLikeDoc = /*#__PURE__*/ describe(zerosLikeOp, {
  summary: "Zeros of a tensor's shape and dtype.",
  formula: "z = 0",
  source: "Fluid 1.8, zeros_like",
  samples: [{ in: { x: [2, 3] } }, { in: { x: [] } }, { in: { x: { shape: [0, 2], dtype: "int64" } } }],
  tolerance: 0,
})

/** Ones of x's shape and dtype. */
export function onesLike(x: Variable): Variable {
  return emit(onesLikeOp, { x }, {}, onesLike).z
}

export const onesLikeOp = /*#__PURE__*/ composite({
  name: "onesLike",
  inputs: { x: "index" },
  outputs: ["z"],
  infer: ({ x }) => ({ z: x }),
  grad: noGrad("its value does not depend on x"),
  decompose: ({ x }) => ({ z: ones({ shape: x.shape, dtype: x.dtype, program: x.program }) }),
})

export const onesLikeDoc = /*#__PURE__*/ describe(onesLikeOp, {
  summary: "Ones of a tensor's shape and dtype.",
  formula: "z = 1",
  source: "Fluid 1.8, ones_like",
  samples: [{ in: { x: [2, 3] } }, { in: { x: [] } }, { in: { x: { shape: [3], dtype: "bool", values: [0, 1, 0] } } }],
  tolerance: 0,
})

export interface RangeOptions {
  start?: number
  /** The first value that is not reached; may be a symbolic size. */
  end: Dim
  step?: number
  dtype?: DType
  program?: Program
}

/** start, start + step, … up to before `end`, as one axis; int32 unless said. */
export function range(options: RangeOptions): Variable {
  return site(range, () => {
    const { start = 0, end, step = 1, dtype = "int32", program } = options
    requireValue("start", start, dtype, "range")
    requireValue("step", Math.abs(step), dtype, "range")
    if (
      !Number.isFinite(start) ||
      !Number.isFinite(step) ||
      step === 0 ||
      (typeof end === "number" && !Number.isFinite(end))
    ) {
      fail(
        "CF_BAD_ATTRIBUTE",
        `a range needs finite bounds and a step other than 0, got ${start}, ${String(end)} and ${step}`,
        {
          op: "range",
        },
      )
    }
    const attrs = { start, step, size: rangeSize(start, end, step), dtype }
    return emit(rangeOp, {}, attrs, range, program === undefined ? {} : { program }).z
  })
}

function rangeSize(start: number, end: Dim, step: number): Dim {
  if (typeof end === "number") return Math.max(0, Math.ceil((end - start) / step))
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(step)) {
    fail("CF_BAD_ATTRIBUTE", `a range up to ${String(end)} needs an integer start and step, got ${start} and ${step}`, {
      op: "range",
    })
  }
  const gap = step > 0 ? subDims(end, start) : subDims(start, end)
  return floorDivDims(addDims(maxDims(gap, 0), Math.abs(step) - 1), Math.abs(step))
}

/** Primitive: a running sum of constants would gather rounding errors, and every index computation starts here. */
export const rangeOp = /*#__PURE__*/ primitive({
  name: "range",
  inputs: {},
  outputs: ["z"],
  attrs: { start: "number", step: "number", size: "dim", dtype: "dtype" },
  infer: (_inputs, { start, step, size, dtype }) => {
    requireValue("start", start, dtype)
    if (typeof size === "number") {
      if (size < 0) fail("CF_BAD_ATTRIBUTE", `size must be at least 0, got ${size}`)
      if (size > 0) requireValue("the last value", start + (size - 1) * step, dtype)
    }
    return { z: { shape: [size], dtype } }
  },
  grad: noGrad("it has no inputs"),
  facts: { kind: "opaque" },
})

export const rangeDoc = /*#__PURE__*/ describe(rangeOp, {
  summary: "Numbers at equal steps.",
  formula: "z[i] = start + i·step",
  source: "Fluid 1.8, range",
  samples: [
    { in: {}, attrs: { start: 2, step: 3, size: 4, dtype: "int32" } },
    { in: {}, attrs: { start: 1, step: -0.25, size: 5, dtype: "float32" } },
    { in: {}, attrs: { start: 0, step: 1, size: 0, dtype: "int64" } },
  ],
  errorSamples: [
    {
      in: {},
      attrs: { start: 250, step: 1, size: 10, dtype: "uint8" },
      code: "CF_BAD_ATTRIBUTE",
      text: /last value 259 is no uint8/,
    },
    {
      in: {},
      attrs: { start: 0.5, step: 1, size: 2, dtype: "int32" },
      code: "CF_BAD_ATTRIBUTE",
      text: /start 0.5 is no int32/,
    },
  ],
})

export interface EyeOptions {
  numRows: Dim
  /** As many as rows unless said. */
  numColumns?: Dim
  dtype?: DType
  program?: Program
}

/** The matrix with ones on the diagonal and zeros elsewhere. */
export function eye(options: EyeOptions): Variable {
  return site(eye, () => {
    const { numRows, numColumns = numRows, dtype = "float32", program } = options
    requireSizes([numRows, numColumns], "eye")
    return emit(eyeOp, {}, { numRows, numColumns, dtype }, eye, program === undefined ? {} : { program }).z
  })
}

export const eyeOp = /*#__PURE__*/ composite({
  name: "eye",
  inputs: {},
  outputs: ["z"],
  attrs: { numRows: "dim", numColumns: "dim", dtype: "dtype" },
  infer: (_inputs, { numRows, numColumns, dtype }) => ({ z: { shape: [numRows, numColumns], dtype } }),
  grad: noGrad("it has no inputs"),
  // Ones where the row's number equals the column's.
  decompose: (_inputs, { numRows, numColumns, dtype }, { op: { block } }) => {
    const { program } = block
    const rows = reshapeTo(range({ end: numRows, program }), [numRows, 1])
    return { z: cast(equal(rows, range({ end: numColumns, program })), { dtype }) }
  },
})

export const eyeDoc = /*#__PURE__*/ describe(eyeOp, {
  summary: "The matrix with ones on the diagonal and zeros elsewhere.",
  formula: "z[i, j] = 1 if i = j, else 0",
  source: "Fluid 1.8, eye",
  samples: [
    { in: {}, attrs: { numRows: 3, numColumns: 3, dtype: "float32" } },
    { in: {}, attrs: { numRows: 2, numColumns: 4, dtype: "int64" } },
    { in: {}, attrs: { numRows: 3, numColumns: 1, dtype: "bool" } },
    { in: {}, attrs: { numRows: 0, numColumns: 2, dtype: "float64" } },
  ],
  tolerance: 0,
})

/** The value of a (symbolic) dimension as a 0-D tensor, known when the symbols are bound: the N of a mean. */
export function dimValue(options: { dim: Dim; dtype?: DType; program?: Program }): Variable {
  const { dim, dtype = "int64", program } = options
  return emit(dimValueOp, {}, { dim, dtype }, dimValue, program === undefined ? {} : { program }).z
}

export const dimValueOp = /*#__PURE__*/ primitive({
  name: "dimValue",
  inputs: {},
  outputs: ["z"],
  attrs: { dim: "dim", dtype: "dtype" },
  infer: (_inputs, { dtype }) => ({ z: { shape: [], dtype } }),
  grad: noGrad("it has no inputs"),
  facts: { kind: "opaque", constant: ({ dim }) => dim as Dim },
})

export const dimValueDoc = /*#__PURE__*/ describe(dimValueOp, {
  summary: "A dimension's size as a 0-D tensor.",
  formula: "z = dim",
  source: "own design: sizes are symbols until a feed binds them",
  samples: [
    { in: {}, attrs: { dim: 12, dtype: "float32" } },
    { in: {}, attrs: { dim: 0, dtype: "int64" } },
  ],
})

/** A copy: `z = x`. */
export function assign(x: Variable): Variable {
  return emit(assignOp, { x }, {}, assign).z
}

export const assignOp = /*#__PURE__*/ primitive({
  name: "assign",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: ({ x }) => ({ z: x }),
  // forward   z = x
  // backward  dx = dz
  grad: (_inputs, _outputs, { z: dz }) => ({ x: dz }),
  facts: { kind: "view", aliases: "x" },
})

export const assignDoc = /*#__PURE__*/ describe(assignOp, {
  summary: "A copy of a tensor.",
  formula: "z = x",
  source: "identity",
  samples: [
    { in: { x: [2, 3] } },
    { in: { x: [] } },
    { in: { x: { shape: [4], dtype: "int64" } } },
    { in: { x: [0, 2] } },
  ],
  tolerance: 0,
})

/** State `state` takes `value` at the end of the step; answers the new value, which later operators may read. */
export function write(state: Variable, value: Variable): Variable {
  return site(write, () => {
    if (!state.persistable) {
      fail("CF_BAD_ARGUMENT", `${state.name} is no state: only persistable variables can be written`, { op: "write" })
    }
    return emit(writeOp, { value }, {}, write, { writes: { next: state } }).next
  })
}

export const writeOp = /*#__PURE__*/ composite({
  name: "write",
  inputs: { value: "tensor" },
  outputs: ["next"],
  infer: ({ value }) => ({ next: value }),
  // forward   next = value
  // backward  dvalue = dnext
  grad: (_inputs, _outputs, { next: dnext }) => ({ value: dnext }),
  decompose: ({ value }) => ({ next: value }),
})

export const writeDoc = /*#__PURE__*/ describe(writeOp, {
  summary: "Commits a value to a state variable at the end of the step.",
  formula: "next = value; state ← next",
  source: "own design: state has value semantics",
  samples: [{ in: { value: [3] } }],
  tolerance: 0,
})
