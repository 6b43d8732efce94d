// The figures that an example must reach: what was wanted, what was measured. NaN reaches none.

export interface Figure {
  readonly what: string
  readonly got: string
  readonly wanted: string
  readonly isMet: boolean
}

/** A value that must be what a closed form says, up to a part of it. */
export function equals(what: string, value: number, wanted: number, tolerance: number): Figure {
  const error = Math.abs(value - wanted) / Math.max(Math.abs(wanted), Number.MIN_VALUE)
  return { what, got: digits(value), wanted: `${digits(wanted)} up to ${tolerance} of it`, isMet: error <= tolerance }
}

/** A value that must not exceed a bound. */
export function atMost(what: string, value: number, bound: number): Figure {
  return { what, got: digits(value), wanted: `at most ${digits(bound)}`, isMet: value <= bound }
}

/** A value that must reach a bound. */
export function atLeast(what: string, value: number, bound: number): Figure {
  return { what, got: digits(value), wanted: `at least ${digits(bound)}`, isMet: value >= bound }
}

/** The largest distance of two lists, as a part of the second one's largest entry. */
export function distance(values: ArrayLike<number>, wanted: ArrayLike<number>): number {
  let [difference, size] = [0, Number.MIN_VALUE]
  for (let i = 0; i < Math.max(values.length, wanted.length); i++) {
    const [value, target] = [values[i] ?? NaN, wanted[i] ?? NaN]
    // Written so that NaN counts as infinitely far.
    difference = Math.abs(value - target) <= difference ? difference : Math.abs(value - target)
    size = Math.max(size, Math.abs(target))
    if (Number.isNaN(difference)) return Infinity
  }
  return difference / size
}

function digits(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toPrecision(4)
}
