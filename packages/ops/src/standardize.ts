// What the normalizations share: statistics along axes, and the gradient through them. Variances take two passes (the mean, then
// squared differences): the one-pass formula loses all digits where the mean is large.

import { fail, type Variable } from "@counterflow/ir"
import { add, div, mul, sub } from "./arithmetic.ts"
import { broadcastTo } from "./broadcast.ts"
import { dimValue } from "./creation.ts"
import { reduceMean, reducedCount } from "./reduction.ts"
import { rsqrt, square } from "./unary.ts"

/** Mean, biased variance and 1/√(variance + ε) of x along axes, which stay as axes of size 1. */
export function moments(
  x: Variable,
  axis: readonly number[],
  epsilon: number,
): Record<"mean" | "variance" | "invStd", Variable> {
  const mean = reduceMean(x, { axis, keepDim: true })
  const variance = reduceMean(square(sub(x, mean)), { axis, keepDim: true })
  return { mean, variance, invStd: rsqrt(add(variance, epsilon)) }
}

/** A result divided by the number of elements of x along the axes it was summed over. */
export function perCount(sum: Variable, x: Variable, axis: readonly number[]): Variable {
  return div(sum, dimValue({ dim: reducedCount(x, axis), dtype: x.dtype, program: x.program }))
}

/** x̂ = (x − μ) r of a tensor along axes, with r = 1/√(σ² + ε). */
export interface Standardized {
  readonly x: Variable
  readonly normalized: Variable
  readonly axis: readonly number[]
}

/** What arrives at x̂ and at the statistics; those of the statistics have the reduced axes as size 1. */
export interface StandardizedCotangents {
  /** Of x̂, as c ∘ dy with c constant along the axes; `rate` is r ∘ c. The two means are taken along the axes. */
  readonly normalized: { dy: Variable; rate: Variable; meanOfDy: Variable; meanOfProduct: Variable } | null
  /** Of μ. */
  readonly mean: Variable | null
  /** 2/r times that of σ², which moves x by x̂ ∘ spread / n. That of r is −r³/2 of it: spread = −r² ∘ dr. */
  readonly spread: Variable | null
}

/**
 * The cotangent of x; null if nothing arrived (Ioffe & Szegedy 2015, section 3, the statistics being results of their own):
 * dx = rate ∘ (dy − mean(dy) − x̂ ∘ mean(dy ∘ x̂)) + dμ / n + x̂ ∘ spread / n
 */
export function standardizeGrad(
  { x, normalized, axis }: Standardized,
  cotangents: StandardizedCotangents,
): Variable | null {
  const { normalized: d, mean, spread } = cotangents
  return addUp([
    d && mul(sub(sub(d.dy, d.meanOfDy), mul(normalized, d.meanOfProduct)), d.rate),
    mean && broadcastTo(perCount(mean, x, axis), { shape: x.shape }),
    spread && mul(normalized, perCount(spread, x, axis)),
  ])
}

/** The sum of those cotangents that are there; null if none is. */
export function addUp(terms: readonly (Variable | null)[]): Variable | null {
  const [first, ...rest] = terms.filter((term) => term !== null)
  return first === undefined ? null : rest.reduce((sum, term) => add(sum, term), first)
}

/** In a shape rule: what is added to a variance or a sum of squares. */
export function requireEpsilon(epsilon: number): void {
  if (!(epsilon >= 0) || !Number.isFinite(epsilon)) {
    fail("CF_BAD_ATTRIBUTE", `epsilon must be a number of at least 0, got ${String(epsilon)}`)
  }
}
