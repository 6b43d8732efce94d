// Builders of scalar expressions, the language in which elementwise ops state what they compute at a point.

import {
  type BinaryScalar,
  binaryScalars,
  type Comparison,
  comparisons,
  type DType,
  type Scalar,
  type UnaryScalar,
  unaryScalars,
} from "@counterflow/ir"

type Operand = Scalar | number

function scalarOf(operand: Operand): Scalar {
  return typeof operand === "number" ? { op: "const", value: operand } : operand
}

function unary(op: UnaryScalar): (x: Operand) => Scalar {
  return (x) => ({ op, x: scalarOf(x) })
}

function binary(op: BinaryScalar | Comparison): (x: Operand, y: Operand) => Scalar {
  return (x, y) => ({ op, x: scalarOf(x), y: scalarOf(y) })
}

type Builders = { readonly [U in UnaryScalar]: (x: Operand) => Scalar } & {
  readonly [B in BinaryScalar | Comparison]: (x: Operand, y: Operand) => Scalar
} & {
  select(condition: Scalar, x: Operand, y: Operand): Scalar
  cast(x: Operand, dtype: DType): Scalar
}

/** Builders of scalar expressions: `s.mul(x, s.add(y, 1))`. */
export const s: Builders = /*#__PURE__*/ makeBuilders()

function makeBuilders(): Builders {
  const unaries = Object.fromEntries(unaryScalars.map((op) => [op, unary(op)]))
  const binaries = Object.fromEntries([...binaryScalars, ...comparisons].map((op) => [op, binary(op)]))
  const rest = {
    select: (condition: Scalar, x: Operand, y: Operand) => ({
      op: "select",
      condition,
      x: scalarOf(x),
      y: scalarOf(y),
    }),
    cast: (x: Operand, dtype: DType) => ({ op: "cast", x: scalarOf(x), dtype }),
  }
  return { ...unaries, ...binaries, ...rest } as Builders
}
