// The derivative of a function at 0 by central differences, with a bound of its error.
//
// D(h) = (f(h) − f(−h)) / 2h = f′ + O(h²); from two step sizes, (4 D(h/2) − D(h)) / 3 = f′ + O(h⁴) (Richardson 1911). What the
// two disagree by bounds the truncation, the size of what is subtracted bounds the rounding. Several h are tried until the sum
// of both is small, and the best one counts: nothing here looks at the derivative that is to be checked.

/** f at some t: an inner product ⟨weights, values⟩, kept apart so that nearly equal values are subtracted first. */
export interface Weighted {
  readonly weights: readonly ArrayLike<number>[]
  readonly values: readonly ArrayLike<number>[]
}

export interface Derivative {
  readonly value: number
  /** No further off than this, unless f has a kink or pole nearby. */
  readonly uncertainty: number
  /** The size of f: Σ |weight · value|. */
  readonly size: number
}

// The first is right nearly always; domains of samples keep away from kinks by more than that.
const steps = [1e-4, 1e-5, 1e-3, 1e-6, 1e-2]

// Kernels round more than once on their way to one element.
const roundings = 8

/** `noise` is the size of what is rounded besides f itself: the moved inputs, and intermediate values that cancel in f. */
export async function derivativeAtZero(
  f: (t: number) => Promise<Weighted>,
  enough: (found: Derivative) => boolean,
  noise = 0,
): Promise<Derivative> {
  let best: Derivative | null = null
  for (const h of steps) {
    const [wide, narrow] = [await slope(f, h), await slope(f, h / 2)]
    const value = (4 * narrow.value - wide.value) / 3
    const rounding = (Number.EPSILON * roundings * (wide.size + noise)) / h
    const found = { value, uncertainty: Math.abs(value - narrow.value) + rounding, size: wide.size }
    if (best === null || found.uncertainty < best.uncertainty || Number.isNaN(best.uncertainty)) best = found
    if (enough(best)) break
  }
  return best ?? { value: NaN, uncertainty: Infinity, size: 0 }
}

async function slope(f: (t: number) => Promise<Weighted>, h: number): Promise<{ value: number; size: number }> {
  const [above, below] = [await f(h), await f(-h)]
  let difference = 0
  let size = 0
  above.weights.forEach((weights, part) => {
    const [a, b] = [above.values[part] ?? [], below.values[part] ?? []]
    for (let i = 0; i < weights.length; i++) {
      const weight = weights[i] ?? 0
      difference += weight * ((a[i] ?? NaN) - (b[i] ?? NaN))
      size += Math.abs(weight * (a[i] ?? NaN))
    }
  })
  return { value: difference / (2 * h), size }
}
