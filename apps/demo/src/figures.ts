// The figures that a run must reach, and whether it did.

export interface Figure {
  readonly what: string
  readonly got: string
  readonly wanted: string
  readonly isMet: boolean
}

/** A value that must lie within a fraction of its target. NaN lies nowhere. */
export function within(what: string, value: number, target: number, fraction: number): Figure {
  return {
    what,
    got: value.toFixed(3),
    wanted: `within ${percent(fraction, 0)} of ${target.toFixed(3)}`,
    isMet: isWithin(value, target, fraction),
  }
}

export function isWithin(value: number, target: number, fraction: number): boolean {
  return Math.abs(value - target) <= fraction * target
}

/** A share, from 0 to 1, that must reach a bound. */
export function atLeast(what: string, share: number, bound: number, digits = 1): Figure {
  const wanted = `at least ${percent(bound, digits - 1)}`
  return { what, got: percent(share, digits), wanted, isMet: share >= bound }
}

/** How many of some values came out the same; all must. */
export function allEqual(what: string, equal: number, total: number): Figure {
  return {
    what,
    got: `${thousands(equal)} of ${thousands(total)}`,
    wanted: "all, bit for bit",
    isMet: total > 0 && equal === total,
  }
}

export function percent(share: number, digits: number): string {
  return `${(share * 100).toFixed(digits)} %`
}

export function thousands(count: number): string {
  return Math.round(count).toLocaleString("en-US")
}
