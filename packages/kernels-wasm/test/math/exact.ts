// The elementary functions summed in fixed-point big integers, which share nothing with the approximations under test.
// A fixed-point number is a bigint in units of 2^-2400: enough for the smallest results, and for arguments of any size.

const precision = 2400n
const one = 1n << precision
const view = new DataView(new ArrayBuffer(8))

/** A float64 as a fixed-point number; exact, since no float64 has a bit below 2^-1074. */
export function fixed(x: number): bigint {
  view.setFloat64(0, x)
  const bits = view.getBigUint64(0)
  const field = (bits >> 52n) & 0x7ffn
  const mantissa = (bits & (2n ** 52n - 1n)) | (field === 0n ? 0n : 2n ** 52n)
  const exponent = (field === 0n ? 1n : field) - 1075n
  const size = mantissa << (precision + exponent)
  return bits >> 63n === 1n ? -size : size
}

/** The distance from x to the exact value, in units of the last place a float of so many digits has there. */
export function ulps(x: number, exact: bigint, digits: 24 | 53 = 53): number {
  const exponent = magnitude(exact).toString(2).length - Number(precision)
  const unit = Math.max(exponent - digits, digits === 53 ? -1074 : -149)
  const shift = BigInt(unit) + precision - 40n
  const error = magnitude(fixed(x) - exact)
  return Number(shift >= 0n ? error >> shift : error << -shift) / 2 ** 40
}

function magnitude(x: bigint): bigint {
  return x < 0n ? -x : x
}

/** Towards 0, so that powers below 1 end there. */
function multiply(x: bigint, y: bigint): bigint {
  return (x * y) / one
}

function divide(x: bigint, y: bigint): bigint {
  return (x << precision) / y
}

function squareRoot(x: bigint): bigint {
  const target = x << precision
  let root = 1n << BigInt(Math.ceil(target.toString(2).length / 2))
  for (;;) {
    const next = (root + target / root) >> 1n
    if (next >= root) return root
    root = next
  }
}

/** x + x³/3 + x⁵/5 + …, or with alternating signs. */
function oddPowers(x: bigint, isAlternating: boolean): bigint {
  const square = multiply(x, x)
  let sum = 0n
  let power = x
  for (let n = 1n; power !== 0n; n += 2n) {
    sum += isAlternating && n % 4n === 3n ? -power / n : power / n
    power = multiply(power, square)
  }
  return sum
}

export const pi = 16n * oddPowers(one / 5n, true) - 4n * oddPowers(one / 239n, true)
const ln2 = 2n * oddPowers(one / 3n, false)

/** Rounds to the nearest integer. */
function nearest(x: bigint): bigint {
  return (x + one / 2n) >> precision
}

/** exp(x) = exp(r / 2^40)^(2^40) · 2^k; the repeated squaring costs 40 bits of 2400. */
function exponential(x: bigint): bigint {
  const k = nearest(divide(x, ln2))
  const r = (x - k * ln2) >> 40n
  let term = one
  let sum = one
  for (let n = 1n; term !== 0n; n++) {
    term = multiply(term, r) / n
    sum += term
  }
  for (let i = 0; i < 40; i++) sum = multiply(sum, sum)
  return k >= 0n ? sum << k : sum >> -k
}

function logarithm(x: bigint): bigint {
  const exponent = BigInt(x.toString(2).length) - precision
  // Beside 1, where the result is small, nothing may be subtracted.
  const isNearOne = magnitude(x - one) < one / 4n
  const k = isNearOne ? 0n : exponent
  const mantissa = k < 0n ? x << -k : x >> k
  return 2n * oddPowers(divide(mantissa - one, mantissa + one), false) + k * ln2
}

function sine(x: bigint): bigint {
  const turns = nearest(divide(x, pi))
  const r = x - turns * pi
  const square = multiply(r, r)
  let term = r
  let sum = 0n
  for (let n = 1n; term !== 0n; n += 2n) {
    sum += term
    term = -multiply(term, square) / ((n + 1n) * (n + 2n))
  }
  return turns % 2n === 0n ? sum : -sum
}

/** erf(x) = 2/√π · Σ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n + 1)) */
function errorFunction(x: bigint): bigint {
  const square = multiply(x, x)
  let sum = 0n
  let term = x
  for (let n = 0n; term !== 0n; n++) {
    sum += term / (2n * n + 1n)
    term = -multiply(term, square) / (n + 1n)
  }
  return divide(2n * sum, squareRoot(pi))
}

/** tanh(x) = (e − 1) / (e + 1) for e = exp(2x); exact enough near 0, since 2400 bits are. */
function hyperbolicTangent(x: bigint): bigint {
  const e = exponential(2n * x)
  return divide(e - one, e + one)
}

/** By name, from finite arguments inside the domain. */
export const exact = {
  exp: (x: number) => exponential(fixed(x)),
  log: (x: number) => logarithm(fixed(x)),
  log1p: (x: number) => logarithm(one + fixed(x)),
  sin: (x: number) => sine(fixed(x)),
  cos: (x: number) => sine(pi / 2n - fixed(x)),
  tanh: (x: number) => hyperbolicTangent(fixed(x)),
  erf: (x: number) => errorFunction(fixed(x)),
} satisfies Record<string, (x: number) => bigint>

/** x^y of a positive x. */
export function exactPower(x: number, y: number): bigint {
  return exponential(multiply(logarithm(fixed(x)), fixed(y)))
}
