// Scalar functions that ECMAScript's Math lacks: the error function, and rounding with ties to even.

/**
 * erf(x) = 2/√π · ∫₀ˣ exp(−t²) dt, within about one unit in the last place: the rational approximations of
 * Sun's fdlibm `s_erf.c` (FreeBSD msun), by ranges of |x|. Their tail splits x to make exp(−x²) relatively exact, which
 * erfc needs and erf does not: there exp(−x²)/x is below 0.13 and is subtracted from 1.
 */
export function erf(x: number): number {
  const size = Math.abs(x)
  if (size < 0.84375) {
    // So near 0 the series is its first term, x · 2/√π; written like this it also keeps −0.
    if (size < 2 ** -28) return x + 0.1283791670955126 * x
    const z = x * x
    return x + (x * smallNumerator(z)) / smallDenominator(z)
  }
  let result: number
  if (size < 1.25) {
    const s = size - 1
    result = 0.8450629115104675 + middleNumerator(s) / middleDenominator(s)
  } else if (size < 6) {
    const s = 1 / (size * size)
    const ratio = size < 1 / 0.35 ? nearNumerator(s) / nearDenominator(s) : farNumerator(s) / farDenominator(s)
    result = 1 - Math.exp(-size * size - 0.5625 + ratio) / size
  } else if (size >= 6) {
    result = 1
  } else {
    return NaN
  }
  return x < 0 ? -result : result
}

/** The nearest integer, the even one of two equally near; −0, infinities and NaN are kept. */
export function roundHalfEven(x: number): number {
  const size = Math.abs(x)
  if (!(size < 2 ** 52)) return x
  // At 2^52 the spacing of float64 is 1, so this addition itself rounds to nearest, ties to even.
  const rounded = size + 2 ** 52 - 2 ** 52
  return x < 0 || Object.is(x, -0) ? -rounded : rounded
}

function smallNumerator(z: number): number {
  let sum = -2.3763016656650163e-5 * z - 5.770270296489442e-3
  sum = sum * z - 2.848174957559851e-2
  sum = sum * z - 0.3250421072470015
  return sum * z + 0.12837916709551256
}

function smallDenominator(z: number): number {
  let sum = -3.960228278775368e-6 * z + 1.3249473800432164e-4
  sum = sum * z + 5.081306281875766e-3
  sum = sum * z + 6.50222499887673e-2
  sum = sum * z + 0.39791722395915535
  return sum * z + 1
}

function middleNumerator(s: number): number {
  let sum = -2.166375594868791e-3 * s + 3.5478304325618236e-2
  sum = sum * s - 0.11089469428239668
  sum = sum * s + 0.31834661990116175
  sum = sum * s - 0.3722078760357013
  sum = sum * s + 0.41485611868374833
  return sum * s - 2.3621185607526594e-3
}

function middleDenominator(s: number): number {
  let sum = 1.1984499846799107e-2 * s + 1.363708391202905e-2
  sum = sum * s + 0.12617121980876164
  sum = sum * s + 7.182865441419627e-2
  sum = sum * s + 0.540397917702171
  sum = sum * s + 0.10642088040084423
  return sum * s + 1
}

function nearNumerator(s: number): number {
  let sum = -9.814329344169145 * s - 81.2874355063066
  sum = sum * s - 184.60509290671104
  sum = sum * s - 162.39666946257347
  sum = sum * s - 62.375332450326006
  sum = sum * s - 10.558626225323291
  sum = sum * s - 0.6938585727071818
  return sum * s - 9.864944034847148e-3
}

function nearDenominator(s: number): number {
  let sum = -6.04244152148581e-2 * s + 6.570249770319282
  sum = sum * s + 108.63500554177944
  sum = sum * s + 429.00814002756783
  sum = sum * s + 645.3872717332679
  sum = sum * s + 434.56587747522923
  sum = sum * s + 137.65775414351904
  sum = sum * s + 19.651271667439257
  return sum * s + 1
}

function farNumerator(s: number): number {
  let sum = -483.5191916086514 * s - 1025.0951316110772
  sum = sum * s - 637.5664433683896
  sum = sum * s - 160.63638485582192
  sum = sum * s - 17.757954917754752
  sum = sum * s - 0.799283237680523
  return sum * s - 9.8649429247001e-3
}

function farDenominator(s: number): number {
  let sum = -22.44095244658582 * s + 474.52854120695537
  sum = sum * s + 2553.0504064331644
  sum = sum * s + 3199.8582195085955
  sum = sum * s + 1536.729586084437
  sum = sum * s + 325.7925129965739
  sum = sum * s + 30.33806074348246
  return sum * s + 1
}
