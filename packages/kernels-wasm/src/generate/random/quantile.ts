// The inverse distribution function of the standard normal as a function of a module, in float64, from + − × ÷, square root
// and bit operations alone, operation for operation what the reference backend does: so all draws agree bit for bit.

import {
  call,
  type Expr,
  f64,
  type FunctionBuilder,
  type FunctionRef,
  i32,
  i64,
  type ModuleBuilder,
} from "../../assembler/index.ts"

type Real = FunctionRef<readonly ["f64"], readonly ["f64"]>

const emitted = new WeakMap<ModuleBuilder, Real>()

/**
 * The z with Φ(z) = p, for 0 < p < 1: M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution",
 * Applied Statistics 37 (1988), routine PPND16. Three rational approximations: in (p − ½)² near the centre, and in
 * r = √(−ln min(p, 1 − p)) for the two parts of the tails.
 */
export function inverseNormalOf(module: ModuleBuilder): Real {
  let inverse = emitted.get(module)
  if (inverse === undefined) emitted.set(module, (inverse = emitInverse(module, emitLogarithm(module))))
  return inverse
}

function emitInverse(module: ModuleBuilder, logarithm: Real): Real {
  return module.function("inverseNormal", ["f64"], ["f64"], (f, p) => {
    const q = f.let(f64.sub(p, 0.5))
    f.if(f64.le(f64.abs(q), 0.425), () => {
      const r = f.let(f64.sub(0.180625, f64.mul(q, q)))
      f.return(f64.div(f64.mul(q, horner(f, r, centre.numerator)), horner(f, r, centre.denominator)))
    })
    const isBelow = f64.lt(q, 0)
    const tail = f.local("f64", p)
    f.if(
      isBelow,
      () => {},
      () => f.set(tail, f64.sub(1, p)),
    )
    const r = f.let(f64.sqrt(f64.neg(call(logarithm, tail))))
    const z = f.local("f64")
    const rational = ({ numerator, denominator }: Rational, shift: number) => {
      const s = f.let(f64.sub(r, shift))
      f.set(z, f64.div(horner(f, s, numerator), horner(f, s, denominator)))
    }
    f.if(
      f64.le(r, 5),
      () => rational(near, 1.6),
      () => rational(far, 5),
    )
    f.if(isBelow, () => f.return(f64.neg(z)))
    f.return(z)
  })
}

// ln 2 in two parts; the first has 32 bits, so a multiple of it by an exponent is exact.
const [ln2High, ln2Low] = [0.6931471803691238, 1.9082149292705877e-10]

/**
 * Natural logarithm of a normal, finite, positive x, after FreeBSD's msun `e_log.c` (fdlibm): x = 2^e · (1 + f) with 1 + f in
 * [√½, √2); with s = f / (2 + f), ln(1 + f) = 2·artanh(s) = f − f²/2 + s·(f²/2 + R(s²)).
 */
function emitLogarithm(module: ModuleBuilder): Real {
  return module.function("logarithm", ["f64"], ["f64"], (f, x) => {
    const bits = f.let(i64.reinterpretF64(x))
    const word = f.let(i32.wrapI64(i64.shrU(bits, 32)))
    const mantissa = f.let(i32.and(word, 0x000fffff))
    // From √2 up (0x6a09c in the leading mantissa bits) one more factor of two goes to the exponent.
    const up = f.let(i32.and(i32.add(mantissa, 0x95f64), 0x00100000))
    const exponent = f.let(f64.convertI32S(i32.add(i32.sub(i32.shrS(word, 20), 1023), i32.shrS(up, 20))))
    const leading = i64.shl(i64.extendI32U(i32.or(mantissa, i32.xor(up, 0x3ff00000))), 32)
    const fraction = f.let(f64.sub(f64.reinterpretI64(i64.or(leading, i64.and(bits, 0xffffffff))), 1))
    const s = f.let(f64.div(fraction, f64.add(2, fraction)))
    const z = f.let(f64.mul(s, s))
    const w = f.let(f64.mul(z, z))
    const even = f64.mul(w, horner(f, w, [0.15313837699209373, 0.22222198432149784, 0.3999999999940942]))
    const odd = f64.mul(
      z,
      horner(f, w, [0.14798198605116586, 0.1818357216161805, 0.2857142874366239, 0.6666666666666735]),
    )
    const half = f.let(f64.mul(f64.mul(0.5, fraction), fraction))
    const inner = f64.add(f64.mul(s, f64.add(half, f64.add(even, odd))), f64.mul(exponent, ln2Low))
    f.return(f64.sub(f64.mul(exponent, ln2High), f64.sub(f64.sub(half, inner), fraction)))
  })
}

/** Horner's rule, the coefficient of the highest power first. */
function horner(f: FunctionBuilder, x: Expr<"f64">, [first = 0, ...rest]: readonly number[]): Expr<"f64"> {
  return rest.reduce<Expr<"f64">>((sum, coefficient) => f.let(f64.add(f64.mul(sum, x), coefficient)), f64.const(first))
}

/** Coefficients by falling power; each is the double nearest to the printed one. */
interface Rational {
  readonly numerator: readonly number[]
  readonly denominator: readonly number[]
}

const centre: Rational = {
  numerator: [
    2509.0809287301227, 33430.57558358813, 67265.7709270087, 45921.95393154987, 13731.69376550946, 1971.5909503065513,
    133.14166789178438, 3.3871328727963665,
  ],
  denominator: [
    5226.495278852854, 28729.085735721943, 39307.89580009271, 21213.794301586597, 5394.196021424751, 687.1870074920579,
    42.31333070160091, 1,
  ],
}

const near: Rational = {
  numerator: [
    7.745450142783414e-4, 2.2723844989269184e-2, 0.2417807251774506, 1.2704582524523684, 3.6478483247632045,
    5.769497221460691, 4.630337846156546, 1.4234371107496835,
  ],
  denominator: [
    1.0507500716444169e-9, 5.475938084995345e-4, 1.5198666563616457e-2, 0.14810397642748008, 0.6897673349851,
    1.6763848301838038, 2.053191626637759, 1,
  ],
}

const far: Rational = {
  numerator: [
    2.0103343992922881e-7, 2.7115555687434876e-5, 1.2426609473880784e-3, 2.6532189526576124e-2, 0.29656057182850487,
    1.7848265399172913, 5.463784911164114, 6.657904643501103,
  ],
  denominator: [
    2.0442631033899397e-15, 1.421511758316446e-7, 1.8463183175100548e-5, 7.868691311456133e-4, 1.4875361290850615e-2,
    0.1369298809227358, 0.599832206555888, 1,
  ],
}
