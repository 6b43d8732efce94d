// Whether the peers computed the same: each check is compared with the median of all.

import { median } from "./statistics.ts"

export interface Check {
  readonly peer: string
  readonly check: number
}

export interface Agreement {
  readonly reference: number
  /** The largest relative deviation from the reference. */
  readonly deviation: number
  /** Who lies further off than the tolerance. */
  readonly disagreeing: readonly string[]
}

/** null if there are not two to compare. */
export function agree(checks: readonly Check[], tolerance: number): Agreement | null {
  if (checks.length < 2) return null
  // The lower of the two middle ones where there are two: a peer is compared with a result, not with a mean of results.
  const ascending = checks.map(({ check }) => check).toSorted((a, b) => a - b)
  const reference = ascending.length % 2 === 1 ? median(ascending) : (ascending[ascending.length / 2 - 1] ?? NaN)
  const deviations = checks.map(({ peer, check }) => ({ peer, off: Math.abs(check - reference) / Math.abs(reference) }))
  // A NaN is no agreement, so what is asked is whether it is within.
  const disagreeing = deviations.filter(({ off }) => !(off <= tolerance)).map(({ peer }) => peer)
  return { reference, deviation: Math.max(...deviations.map(({ off }) => off)), disagreeing }
}
