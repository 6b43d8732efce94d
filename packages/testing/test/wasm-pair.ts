// Running one program on kernels-cpu and on kernels-wasm, and comparing all results: bit for bit, or floats as close as sums in
// another order may come.

import { Executor, type Tensor } from "@counterflow/executor"
import { type DType, isFloat, Program, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { legalize } from "@counterflow/ops"
import fc from "fast-check"
import { expect } from "vitest"
import { checkClose, checkEqual } from "../src/case.ts"
import { input } from "./building.ts"

export interface Fed {
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly data: readonly number[]
}

const backends = [cpu(), wasm()] as const
const executors = backends.map((backend) => new Executor(backend, { legalize, maxPlans: 2 }))

type Build<N extends string> = (inputs: Readonly<Record<N, Variable>>, program: Program) => readonly Variable[]

/** Fails unless both backends give the same bits for every variable that `build` answers. */
export function expectEquality<N extends string>(fed: Readonly<Record<N, Fed>>, build: Build<N>): void {
  compare(fed, build, checkEqual)
}

/** As `expectEquality`, but floats may differ by what rounding does, relative to the largest. */
export function expectCloseness<N extends string>(fed: Readonly<Record<N, Fed>>, build: Build<N>): void {
  compare(fed, build, (got, expected, what) => {
    if (!isFloat(expected.dtype)) checkEqual(got, expected, what)
    else checkClose(got, expected, expected.dtype === "float32" ? 1e-5 : 1e-12, what)
  })
}

function compare<N extends string>(
  fed: Readonly<Record<N, Fed>>,
  build: Build<N>,
  check: (got: Tensor, expected: Tensor, what: string) => void,
): void {
  const program = new Program()
  const entries = Object.entries<Fed>(fed)
  const inputs = entries.map(([name, { shape, dtype }]) => [name, input(program, name, [...shape], dtype)] as const)
  const fetch = build(Object.fromEntries(inputs) as Record<N, Variable>, program)
  const feed = Object.fromEntries(entries)
  const [expected = [], got = []] = executors.map((executor) => executor.runSync(program, { feed, fetch }))
  expect(got.length).toBe(fetch.length)
  expected.forEach((value, at) => {
    const result = got[at]
    if (result !== undefined) check(result, value, `${fetch[at]?.producer?.type ?? "value"}, fetch ${at}`)
  })
}

export const floats = ["float32", "float64"] as const
export const numeric = ["float32", "float64", "int32", "int64", "uint8"] as const
export const all = [...numeric, "bool"] as const

/** Values that arithmetic trips over, and plain ones. */
export function valueOf(dtype: DType): fc.Arbitrary<number> {
  switch (dtype) {
    case "float32":
      return fc.oneof(fc.constantFrom(0, -0, NaN, Infinity, -Infinity, 2.5, -3.5, 0.5, 1), fc.float())
    case "float64":
      return fc.oneof(fc.constantFrom(0, -0, NaN, Infinity, -Infinity, 2.5, -3.5, 1e300, 2 ** 53), fc.double())
    case "int32":
      return fc.oneof(fc.constantFrom(0, 1, -1, 2 ** 31 - 1, -(2 ** 31)), fc.integer(), fc.integer({ min: -9, max: 9 }))
    case "int64":
      // Products and sums of a few of these stay within ±(2^53 − 1), where both ways to store them are exact.
      return fc.oneof(fc.constantFrom(0, 1, -1), fc.integer({ min: -(2 ** 24), max: 2 ** 24 }))
    case "uint8":
      return fc.oneof(fc.constantFrom(0, 1, 255, 128), fc.integer({ min: 0, max: 255 }))
    case "bool":
      return fc.integer({ min: 0, max: 1 })
  }
}

/** Values whose sums and products neither overflow nor cancel wildly. */
export function tameValueOf(dtype: DType): fc.Arbitrary<number> {
  if (!isFloat(dtype)) return valueOf(dtype)
  return fc.oneof(fc.constantFrom(0, 1, -1, 0.5), fc.double({ min: -2, max: 2, noNaN: true }).map(Math.fround))
}

export function dtypeOf<D extends DType>(dtypes: readonly D[]): fc.Arbitrary<D> {
  return fc.constantFrom(...dtypes)
}

/** A tensor of a dtype with a shape. */
export function tensorOf(dtype: DType, shape: readonly number[], value = valueOf(dtype)): fc.Arbitrary<Fed> {
  const length = shape.reduce((product, size) => product * size, 1)
  return fc.array(value, { minLength: length, maxLength: length }).map((data) => ({ dtype, shape, data }))
}

/** Up to four axes of up to five places; empty ones now and then. */
export const shapeOf = (least = 0): fc.Arbitrary<number[]> =>
  fc.array(
    fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 5 }) }, { weight: 1, arbitrary: fc.constant(0) }),
    {
      minLength: least,
      maxLength: 4,
    },
  )

/** Runs a property the same way every time. */
export function holds<T extends [unknown, ...unknown[]]>(
  arbitraries: { [K in keyof T]: fc.Arbitrary<T[K]> },
  property: (...values: T) => void,
  numRuns = 60,
): void {
  fc.assert(fc.property(...arbitraries, property), { seed: 11, numRuns })
}
