// What is made of the samples: the same for every peer.

export interface Summary {
  readonly median: number
  readonly least: number
  readonly most: number
  /** How far the samples lie apart, as a share of the median. */
  readonly spread: number
}

export function median(samples: readonly number[]): number {
  const ascending = samples.toSorted((a, b) => a - b)
  const middle = ascending.length >> 1
  const upper = ascending[middle] ?? NaN
  return ascending.length % 2 === 1 ? upper : ((ascending[middle - 1] ?? NaN) + upper) / 2
}

export function summarize(samples: readonly number[]): Summary {
  const middle = median(samples)
  const [least, most] = [Math.min(...samples), Math.max(...samples)]
  return { median: middle, least, most, spread: (most - least) / middle }
}

/** How many times as long the one takes as the other, by medians. */
export function ratio(samples: readonly number[], reference: readonly number[]): number {
  return median(samples) / median(reference)
}
