// One check with a name. Suites are lists of them, so that any test runner can register them and this package needs none:
// `for (const { name, run } of cases) test(name, run)`.

import { formatShape } from "@counterflow/ir"

export interface Case {
  readonly name: string
  /** Resolves if the check holds, rejects with a reason if not. */
  readonly run: () => Promise<void>
}

/** Fails the running case. */
export function check(holds: boolean, why: () => string): asserts holds {
  if (!holds) throw new Error(why())
}

/** Values with their type, as executors answer them. */
export interface Values {
  readonly data: ArrayLike<number | bigint>
  readonly shape: readonly number[]
  readonly dtype: string
}

/** Fails the running case unless both are equal bit for bit; NaN equals NaN, 0 differs from −0. */
export function checkEqual(got: Values, expected: Values, what: string): void {
  checkTypes(got, expected, what)
  for (let i = 0; i < expected.data.length; i++) {
    check(
      Object.is(got.data[i], expected.data[i]),
      () => `${what}: element ${i} is ${got.data[i]}, expected ${expected.data[i]}`,
    )
  }
}

/**
 * Fails the running case unless no element differs by more than `tolerance` times the largest finite value expected. Dtypes may
 * differ: this is how float32 is compared with float64.
 */
export function checkClose(got: Values, expected: Values, tolerance: number, what: string): void {
  checkShape(got, expected, what)
  let largest = 0
  for (let i = 0; i < expected.data.length; i++) {
    const size = Math.abs(Number(expected.data[i]))
    if (Number.isFinite(size)) largest = Math.max(largest, size)
  }
  for (let i = 0; i < expected.data.length; i++) {
    const [a, b] = [Number(got.data[i]), Number(expected.data[i])]
    if (Object.is(a, b) || Math.abs(a - b) <= tolerance * largest) continue
    check(
      false,
      () => `${what}: element ${i} is ${a}, expected ${b} within ${tolerance} of the largest value ${largest}`,
    )
  }
}

function checkTypes(got: Values, expected: Values, what: string): void {
  check(got.dtype === expected.dtype, () => `${what}: dtype ${got.dtype}, expected ${expected.dtype}`)
  checkShape(got, expected, what)
}

function checkShape(got: Values, expected: Values, what: string): void {
  const [a, b] = [formatShape(got.shape), formatShape(expected.shape)]
  check(a === b, () => `${what}: shape ${a}, expected ${b}`)
  const length = expected.data.length
  check(got.data.length === length, () => `${what}: ${got.data.length} elements, expected ${length}`)
}
