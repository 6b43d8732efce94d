// The inverse distribution function of the standard normal, in float64, from + − × ÷, square root and bit operations
// alone. All of these are exactly specified, so any backend that repeats them in this order gets the same bits; the
// logarithm is therefore written out here, because Math.log may differ from host to host.

const view = new DataView(new ArrayBuffer(8))

// ln 2 in two parts; the first has 32 bits, so a multiple of it by an exponent is exact.
const ln2High = 0.6931471803691238
const ln2Low = 1.9082149292705877e-10

/**
 * Natural logarithm of x, within one unit in the last place: the method of FreeBSD's msun `e_log.c` (fdlibm).
 * x = 2^e · (1 + f) with 1 + f in [√½, √2); with s = f / (2 + f), ln(1 + f) = 2·artanh(s) = f − f²/2 + s·(f²/2 + R(s²)),
 * R being a polynomial of least maximum error.
 */
export function logBits(x: number): number {
  if (!(x > 0)) return x === 0 ? -Infinity : NaN
  if (x === Infinity) return Infinity
  let exponent = 0
  let normal = x
  if (x < 2 ** -1022) {
    exponent = -54
    normal = x * 2 ** 54
  }
  view.setFloat64(0, normal)
  const word = view.getInt32(0)
  const mantissa = word & 0x000fffff
  // From √2 up (0x6a09c in the leading mantissa bits) one more factor of two goes to the exponent.
  const up = (mantissa + 0x95f64) & 0x00100000
  exponent += (word >> 20) - 1023 + (up >> 20)
  view.setInt32(0, mantissa | (up ^ 0x3ff00000))
  const f = view.getFloat64(0) - 1
  const s = f / (2 + f)
  const z = s * s
  const w = z * z
  const even = w * (0.3999999999940942 + w * (0.22222198432149784 + w * 0.15313837699209373))
  const odd = z * (0.6666666666666735 + w * (0.2857142874366239 + w * (0.1818357216161805 + w * 0.14798198605116586)))
  const half = 0.5 * f * f
  return exponent * ln2High - (half - (s * (half + (even + odd)) + exponent * ln2Low) - f)
}

/**
 * The z with Φ(z) = p, for 0 < p < 1, to about one part in 10^16: M. J. Wichura, "Algorithm AS 241: the percentage
 * points of the normal distribution", Applied Statistics 37 (1988), routine PPND16. Three rational approximations: in
 * (p − ½)² near the centre, and in r = √(−ln min(p, 1 − p)) for the two parts of the tails.
 */
export function inverseNormal(p: number): number {
  const q = p - 0.5
  if (q >= -0.425 && q <= 0.425) {
    const r = 0.180625 - q * q
    return (q * centreNumerator(r)) / centreDenominator(r)
  }
  const tail = q < 0 ? p : 1 - p
  if (!(tail > 0)) return tail === 0 ? (q < 0 ? -Infinity : Infinity) : NaN
  const r = Math.sqrt(-logBits(tail))
  const z = r <= 5 ? nearNumerator(r - 1.6) / nearDenominator(r - 1.6) : farNumerator(r - 5) / farDenominator(r - 5)
  return q < 0 ? -z : z
}

// Horner's rule, innermost term first; each constant is the double nearest to the printed one.

function centreNumerator(r: number): number {
  let sum = 2509.0809287301227 * r + 33430.57558358813
  sum = sum * r + 67265.7709270087
  sum = sum * r + 45921.95393154987
  sum = sum * r + 13731.69376550946
  sum = sum * r + 1971.5909503065513
  sum = sum * r + 133.14166789178438
  return sum * r + 3.3871328727963665
}

function centreDenominator(r: number): number {
  let sum = 5226.495278852854 * r + 28729.085735721943
  sum = sum * r + 39307.89580009271
  sum = sum * r + 21213.794301586597
  sum = sum * r + 5394.196021424751
  sum = sum * r + 687.1870074920579
  sum = sum * r + 42.31333070160091
  return sum * r + 1
}

function nearNumerator(r: number): number {
  let sum = 7.745450142783414e-4 * r + 2.2723844989269184e-2
  sum = sum * r + 0.2417807251774506
  sum = sum * r + 1.2704582524523684
  sum = sum * r + 3.6478483247632045
  sum = sum * r + 5.769497221460691
  sum = sum * r + 4.630337846156546
  return sum * r + 1.4234371107496835
}

function nearDenominator(r: number): number {
  let sum = 1.0507500716444169e-9 * r + 5.475938084995345e-4
  sum = sum * r + 1.5198666563616457e-2
  sum = sum * r + 0.14810397642748008
  sum = sum * r + 0.6897673349851
  sum = sum * r + 1.6763848301838038
  sum = sum * r + 2.053191626637759
  return sum * r + 1
}

function farNumerator(r: number): number {
  let sum = 2.0103343992922881e-7 * r + 2.7115555687434876e-5
  sum = sum * r + 1.2426609473880784e-3
  sum = sum * r + 2.6532189526576124e-2
  sum = sum * r + 0.29656057182850487
  sum = sum * r + 1.7848265399172913
  sum = sum * r + 5.463784911164114
  return sum * r + 6.657904643501103
}

function farDenominator(r: number): number {
  let sum = 2.0442631033899397e-15 * r + 1.421511758316446e-7
  sum = sum * r + 1.8463183175100548e-5
  sum = sum * r + 7.868691311456133e-4
  sum = sum * r + 1.4875361290850615e-2
  sum = sum * r + 0.1369298809227358
  sum = sum * r + 0.599832206555888
  return sum * r + 1
}
