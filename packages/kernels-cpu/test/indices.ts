// Index spaces spelled out: the definitions that kernels are compared with address elements one by one.

import fc from "fast-check"
import type { DType } from "@counterflow/ir"
import type { HostTensor } from "../src/kernel.ts"

/** All indices of a shape in row-major order. */
export function indicesOf(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (prefixes, size) => prefixes.flatMap((prefix) => Array.from({ length: size }, (_, i) => [...prefix, i])),
    [[]],
  )
}

/** The element at an index. */
export function at({ data, shape }: HostTensor, index: readonly number[]): number {
  const flat = shape.reduce((sum, size, axis) => sum * size + (index[axis] ?? NaN), 0)
  return data[flat] ?? NaN
}

export const anyDType: fc.Arbitrary<DType> = fc.constantFrom("float32", "float64", "int32", "int64", "uint8", "bool")

export const numericDType: fc.Arbitrary<DType> = fc.constantFrom("float32", "float64", "int32", "int64", "uint8")

/** Shapes of rank `least` to 4 with sizes from 0 on, mostly small. */
export function shapes(least = 0): fc.Arbitrary<number[]> {
  const size = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 1, max: 5 }) },
    { weight: 1, arbitrary: fc.constant(0) },
  )
  return fc.array(size, { minLength: least, maxLength: 4 })
}

/** Values that a dtype has, with ties; integers near the ends of the dtype's range where `wide` is set. */
export function valuesFor(dtype: DType, random: () => number, wide = false): () => number {
  switch (dtype) {
    case "float32":
    case "float64":
      return () => random() * 4
    case "bool":
      return () => (random() < 0 ? 0 : 1)
    case "uint8":
      return () => Math.floor((random() + 1) * (wide ? 128 : 3))
    case "int32":
    case "int64":
      return () => Math.floor(random() * (wide ? 2 ** 31 : 4))
  }
}
